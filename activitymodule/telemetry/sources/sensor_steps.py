"""Steps from a counter whose samples come in any order, and more than once."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

_KEPT = 2000  # samples of one session; one comes with every step or two


@dataclass(frozen=True)
class StepCounter:
    """The samples of a session's counter that are known: time (UTC ns) and count, in time order.

    The steps between two neighbours are in the reading of the later one. A sample that comes late, between two that
    are known, adds nothing: its steps are in the later one already. So the sum is right in any order.
    """

    times: tuple[int, ...] = ()
    counts: tuple[float, ...] = ()
    pruned: bool = False  # whether older samples were forgotten

    def after(self, time_ns: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, StepCounter]:
        """Times of readings, int64 (n,), the steps of each, float64 (n,), and the counter with these samples too."""
        times, counts = list(self.times), list(self.counts)
        made: list[tuple[int, float]] = []
        for at, now in sorted(zip(time_ns.tolist(), count.tolist(), strict=True)):
            place = bisect_left(times, at)
            known = place < len(times) and times[place] == at
            if known or not np.isfinite(now) or (self.pruned and place == 0):
                continue
            if place == len(times):
                if times:
                    made.append((at, _between(counts[-1], now)))
            elif place == 0:  # the sample after it was the first that was known
                made.append((times[0], _between(now, counts[0])))
            times.insert(place, at)
            counts.insert(place, now)
        counter = StepCounter(
            tuple(times[-_KEPT:]), tuple(counts[-_KEPT:]), self.pruned or len(times) > _KEPT
        )
        return (
            np.array([at for at, _ in made], np.int64),
            np.array([steps for _, steps in made], float),
            counter,
        )


def _between(before: float, now: float) -> float:
    """Steps from one count to the next; a counter that went back began anew."""
    return now - before if now >= before else now
