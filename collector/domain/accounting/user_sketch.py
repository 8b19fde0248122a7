"""Sketches of sets of users: their number without the users, with a standard error of 1.6 %.

A HyperLogLog sketch (Flajolet and others; the estimator is Ertl's, which needs no corrections). A user is
represented by a hash of 32 bits. Up to `FEW` different hashes are kept as they are, and counted exactly; more
become 4,096 registers of a byte. Sketches of parts make the sketch of the whole.
"""

from array import array
from collections.abc import Iterable
from math import sqrt
from typing import Final, Self

FEW: Final = 1000

_BITS: Final = 12
_REGISTERS: Final = 1 << _BITS
_RANK_BITS: Final = 32 - _BITS
_RANK_MASK: Final = (1 << _RANK_BITS) - 1
_HASH_MASK: Final = (1 << 32) - 1
_HIGHEST: Final = _RANK_BITS + 1
_HIGH_BITS: Final = int.from_bytes(b"\x80" * _REGISTERS, "little")
_SHAPE: Final = 0.7213475204444817
"""1 / (2 ln 2)."""


class UserSketch:
    """A set of users to which users and other sketches can be added.

    Up to `kept` hashes wait before they become registers, which is faster where sketches share users.
    """

    def __init__(self, kept: int = FEW) -> None:
        self._kept = kept
        self._hashes: set[int] = set()
        self._registers = 0
        """A byte each, in one integer: one operation compares all of them."""

    def add(self, hashes: Iterable[int]) -> Self:
        """Add users by their hashes, of which the lower 32 bits count."""
        self._hashes.update(hash_ & _HASH_MASK for hash_ in hashes)
        self._reduce()
        return self

    def merge(self, packed: bytes) -> Self:
        """Add the users of another sketch."""
        if len(packed) == _REGISTERS:
            self._registers = _greater(self._registers, int.from_bytes(packed, "little"))
        else:
            self._hashes.update(array("I", packed))
        self._reduce()
        return self

    @property
    def packed(self) -> bytes:
        """The sketch as it is stored; `merge` reads it."""
        if self._is_small:
            return array("I", sorted(self._hashes)).tobytes()
        return self._all_registers().to_bytes(_REGISTERS, "little")

    @property
    def count(self) -> int:
        """How many different users there are; exact up to `FEW`, then an estimate."""
        if self._is_small:
            return len(self._hashes)
        ranks = self._all_registers().to_bytes(_REGISTERS, "little")
        numbers = [ranks.count(rank) for rank in range(_HIGHEST + 1)]
        total = _REGISTERS * _tau(1 - numbers[_HIGHEST] / _REGISTERS)
        for rank in range(_HIGHEST - 1, 0, -1):
            total = 0.5 * (total + numbers[rank])
        total += _REGISTERS * _sigma(numbers[0] / _REGISTERS)
        return round(_SHAPE * _REGISTERS * _REGISTERS / total)

    @property
    def _is_small(self) -> bool:
        return not self._registers and len(self._hashes) <= FEW

    def _reduce(self) -> None:
        """Turn hashes into registers as soon as they are many."""
        if len(self._hashes) > self._kept:
            self._registers = self._all_registers()
            self._hashes = set()

    def _all_registers(self) -> int:
        ranks = bytearray(_REGISTERS)
        for hash_ in self._hashes:
            register, rank = hash_ >> _RANK_BITS, _HIGHEST - (hash_ & _RANK_MASK).bit_length()
            ranks[register] = max(ranks[register], rank)
        return _greater(self._registers, int.from_bytes(ranks, "little"))


def _greater(one: int, other: int) -> int:
    """The greater of each pair of bytes, which are below 128."""
    is_greater = ((one | _HIGH_BITS) - other) & _HIGH_BITS
    mask = is_greater - (is_greater >> 7)  # 127 in the bytes where `one` is not less
    return (one & mask) | (other & ~mask & (_HIGH_BITS - (_HIGH_BITS >> 7)))


def _sigma(share: float) -> float:
    if share == 1:
        return float("inf")
    total, power = share, 1.0
    while True:
        share *= share
        before = total
        total += share * power
        power += power
        if total == before:
            return total


def _tau(share: float) -> float:
    if share in {0.0, 1.0}:
        return 0.0
    total, power = 1 - share, 1.0
    while True:
        share = sqrt(share)
        before = total
        power *= 0.5
        total -= (1 - share) ** 2 * power
        if total == before:
            return total / 3
