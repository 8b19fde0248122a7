"""Random events, and random filters for them, of few words, so that they often match."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import orjson

from collector.domain.event.outcome import Event
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
from tests.database.filter_reference import SAME, TABLE
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event

WORDS = [
    "Shop",
    "shop",
    "Order",
    "GRÖSSE",
    "größe",
    "System",
    "Web",
    "a",
    "b",
    "42",
    "4.2",
    "x_y",
    "É",
    "(b)",
]
JOINTS = [" ", ".", ", ", "/", "-", ":", "@", "[", " \\ ", "%", "_", "'", "\n", "?", "*", "+", "\u00a0", '"']
OF_SCRIPTS = [
    "登录", "录", "失败x", "ひらがな", "カナ", "한국어", "Мир", "мир", "İx", "i", "e\u0301", "か\u3099",
    "x’y", "ΣΣ", "२",
]  # fmt: skip
JOINTS_OF_SCRIPTS = ["", "—", "“", "’", "🎉", "⚠\ufe0f", "，", "\u3000", "\u200b", "\u0301", "²"]
VERSIONS = [
    "1", "1.2", "1.2.3", "1.2.3-beta1", "1.10", "2.0.0.1", "v1.2", "1.2b", "999999999.1", "x", "1.2.0+5",
    "1.2.3-beta.2", "1.2.3-beta.11+a", "1.2.3-beta.011", "1.2.3-alpha-7", "1.2.3.4.5.6.7-b", "1.2.3-",
    "1.2-a..b",
]  # fmt: skip
NUMBERS = [
    "0",
    "1",
    "-1",
    "42",
    "4.2",
    "1.50",
    "007",
    "+3",
    ".5",
    "-.5",
    "5.",
    "1e3",
    "1000",
    "42E-1",
    "1e-30",
]
NO_NUMBERS = ["NaN", "Infinity", "1_0", "0x1f", "1e", ".", "1e99999", "\uff14\uff12"]
DATES = [
    "2026-11-20", "2026-11-20T10:00:00Z", "2026-11-20T10:00:00.123+02:00", "2026-11-21T23:59:59.999999",
    "2026-02-30", "2026-11", "now", "now-1d", "now/d",
]  # fmt: skip
ADDRESSES = ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:10.0.0.1, 10.0.0.2", "2001:db8::1", "10.0.0.12"]
REFERENCES = ["Order-4711", "invalid-reference-id", *(f"order-{number}" for number in range(4711, 4800))]
FLAGS = ["true", "false", "True"]
OWN = ["data.Age", "data.age", "data.when", "data.nested.a", "data.list.0", "data.x_y", "ref.session"]
NAMES = [*TABLE, *SAME, *OWN, "unknown", "Type", "DATE"]
OF_NUMBERS = {"value", "count", "total_occurrences", "occurrences"}
_OF_STACKS_DATES = {"first_occurrence", "last_occurrence", "last", "date_fixed", "fixedon"}
OF_DATES = {"date", "DATE", "created", "created_utc", "updated", "updated_utc"} | _OF_STACKS_DATES
_OF_STACKS = {"is_fixed", "fixed", "is_regressed", "regressed", "is_hidden", "hidden"}
OF_FLAGS = {"first", "is_first_occurrence", "bot", "occurrences_are_critical", "critical"} | _OF_STACKS
OF_FLAGS |= {"is_suspended"}
OF_IDS = {"id", "organization", "project", "stack", "organization_id", "project_id", "stack_id"}


class Chance:
    """Generates both; the same ones for the same seed."""

    def __init__(self, seed: int, names: Sequence[str] = NAMES) -> None:
        self._random = Random(seed)  # noqa: S311 - the same events in every run
        self._names = names

    def text(self) -> str:
        """Some words, joined in some way."""
        is_of_scripts = self._random.random() < 0.3
        words = [*WORDS, *OF_SCRIPTS] if is_of_scripts else WORDS
        joints = [*JOINTS, *JOINTS_OF_SCRIPTS] if is_of_scripts else JOINTS
        chosen = [self._random.choice(words) for _ in range(self._random.randrange(1, 4))]
        text = "".join(word + self._random.choice(joints) for word in chosen)
        return text[: self._random.choice([99, -1])] or text

    def maybe(self, value: Any) -> Any:
        """The value or None."""
        return value if self._random.random() < 0.6 else None

    def event(self, now: datetime, accepted: datetime | None = None) -> Event:
        return an_event(
            accepted=accepted,
            project_id=self._random.choice([PROJECT, PROJECT, OTHER_PROJECT]),
            date=now - timedelta(hours=self._random.randrange(80), microseconds=self._random.randrange(9)),
            type=self._random.choice(["error", "log", "Shop", "404"]),
            source=self.maybe(self.text()),
            message=self.maybe(self.text()),
            tags=tuple({self.text() for _ in range(self._random.randrange(3))}),
            value=self.maybe(Decimal(self._random.choice(NUMBERS))),
            count=self.maybe(self._random.randrange(50)),
            geo=self.maybe("40,-70"),
            reference_id=self.maybe(self._random.choice(REFERENCES)),
            data=orjson.dumps(self.data()),
        )

    def data(self) -> dict[str, Any]:
        """Random data: known objects, and members of the sender."""
        error: dict[str, Any] = {
            "message": self.text(),
            "type": self.text(),
            "code": self.scalar(),
            "inner": {"type": self.text()},
        }
        error["data"] = {"@target": {"ExceptionType": self.text(), "Method": self.text()}}
        request: dict[str, Any] = {
            "path": self.text(),
            "user_agent": self.text(),
            "client_ip_address": self._random.choice(ADDRESSES),
        }
        request["data"] = {
            "@browser": self.text(),
            "@browser_version": self._random.choice(VERSIONS),
            "@is_bot": self._random.random() < 0.5,
            "@os": self.text(),
        }
        members = {
            "@level": self._random.choice(["Error", "warn", "INFO"]),
            "@version": self._random.choice(VERSIONS),
            "@submission_method": self.text(),
            "@submission_client": {"ip_address": "10.0.0.1", "user_agent": "shop", "version": "1.2.3"},
            "@error": self._random.choice([error, self.text(), None]),
            "@simple_error": self._random.choice([{"type": self.text(), "inner": error}, None]),
            "@request": self._random.choice([request, {}]),
            "@environment": {"machine_name": self.text(), "architecture": "x64", "o_s_name": self.text()},
            "@location": {"country": self._random.choice(["DE", "de", "US"])},
            "@user": {"identity": self._random.choice(["a@b.c", "A", self.text()]), "name": self.text()},
            "@user_description": {"email_address": "a@shop.com", "description": self.text()},
            "@ref:session": self.text(),
            "@ref:Parent": "42",
            "Age": self.scalar(),
            "age": self.scalar(),
            "when": self._random.choice(DATES),
            "nested": {"a": self.scalar()},
            "list": [self.scalar()],
            "x_y": self._random.choice([{}, [], {"a": 1}, None, True]),
        }
        return {name: value for name, value in members.items() if self._random.random() < 0.5}

    def scalar(self) -> Any:
        return self._random.choice(
            [
                self.text(),
                42,
                -1,
                4.2,
                True,
                False,
                None,
                *NUMBERS,
                1e3,
                0.5,
                2**63,
                self._random.choice(NO_NUMBERS),
                self._random.choice(DATES),
                {"b": 1},
                "true",
            ]
        )

    def filter(self, ids: list[str], levels: int = 3) -> Filter:
        """A random filter; `ids` are ids of the events."""
        kind = self._random.random()
        if levels and kind < 0.15:
            return Not(self.filter(ids, levels - 1))
        if levels and kind < 0.45:
            children = tuple(self.filter(ids, levels - 1) for _ in range(self._random.randrange(2, 4)))
            return And(children) if kind < 0.3 else Or(children)
        if kind < 0.5:
            return Exists(self._random.choice(self._names))
        if kind < 0.51:
            return Everything()
        if kind < 0.58:
            return Match(None, self.term(self.text()))
        name = self._random.choice(self._names)
        is_range = self._random.random() < 0.3
        return Match(name, self.range(name, ids) if is_range else self.term(self.value(name, ids), name))

    def value(self, name: str, ids: list[str]) -> str:
        """A valid value for the field."""
        if name in OF_NUMBERS:
            return self._random.choice(NUMBERS)
        if name in OF_DATES:
            return self._random.choice([date for date in DATES if date != "2026-02-30"])
        if name in OF_FLAGS:
            return self._random.choice(FLAGS)
        if name in OF_IDS:
            return self._random.choice(ids)
        known = [
            "error",
            "Fixed",
            "order-4711",
            "invalid-reference-id",
            "de",
            "x64",
            "a@b.c",
            "b",
            self._random.choice(ADDRESSES),
        ]
        return self._random.choice(
            [self.text(), *known, *self._random.sample(VERSIONS + NUMBERS + NO_NUMBERS + DATES + FLAGS, 3)]
        )

    def term(self, text: str, name: str = "") -> Term:
        """The text, as a phrase or with wildcards if the field allows them."""
        if name in OF_NUMBERS | OF_DATES | OF_FLAGS or self._random.random() < 0.6:
            return Term((text,), is_quoted=self._random.random() < 0.5)
        middle = self._random.randrange(len(text)) + 1
        pieces = (text[:middle], self._random.choice(list(Wildcard)), text[middle + 1 :])
        return Term(tuple(piece for piece in pieces if piece))

    def range(self, name: str, ids: list[str]) -> Range:
        """A range with any combination of ends."""
        low, high = (
            self.maybe(Bound(self.value(name, ids), is_included=self._random.random() < 0.5))
            for _ in range(2)
        )
        return Range(low, high)
