"""How right the predictions were: windows of the store against spans of the truth. Pure functions of tables.

A window is compared where at least a share of it (.9 by default) is one activity in truth; a window in which the
activity changes has no single right answer and is only counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SHARE = 0.9

SPAN_SCHEMA = pa.schema(
    [
        ("device_id", pa.string()),
        ("start_us", pa.int64()),  # UTC microseconds
        ("end_us", pa.int64()),
        ("activity", pa.string()),
        ("kcal_per_min", pa.float64()),  # null where unknown
    ]
)

WINDOW_SCHEMA = pa.schema(
    [
        ("device_id", pa.string()),
        ("start_us", pa.int64()),
        ("end_us", pa.int64()),
        ("activity", pa.string()),  # null: not scored
        ("smoothed_activity", pa.string()),
        ("kcal_per_min", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ClassScore:
    """One activity: how often it was the truth, and how it was found."""

    activity: str
    windows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Score:
    """One kind of prediction (raw or smoothed) against the truth."""

    compared: int
    accuracy: float | None  # None: nothing to compare
    macro_f1: float | None  # over the activities that are in the truth
    classes: tuple[ClassScore, ...]
    labels: tuple[str, ...]  # of both sides of the confusion
    confusion: tuple[tuple[int, ...], ...]  # [truth][predicted]


@dataclass(frozen=True)
class Agreement:
    """Predictions against the truth."""

    windows: int  # predicted windows that the truth says anything of
    mixed: int  # of these, in which the activity changes: not compared
    not_scored: int  # of one activity, but the prediction is none
    expected: int  # windows of one activity that the truth knows of, up to the last prediction
    coverage: float | None  # share of the expected ones that were compared
    raw: Score
    smoothed: Score
    kcal_compared: int
    kcal_mean_absolute_error: float | None  # kcal/min
    kcal_mean_truth: float | None
    kcal_mean_predicted: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(truth: np.ndarray, predicted: np.ndarray) -> Score:
    """Accuracy, macro-F1 and confusion of two arrays of labels, shape (n,)."""
    labels = sorted(set(truth.tolist()) | set(predicted.tolist()))
    if not len(truth):
        return Score(0, None, None, (), (), ())
    place = {label: i for i, label in enumerate(labels)}
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(
        confusion,
        ([place[label] for label in truth.tolist()], [place[label] for label in predicted.tolist()]),
        1,
    )
    hits, actual, guessed = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision = hits / np.maximum(guessed, 1)
    recall = hits / np.maximum(actual, 1)
    f1 = 2 * hits / np.maximum(actual + guessed, 1)
    classes = tuple(
        ClassScore(label, int(actual[i]), float(precision[i]), float(recall[i]), float(f1[i]))
        for i, label in enumerate(labels)
        if actual[i]
    )
    return Score(
        compared=len(truth),
        accuracy=float(hits.sum() / len(truth)),
        macro_f1=float(np.mean([one.f1 for one in classes])),
        classes=classes,
        labels=tuple(labels),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )


@dataclass(frozen=True)
class _Spans:
    """Spans of all watches on one axis of time: watch number x room + time, sorted and without overlaps."""

    devices: dict[str, int]
    origin: int
    room: int
    start: np.ndarray  # (n,) int64
    end: np.ndarray
    activity: np.ndarray  # (n,) object
    kcal: np.ndarray  # (n,) float64, NaN where unknown

    def at(self, device: np.ndarray, us: np.ndarray) -> np.ndarray:
        """Times of watches (numbers, -1 for unknown ones) on the axis."""
        return np.where(device < 0, -1, device * self.room + np.clip(us - self.origin, 0, self.room - 1))


def _spans(truth: pa.Table) -> _Spans:
    truth = truth.filter(pa.array(truth.column("end_us").to_numpy() > truth.column("start_us").to_numpy()))
    names = truth.column("device_id").combine_chunks().dictionary_encode()
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    devices = {name: i for i, name in enumerate(names.dictionary.to_pylist())}
    start = truth.column("start_us").to_numpy()
    end = truth.column("end_us").to_numpy()
    origin = int(start.min()) if len(start) else 0
    # a day between one watch's last moment and the next one's first, so that no window reaches across
    room = (int(end.max()) - origin if len(end) else 0) + 86_400_000_000
    code = names.indices.to_numpy().astype(np.int64)
    start, end = code * room + start - origin, code * room + end - origin
    order = np.lexsort((end, start))
    start, end = start[order], end[order]
    # what two spans both claim (a fleet started anew, a message sent twice) belongs to the first
    reached = np.concatenate([[-1], np.maximum.accumulate(end)[:-1]]) if len(end) else end
    start = np.maximum(start, reached)
    keep = start < end
    order = order[keep]
    activity = np.asarray(truth.column("activity").to_pylist(), object)[order]
    kcal = truth.column("kcal_per_min").cast(pa.float64()).fill_null(np.nan).to_numpy()[order]
    return _Spans(devices, origin, room, start[keep], end[keep], activity, kcal)


def _runs(spans: _Spans) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring spans of one activity as one: start, end, activity."""
    if not len(spans.start):
        return spans.start, spans.end, spans.activity
    fresh = np.concatenate(
        [[True], (spans.start[1:] != spans.end[:-1]) | (spans.activity[1:] != spans.activity[:-1])]
    )
    first = np.flatnonzero(fresh)
    return spans.start[first], spans.end[np.append(first[1:], len(fresh)) - 1], spans.activity[first]


