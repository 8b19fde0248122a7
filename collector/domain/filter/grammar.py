"""The grammar of filters: text to a parse tree, or a sentence that points at the place where it ends.

The parser keeps its state on the heap: a text of any depth costs no recursion here.
"""

from typing import Final

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from collector.domain.errors import BadRequest

# Words that follow one another are joined by AND, which binds tighter than OR. After `field:` a word may hold
# colons, so that times and addresses need no quotes there; nor elsewhere do URLs and what begins with a
# digit, as an address with its port does: no field is called like that. Two bars after
# a date are part of it where it is moved or rounded: `2026-11-20||+1d`.
_GRAMMAR: Final = r"""
start: disjunction
disjunction: conjunction (_OR conjunction)*
conjunction: clause (_AND? clause)*

?clause: _NOT clause -> negation
    | _MINUS clause -> negation
    | _PLUS clause -> requirement
    | FIELD _operand -> in_field
    | group
    | (TERM | LINK) -> term
    | _value

_operand: group | field_term | _value
field_term: VALUE -> term
_value: phrase | comparison | range
phrase: PHRASE
comparison: OPERATOR (VALUE | PHRASE)
group: "(" disjunction ")"
range: BEGIN (BOUND | PHRASE) _TO (BOUND | PHRASE) END

_OR.3: /OR(?=[\s()"]|$)|\|\|/
_AND.3: /AND(?=[\s()"]|$)|&&/
_NOT.3: /NOT(?=[\s()"]|$)|!/
_MINUS.3: "-"
_PLUS.3: "+"
FIELD.2: /(?:[\w@]|\\.)(?:[\w.@$#\/-]|\\.)*:/
TERM: /(?![-+!<>]|(?:AND|OR|NOT)(?:[\s()"]|$))/ (/(?!&&|\|\|)[^\s:()\[\]{}"\\]/ | _MOVED | _ESCAPED)+
LINK.3: /(?:[a-zA-Z][\w+.-]*:\/\/|\d[\w.-]*:)/ _PART+
VALUE: /(?![<>])/ _PART+
_PART: /(?!&&|\|\|)[^\s()\[\]{}"\\]/ | _MOVED | _ESCAPED
_MOVED: /(?<=[\dZ])\|\|(?=[+-]\d|\/[yMwdDhHms])/
_ESCAPED: /\\./s
PHRASE: /"(?:[^"\\]|\\.)*"/s
OPERATOR.2: />=|<=|>|</
BEGIN: /[\[{]/
END: /[\]}]/
_TO.3: /TO(?=\s|$)|\.\./
BOUND: /(?:(?!\.\.)[^\s\[\]{}"])+/

%ignore /\s+/
"""

_parser: Final = Lark(_GRAMMAR, parser="lalr", lexer="contextual")
_SHOWN: Final = 20


def parsed(text: str) -> Tree[Token]:
    """The parse tree of a filter that is not blank; raises BadRequest."""
    return parsed_by(_parser, text, "filter")


def parsed_by(parser: Lark, text: str, name: str) -> Tree[Token]:
    """The parse tree; raises BadRequest with a sentence that begins with what the text is, its `name`."""
    try:
        return parser.parse(text)
    except UnexpectedInput as error:
        raise BadRequest(f"The {name} {_complaint(error, text)}") from None


def _complaint(error: UnexpectedInput, text: str) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return "ends too early: something is missing at its end."
    place = getattr(error, "pos_in_stream", None) or 0
    return f"is wrong at character {place + 1}: {_excerpt(text, place)}"


def _excerpt(text: str, place: int) -> str:
    """What stands at the place, and where quotes or brackets are wanting, the reason."""
    shown = text[place : place + _SHOWN]
    if shown.startswith('"'):
        return f"the quote in `{shown}` is never closed."
    return f"`{shown}` is not expected here."
