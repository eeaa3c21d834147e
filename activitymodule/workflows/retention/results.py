"""What retention would delete, and what it deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """Frozen, and without fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KindResult(Result):
    """One kind of thing. limit: the setting, None: kept for ever; before: what is older is due

    count, bytes : of what is due, or was deleted; None where it was not looked at
    error : why it was not done; the next run tries again
    """

    kind: str
    title: str
    setting: str
    limit: int | None
    unit: Literal["days", "MB"]
    before: datetime | None = None
    count: int | None = None
    bytes: int | None = None
    moved: bool = False
    error: str | None = None


class RetentionReport(Result):
    """A run over all kinds. dry_run: nothing was deleted"""

    dry_run: bool
    at: datetime
    kinds: tuple[KindResult, ...]

    @property
    def failed(self) -> tuple[KindResult, ...]:
        """Kinds that could not be done."""
        return tuple(one for one in self.kinds if one.error is not None)


class Size(Result):
    """How much there is of something. count: rows (about), files or folders; None: not counted

    setting : what limits it, None where something else does, which `note` names
    """

    name: str
    where: str
    bytes: int | None
    count: int | None = None
    setting: str | None = None
    note: str = ""


def size_text(count: int | None) -> str:
    """Bytes as people read them: 12.3 MB; a dash where they are not known."""
    if count is None:
        return "-"
    power = next((n for n in range(4) if count < 999.5 * 1000**n), 4)
    value = count / 1000**power
    return f"{value:,.{0 if power == 0 or value >= 99.95 else 1}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
