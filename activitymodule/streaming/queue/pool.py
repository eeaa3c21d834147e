"""Marked windows of some batches, from which one selection is made."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from activitymodule.streaming.queue.marks import MOST_KEYED, Marked, Marks

_ENOUGH = 500  # complete windows that are enough to select from, however short the time


class Pool:
    """The windows with the greatest keys. since_us : when collecting began, None while nothing is collected;
    complete, weight : of all complete windows since then, marked or not."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Marked]] = []
        self._arrived = 0
        self.since_us: int | None = None
        self.complete = 0
        self.weight = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def windows(self) -> list[Marked]:
        """The windows that are held."""
        return [window for _, _, window in self._heap]

    def least_key(self) -> float:
        """A key that does not exceed this one would be dropped."""
        return self._heap[0][0] if len(self._heap) >= MOST_KEYED else float("-inf")

    def add(self, marks: Sequence[Marks], windows: Sequence[Marked]) -> None:
        """Add the marks of a batch; a window that comes again replaces itself."""
        self.complete += sum(one.complete for one in marks)
        self.weight += sum(one.weight for one in marks)
        new = {(window.device_id, window.window_start_us) for window in windows if window.key is not None}
        if not new:
            return
        kept = [one for one in self._heap if (one[2].device_id, one[2].window_start_us) not in new]
        for window in windows:
            if window.key is not None:
                self._arrived += 1  # ties are settled before windows would be compared
                kept.append((window.key, -self._arrived, window))
        self._heap = heapq.nlargest(MOST_KEYED, kept)
        heapq.heapify(self._heap)

    def is_due(self, now_us: int, window_us: int) -> bool:
        """Whether it has collected for the length of a window, or enough."""
        if self.since_us is None or not self._heap:
            return False
        return self.complete >= _ENOUGH or now_us - self.since_us >= window_us

    def clear(self) -> None:
        """Forget everything, and collect nothing until `since_us` is set."""
        self._heap = []
        self.since_us = None
        self.complete = 0
        self.weight = 0.0
