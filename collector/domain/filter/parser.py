"""Filter texts: how they are read, and how much of a filter is too much (contract 5)."""

import re
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from lark import Token, Tree

from collector.domain.errors import BadRequest
from collector.domain.filter.fields import ANY_SEPARATOR
from collector.domain.filter.grammar import parsed
from collector.domain.filter.tree import (
    And,
    Bound,
    Everything,
    Exists,
    Filter,
    Match,
    Not,
    Or,
    Range,
    Term,
    Wildcard,
)
from collector.domain.filter.words import split_words

MAXIMUM_LENGTH: Final = 8000
MAXIMUM_TERMS: Final = 200
MAXIMUM_LEVELS: Final = 30
MAXIMUM_WILDCARDS: Final = 8
"""In one term."""

_INVERSION_HINT: Final = re.compile(r"^(\s*)@!")
_OPEN: Final = "*"
_PIECE: Final = re.compile(r"\\(.)|([*?])|([^\\*?]+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MEANT: Final = re.compile(r"[*?\\]")
_VALUES: Final = frozenset({"term", "phrase", "comparison", "range"})
_LEVELS: Final = frozenset({"group", "negation", "requirement", "in_field"})

_Node = Tree[Token]


def parse_filter(text: str) -> Filter:
    """What a filter text says; a blank one is no condition. Raises BadRequest."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadRequest(f"The filter is too long: {MAXIMUM_LENGTH} characters are the most.")
    if not is_storable(text):
        raise BadRequest("The filter holds a character that no text can hold.")
    text = _INVERSION_HINT.sub(r"\1  ", text)
    if not text.strip():
        return Everything()
    tree = parsed(text)
    _check_size(tree)
    return _filter(tree, None)


def is_storable(text: str) -> bool:
    """Whether a store's text could hold it: neither NUL nor one half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _check_size(tree: _Node) -> None:
    """Refuse what is too large before anything is done by recursion."""
    terms = 0
    for node, levels in _nodes(tree):
        terms += node.data in _VALUES
        if levels > MAXIMUM_LEVELS:
            raise BadRequest(f"The filter is too deep: {MAXIMUM_LEVELS} levels are the most.")
        if terms > MAXIMUM_TERMS:
            raise BadRequest(f"The filter is too large: {MAXIMUM_TERMS} terms are the most.")


def _nodes(tree: _Node) -> Iterator[tuple[_Node, int]]:
    waiting = [(tree, 0)]
    while waiting:
        node, levels = waiting.pop()
        yield node, levels
        levels += node.data in _LEVELS
        waiting += [(child, levels) for child in node.children if isinstance(child, Tree)]


def _filter(node: _Node, field: str | None) -> Filter:
    """The meaning of a node; `field` is the one that it stands behind."""
    return _BY_RULE[str(node.data)](node, field)


def _only(node: _Node, field: str | None) -> Filter:
    return _filter(_child(node, 0), field)


def _conjunction(node: _Node, field: str | None) -> Filter:
    """Signs between words, as in `50 % off`, are no words; one by itself, or escaped, is looked for."""
    sides = list(_trees(node))
    words = [side for side in sides if not _is_sign(side)] if field is None else sides
    return _joined(And, [_filter(side, field) for side in words or sides])


def _disjunction(node: _Node, field: str | None) -> Filter:
    """Where one side is required, the others are a matter of taste: `a OR +b` is `b`."""
    sides = list(_trees(node))
    required = [side for side in sides if _is_required(side)] if len(sides) > 1 else []
    joined = And if required else Or
    return _joined(joined, [_filter(side, field) for side in required or sides])


def _joined(kind: Callable[[tuple[Filter, ...]], Filter], children: list[Filter]) -> Filter:
    return children[0] if len(children) == 1 else kind(tuple(children))


def _is_sign(side: _Node) -> bool:
    if side.data != "term":
        return False
    token = _token(side, 0)
    return _MEANT.search(token) is None and not split_words((token,), ANY_SEPARATOR)


def _is_required(side: _Node) -> bool:
    return len(side.children) == 1 and _child(side, 0).data == "requirement"


def _negation(node: _Node, field: str | None) -> Filter:
    return Not(_only(node, field))


def _in_field(node: _Node, _field: str | None) -> Filter:
    name = _ESCAPED.sub(r"\1", str(node.children[0])[:-1])
    operand = _child(node, 1)
    if name in {"_exists_", "_missing_"}:
        found = Exists(_named_field(operand))
        return found if name == "_exists_" else Not(found)
    return _filter(operand, name)


def _named_field(operand: _Node) -> str:
    token = _token(operand, 0)
    if operand.data not in {"term", "phrase"}:
        _refuse(token, "the name of a field is expected here.")
    return _phrase(token).text if operand.data == "phrase" else _term(token).text


def _term_match(node: _Node, field: str | None) -> Filter:
    term = _term(_token(node, 0))
    if term.pieces == (Wildcard.ANY,):
        return Everything() if field is None else Exists(field)
    return Match(field, term)


def _phrase_match(node: _Node, field: str | None) -> Filter:
    return Match(field, _phrase(_token(node, 0)))


def _comparison(node: _Node, field: str | None) -> Filter:
    operator, value = _token(node, 0), _token(node, 1)
    if field is None:
        _refuse(operator, "a comparison needs a field, as in `value:>10`.")
    bound = Bound(_bound_text(value), len(operator) > 1, _at(value))
    return Match(field, Range(bound, None) if operator.startswith(">") else Range(None, bound))


def _range(node: _Node, field: str | None) -> Filter:
    begin, low, high, end = (_token(node, place) for place in range(4))
    if field is None:
        _refuse(begin, "a range needs a field, as in `value:[1 TO 10]`.")
    return Match(field, Range(_bound(low, is_included=begin == "["), _bound(high, is_included=end == "]")))


def _bound(token: Token, *, is_included: bool) -> Bound | None:
    return None if token == _OPEN else Bound(_bound_text(token), is_included, _at(token))


def _bound_text(token: Token) -> str:
    return _phrase(token).text if token.type == "PHRASE" else _ESCAPED.sub(r"\1", str(token))


def _phrase(token: Token) -> Term:
    return Term((_ESCAPED.sub(r"\1", str(token)[1:-1]),), is_quoted=True, at=_at(token))


def _term(token: Token) -> Term:
    pieces: list[str | Wildcard] = []
    for escaped, wildcard, text in _PIECE.findall(str(token)):
        if wildcard:
            pieces.append(Wildcard(wildcard))
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += escaped or text
        else:
            pieces.append(escaped or text)
    if sum(isinstance(piece, Wildcard) for piece in pieces) > MAXIMUM_WILDCARDS:
        _refuse(token, f"{MAXIMUM_WILDCARDS} wildcards in one term are the most.")
    return Term(tuple(pieces), at=_at(token))


def _refuse(token: Token, sentence: str) -> NoReturn:
    raise BadRequest(f"The filter is wrong at character {_at(token) + 1}: {sentence}")


def _at(token: Token) -> int:
    return token.start_pos or 0


def _trees(node: _Node) -> Iterator[_Node]:
    return (child for child in node.children if isinstance(child, Tree))


def _child(node: _Node, place: int) -> _Node:
    child = node.children[place]
    assert isinstance(child, Tree)  # noqa: S101 - the grammar has it so
    return child


def _token(node: _Node, place: int) -> Token:
    token = node.children[place]
    if isinstance(token, Tree):  # the first word of what is more than one
        return next(token.scan_values(lambda value: isinstance(value, Token)))
    return token


_BY_RULE: Final[dict[str, Callable[[_Node, str | None], Filter]]] = {
    "start": _only,
    "group": _only,
    "requirement": _only,
    "disjunction": _disjunction,
    "conjunction": _conjunction,
    "negation": _negation,
    "in_field": _in_field,
    "term": _term_match,
    "phrase": _phrase_match,
    "comparison": _comparison,
    "range": _range,
}
