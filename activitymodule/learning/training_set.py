"""The training set of a challenger: the base the champion learnt from, and the labels given since.

Labels of the audit share are never among them: they evaluate models, and a model must not be evaluated on what it
learnt. Nor are windows within EMBARGO_SECONDS of an audit window of the same watch, which are nearly the same
window. Arrays in, arrays out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.learning.gold import (
    AUDIT_SHARE,
    NEAR_AUDIT,
    GoldWindows,
    for_training,
    gold_as_training,
    known_or_enough,
    propensity_weights,
    too_few,
)
from activitymodule.learning.spans import span_weights
from activitymodule.learning.spreading import Neighbours, Spreading, spread_labels
from activitymodule.learning.strata import AUDIT, SPAN
from activitymodule.models.dataset import TrainingWindows, concatenated
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURES_VERSION


@dataclass(frozen=True)
class TrainingSet:
    """The windows a challenger learns from, with their weights, and how they were selected.

    base : windows of weight 1; labelled : gold windows, the neighbours their labels were spread to, and windows under
    spans, with `weight`, float64 (n_labelled,); labels : gold labels used; spread : neighbours; left_out : reason ->
    how many gold labels and windows under spans; labels_added : activities the base did not know; span_windows : the
    last so many of `labelled`
    """

    base: TrainingWindows
    labelled: TrainingWindows
    weight: np.ndarray
    labels: int
    spread: int
    left_out: dict[str, int] = field(default_factory=dict)
    labels_added: tuple[str, ...] = ()
    span_windows: int = 0

    @property
    def windows(self) -> TrainingWindows:
        """All of them, the base first."""
        return concatenated([self.base, self.labelled])

    @property
    def weights(self) -> np.ndarray:
        """Of `windows`, float64 (n,)."""
        return np.concatenate([np.ones(len(self.base)), self.weight])

    @property
    def people(self) -> int:
        """The number of people."""
        return len(set(self.base.person.tolist()) | set(self.labelled.person.tolist()))

    def labelled_sha256(self) -> str:
        """Fingerprint of the gold windows and their weights."""
        digest = hashlib.sha256(self.labelled.sha256().encode())
        digest.update(np.ascontiguousarray(self.weight, np.float64).tobytes())
        return digest.hexdigest()

    def sha256(self) -> str:
        """Fingerprint of the training set: equal content has an equal fingerprint."""
        parts = (FEATURES_VERSION, self.base.sha256(), self.labelled_sha256())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def training_set(
    base: TrainingWindows,
    gold: GoldWindows,
    *,
    label_weight: float = 1.0,
    device_weight: float = 1.0,
    span_weight: float = 1.0,
    neighbours: Mapping[tuple[str, int], Neighbours] | None = None,
    spread_windows: int = 0,
    spread_weight: float = 0.5,
    slide_us: int = 10_000_000,
) -> TrainingSet:
    """The base and the gold windows that may be learnt from, in an order that depends on their content alone.

    base : windows with an activity each; label_weight : of a typical gold label, a window of the base having 1;
    device_weight : by how much more a label of a device model weighs that the base does not have
    span_weight : what a window under a span weighs, where it is alone, in gold labels
    neighbours : by (device_id, window_us) of a label, the windows around it; a label is spread to them at
    `spread_weight` of its own weight, `spread_windows` to each side and up to a change point
    """
    if not len(base):
        raise NotEnoughDataError("the base of the training set is empty; see learning.base")
    audit = gold.stratum == AUDIT
    teaching, added, left_out = _teaching(base, gold)
    remembered = teaching.stratum == SPAN
    spans, teaching = teaching.take(remembered), teaching.take(~remembered)
    weight = label_weight * propensity_weights(teaching.propensity)
    weight = np.where(_new_device(base, teaching), device_weight * weight, weight)
    parts, weights = [gold_as_training(teaching)], [weight]
    if spread_windows and neighbours:
        how = Spreading(neighbours, spread_windows, spread_weight, slide_us)
        spread, spread_weights = spread_labels(base, teaching, gold.take(audit) + spans, weight, how)
        parts.append(gold_as_training(spread))
        weights.append(spread_weights)
    parts.append(gold_as_training(spans))
    weights.append(label_weight * span_weight * span_weights(spans.device_id, spans.label, spans.window_us))
    return TrainingSet(
        base=base,
        labelled=concatenated(parts, empty=True),
        weight=np.concatenate(weights),
        labels=len(teaching),
        spread=sum(len(part) for part in parts[1:-1]),
        left_out=left_out,
        labels_added=added,
        span_windows=len(spans),
    )


def with_labels(
    base: TrainingWindows,
    gold: GoldWindows,
    config: Settings,
    neighbours: Mapping[tuple[str, int], Neighbours] | None = None,
) -> TrainingSet:
    """`training_set` by the settings of `learning`."""
    learning, copies = config.learning, config.models.augmentation.weight
    # a window of the base counts with its copies, which a label does not have
    with_copies = 1 + float(base.copied.mean() / (1 - base.copied.mean()) * copies)
    return training_set(
        base,
        gold,
        label_weight=learning.label_weight * with_copies,
        device_weight=learning.device_weight,
        # what only teaches is weighed as copies are (models/training)
        span_weight=learning.span_weight / copies,
        neighbours=neighbours,
        spread_windows=learning.spread_windows,
        spread_weight=learning.spread_weight,
        slide_us=config.windows.slide_seconds * 1_000_000,
    )


def _teaching(
    base: TrainingWindows, gold: GoldWindows
) -> tuple[GoldWindows, tuple[str, ...], dict[str, int]]:
    """The gold windows that may be learnt from, by watch and time; labels the base lacks; reason -> labels left out."""
    left_out: dict[str, int] = {}
    usable = for_training(gold)
    audit = gold.stratum == AUDIT
    _count(left_out, AUDIT_SHARE, audit)
    _count(left_out, NEAR_AUDIT, ~usable & ~audit)
    teaching = gold.take(usable)
    keep, added = known_or_enough(teaching, np.unique(base.activity).tolist())
    for label in sorted(set(teaching.label[~keep].tolist())):
        _count(left_out, too_few(label), teaching.label[~keep] == label)
    teaching = teaching.take(keep)
    return teaching.take(np.lexsort((teaching.window_us, teaching.device_id))), added, left_out


def _new_device(base: TrainingWindows, gold: GoldWindows) -> np.ndarray:
    """Which windows are of a device model that is known, and that the base does not have: bool (n,)."""
    return (gold.device_model != "") & ~np.isin(gold.device_model, np.unique(base.device_model))


def _count(left_out: dict[str, int], reason: str, rows: np.ndarray) -> None:
    if rows.any():
        left_out[reason] = int(rows.sum())


def only_known(base: TrainingWindows) -> TrainingWindows:
    """The windows of a base whose activity is known."""
    rows = np.flatnonzero(base.activity != "")
    if not len(rows):
        raise NotEnoughDataError("no window of the base has a known activity; see learning.base")
    return base.take(rows)
