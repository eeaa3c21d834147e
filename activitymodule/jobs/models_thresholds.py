"""The thresholds of a version, as `activity models show` prints them."""

from __future__ import annotations

from collections.abc import Iterator

from activitymodule.models import thresholds


def lines(found: thresholds.Thresholds | None) -> Iterator[str]:
    """One line an activity; nothing for a version without thresholds."""
    if found is None:
        return
    yield (
        f"  decided: {found.decided:.1%} of the windows of {found.people} held-out people, target precision "
        f"{found.target_precision:g}"
    )
    for label, one in found.activities.items():
        if one.confidence is None:
            yield f"    {label}: no confidence reaches the target precision"
            continue
        within = one.recall_interval
        spread = "" if within is None else f" ({within.low:.3f} to {within.high:.3f} over people)"
        yield (
            f"    {label}: from confidence {one.confidence:.3f} on; precision {one.precision or 0:.3f}, recall "
            f"{one.recall:.3f}{spread}"
        )
