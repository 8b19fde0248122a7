"""Hypothesis strategies for filter trees, and how a tree is written as text: the inverse of the parser."""

import re

from hypothesis import strategies as st

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

NAMES = ["type", "source", "data.Age", "data.@user.identity", "ref.session", "os.version", "x", "größe"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


def written(tree: Filter) -> str:
    """The tree written as a filter."""
    match tree:
        case Everything():
            return "*"
        case And(children):
            return f"({' AND '.join(map(written, children))})"
        case Or(children):
            return f"({' OR '.join(map(written, children))})"
        case Not(child):
            return f"NOT {written(child)}"
        case Exists(field):
            return f"_exists_:{field}"
        case Match(field, value):
            return (f"{field}:" if field else "") + _value(value)


def _value(value: Term | Range) -> str:
    if isinstance(value, Range):
        begin = "[" if value.low is None or value.low.is_included else "{"
        end = "]" if value.high is None or value.high.is_included else "}"
        return f"{begin}{_bound(value.low)} TO {_bound(value.high)}{end}"
    if value.is_quoted:
        return _quoted(value.text)
    return "".join(
        piece.value if isinstance(piece, Wildcard) else re.sub(r"(.)", r"\\\1", piece, flags=re.DOTALL)
        for piece in value.pieces
    )


def _bound(bound: Bound | None) -> str:
    return "*" if bound is None else _quoted(bound.text)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _pieces(draw: st.DrawFn) -> tuple[str | Wildcard, ...]:
    texts = draw(st.lists(TEXTS, min_size=1, max_size=3))
    pieces: list[str | Wildcard] = [texts[0]]
    for text in texts[1:]:
        pieces += [draw(st.sampled_from(Wildcard)), text]
    return tuple(pieces)


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Words, words with wildcards, phrases."""
    if draw(st.booleans()):
        return Term((draw(TEXTS),), is_quoted=True)
    return Term(_pieces(draw))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    """Ranges with any combination of bounds."""
    bounds = st.none() | st.builds(Bound, TEXTS, st.booleans())
    return Range(draw(bounds), draw(bounds))


def _conditions() -> st.SearchStrategy[Filter]:
    names = st.sampled_from(NAMES)
    return (
        st.just(Everything())
        | st.builds(Exists, names)
        | st.builds(Match, st.none() | names, terms())
        | st.builds(Match, names, ranges())
    )


def _branches(children: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    some = st.lists(children, min_size=2, max_size=4).map(tuple)
    return st.builds(Not, children) | st.builds(And, some) | st.builds(Or, some)


trees = st.recursive(_conditions(), _branches, max_leaves=12)
