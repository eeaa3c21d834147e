"""Spans of time with one activity, as people remember them, to windows that a model learns from.

A moment has one label: that of the last span that covers it. A window has a label where all of it lies within one
stretch of that label. Arrays and tuples in and out.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

MOST_WINDOWS = (
    360  # of one stretch, an hour of windows of ten seconds; of a longer one, so many evenly spaced
)
MOST_WEIGHT = 10.0  # of one bout, in gold labels: what 100 of its windows weigh
BOUT_GAP_US = 300_000_000  # stretches of one activity with a shorter gap are one bout
EVENED_RATIO = 3.0  # no activity is made so many times heavier or lighter to even them out


@dataclass(frozen=True)
class Stretch:
    """Moments [start_us, end_us) with one label, UTC microseconds; newest_us : of the times of the spans it is of."""

    start_us: int
    end_us: int
    label: str
    newest_us: int


def stretches(spans: Sequence[tuple[int, int, str, int]]) -> list[Stretch]:
    """The label of each moment, as stretches in order of time that do not overlap; those of one label that touch are
    one.

    spans : (start_us, end_us, label, time_us) of one watch, the weakest first: where two overlap, the later one of the
    list has the moment
    """
    edges = sorted({edge for start, end, *_ in spans for edge in (start, end)})
    begins = sorted(range(len(spans)), key=lambda place: spans[place][0])
    out: list[Stretch] = []
    strongest: list[int] = []  # places, negative, of spans that have begun
    k = 0
    for start, end in pairwise(edges):
        while k < len(begins) and spans[begins[k]][0] <= start:
            heapq.heappush(strongest, -begins[k])
            k += 1
        while strongest and spans[-strongest[0]][1] <= start:
            heapq.heappop(strongest)
        if not strongest:
            continue
        _, _, label, time_us = spans[-strongest[0]]
        if out and out[-1].end_us == start and out[-1].label == label:
            out[-1] = Stretch(out[-1].start_us, end, label, max(out[-1].newest_us, time_us))
        else:
            out.append(Stretch(start, end, label, time_us))
    return out


def windows_within(stretch: Stretch, length_us: int, slide_us: int) -> np.ndarray:
    """Starts of the windows that lie wholly within a stretch, int64 (n,), at multiples of the slide since 1970; of more
    than MOST_WINDOWS so many, evenly spaced."""
    first = -(-stretch.start_us // slide_us)
    last = (stretch.end_us - length_us) // slide_us
    count = max(0, last - first + 1)
    if count <= MOST_WINDOWS:
        return (first + np.arange(count, dtype=np.int64)) * slide_us
    return (first + np.linspace(0, count - 1, MOST_WINDOWS).round().astype(np.int64)) * slide_us


def bout_weights(device_id: np.ndarray, label: np.ndarray, window_us: np.ndarray) -> np.ndarray:
    """Weights of windows under spans, float64 (n,), in gold labels.

    The windows of one bout resemble each other, so n of them weigh sqrt(n), at most MOST_WEIGHT, in however many spans:
    an hour weighs as much as ten gold labels.
    """
    if not len(window_us):
        return np.empty(0)
    order = np.lexsort((window_us, label, device_id))
    device, activity, at = device_id[order], label[order], window_us[order]
    new = np.ones(len(order), bool)
    new[1:] = (device[1:] != device[:-1]) | (activity[1:] != activity[:-1]) | (np.diff(at) > BOUT_GAP_US)
    bout = np.cumsum(new) - 1
    count = np.bincount(bout)
    weight = np.empty(len(order))
    weight[order] = (np.minimum(np.sqrt(count), MOST_WEIGHT) / count)[bout]
    return weight


def span_weights(device_id: np.ndarray, label: np.ndarray, window_us: np.ndarray) -> np.ndarray:
    """`bout_weights`, and then activities evened out half way: the total of each is multiplied by the root of (mean
    total / its total), kept between 1/EVENED_RATIO and EVENED_RATIO."""
    if not len(window_us):
        return np.empty(0)
    weight = bout_weights(device_id, label, window_us)
    names, code = np.unique(label, return_inverse=True)
    totals = np.bincount(code, weights=weight, minlength=len(names))
    evened = np.sqrt(totals.mean() / totals)
    return weight * np.clip(evened, 1 / EVENED_RATIO, EVENED_RATIO)[code]
