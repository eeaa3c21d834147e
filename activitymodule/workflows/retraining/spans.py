"""Windows under spans: which a challenger may learn from, and their features, computed from the archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from activitymodule.lake.neighbours import windows_at
from activitymodule.learning.gold import EMBARGO_SECONDS, NEAR_AUDIT, GoldWindows, distance_us
from activitymodule.learning.spans import bout_weights, stretches, windows_within
from activitymodule.learning.strata import SPAN
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.labels import claimed_windows
from activitymodule.store.participants import persons_of
from activitymodule.store.spans import Span, spans_in_force
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.frame import NO_MODELS, KnownModels

# why windows under spans are left out of a training set
OWN_LABEL = "under a span, with a label of their own, which counts"
NO_READINGS = "under a span, of which the archive has no readings (any more)"
FEW_READINGS = "under a span, with too few readings"

_SECOND = 1_000_000


@dataclass(frozen=True)
class SpanWindows:
    """Windows under spans, without features (n, 0).

    newest_us : int64 (n,), when the newest span of each window's stretch was recorded; newest : of all spans;
    left_out : reason -> windows
    """

    gold: GoldWindows
    newest_us: np.ndarray
    newest: datetime | None = None
    left_out: dict[str, int] = field(default_factory=dict)

    def worth(self, since: datetime | None = None) -> int:
        """What they are worth in gold labels, or what those of spans recorded since are."""
        weight = bout_weights(self.gold.device_id, self.gold.label, self.gold.window_us)
        new = np.ones(len(weight), bool) if since is None else self.newest_us > round(since.timestamp() * 1e6)
        return int(np.ceil(weight[new].sum()))


def span_windows(config: Settings, connection: Connection) -> SpanWindows:
    """The windows that lie wholly under one label, without those that must not be learnt from: those of the audit share
    and beside it, labelled or not, and those that overlap a window with a label of its own."""
    spans = spans_in_force(connection) if config.learning.span_weight else []
    by_device: dict[str, list[Span]] = {}
    for span in spans:
        by_device.setdefault(span.device_id, []).append(span)
    claimed: dict[tuple[str, bool], list[int]] = {}
    for device, start_us, is_audit in claimed_windows(connection, list(by_device)) if by_device else []:
        claimed.setdefault((device, is_audit), []).append(start_us)
    left_out: Counter[str] = Counter()
    found: list[tuple[str, str, int, int]] = []
    length_us = config.windows.length_seconds * _SECOND
    for device, own in by_device.items():
        audit, labelled = (
            np.array(sorted(claimed.get((device, one), ())), np.int64) for one in (True, False)
        )
        for label, us, newest_us in _under(config, own):
            judged = _near(us, audit, EMBARGO_SECONDS * _SECOND + 1)
            alone = _near(us, labelled, length_us) & ~judged
            left_out[NEAR_AUDIT] += int(judged.sum())
            left_out[OWN_LABEL] += int(alone.sum())
            found += [(device, label, one, newest_us) for one in us[~judged & ~alone].tolist()]
    return SpanWindows(
        _gold(found, persons_of(connection, [row[0] for row in found], [row[2] for row in found])),
        np.array([row[3] for row in found], np.int64),
        max((span.recorded_at for span in spans), default=None),
        {reason: count for reason, count in left_out.items() if count},
    )


def _under(config: Settings, spans: Sequence[Span]) -> list[tuple[str, np.ndarray, int]]:
    """The stretches of one watch: the label, the starts of the windows within, and the time of the newest span."""
    length_us, slide_us = (
        seconds * _SECOND for seconds in (config.windows.length_seconds, config.windows.slide_seconds)
    )
    given = [(_us(span.span_start), _us(span.span_end), span.label, _us(span.recorded_at)) for span in spans]
    return [(one.label, windows_within(one, length_us, slide_us), one.newest_us) for one in stretches(given)]


def _near(times: np.ndarray, sorted_times: np.ndarray, least_us: int) -> np.ndarray:
    """Which of `times` are less than `least_us` from one of the others, bool (n,)."""
    if not len(sorted_times):
        return np.zeros(len(times), bool)
    return np.asarray(distance_us(times, sorted_times) < least_us)


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


def _gold(rows: Sequence[tuple[str, str, int, int]], persons: Sequence[str]) -> GoldWindows:
    n = len(rows)
    return GoldWindows(
        device_id=np.array([row[0] for row in rows], str),
        person=np.array(persons, str),
        window_us=np.array([row[2] for row in rows], np.int64),
        label=np.array([row[1] for row in rows], str),
        stratum=np.full(n, SPAN),
        propensity=np.ones(n),
        features=np.empty((n, 0), np.float32),
    )


def with_features(
    config: Settings, found: SpanWindows, known: KnownModels = NO_MODELS
) -> tuple[GoldWindows, dict[str, int]]:
    """Those of which the archive has the readings, with their features; reason -> windows that are left out.

    known : the models of the watches by the store
    """
    gold, left_out = found.gold, Counter(found.left_out)
    if not len(gold):
        return GoldWindows.none(), dict(left_out)
    made = windows_at(config, zip(gold.device_id.tolist(), gold.window_us.tolist(), strict=True), known)
    rows: list[int] = []
    matrix: list[np.ndarray] = []
    for row, key in enumerate(zip(gold.device_id.tolist(), gold.window_us.tolist(), strict=True)):
        vector, whole = made.get(key, (None, False))
        if vector is None or not whole:
            left_out[NO_READINGS if vector is None else FEW_READINGS] += 1
            continue
        rows.append(row)
        matrix.append(vector)
    own = gold.take(np.array(rows, np.int64))
    features = np.array(matrix, np.float32).reshape(len(rows), len(FEATURE_NAMES))
    models = [known[device].model if device in known else "" for device in own.device_id.tolist()]
    return replace(own, features=features, device_model=np.array(models, str)), dict(left_out)
