"""The meaning of filters, written a second time in plain Python: the SQL must select the same rows.

It shares nothing with the product except the tree, the parsing of dates and the event's row.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from collector.domain.dates.datemath import LocalClock, Span, parse_span
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

Row = Mapping[str, Any]

PUNCTUATION = "".join(chr(code) for code in range(128) if not (chr(code).isalnum() or chr(code) == "_"))
OF_SOURCES = "./\\()[]{}?=&;:<>, \t\r\n"
OF_TYPES = ".()[]{}<>+:`, \t\r\n"
BARE = [
    "id",
    "reference",
    "source",
    "message",
    "tag",
    "path",
    "error.code",
    "error.type",
    "error.targettype",
    "error.targetmethod",
    "user.description",
    "user",
    "user.name",
]
_ALIASES = """
organization_id=organization project_id=project stack_id=stack reference_id=reference tags=tag
is_first_occurrence=first fixed=is_fixed regressed=is_regressed hidden=is_hidden last=last_occurrence
links=references fixedon=date_fixed version_fixed=fixed_in_version critical=occurrences_are_critical
occurrences=total_occurrences signature=signature_hash data.@user.identity=user user.email=user
"""
SAME = dict(pair.split("=") for pair in _ALIASES.split())


def holds(tree: Filter, event: Row, stack: Row | None, clock: LocalClock) -> bool:
    """Whether the filter selects the event."""
    return says(tree, BARE, lambda name: _values(name, event, stack), clock)


def says(tree: Filter, bare: Sequence[str], values: "ValuesOf", clock: LocalClock) -> bool:
    """Whether the filter selects a row with these values; bare words are searched in the fields `bare`."""

    def matches(name: str, value: Term | Range) -> bool:
        compare, found = values(name)
        return any(compare(one, value, clock) for one in found)

    match tree:
        case Everything():
            found = True
        case And(children):
            found = all(says(child, bare, values, clock) for child in children)
        case Or(children):
            return any(says(child, bare, values, clock) for child in children)
        case Not(child):
            found = not says(child, bare, values, clock)
        case Exists(name):
            found = bool(values(name)[1])
        case Match(None, value):
            return any(matches(name, value) for name in bare)
        case Match(name, value):
            found = matches(name or "", value)
    return found


Compare = Callable[[Any, Term | Range, LocalClock], bool]
ValuesOf = Callable[[str], tuple[Compare, list[Any]]]
"""How values of a field are compared, and the values of a row."""


def _values(name: str, event: Row, stack: Row | None) -> tuple[Compare, list[Any]]:
    """How values of the field are compared, and the values of the event."""
    name = SAME.get(name.lower(), name.lower() if name.lower() in TABLE else name)
    if name in TABLE:
        compare, find = TABLE[name]
        return compare, [value for value in find(event, stack or {}) if value is not None]
    first, _, rest = name.partition(".")
    data = event["data"]
    if rest and first.lower() == "ref":
        return exact, list(_named(data, f"@ref:{rest}"))
    if rest and first.lower() == "data":
        return anything, list(_named(data, rest)) if "." not in rest else _at(data, *rest.split("."))
    return exact, []


def _named(data: dict[str, Any], name: str) -> Iterator[str]:
    for key, value in data.items():
        if _low(key) == _low(name) and isinstance(value, str | int | float | bool):
            yield _text(value)


def _at(data: Any, *path: str) -> list[str]:
    for name in path:
        if isinstance(data, list) and re.fullmatch(r"\d+", name):
            data = data[int(name)] if int(name) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, dict) else None
    return [] if data is None else [_text(data)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_sorted(value), ensure_ascii=False)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return {name: _sorted(value[name]) for name in names}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _low(text: str) -> str:
    return "".join(one.lower()[0] for one in text)


def _like(pieces: Sequence[str | Wildcard], change: Callable[[str], str]) -> str:
    spelled = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
    return "".join(spelled[one] if isinstance(one, Wildcard) else re.escape(change(one)) for one in pieces)


def exact(found: str, value: Term | Range, _clock: LocalClock) -> bool:
    """Equal, in the same case."""
    if isinstance(value, Range):
        return _between(_low(found), value, _low)
    return re.fullmatch(_like(value.pieces, str), found, re.DOTALL) is not None


def whole(found: str, value: Term | Range, _clock: LocalClock) -> bool:
    """Equal, in any case."""
    if isinstance(value, Range):
        return _between(_low(found), value, _low)
    return re.fullmatch(_like(value.pieces, _low), _low(found), re.DOTALL) is not None


def words(separators: str, *, is_begun: bool = False) -> Compare:
    """The words follow one another."""

    def compare(found: str, value: Term | Range, clock: LocalClock) -> bool:
        if isinstance(value, Range):
            return whole(found, value, clock)
        wanted = _split(value, separators)
        if not wanted:
            return whole(found, value, clock)
        if value.has_wildcards:
            return _with_wildcards(_low(found), wanted, separators, is_begun=is_begun)
        there = ["".join(map(str, word)) for word in _split(Term((found,)), separators)]
        sought = ["".join(map(str, word)) for word in wanted]
        for start in range(len(there) - len(sought) + 1):
            part = there[start : start + len(sought)]
            if part[:-1] == sought[:-1] and (
                part[-1] == sought[-1] or (is_begun and part[-1].startswith(sought[-1]))
            ):
                return True
        return False

    return compare


def _kind(one: str | Wildcard, separators: str) -> str:
    """The kind of a character: letter, Han ideograph or Hiragana, mark, apostrophe, separator, wildcard."""
    if isinstance(one, Wildcard):
        return "W"
    if one.isascii():
        return "S" if one in separators else "L"
    category, name = unicodedata.category(one), unicodedata.name(one, "")
    if one == "\u2019":
        return "A"
    if category[0] == "M":
        return "M" if name.startswith(("COMBINING ", "VARIATION SELECTOR", "IDEOGRAPHIC ")) else "L"
    if category[0] == "L" and name.startswith(("CJK ", "HIRAGANA ")):
        return "H"
    return "L" if category[0] == "L" or category in {"Nd", "Nl"} else "S"


def _split(term: Term, separators: str) -> list[list[str | Wildcard]]:
    atoms = [
        one for piece in term.pieces for one in ([piece] if isinstance(piece, Wildcard) else _low(piece))
    ]
    kinds = [_kind(atom, separators) for atom in atoms]
    words: list[list[str | Wildcard]] = []
    before = "S"
    for atom, kind, following in zip(atoms, kinds, [*kinds[1:], "S"], strict=True):
        here = kind
        if kind == "A":
            here = "L" if before in "LW" and following in "LW" else "S"
        if here == "M":
            if before != "S":
                words[-1].append(atom)
            continue
        if here != "S":
            if before != "S" and ("W" in (before, here) or before + here == "LL"):
                words[-1].append(atom)
            else:
                words.append([atom])
        before = here
    return words


def _with_wildcards(
    found: str, wanted: list[list[str | Wildcard]], separators: str, *, is_begun: bool
) -> bool:
    kinds = "".join(_kind(one, separators) for one in found)
    words = ["".join(_kind(atom, separators) for atom in word).rstrip("M") for word in wanted]
    is_open = wanted[0][0] is Wildcard.ANY or words[0][0] == "H"
    ends = {
        end
        for start in range(len(found) + 1)
        if is_open or _is_beginning(kinds, start)
        for end in _ends(found, start, wanted[0])
    }
    for word, before, here in zip(wanted[1:], words, words[1:], strict=False):
        is_beside = before[-1] == "H" or here[0] == "H"
        ends = {
            end
            for former in ends
            for start in range(former, len(found) + 1)
            if _is_gap(kinds[former:start], is_beside=is_beside)
            for end in _ends(found, start, word)
        }
    if is_begun or wanted[-1][-1] is Wildcard.ANY:
        return bool(ends)
    if words[-1][-1] == "H":
        return any(kinds[end : end + 1] != "M" for end in ends)
    return any(_is_end(kinds, end) for end in ends)


def _ends(found: str, start: int, word: list[str | Wildcard]) -> set[int]:
    ends = {start}
    for atom in word:
        if atom is Wildcard.ANY:
            ends = set(range(min(ends), len(found) + 1)) if ends else set()
        else:
            ends = {
                end + 1 for end in ends if end < len(found) and (atom is Wildcard.ONE or found[end] == atom)
            }
    return ends


def _is_beginning(kinds: str, place: int) -> bool:
    """Whether a word that begins with a letter may begin there."""
    before = kinds[:place].rstrip("M")
    if before.endswith("A") and len(before) == place:
        before = before[:-1].rstrip("M")
        return not before or before[-1] in "SHA"
    return not before or before[-1] in "SHA"


def _is_end(kinds: str, place: int) -> bool:
    """Whether a word may end there with a letter."""
    following = kinds[place : place + 2]
    return following[:1] in ("", "S", "H") or following in ("A", "AS", "AH", "AA", "AM")


def _is_gap(kinds: str, *, is_beside: bool) -> bool:
    if set(kinds) - set("SAM") or kinds[:1] == "M":
        return False
    return is_beside or kinds not in ("", "A")


def addresses(found: str, value: Term | Range, clock: LocalClock) -> bool:
    """Words; an IPv4 address may be written as a mapped one, in the filter or in the event."""
    compare = words(", \t\r\n")
    if compare(found, value, clock) or isinstance(value, Range):
        return compare(found, value, clock)
    plain = value.text.lower().removeprefix("::ffff:")
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", plain):
        value = Term((plain,))
    elif not (value.has_wildcards and re.match(r"[0-9]{1,3}[.*?]", value.text)):
        return False
    return compare(re.sub(r"(?i)(?<![^ ,\t\r\n])::ffff:(?=[0-9]+\.)", "", found), value, clock)


def identity(found: str, value: Term | Range, clock: LocalClock) -> bool:
    """Words, the last of which may be a prefix. An e-mail address also matches its local part."""
    if words(PUNCTUATION, is_begun=True)(found, value, clock):
        return True
    if isinstance(value, Range) or value.has_wildcards or "@" not in value.text:
        return False
    local = _low(value.text).partition("@")[0]
    return bool(local) and _low(found) == local


def version(found: str, value: Term | Range, clock: LocalClock) -> bool:
    """Part by part; ranges follow SemVer's precedence."""
    if isinstance(value, Range):
        bounds = [_semver(bound.text) for bound in (value.low, value.high) if bound is not None]
        if not all(bounds):
            return whole(found, value, clock)
        return bool(_semver(found)) and _between(_semver(found), value, _semver)
    if value.has_wildcards:
        return whole(found, value, clock)
    sought, there = _low(value.text), _low(found)
    following = there[len(sought) : len(sought) + 1]
    return there.startswith(sought) and not re.fullmatch("[a-z0-9]", following)


