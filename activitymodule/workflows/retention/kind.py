"""A kind of thing that grows: its setting, what of it is due, and how that is deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from activitymodule.settings import Settings
from activitymodule.store.retention import Amount


@dataclass(frozen=True)
class Run:
    """One run of retention: the settings, and the time that ages are counted from. say: progress, one sentence"""

    config: Settings
    now: datetime
    say: Callable[[str], None] = lambda _: None

    def before(self, days: int) -> datetime:
        """The moment so many days ago."""
        return self.now - timedelta(days=days)

    def before_day(self, days: int) -> date:
        """The day (UTC) so many days ago; days before it are over for as long."""
        return self.before(days).astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """The beginning of a day (UTC)."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True)
class Kind:
    """One kind.

    name : of the setting in `retention`
    due : how much is older than the limit (or above it)
    delete : deletes it, in steps that are complete each; how much that was
    moved : it goes to the lake, nothing is lost
    """

    name: str
    title: str
    due: Callable[[Run, int], Amount]
    delete: Callable[[Run, int], Amount]
    unit: Literal["days", "MB"] = "days"
    moved: bool = False
    whole_days: bool = False  # by dates (UTC)

    def limit(self, config: Settings) -> int | None:
        """The setting; None: for ever."""
        value: int | None = getattr(config.retention, self.name)
        return value

    def before(self, run: Run, limit: int) -> datetime | None:
        """What is older is due; None where the limit is no age."""
        if self.unit != "days":
            return None
        return midnight(run.before_day(limit)) if self.whole_days else run.before(limit)