def _integral(spans: _Spans, rate: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Integral over time of `rate` (one a span) from the beginning of the axis to each of `when`, rate x us."""
    total = np.concatenate([[0.0], np.cumsum(rate * (spans.end - spans.start))])
    i = np.searchsorted(spans.start, when, "right") - 1
    inside = np.clip(i, 0, None)
    partial = rate[inside] * np.clip(when - spans.start[inside], 0, (spans.end - spans.start)[inside])
    return np.where(i < 0, 0.0, total[inside] + partial)


def _expected(
    runs: tuple[np.ndarray, np.ndarray, np.ndarray],
    spans: _Spans,
    length: int,
    slide: int,
    upto: int,
    share: float,
) -> int:
    """How many windows of the grid have at least `share` in one run and end by `upto`."""
    start, end, _ = runs
    device = start // spans.room
    start_us, end_us = start - device * spans.room + spans.origin, end - device * spans.room + spans.origin
    slack = length - round(share * length)
    first = -((-(start_us - slack)) // slide)
    last = (np.minimum(end_us + slack, upto) - length) // slide
    long_enough = end_us - start_us >= share * length
    return int(np.maximum(last - first + 1, 0)[long_enough].sum())


def compare(
    windows: pa.Table, truth: pa.Table, *, slide_seconds: float | None = None, share: float = SHARE
) -> Agreement:
    """Compare predicted windows (WINDOW_SCHEMA) with true spans (SPAN_SCHEMA); in any order.

    slide_seconds: from one window to the next, for the count of expected windows; by default their length.
    """
    nothing = np.array([], object)
    empty = Agreement(0, 0, 0, 0, None, score(nothing, nothing), score(nothing, nothing), 0, None, None, None)
    if not truth.num_rows:
        return empty
    spans = _spans(truth)
    if not windows.num_rows:
        return empty
    device = np.array([spans.devices.get(name, -1) for name in windows.column("device_id").to_pylist()])
    start_us, end_us = windows.column("start_us").to_numpy(), windows.column("end_us").to_numpy()
    # times the truth does not reach are as good as an unknown watch
    beyond = (end_us <= spans.origin) | (start_us >= spans.origin + spans.room)
    device = np.where(beyond, -1, device)
    length = end_us - start_us
    begin, end = spans.at(device, start_us), spans.at(device, end_us)
    covered = _integral(spans, np.ones(len(spans.start)), end) - _integral(
        spans, np.ones(len(spans.start)), begin
    )
    known = (device >= 0) & (covered >= share * length)

    runs = _runs(spans)
    # at least half of the window in one run means that the run holds its middle
    i = np.searchsorted(runs[0], (begin + end) // 2, "right") - 1
    inside = np.clip(i, 0, None)
    overlap = np.minimum(end, runs[1][inside]) - np.maximum(begin, runs[0][inside])
    pure = known & (i >= 0) & (overlap >= share * length)

    activity = np.asarray(windows.column("activity").to_pylist(), object)
    smoothed = np.asarray(windows.column("smoothed_activity").to_pylist(), object)
    smoothed = np.where(pc.is_null(windows.column("smoothed_activity")), activity, smoothed)
    scored = pure & pc.is_valid(windows.column("activity")).to_numpy()
    true = runs[2][inside]

    kcal = windows.column("kcal_per_min").cast(pa.float64()).fill_null(np.nan).to_numpy()
    rate = np.nan_to_num(spans.kcal)
    known_time = np.where(np.isnan(spans.kcal), 0.0, 1.0)
    time = _integral(spans, known_time, end) - _integral(spans, known_time, begin)
    energy = known & ~np.isnan(kcal) & (time >= share * length)
    true_kcal = (_integral(spans, rate, end) - _integral(spans, rate, begin))[energy] / time[energy]
    found_kcal = kcal[energy]

    whole = int(np.median(length))
    slide = round(slide_seconds * 1e6) if slide_seconds else whole
    expected = _expected(runs, spans, whole, slide, int(end_us.max()), share)
    compared = int(scored.sum())
    return Agreement(
        windows=int(known.sum()),
        mixed=int((known & ~pure).sum()),
        not_scored=int((pure & ~scored).sum()),
        expected=expected,
        coverage=min(1.0, compared / expected) if expected else None,
        raw=score(true[scored], activity[scored]),
        smoothed=score(true[scored], smoothed[scored]),
        kcal_compared=len(found_kcal),
        kcal_mean_absolute_error=float(np.abs(found_kcal - true_kcal).mean()) if len(found_kcal) else None,
        kcal_mean_truth=float(true_kcal.mean()) if len(found_kcal) else None,
        kcal_mean_predicted=float(found_kcal.mean()) if len(found_kcal) else None,
    )