def _semver(text: str) -> tuple[Any, ...]:
    found = re.match(r"[ \t]*[vV]?([0-9.]+)(.*)", text, re.DOTALL)
    parts = re.match(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?![0-9])", found[1]) if found else None
    if found is None or parts is None:
        return ()
    numbers = [int(part) for part in parts[1].split(".")]
    rest = found[1][parts.end() :] + found[2]
    named = re.match(r"-?(?<=-)[0-9A-Za-z.-]+|[A-Za-z][0-9A-Za-z.-]*", rest[:101])
    identifiers = named[0].removeprefix("-").split(".") if named else []
    return (
        *(numbers + [0] * (6 - len(numbers))),
        named is None,
        [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in identifiers],
    )


def number(found: Any, value: Term | Range, _clock: LocalClock) -> bool:
    """By value."""
    if isinstance(value, Term):
        return Decimal(found) == Decimal(value.text)
    return _between(Decimal(found), value, Decimal)


def moment(found: datetime, value: Term | Range, clock: LocalClock) -> bool:
    """Within the span of the date."""

    def span(bound: Term | Bound) -> Span:
        named = parse_span(bound.text, clock)
        assert named is not None
        return named

    if isinstance(value, Term):
        return span(value).begin <= found < span(value).end
    low, high = value.low, value.high
    if low and found < (span(low).begin if low.is_included else span(low).end):
        return False
    return not high or found < (span(high).end if high.is_included else span(high).begin)


