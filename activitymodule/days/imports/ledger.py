"""The ledger of an import: what was read, what several sources told alike, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_MOST_KINDS = 300


@dataclass(frozen=True)
class Ledger:
    """Accounts for the records of an export, each by kind.

    read : taken; merged : known already, such as a duplicate (records), or counted by a better source (steps, kcal);
    left_out : kinds that daily records have no place for, and records that cannot be right; noticed : what else a
    reader should know
    """

    read: Counter[str] = field(default_factory=Counter)
    merged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)

    def leave_out(self, kind: str, count: int = 1) -> None:
        """Count records of a kind that are not used; so many kinds that memory would grow are one."""
        known = kind in self.left_out or len(self.left_out) < _MOST_KINDS
        self.left_out[kind[:80] if known else "other kinds"] += count
