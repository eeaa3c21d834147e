"""Times in SQL: UTC microseconds since 1970 to timestamptz and back. Each is a template with one place for a value."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

AS_TIME = "timestamptz 'epoch' + {} * interval '1 microsecond'"
AS_US = "(extract(epoch FROM {}) * 1000000)::bigint"


def literals(us: Sequence[int]) -> tuple[str, str]:
    """The earliest and the latest of these times as text. The planner leaves out partitions by constants only, and the
    sum of AS_TIME is none to it."""
    return _literal(min(us, default=0), "-infinity"), _literal(max(us, default=0), "infinity")


def _literal(us: int, beyond: str) -> str:
    try:
        return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)).isoformat()
    except OverflowError:
        return beyond