def flag(found: Any, value: Term | Range, _clock: LocalClock) -> bool:
    if isinstance(value, Range):
        return False
    return _text(found) == value.text.lower()


def id_(found: Any, value: Term | Range, clock: LocalClock) -> bool:
    return not isinstance(value, Range) and whole(found.hex, value, clock)


def anything(found: str, value: Term | Range, clock: LocalClock) -> bool:
    """As text, number or date, depending on the filter's value."""
    bounds = [value] if isinstance(value, Term) else [bound for bound in (value.low, value.high) if bound]
    texts = [bound.text for bound in bounds]
    is_text = isinstance(value, Term) and (value.has_wildcards or whole(found, value, clock))
    if texts and all(map(_is_number, texts)) and not is_text:
        return _is_number(found) and number(found, value, clock)
    if texts and all(parse_span(text, clock) for text in texts) and not is_text:
        return _is_moment_like(found, value, clock)
    return whole(found, value, clock)


def _is_number(text: str) -> bool:
    return (
        len(text) <= 1010
        and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", text) is not None
    )


def _is_moment_like(found: str, value: Term | Range, clock: LocalClock) -> bool:
    if not re.match(r"\d{4}-\d{2}-\d{2}", found):
        return False
    try:
        there = datetime.fromisoformat(found)
    except ValueError:
        return False
    return moment(there if there.tzinfo else there.replace(tzinfo=UTC), value, clock)


