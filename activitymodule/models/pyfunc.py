"""What `mlflow.pyfunc.load_model` loads of a version: predictions of a frame of readings, or of features.

    model = mlflow.pyfunc.load_model("models:/activity-classifier@champion")
    model.predict(frame)

The classifier takes readings (the fields of a message, docs/telemetry.md, a row each; of any watches) or features (the
version's feature columns, a row a window). Readings go through the stream's decode, panes and features, so a window
has the probabilities that the stream gives it. The regressor takes its own columns. Needs the core package and pandas,
which MLflow brings.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.models.bundle import (
    BundleBytes,
    ModelBytes,
    Scores,
    ScoringModel,
    load_bundle,
    load_model,
)
from activitymodule.models.export import Card
from activitymodule.models.flavour import PROBABILITY
from activitymodule.settings import Telemetry, Windows
from activitymodule.telemetry.encode import stamp_texts
from activitymodule.telemetry.schema import FIELD_NAMES
from activitymodule.windows.assembling import LOW_COVERAGE, NO_FEATURES, assemble
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.features import features
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import decode_panes

_MESSAGE = 1000  # readings
_REQUIRED = ("device_id", "stamp")


class ActivityModel:
    """The classifier of a folder."""

    def __init__(self, model: ScoringModel) -> None:
        self._model = model
        card = model.card
        length = card.length_seconds or Windows().length_seconds
        self._windows = Windows(
            length_seconds=length, slide_seconds=length, rate_hz=card.rate_hz or Windows().rate_hz
        )

    def predict(self, frame: pd.DataFrame, params: object = None) -> pd.DataFrame:  # noqa: ARG002 (MLflow's)
        """One row a window: activity, confidence, familiarity, conformal set, and a probability of each label.

        Of readings also device_id, window_start (UTC), coverage, and the reason where a window has no activity.
        Raises DataError where the frame has neither all required columns of readings nor all feature columns.
        """
        missing = [name for name in self._model.card.feature_names if name not in frame]
        if not missing:
            models = frame["device_model"].tolist() if "device_model" in frame else None
            return self._answer(self._model.score(_whole(frame), device_models=models))
        if all(name in frame for name in _REQUIRED):
            return self._of_readings(frame)
        raise DataError(
            f"the frame has neither readings (columns {' and '.join(_REQUIRED)}) nor features ({len(missing)} of "
            f"{len(self._model.card.feature_names)} columns are missing, such as {missing[0]})"
        )

    def _of_readings(self, frame: pd.DataFrame) -> pd.DataFrame:
        now_us = time.time_ns() // 1000
        values = pa.array(_messages(frame), pa.binary())
        said: dict[str, str] = {}
        panes, dead = decode_panes(
            values,
            np.full(len(values), now_us),
            now_us=now_us,
            # recordings may be of any time
            limits=Telemetry(past_days=36_500, future_seconds=86_400 * 36_500),
            slide_seconds=self._windows.slide_seconds,
            said=said,
        )
        if dead.num_rows:
            reasons = Counter(dead.column("reason").to_pylist()).most_common(3)
            told = ", ".join(f"{reason} ({count})" for reason, count in reasons)
            if not panes.num_rows:
                raise DataError(f"none of the {len(frame)} readings can be used: {told}")
            warnings.warn(f"{dead.num_rows} of {len(frame)} readings cannot be used: {told}", stacklevel=3)
        batch = group_panes(panes, self._windows)
        window_us = batch.column("window_us").to_numpy()
        assembled = assemble(window_us, batch.column("panes"), self._windows)
        computed = features(assembled, self._windows)
        low = assembled.coverage < self._windows.least_coverage
        computed[low] = np.nan
        devices = batch.column("device_id").to_pylist()
        scores = self._model.score(computed, device_models=[said.get(one) for one in devices])
        blank = np.isnan(scores.probabilities).any(1)
        reason = np.full(len(blank), None, object)
        reason[blank] = NO_FEATURES
        reason[low] = LOW_COVERAGE
        head = pd.DataFrame(
            {
                "device_id": devices,
                "window_start": pd.to_datetime(window_us, unit="us"),
                "coverage": assembled.coverage.astype(float),
                "reason": reason,
            }
        )
        return pd.concat([head, self._answer(scores)], axis=1)

    def _answer(self, scores: Scores) -> pd.DataFrame:
        labels, probabilities = np.array(self._model.labels, object), scores.probabilities
        blank = np.isnan(probabilities).any(1)
        known = np.nan_to_num(probabilities)
        activity = labels[known.argmax(1)]
        activity[blank] = None
        columns: dict[str, object] = {
            "activity": activity,
            "confidence": np.where(blank, np.nan, known.max(1)).astype(float),
            "familiarity": scores.familiarity.astype(float),
            "conformal_set": [
                [] if gone else labels[own].tolist() for own, gone in zip(scores.in_set, blank, strict=True)
            ],
        }
        columns |= {
            f"{PROBABILITY}{label}": probabilities[:, k].astype(float) for k, label in enumerate(labels)
        }
        return pd.DataFrame(columns)


class EnergyModel:
    """The regressor of a folder."""

    def __init__(self, stored: ModelBytes) -> None:
        self._model, self._card = load_model(stored, "energy")

    def predict(self, frame: pd.DataFrame, params: object = None) -> pd.DataFrame:  # noqa: ARG002 (MLflow's)
        """kcal/min of windows, a row each. Raises DataError where a column of the regressor is missing."""
        missing = [name for name in self._card.feature_names if name not in frame]
        if missing:
            raise DataError(f"the frame lacks {len(missing)} columns of the regressor, such as {missing[0]}")
        inputs = frame[list(self._card.feature_names)].to_numpy(np.float32)
        return pd.DataFrame({"kcal_per_min": np.asarray(self._model.predict(inputs), float)})


def _whole(frame: pd.DataFrame) -> np.ndarray:
    """All features in the catalogue's order, those that the frame lacks missing."""
    return frame.reindex(columns=list(FEATURE_NAMES)).to_numpy(np.float32)


def _messages(frame: pd.DataFrame) -> list[bytes]:
    """The frame's readings as messages; what is missing is left to the decoder, like everything else."""
    columns = {name: frame[name] for name in FIELD_NAMES if name in frame}
    stamp = columns["stamp"]
    if pd.api.types.is_datetime64_any_dtype(stamp):
        at = pd.to_datetime(stamp, utc=True).dt.tz_localize(None).to_numpy()
        columns["stamp"] = stamp_texts(at.astype("datetime64[us]").astype(np.int64))
    rows = pd.DataFrame(columns).to_dict("records")
    return [
        orjson.dumps(rows[first : first + _MESSAGE], option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)
        for first in range(0, len(rows), _MESSAGE)
    ]


def _plain(value: object) -> object:
    """What JSON has no word for: a time as text, in UTC where it has no zone; what is missing as null."""
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        zoned = value.tz_localize("UTC") if value.tz is None else value
        return zoned.isoformat(timespec="microseconds")
    raise TypeError(type(value).__name__)


def _load_pyfunc(path: str) -> ActivityModel | EnergyModel:
    """MLflow's entry: the model of a folder. Raises ModelError as `models.bundle.load_bundle` does."""
    stored = ModelBytes.read(Path(path), "here", float("inf"))
    if Card.from_json(stored.card).kind == "energy":
        return EnergyModel(stored)
    return ActivityModel(load_bundle(BundleBytes(stored)))
