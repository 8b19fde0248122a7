"""The grammar of filters: turns a text into a parse tree, or into an error message with the position.

The LALR parser keeps its state on the heap, so deeply nested texts cause no recursion here.
"""

from typing import Final

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from collector.domain.errors import BadRequest

# - Adjacent words are joined by AND, which binds tighter than OR.
# - After `field:` a word may contain colons, so that times and addresses need no quotes. Elsewhere only URLs
#   and words that begin with a digit may (an address with its port): no field has a name like that.
# - `||` after a date belongs to it if date math follows: `2026-11-20||+1d`.
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
_EXCERPT_LENGTH: Final = 20


def parse_tree(text: str) -> Tree[Token]:
    """The parse tree of a filter that is not blank. Raises BadRequest."""
    return run_parser(_parser, text, "filter")


def run_parser(parser: Lark, text: str, name: str) -> Tree[Token]:
    """The parse tree of a text. Raises BadRequest with a message that calls the text by its `name`."""
    try:
        return parser.parse(text)
    except UnexpectedInput as error:
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":
            raise BadRequest(f"The {name} ends too early: something is missing at its end.") from None
        position = getattr(error, "pos_in_stream", None) or 0
        excerpt = text[position : position + _EXCERPT_LENGTH]
        # The grammar has a token for a closed quote only, so an open one is always unexpected.
        problem = (
            f"the quote in `{excerpt}` is never closed"
            if excerpt.startswith('"')
            else f"`{excerpt}` is not expected here"
        )
        raise BadRequest(f"The {name} is wrong at character {position + 1}: {problem}.") from None