def _between(found: Any, value: Range, change: Callable[[str], Any]) -> bool:
    low, high = value.low, value.high
    if low and not (found >= change(low.text) if low.is_included else found > change(low.text)):
        return False
    return not high or bool(found <= change(high.text) if high.is_included else found < change(high.text))


Find = Callable[[Row, Row], list[Any]]


def column(name: str) -> Find:
    """A column of the event."""
    return lambda event, _stack: [event[name]]


def member(*paths: str) -> Find:
    """A member of its data."""
    return lambda event, _stack: [text for path in paths for text in _at(event["data"], *path.split("/"))]


def of_errors(name: str) -> Find:
    """A member of its errors and their causes."""

    def find(event: Row, _stack: Row) -> list[Any]:
        paths = [
            [kind, *["inner"] * depth, name] for kind in ("@error", "@simple_error") for depth in range(8)
        ]
        return [text for path in paths for text in _at(event["data"], *path)]

    return find


def target(name: str) -> Find:
    """A member of its error's target."""
    return member(*(f"{kind}/data/@target/{name}" for kind in ("@error", "@simple_error")))


def of_stack(name: str) -> Find:
    """A column of its stack."""
    return lambda _event, stack: [stack.get(name)]


def state(*states: str) -> Find:
    """Whether the stack is in one of these states."""
    return lambda _event, stack: [stack["status"] in states] if stack else []


TABLE: dict[str, tuple[Compare, Find]] = {
    "id": (id_, column("id")),
    "organization": (id_, column("organization_id")),
    "project": (id_, column("project_id")),
    "stack": (id_, column("stack_id")),
    "reference": (exact, column("reference_id")),
    "type": (whole, column("type")),
    "source": (words(OF_SOURCES), column("source")),
    "message": (words(PUNCTUATION), column("message")),
    "tag": (whole, lambda event, _stack: list(event["tags"])),
    "date": (moment, column("date")),
    "value": (number, column("value")),
    "count": (number, column("count")),
    "geo": (whole, column("geo")),
    "first": (flag, column("is_first_occurrence")),
    "level": (whole, member("@level")),
    "version": (version, member("@version")),
    "submission": (exact, member("@submission_method")),
    "ip": (
        addresses,
        member("@submission_client/ip_address", "@request/client_ip_address", "@environment/ip_address"),
    ),
    "client.useragent": (whole, member("@submission_client/user_agent")),
    "client.version": (version, member("@submission_client/version")),
    "useragent": (words(PUNCTUATION), member("@request/user_agent")),
    "path": (words("/-."), member("@request/path")),
    "browser": (words(PUNCTUATION), member("@request/data/@browser")),
    "browser.version": (exact, member("@request/data/@browser_version")),
    "bot": (flag, member("@request/data/@is_bot")),
    "os": (words(PUNCTUATION), member("@request/data/@os", "@environment/o_s_name")),
    "machine": (whole, member("@environment/machine_name")),
    "architecture": (exact, member("@environment/architecture")),
    "country": (whole, member("@location/country")),
    "user": (identity, member("@user/identity", "@user_description/email_address")),
    "user.name": (whole, member("@user/name")),
    "user.description": (words(PUNCTUATION), member("@user_description/description")),
    "error.code": (exact, of_errors("code")),
    "error.message": (words(PUNCTUATION), of_errors("message")),
    "error.type": (words(OF_TYPES), of_errors("type")),
    "error.targettype": (words(OF_TYPES), target("ExceptionType")),
    "error.targetmethod": (words(OF_TYPES), target("Method")),
    "status": (whole, of_stack("status")),
    "is_fixed": (flag, state("fixed")),
    "is_regressed": (flag, state("regressed")),
    "is_hidden": (flag, state("fixed", "snoozed", "ignored", "discarded")),
    "first_occurrence": (moment, of_stack("first_occurrence")),
    "last_occurrence": (moment, of_stack("last_occurrence")),
    "title": (words(PUNCTUATION), of_stack("title")),
    "description": (words(PUNCTUATION), of_stack("description")),
    "references": (whole, lambda _event, stack: list(stack.get("references", ()))),
    "date_fixed": (moment, of_stack("date_fixed")),
    "fixed_in_version": (version, of_stack("fixed_in_version")),
    "occurrences_are_critical": (flag, of_stack("occurrences_are_critical")),
    "total_occurrences": (number, of_stack("total_occurrences")),
    "signature_hash": (exact, of_stack("signature_hash")),
}
