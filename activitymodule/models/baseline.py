"""The drift baseline of a classifier: statistics of its training windows, and how new windows are counted alike.

Features are standardised by the baseline's mean and standard deviation and counted in fixed cells of an eighth of a
standard deviation; bins are unions of cells, about a tenth of the training windows each. So counting a batch takes
one multiplication, one rounding and one bincount, and neither a sort nor a search.

All means and shares are kept by predicted activity: activities change with the hour, which is no drift of the
sensors; `expected` has the statistics that the features should have for the current activities.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from activitymodule.errors import ModelError
from activitymodule.windows.catalogue import FEATURE_NAMES

BASELINE_FILE = "drift.npz"
_MOST_BYTES = 100_000_000
BINS = 10
CONFIDENCES = 10

_CELLS = 128  # of a feature; cell 0: missing
_CELLS_PER_SD = 8.0
_MIDDLE = _CELLS / 2
_CHUNK = 256  # windows at a time: 330 kB, which stay in the second-level cache
_LEAST_SHARE = 0.05  # of the training windows that must have a feature for it to be monitored
_LEAST_CELL = 5  # windows of a person and activity that make a mean of its own
_MOST_ROWS = 8  # of one task: a batch that catches up on days counts by longer stretches than minutes
_STRETCHES_MINUTES = (1, 5, 15, 60, 240, 1440, 10_080, 525_600)
_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Totals:
    """Windows counted: moments of the standardised features (limited to +-8), histograms, activities, confidences.

    counts : int64 (n_features,), windows that have the feature; sums, squares : float64 (n_features,)
    histogram : int64 (n_features, BINS); activities : int64 (n_labels,), by the most probable label
    confidences : int64 (CONFIDENCES,), by tenth of the probability of that label
    """

    windows: int
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    histogram: np.ndarray
    activities: np.ndarray
    confidence_sum: float
    confidences: np.ndarray

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Totals)))


@dataclass(frozen=True)
class Baseline:
    """Statistics of training windows; activities and confidences are those of held-out predictions.

    mean, sd : float32 (n_features,), in the feature's unit; share_there : (n_features,), of windows that have it
    edges : int16 (n_features, BINS + 1), cells at which bins begin and the last one ends
    class_means : float32 (n_labels, n_features), standardised; class_shares : (n_labels, n_features, BINS)
    person_sd : (n_features,), how far the mean of one person's windows of one activity lies from `class_means`
    icc : (n_features,), the part of the variance within an activity that is between people
    class_rates : (n_labels,); class_confidence : (n_labels,), mean confidence; confidence_person_sd : the same as
    person_sd of it; confidences : (CONFIDENCES,), shares by tenth
    """

    feature_names: tuple[str, ...]
    labels: tuple[str, ...]
    windows: int
    people: int
    mean: np.ndarray
    sd: np.ndarray
    share_there: np.ndarray
    edges: np.ndarray
    class_means: np.ndarray
    class_shares: np.ndarray
    person_sd: np.ndarray
    icc: np.ndarray
    class_rates: np.ndarray
    class_confidence: np.ndarray
    confidence_person_sd: float
    confidences: np.ndarray

    @property
    def monitored(self) -> np.ndarray:
        """Features that enough of the training windows had, bool (n_features,)."""
        return self.share_there >= _LEAST_SHARE

    def to_bytes(self) -> bytes:
        """As a compressed npz file."""
        out = io.BytesIO()
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Baseline:
        """Raises ModelError where it is none, or one of other features than this code computes."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                if sum(entry.file_size for entry in stored.zip.infolist()) > _MOST_BYTES:
                    raise ValueError(f"unpacked it would have more than {_MOST_BYTES / 1e6:.0f} MB")
                values = {f.name: stored[f.name] for f in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{BASELINE_FILE} cannot be used ({error}); train the model again") from None
        for name in ("feature_names", "labels"):
            values[name] = tuple(str(text) for text in values[name])
        for name in ("windows", "people"):
            values[name] = int(values[name])
        values["confidence_person_sd"] = float(values["confidence_person_sd"])
        if values["feature_names"] != FEATURE_NAMES:
            raise ModelError(f"{BASELINE_FILE} is of other features; train the model again")
        return cls(**values)

    def expected(self, activities: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """What windows of these activities (counts, one a label) should look like: standardised means
        (n_features,), shares of the bins (n_features, BINS), mean confidence."""
        mix = activities / max(activities.sum(), 1)
        return (
            mix @ self.class_means,
            np.tensordot(mix, self.class_shares, 1),
            float(mix @ self.class_confidence),
        )

    def describe(self, feature: int, bin_: int) -> tuple[float, float]:
        """From where to where a bin goes, in the feature's unit; the outermost are open: infinite."""
        low, high = (
            self.mean[feature] + (self.edges[feature, b] - _MIDDLE) / _CELLS_PER_SD * self.sd[feature]
            for b in (bin_, bin_ + 1)
        )
        return (
            -np.inf if self.edges[feature, bin_] <= 1 else float(low),
            np.inf if self.edges[feature, bin_ + 1] >= _CELLS else float(high),
        )


class Counter:
    """Counts windows of one version by the minute they begin in; cheap enough for every batch of the stream."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        scale = _CELLS_PER_SD / baseline.sd.astype(np.float64)
        self._scale = scale.astype(np.float32)
        self._shift = (_MIDDLE - baseline.mean.astype(np.float64) * scale).astype(np.float32)
        n = len(baseline.mean)
        self._offset = np.arange(n) * _CELLS
        # bins from the running sums over the cells of a feature
        self._edges = np.arange(n)[:, None] * (_CELLS + 1) + baseline.edges
        self._labels = len(baseline.labels)

    def totals(self, features: np.ndarray, probabilities: np.ndarray, rows: np.ndarray) -> Totals:
        """Count some rows: features float32 (n_windows, n_features), probabilities (n_windows, n_labels)."""
        n_features = len(self._scale)
        cells = np.zeros(n_features * _CELLS, np.int64)
        sums, squares = np.zeros(n_features), np.zeros(n_features)
        for first in range(0, len(rows), _CHUNK):
            part = features[rows[first : first + _CHUNK]]
            part *= self._scale
            part += self._shift
            np.clip(part, 1, _CELLS - 0.01, out=part)
            np.fmax(part, 0, out=part)  # a missing value, NaN until here, is in cell 0
            index = part.astype(np.int64)
            index += self._offset
            cells += np.bincount(index.ravel(), minlength=len(cells))
            sums += part.sum(0, dtype=np.float64)
            squares += np.einsum("ij,ij->j", part, part, dtype=np.float64)
        table = cells.reshape(n_features, _CELLS)
        counts = len(rows) - table[:, 0]
        running = np.zeros((n_features, _CELLS + 1), np.int64)
        np.cumsum(table, axis=1, out=running[:, 1:])
        chosen = probabilities[rows]
        best = chosen.argmax(1)
        confidence = chosen[np.arange(len(rows)), best].astype(np.float64)
        tenth = np.minimum((confidence * CONFIDENCES).astype(np.int64), CONFIDENCES - 1)
        return Totals(
            windows=len(rows),
            counts=counts,
            sums=(sums - counts * _MIDDLE) / _CELLS_PER_SD,
            squares=(squares - 2 * _MIDDLE * sums + counts * _MIDDLE**2) / _CELLS_PER_SD**2,
            histogram=np.diff(running.ravel()[self._edges], axis=1),
            activities=np.bincount(best, minlength=self._labels),
            confidence_sum=float(confidence.sum()),
            confidences=np.bincount(tenth, minlength=CONFIDENCES),
        )

    def by_minute(
        self,
        window_start_us: np.ndarray,
        features: np.ndarray,
        probabilities: np.ndarray,
        chosen: np.ndarray | None = None,
    ) -> dict[int, Totals]:
        """Minute (UTC microseconds) -> what began in it; chosen : bool (n_windows,). Windows without probabilities
        are passed over.

        Windows of many minutes (a scorer that catches up) are counted by longer stretches, at most _MOST_ROWS.
        """
        there = np.isfinite(probabilities[:, 0])
        rows = np.flatnonzero(there if chosen is None else there & chosen)
        if not len(rows):
            return {}
        minute = window_start_us[rows] // _MINUTE_US
        for stretch in _STRETCHES_MINUTES:
            begins, which = np.unique(minute // stretch * stretch, return_inverse=True)
            if len(begins) <= _MOST_ROWS:
                break
        return {
            int(begin) * _MINUTE_US: self.totals(features, probabilities, rows[which == number])
            for number, begin in enumerate(begins)
        }


def baseline_of(
    features: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], person: np.ndarray
) -> Baseline:
    """A baseline of training windows and held-out predictions of them.

    features : float32 (n_windows, len(FEATURE_NAMES)); probabilities : (n_windows, n_labels), of models that never
    saw the person; person : str (n_windows,)
    """
    rows = np.flatnonzero(np.isfinite(probabilities).all(1))
    features, probabilities, person = features[rows], probabilities[rows], person[rows]
    n, n_features = features.shape
    k = len(labels)
    values = features.astype(np.float64)
    there = np.isfinite(values)
    count = there.sum(0)
    mean = np.where(there, values, 0).sum(0) / np.maximum(count, 1)
    sd = np.sqrt((np.where(there, values - mean, 0) ** 2).sum(0) / np.maximum(count, 1))
    sd = np.maximum(sd, np.maximum(1e-3 * np.abs(mean), 1e-6))
    monitored = count >= max(1, _LEAST_SHARE * n)
    mean[~monitored], sd[~monitored] = 0.0, 1.0
    z = np.clip(np.where(there, (values - mean) / sd, np.nan), -_CELLS_PER_SD, _CELLS_PER_SD)
    best = probabilities.argmax(1)
    confidence = probabilities.max(1)

    edges = _edges(z, there, np.flatnonzero(monitored))
    draft = Baseline(
        FEATURE_NAMES, tuple(labels), n, len(np.unique(person)), mean.astype(np.float32), sd.astype(np.float32),
        (count / n).astype(np.float32), edges, np.zeros((k, n_features)), np.zeros((k, n_features, BINS)),
        np.ones(n_features), np.ones(n_features), np.zeros(k), np.zeros(k), 0.0, np.zeros(CONFIDENCES),
    )  # fmt: skip
    counter = Counter(draft)
    everything = counter.totals(features, probabilities, np.arange(n))
    by_class = [
        # an activity that is never predicted is expected to look like any window
        counter.totals(features, probabilities, own) if len(own) else everything
        for own in (np.flatnonzero(best == label) for label in range(k))
    ]
    at_least = [np.maximum(totals.counts, 1) for totals in by_class]
    class_means = np.stack([totals.sums / n for totals, n in zip(by_class, at_least, strict=True)])
    class_shares = np.stack(
        [totals.histogram / n[:, None] for totals, n in zip(by_class, at_least, strict=True)]
    )
    class_confidence = np.array([totals.confidence_sum / totals.windows for totals in by_class])
    person_sd, icc = _between_people(z - class_means[best], person, best)
    confidence_sd, _ = _between_people((confidence - class_confidence[best])[:, None], person, best)
    return Baseline(
        feature_names=FEATURE_NAMES,
        labels=tuple(labels),
        windows=n,
        people=draft.people,
        mean=draft.mean,
        sd=draft.sd,
        share_there=draft.share_there,
        edges=edges,
        class_means=class_means.astype(np.float32),
        class_shares=class_shares.astype(np.float32),
        person_sd=person_sd.astype(np.float32),
        icc=icc.astype(np.float32),
        class_rates=everything.activities / n,
        class_confidence=class_confidence,
        confidence_person_sd=float(confidence_sd[0]),
        confidences=everything.confidences / n,
    )


def _edges(z: np.ndarray, there: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Edges of bins that hold about as many windows each, int16 (n_features, BINS + 1); one cell a bin but the last
    for features that are not among `features`. z : (n_windows, n_features), standard scores, present where `there`."""
    edges = np.tile(np.arange(1, BINS + 2, dtype=np.int16), (z.shape[1], 1))
    edges[:, -1] = _CELLS
    cells = np.clip(np.floor(np.nan_to_num(z) * _CELLS_PER_SD + _MIDDLE), 1, _CELLS - 1).astype(np.int64)
    for feature in features:
        own = cells[there[:, feature], feature]
        share = np.bincount(own, minlength=_CELLS).cumsum() / len(own)
        inner = np.searchsorted(share, np.arange(1, BINS) / BINS - 1e-9) + 1
        edges[feature, 1:-1] = np.minimum(inner, _CELLS)
    return edges


def _between_people(rest: np.ndarray, person: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spread over (person, activity) of the mean of what the activity does not explain, and the part of the
    variance that it is; rest : (n_windows, n_columns), NaN where missing."""
    _, group = np.unique(person, return_inverse=True)
    people = int(group.max()) + 1
    group = group * (int(best.max()) + 1) + best
    there = np.isfinite(rest)
    filled = np.where(there, rest, 0.0)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    count = np.add.reduceat(there[order], starts, axis=0, dtype=np.int64)
    total = np.add.reduceat(filled[order], starts, axis=0)
    enough = count >= _LEAST_CELL
    means = np.where(enough, total / np.maximum(count, 1), 0.0)
    # the activity's own mean was fitted to these people: one degree of freedom is used up
    correction = people / max(people - 1, 1)
    between = (means**2).sum(0) / np.maximum(enough.sum(0), 1) * correction
    whole = (filled**2).sum(0) / np.maximum(there.sum(0), 1)
    return np.sqrt(between), np.clip(between / np.maximum(whole, 1e-12), 0.01, 1.0)


def write_baseline(folder: Path, baseline: Baseline) -> None:
    """Put a baseline beside its model."""
    (folder / BASELINE_FILE).write_bytes(baseline.to_bytes())


def read_baseline(folder: Path) -> Baseline | None:
    """The baseline of a fetched version; None where it was trained without one. Raises ModelError."""
    path = folder / BASELINE_FILE
    return Baseline.from_bytes(path.read_bytes()) if path.is_file() else None
