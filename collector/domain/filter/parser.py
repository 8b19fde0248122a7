"""Parses filters into syntax trees and enforces their size limits (contract 5)."""

import re
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from lark import Token, Tree
from lark.visitors import Interpreter

from collector.domain.errors import BadRequest
from collector.domain.filter.fields import ANY_SEPARATOR
from collector.domain.filter.grammar import parse_tree
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
from collector.domain.jsonb.check import is_storable_text

MAXIMUM_LENGTH: Final = 8000
MAXIMUM_TERMS: Final = 200
MAXIMUM_LEVELS: Final = 30
MAXIMUM_WILDCARDS: Final = 8
"""In one term."""

_INVERSION_HINT: Final = re.compile(r"^(\s*)@!")
_UNBOUNDED: Final = "*"
_PIECE: Final = re.compile(r"\\(.)|([*?])|([^\\*?]+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_INTENTIONAL: Final = re.compile(r"[*?\\]")
_VALUES: Final = frozenset({"term", "phrase", "comparison", "range"})
_LEVELS: Final = frozenset({"group", "negation", "requirement", "in_field"})

_Node = Tree[Token]


def parse_filter(text: str) -> Filter:
    """Parse a filter; a blank text is no condition. Raises BadRequest."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadRequest(f"The filter is too long: at most {MAXIMUM_LENGTH} characters are allowed.")
    if not is_storable_text(text):
        raise BadRequest("The filter contains a character that cannot be stored: NUL or a lone surrogate.")
    text = _INVERSION_HINT.sub(r"\1  ", text)  # same length, so that positions in error messages stay right
    if not text.strip():
        return Everything()
    tree = parse_tree(text)
    _check_size(tree)
    return _Builder().visit(tree)


def _check_size(tree: _Node) -> None:
    """Reject a tree that is too large or too deep, without recursion; the builder may then recurse."""
    terms = 0
    pending = [(tree, 0)]
    while pending:
        node, levels = pending.pop()
        terms += node.data in _VALUES
        if levels > MAXIMUM_LEVELS:
            raise BadRequest(f"The filter is too deep: at most {MAXIMUM_LEVELS} levels are allowed.")
        if terms > MAXIMUM_TERMS:
            raise BadRequest(f"The filter is too large: at most {MAXIMUM_TERMS} terms are allowed.")
        levels += node.data in _LEVELS
        pending += [(child, levels) for child in _trees(node)]


class _Builder(Interpreter[Token, Filter]):
    """Builds a filter from a parse tree, with one method per rule; `field` is the field in scope."""

    def __init__(self, field: str | None = None) -> None:
        self.field = field

    def start(self, node: _Node) -> Filter:
        return self.visit(_child(node, 0))

    group = requirement = start

    def conjunction(self, node: _Node) -> Filter:
        # Punctuation between words, as in `50 % off`, is skipped; alone or escaped it is searched for.
        sides = list(_trees(node))
        words = [side for side in sides if not _is_punctuation(side)] if self.field is None else sides
        return self._join(And, words or sides)

    def disjunction(self, node: _Node) -> Filter:
        # If a side is required, the sides that are not are irrelevant: `a OR +b` is `b`.
        sides = list(_trees(node))
        required = [
            side for side in sides if len(side.children) == 1 and _child(side, 0).data == "requirement"
        ]
        if required and len(sides) > 1:
            return self._join(And, required)
        return self._join(Or, sides)

    def _join(self, kind: Callable[[tuple[Filter, ...]], Filter], sides: list[_Node]) -> Filter:
        children = tuple(self.visit(side) for side in sides)
        return children[0] if len(children) == 1 else kind(children)

    def negation(self, node: _Node) -> Filter:
        return Not(self.visit(_child(node, 0)))

    def in_field(self, node: _Node) -> Filter:
        name = _ESCAPED.sub(r"\1", str(node.children[0])[:-1])
        operand = _child(node, 1)
        # `_exists_:name` and `_missing_:name` ask for the field itself; any other name has a value.
        if name not in {"_exists_", "_missing_"}:
            return _Builder(name).visit(operand)
        token = _token(operand, 0)
        if operand.data not in {"term", "phrase"}:
            _reject(token, "the name of a field is expected here.")
        exists = Exists((_phrase(token) if operand.data == "phrase" else _term(token)).text)
        return exists if name == "_exists_" else Not(exists)

    def term(self, node: _Node) -> Filter:
        term = _term(_token(node, 0))
        if term.pieces == (Wildcard.ANY,):
            return Everything() if self.field is None else Exists(self.field)
        return Match(self.field, term)

    def phrase(self, node: _Node) -> Filter:
        return Match(self.field, _phrase(_token(node, 0)))

    def comparison(self, node: _Node) -> Filter:
        operator, value = _token(node, 0), _token(node, 1)
        if self.field is None:
            _reject(operator, "a comparison needs a field, as in `value:>10`.")
        bound = Bound(_bound_text(value), len(operator) > 1, _position(value))
        return Match(self.field, Range(bound, None) if operator.startswith(">") else Range(None, bound))

    def range(self, node: _Node) -> Filter:
        begin, low, high, end = (_token(node, index) for index in range(4))
        if self.field is None:
            _reject(begin, "a range needs a field, as in `value:[1 TO 10]`.")
        return Match(
            self.field, Range(_bound(low, is_included=begin == "["), _bound(high, is_included=end == "]"))
        )


def _is_punctuation(side: _Node) -> bool:
    """Whether the side is a term without any word, wildcard or escape."""
    if side.data != "term":
        return False
    token = _token(side, 0)
    return _INTENTIONAL.search(token) is None and not split_words((token,), ANY_SEPARATOR)


def _bound(token: Token, *, is_included: bool) -> Bound | None:
    return None if token == _UNBOUNDED else Bound(_bound_text(token), is_included, _position(token))


def _bound_text(token: Token) -> str:
    return _phrase(token).text if token.type == "PHRASE" else _ESCAPED.sub(r"\1", str(token))


def _phrase(token: Token) -> Term:
    return Term((_ESCAPED.sub(r"\1", str(token)[1:-1]),), is_quoted=True, at=_position(token))


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
        _reject(token, f"at most {MAXIMUM_WILDCARDS} wildcards are allowed in one term.")
    return Term(tuple(pieces), at=_position(token))


def _reject(token: Token, sentence: str) -> NoReturn:
    raise BadRequest(f"The filter is wrong at character {_position(token) + 1}: {sentence}")


def _position(token: Token) -> int:
    return token.start_pos or 0


def _trees(node: _Node) -> Iterator[_Node]:
    return (child for child in node.children if isinstance(child, Tree))


def _child(node: _Node, index: int) -> _Node:
    child = node.children[index]
    assert isinstance(child, Tree)  # noqa: S101 - the grammar guarantees it
    return child


def _token(node: _Node, index: int) -> Token:
    """The token at this index, or the first token of the subtree there."""
    child = node.children[index]
    if isinstance(child, Tree):
        return next(child.scan_values(lambda value: isinstance(value, Token)))
    return child
