"""What one person may be found by: their pseudonym, and the watches they wore with the times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from activitymodule.settings import Telemetry
from activitymodule.telemetry.excluded import EVER_US, NEVER_US, Excluded, Periods

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def period(worn_from: datetime | None, worn_to: datetime | None) -> tuple[int, int]:
    """[from, to) in UTC microseconds; None: ever since, still."""
    return (
        EVER_US if worn_from is None else (worn_from - _EPOCH) // timedelta(microseconds=1),
        NEVER_US if worn_to is None else (worn_to - _EPOCH) // timedelta(microseconds=1),
    )


@dataclass(frozen=True)
class Traces:
    """A person. watches : worn when; whole : watches that nobody else ever wore, at any time"""

    participant: str
    watches: Mapping[str, Periods]
    whole: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """The names under which only this person is known."""
        return self.whole | {self.participant}

    @cached_property
    def times(self) -> Excluded:
        """Their times of watches."""
        return Excluded(self.watches)

    def worn(self) -> list[tuple[str, str, str]]:
        """Watch, begin and end of each time, as PostgreSQL reads them."""
        return [
            (device, _text(first, "-infinity"), _text(until, "infinity"))
            for device, periods in sorted(self.watches.items())
            for first, until in periods
        ]

    def pattern(self) -> str:
        """A regular expression of PostgreSQL and Python for text that names the person: a whole word."""
        names = "|".join(map(re.escape, sorted(self.names)))
        end = "$|[^A-Za-z0-9._:-]"
        return f"(^|[^A-Za-z0-9._:-])({names})({end}|[.:]+({end}))"

    def in_message(self, message: bytes, us: int, limits: Telemetry) -> bool:
        """Whether a message has a reading of the person, or cannot be read and names a watch of theirs."""
        left = self.times.without(pa.array([message], pa.binary()), np.array([us]), limits)
        return left[0].as_py() != message or self.times.named_in(message, us)


def _text(us: int, beyond: str) -> str:
    return beyond if us in (EVER_US, NEVER_US) else (_EPOCH + timedelta(microseconds=us)).isoformat()
