"""Gold labels of the store as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from activitymodule.learning.gate import Audit
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.strata import AUDIT
from activitymodule.models.evaluation.slices import slicings_of
from activitymodule.store.labels import GoldRow
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.frame import NO_MODELS, KnownModels


def gold_windows(rows: Sequence[GoldRow], known: KnownModels = NO_MODELS) -> GoldWindows:
    """All of them; features of shape (n, 0) where the rows were read without. known : the models of their watches"""
    if not rows:
        return GoldWindows.none()
    return GoldWindows(
        device_id=np.array([row.device_id for row in rows], str),
        person=np.array([row.person for row in rows], str),
        window_us=np.array([row.window_us for row in rows], np.int64),
        label=np.array([row.label for row in rows], str),
        stratum=np.array([row.stratum for row in rows], str),
        propensity=np.array([row.propensity for row in rows], np.float64),
        features=np.array([row.features for row in rows], np.float32).reshape(len(rows), -1),
        device_model=np.array(
            [known[row.device_id].model if row.device_id in known else "" for row in rows], str
        ),
    )


def audit_of(rows: Sequence[GoldRow], groups: Mapping[str, Mapping[str, str]] | None = None) -> Audit:
    """Those of the audit share, which alone evaluate models. groups : kind -> device id -> group that is guarded."""
    own = [row for row in rows if row.stratum == AUDIT]
    features = np.array([row.features for row in own], np.float32).reshape(len(own), len(FEATURE_NAMES))
    return Audit(
        label=np.array([row.label for row in own], str),
        person=np.array([row.person for row in own], str),
        features=features,
        propensity=np.array([row.propensity for row in own], np.float64),
        slicings=slicings_of(groups or {}, [row.device_id for row in own]),
    )
