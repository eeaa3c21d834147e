"""Options and arguments that several verbs share, and how their text is read."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

import typer

from activitymodule.errors import ConfigError

JSON = typer.Option(False, "--json", help="Print JSON for scripts.")
SINCE = typer.Option(None, help="Only from then on: 2026-11-20T10:00 (UTC), or 30m, 12h, 7d ago.")
DEVICE = typer.Option(None, help="Only this watch.")


def finite(number: float | None) -> float | None:
    """Callback of an option that is a number: neither infinity (also 1e999) nor NaN."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter("it must be a finite number")
    return number


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """`30m`, `12h`, `7d` ago, or an ISO-8601 time (UTC where it has no offset)."""
    ago = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text.strip())
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        at = datetime.fromisoformat(text.strip())
        # a zone must not lead out of the years that Python has
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text[:60]!r} is no time; write 2026-11-20T10:00, or 30m, 12h, 7d for so long ago"
        ) from None


def since_of(text: str | None) -> datetime | None:
    """The moment of --since, where it is given."""
    return None if text is None else moment(text)


def names_of(text: str | None) -> list[str] | None:
    """`a,b,c` as a list, where it is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def speed_of(text: str) -> float | None:
    """A factor above 0, or None for `max`: as fast as possible."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(f"--speed must be a number above 0, or max; given: {text}")
    return speed
