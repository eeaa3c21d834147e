"""Transfer: train on synthetic, test on real (TSTR), against train on real, test on real (TRTR; Esteban et al. 2017).

The score is the macro-F1 of the activity classifier on people who are in neither training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.models.activity import activity_pipeline, feature_names
from activitymodule.models.evaluation.scores import macro_f1, truth_by_predicted
from activitymodule.settings import Windows
from activitymodule.statistics.fidelity.windows import WINDOW, Windowed, cut
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.statistics.recordings import Recording
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.features import features
from activitymodule.windows.packing import CHANNELS


@dataclass(frozen=True)
class Transfer:
    """Macro-F1 on real people in neither training set: tstr after training on synthetic windows, trtr after
    training on the same number of real ones."""

    tstr: float
    trtr: float

    @property
    def ratio(self) -> float:
        """TSTR / TRTR: 1 where synthetic windows teach as much as real ones."""
        return self.tstr / self.trtr


def model_features(windows: Windowed) -> np.ndarray:
    """(n, n_features) the features of windows that the activity classifier takes."""
    n = len(windows)
    grid = np.full((n, WINDOW, len(CHANNELS)), np.nan, np.float32)
    grid[:, :, :3] = windows.values
    batch = WindowBatch(
        grid=grid,
        coverage=np.ones(n, np.float32),
        readings_used=np.full(n, WINDOW, np.int32),
        duplicates=np.zeros(n, np.int32),
        newest_us=np.zeros(n, np.int64),
    )
    all_features = features(batch, Windows(length_seconds=10, slide_seconds=10, rate_hz=RATE_HZ))
    return np.asarray(all_features[:, [FEATURE_NAMES.index(name) for name in feature_names()]])


def train_and_test(train: Sequence[Recording], test: Sequence[Recording]) -> float:
    """Macro-F1 on `test` of the activity classifier trained on `train`."""
    learnt, tested = cut(train), cut(test)
    model = activity_pipeline().fit(model_features(learnt), learnt.activity)
    return float(macro_f1(truth_by_predicted(tested.activity, model.predict(model_features(tested))).counts))
