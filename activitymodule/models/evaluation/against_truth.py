"""Evaluation against the truth topic: predicted windows of the store against true spans. Pure functions of tables.

A window is compared where at least a share of it (.9 by default) is one activity in truth; a window in which the
activity changes has no single right answer and is only counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.models.evaluation.scores import accuracy, label_scores, macro_f1, truth_by_predicted
from activitymodule.models.evaluation.slices import WHOLE, SliceFigures, Slicing, slice_figures, slicings_of

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
        ("confidence", pa.float64()),
        ("conformal_set", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class ClassScore:
    """One activity: how many windows it has in truth, and its scores."""

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
class Evaluation:
    """Predictions against the truth."""

    windows: int  # predicted windows within the truth
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
    slices: tuple[SliceFigures, ...] = ()  # of the raw predictions
    unusable_truth: dict[str, int] = field(default_factory=dict)  # messages that are no spans, by reason

    def as_dict(self) -> dict[str, object]:
        """The evaluation as JSON's types."""
        return asdict(self)


def score(truth: np.ndarray, predicted: np.ndarray) -> Score:
    """Accuracy, macro-F1 and confusion of two arrays of labels, shape (n,)."""
    if not len(truth):
        return Score(0, None, None, (), (), ())
    table = truth_by_predicted(truth, predicted)
    return Score(
        compared=len(truth),
        accuracy=float(accuracy(table.counts)),
        macro_f1=float(macro_f1(table.counts)),
        classes=tuple(
            ClassScore(label, one.windows, one.precision, one.recall, one.f1)
            for label, one in label_scores(table.counts, table.labels).items()
            if one.windows
        ),
        labels=table.labels,
        confusion=tuple(tuple(int(n) for n in row) for row in table.counts),
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
    windows: pa.Table,
    truth: pa.Table,
    *,
    slide_seconds: float | None = None,
    share: float = SHARE,
    groups: Mapping[str, Mapping[str, str]] | None = None,
) -> Evaluation:
    """Compare predicted windows (WINDOW_SCHEMA) with true spans (SPAN_SCHEMA); in any order.

    slide_seconds: from one window to the next, for the count of expected windows; by default their length.
    groups: kind -> device id -> group, such as its device model.
    """
    if not truth.num_rows or not windows.num_rows:
        nothing = Score(0, None, None, (), (), ())
        return Evaluation(0, 0, 0, 0, None, nothing, nothing, 0, None, None, None)
    spans = _spans(truth)
    runs = _runs(spans)
    placed = _placed(windows, spans)
    length = placed.length
    covered = _between(spans, np.ones(len(spans.start)), placed)
    known = (placed.device >= 0) & (covered >= share * length)

    # at least half of the window in one run means that the run holds its middle
    i = np.searchsorted(runs[0], (placed.begin + placed.end) // 2, "right") - 1
    inside = np.clip(i, 0, None)
    overlap = np.minimum(placed.end, runs[1][inside]) - np.maximum(placed.begin, runs[0][inside])
    pure = known & (i >= 0) & (overlap >= share * length)

    activity = np.asarray(windows.column("activity").to_pylist(), object)
    smoothed = np.asarray(windows.column("smoothed_activity").to_pylist(), object)
    smoothed = np.where(pc.is_null(windows.column("smoothed_activity")), activity, smoothed)
    scored = pure & pc.is_valid(windows.column("activity")).to_numpy()
    true = runs[2][inside]

    true_kcal, predicted_kcal = _energy(windows, spans, placed, known, share)
    whole = int(np.median(length))
    slide = round(slide_seconds * 1e6) if slide_seconds else whole
    expected = _expected(runs, spans, whole, slide, int(placed.end_us.max()), share)
    compared = int(scored.sum())
    energies = len(predicted_kcal) > 0
    return Evaluation(
        windows=int(known.sum()),
        mixed=int((known & ~pure).sum()),
        not_scored=int((pure & ~scored).sum()),
        expected=expected,
        coverage=min(1.0, compared / expected) if expected else None,
        raw=score(true[scored], activity[scored]),
        smoothed=score(true[scored], smoothed[scored]),
        kcal_compared=len(predicted_kcal),
        kcal_mean_absolute_error=float(np.abs(predicted_kcal - true_kcal).mean()) if energies else None,
        kcal_mean_truth=float(true_kcal.mean()) if energies else None,
        kcal_mean_predicted=float(predicted_kcal.mean()) if energies else None,
        slices=_slices(windows.filter(pa.array(scored)), true[scored], activity[scored], groups or {}),
    )


def _slices(
    windows: pa.Table, truth: np.ndarray, predicted: np.ndarray, groups: Mapping[str, Mapping[str, str]]
) -> tuple[SliceFigures, ...]:
    """Figures of the whole, then of each group of watches."""
    device = windows.column("device_id").to_pylist()
    confidence = windows.column("confidence").to_numpy()
    sets = windows.column("conformal_set").to_pylist()
    covered = np.array([label in (one or ()) for label, one in zip(truth.tolist(), sets, strict=True)], bool)
    whole = Slicing(WHOLE, np.full(len(truth), WHOLE))
    return slice_figures(
        [whole, *slicings_of(groups, device)],
        truth,
        predicted,
        np.array(device, str),
        confidence=confidence,
        covered=covered,
    )


@dataclass(frozen=True)
class _Placed:
    """Predicted windows on the axis of the spans; device -1: a watch or time that the truth does not hold."""

    device: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    end_us: np.ndarray
    length: np.ndarray


def _placed(windows: pa.Table, spans: _Spans) -> _Placed:
    device = np.array([spans.devices.get(name, -1) for name in windows.column("device_id").to_pylist()])
    start_us, end_us = windows.column("start_us").to_numpy(), windows.column("end_us").to_numpy()
    # times the truth does not reach are as good as an unknown watch
    beyond = (end_us <= spans.origin) | (start_us >= spans.origin + spans.room)
    device = np.where(beyond, -1, device)
    return _Placed(device, spans.at(device, start_us), spans.at(device, end_us), end_us, end_us - start_us)


def _between(spans: _Spans, rate: np.ndarray, placed: _Placed) -> np.ndarray:
    """Integral over each window of `rate` (one a span), rate x us."""
    return _integral(spans, rate, placed.end) - _integral(spans, rate, placed.begin)


def _energy(
    windows: pa.Table, spans: _Spans, placed: _Placed, known: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted kcal/min of the windows of which both are known."""
    kcal = windows.column("kcal_per_min").cast(pa.float64()).fill_null(np.nan).to_numpy()
    time = _between(spans, np.where(np.isnan(spans.kcal), 0.0, 1.0), placed)
    both = known & ~np.isnan(kcal) & (time >= share * placed.length)
    return _between(spans, np.nan_to_num(spans.kcal), placed)[both] / time[both], kcal[both]
