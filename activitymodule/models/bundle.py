"""The serving pair: classifier and regressor, loaded together, and one call that scores windows.

`BundleBytes` is sent to the workers (plain bytes, so that a broadcast is cheap and nothing is unpickled from a
registry); `load_bundle` makes a `ScoringModel` of it, or raises ModelError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelMisfitError
from activitymodule.models import export
from activitymodule.models.answering import onnx_twin, try_answers
from activitymodule.models.baseline import BASELINE_FILE, Baseline
from activitymodule.models.calibration import conformal_sets, widened
from activitymodule.models.contract import probabilities_of, weighs_frames
from activitymodule.models.energy import WINDOW_COLUMNS, PersonColumns, energy_matrix
from activitymodule.models.export import Card
from activitymodule.models.familiarity import FAMILIARITY_FILE, Familiarity
from activitymodule.models.kinds import KINDS
from activitymodule.models.onnx.session import OnnxModel
from activitymodule.models.recalibration import LEAST_LABELS, Recalibration, by_device_model
from activitymodule.models.thresholds import THRESHOLD_FILE, Thresholds
from activitymodule.settings import Windows
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.windows.frame import in_known_frame

__all__ = ["BundleBytes", "PersonColumns", "Scores", "ScoringModel", "load_bundle"]

DEFAULT_MEGABYTES = 50.0
T = TypeVar("T")
NO_CALIBRATIONS: Mapping[str, Recalibration] = {}


@dataclass(frozen=True)
class Scores:
    """Scores of windows. A window whose features are all missing has no probabilities: NaN, and an empty set.

    probabilities : float32 ndarray of shape (n_windows, n_labels)
    in_set : bool ndarray of shape (n_windows, n_labels), the conformal set
    kcal_per_min : float32 ndarray of shape (n_windows,); NaN where there is no regressor
    familiarity : float32 ndarray of shape (n_windows,), 0 to 1; NaN where the version cannot tell
    """

    probabilities: np.ndarray
    in_set: np.ndarray
    kcal_per_min: np.ndarray
    familiarity: np.ndarray


@dataclass(frozen=True)
class ModelBytes:
    """One model as the registry stores it: the skops file, its card and its version."""

    content: bytes
    card: str
    version: str
    baseline: bytes | None = None  # for drift monitoring; models of earlier versions have none
    familiarity: bytes | None = None  # nor this
    thresholds: bytes | None = None  # nor these
    onnx: bytes | None = None  # its export, where that may serve (serving/exports)

    @property
    def export(self) -> str | None:
        """The SHA-256 of its export, None without one."""
        return None if self.onnx is None else hashlib.sha256(self.onnx).hexdigest()

    @classmethod
    def read(cls, folder: Path, version: str, max_megabytes: float) -> ModelBytes:
        """From a folder that `registry.versions.fetch` (or `activity train`) made."""
        what = f"version {version} of the model"
        try:
            path = folder / export.MODEL_FILE
            export.check_size(path.stat().st_size, what, max_megabytes)
            beside = (folder / name for name in (BASELINE_FILE, FAMILIARITY_FILE, THRESHOLD_FILE))
            return cls(
                path.read_bytes(),
                (folder / export.CARD_FILE).read_text(encoding="utf-8"),
                version,
                *(one.read_bytes() if one.is_file() else None for one in beside),
            )
        except OSError as error:
            raise ModelError(
                f"{what} lacks {Path(error.filename or folder).name}; train it again or roll back"
            ) from None


@dataclass(frozen=True)
class BundleBytes:
    """Classifier and, where there is one, regressor, as bytes."""

    classifier: ModelBytes
    regressor: ModelBytes | None = None

    @cached_property
    def key(self) -> str:
        """What differs where anything of the pair does: versions and exports."""
        pair = [self.classifier] if self.regressor is None else [self.classifier, self.regressor]
        return " ".join(f"{one.version} {one.export or 'sklearn'}" for one in pair)

    @classmethod
    def read(
        cls,
        classifier: Path,
        regressor: Path | None = None,
        *,
        version: str,
        energy_version: str | None = None,
        max_megabytes: float = DEFAULT_MEGABYTES,
    ) -> BundleBytes:
        """From folders of artifacts. Raises ModelError where a file is missing or too large."""
        energy = None
        if regressor is not None:
            energy = ModelBytes.read(regressor, energy_version or "", max_megabytes)
        return cls(ModelBytes.read(classifier, version, max_megabytes), energy)


class ScoringModel:
    """A classifier and a regressor that fit the features of this code, ready to score.

    labels : of the columns of the probabilities; version, energy_version : of the registry ('' without a
    regressor); baseline : for drift monitoring, and familiarity, where the version has them; thresholds : the least
    confidence of a decided activity, float32 (n_labels,), None where the version has none; fast_classifier,
    fast_regressor : their exports to ONNX, which answer in their place; engines : name of the model's kind -> what
    answers, onnx or sklearn; notes : on exports that cannot be used. One thread; safe to share between threads.
    """

    def __init__(
        self,
        classifier: Pipeline,
        card: Card,
        version: str,
        regressor: Pipeline | None = None,
        energy_card: Card | None = None,
        energy_version: str = "",
        baseline: Baseline | None = None,
        familiarity: Familiarity | None = None,
        thresholds: Thresholds | None = None,
        *,
        fast_classifier: OnnxModel | None = None,
        fast_regressor: OnnxModel | None = None,
    ) -> None:
        self.card = card
        self.thresholds = None if thresholds is None else thresholds.confidences(card.labels)
        self.baseline = baseline
        self.familiarity = familiarity
        self.energy_card = energy_card
        self.labels: tuple[str, ...] = card.labels
        self.version = version
        self.energy_version = energy_version
        self.notes: tuple[str, ...] = ()
        self.engines = {"activity": "onnx" if fast_classifier else "sklearn"}
        if regressor is not None:
            self.engines["energy"] = "onnx" if fast_regressor else "sklearn"
        self._fitted = classifier.steps[-1][1]
        self._classifier = fast_classifier or classifier
        self._regressor = fast_regressor or regressor
        place = {name: k for k, name in enumerate(FEATURE_NAMES)}
        self._columns = _as_slice([place[name] for name in card.feature_names])
        self._quantile = float(card.conformal_quantile or 0.0)
        self._known = frozenset(
            name for name, windows in card.device_models.items() if windows >= LEAST_LABELS
        )
        self._wide = float(card.conformal_quantile_wide or self._quantile)
        energy_labels = energy_card.labels if energy_card else ()
        # the regressor's code of each of the classifier's labels; a label it does not know is missing to it
        self._energy_code = np.array(
            [energy_labels.index(label) if label in energy_labels else np.nan for label in self.labels]
        )
        self._energy_columns = [place[name] for name in WINDOW_COLUMNS]

    def score(
        self,
        features: np.ndarray,
        people: PersonColumns | None = None,
        device_models: Sequence[str | None] | None = None,
        calibrations: Mapping[str, Recalibration] | None = NO_CALIBRATIONS,
    ) -> Scores:
        """Score windows: features float32 (n_windows, len(FEATURE_NAMES)), in that order, NaN where missing.

        device_models : of the watches (n_windows,), None where it is not known: by them answers are calibrated, and a
        window of a model that has a profile is not asked about in another frame. calibrations : of this version by
        device model, beside those of its card; None: answers are not calibrated
        """
        features = np.asarray(features, np.float32)
        if features.ndim != 2 or features.shape[1] != len(FEATURE_NAMES):
            raise ModelMisfitError(
                f"the windows have features of shape {features.shape}, but {len(FEATURE_NAMES)} a window are "
                "expected; features and scorer must be of the same version"
            )
        n = len(features)
        if n == 0:
            none = np.empty((0, len(self.labels)), np.float32)
            return Scores(none, none.astype(bool), np.empty(0, np.float32), np.empty(0, np.float32))
        own = features[:, self._columns]
        frame_known = None if device_models is None else in_known_frame(device_models)
        if frame_known is not None and not frame_known.any():
            frame_known = None
        probabilities = self._answers(own, frame_known).astype(np.float32)
        blank = np.isnan(own).all(1)
        probabilities[blank] = np.nan
        familiarity = np.full(n, np.nan, np.float32) if self.familiarity is None else self.familiarity(own)
        quantiles = widened(self._quantile, self._wide, familiarity)
        if device_models is not None and calibrations is not None:
            probabilities, quantiles = by_device_model(
                probabilities,
                quantiles,
                self._wide,
                device_models,
                {**self.card.calibrations, **calibrations},
                self._known,
            )
        in_set = conformal_sets(probabilities, quantiles)
        kcal_per_min = self._kcal_per_min(features, people, probabilities, blank)
        return Scores(probabilities, in_set, kcal_per_min, familiarity)

    def _answers(self, own: np.ndarray, frame_known: np.ndarray | None) -> np.ndarray:
        if isinstance(self._classifier, OnnxModel):
            return self._classifier(own, frame_known)
        return probabilities_of(self._classifier, own, frame_known)

    def standardised(self, features: np.ndarray) -> np.ndarray | None:
        """The classifier's features as standard scores of what it was trained on, float32 (n_windows, n_own), NaN
        where missing; None where the classifier keeps no means of its training."""
        centre, scale = getattr(self._fitted, "centre_", None), getattr(self._fitted, "scale_", None)
        if centre is None or scale is None:
            return None
        own = np.asarray(features, np.float32)[:, self._columns]
        return ((own - centre) / scale).astype(np.float32)

    def _kcal_per_min(
        self, features: np.ndarray, people: PersonColumns | None, probabilities: np.ndarray, blank: np.ndarray
    ) -> np.ndarray:
        if self._regressor is None:
            return np.full(len(features), np.nan, np.float32)
        code = np.where(blank, np.nan, self._energy_code[probabilities.argmax(1)])
        matrix = energy_matrix(features[:, self._energy_columns], WINDOW_COLUMNS, people, code)
        kcal = self._regressor.predict(matrix).astype(np.float32)
        # a window without any sensor has no energy
        kcal[np.isnan(matrix[:, : len(WINDOW_COLUMNS)]).all(1)] = np.nan
        return kcal


def _as_slice(columns: list[int]) -> slice | list[int]:
    """Neighbouring columns as a slice, which copies nothing."""
    first = columns[0]
    return (
        slice(first, first + len(columns)) if columns == list(range(first, first + len(columns))) else columns
    )


def load_bundle(
    bundle: BundleBytes, windows: Windows | None = None, *, checked: bool = False
) -> ScoringModel:
    """The models of a bundle, tested on a few windows. Raises ModelError (one sentence) where one does not fit:
    features this code does not compute, other windows than `windows` (where given), a wrong number of labels, a
    file that does not load or that holds types that are not trusted.

    checked : these bytes have passed the checks of their structure before, which take some 0.2 s
    """
    stored, energy = bundle.classifier, bundle.regressor
    classifier, card = load_model(stored, "activity", windows, checked=checked)
    regressor, energy_card = None, None
    if energy is not None:
        regressor, energy_card = load_model(energy, "energy", windows, checked=checked)
    notes: list[str] = []
    made = ScoringModel(
        classifier,
        card,
        stored.version,
        regressor,
        energy_card,
        energy.version if energy is not None else "",
        _beside(stored.baseline, Baseline.from_bytes, lambda one: one.labels == card.labels),
        _beside(
            stored.familiarity, Familiarity.from_bytes, lambda one: one.feature_names == card.feature_names
        ),
        _beside(stored.thresholds, Thresholds.from_json, lambda one: set(one.activities) == set(card.labels)),
        fast_classifier=_fast(stored, classifier, card, notes),
        fast_regressor=(
            _fast(energy, regressor, energy_card, notes) if energy and regressor and energy_card else None
        ),
    )
    made.notes = tuple(notes)
    return made


def _fast(stored: ModelBytes, model: Pipeline, card: Card, notes: list[str]) -> OnnxModel | None:
    """The model's export, which answers in its place; None, and a note where it cannot be used."""
    if stored.onnx is None:
        return None
    what = f"version {stored.version} of the {KINDS[card.kind].noun}"
    try:
        twin = onnx_twin(stored.onnx, stored.content, card, what)
        if weighs_frames(model) and not twin.weighs_frames:
            raise ModelMisfitError("its export cannot be told the frame of a window; export it again")
        return twin
    except ModelError as error:
        notes.append(f"{what} is scored by scikit-learn: {error}")
        return None


def _beside(content: bytes | None, read: Callable[[bytes], T], fits: Callable[[T], bool]) -> T | None:
    """What stands beside a model file; None where it does not fit, since the model can serve without it."""
    if content is None:
        return None
    try:
        found = read(content)
    except ModelError:
        return None
    return found if fits(found) else None


def load_model(
    stored: ModelBytes, kind: str, windows: Windows | None = None, *, checked: bool = False
) -> tuple[Pipeline, Card]:
    """One model, checked and tested. Raises ModelError as `load_bundle` does."""
    what = f"version {stored.version} of the {KINDS[kind].noun}"
    card = fitting_card(stored, kind, windows)
    model = export.load(stored.content, what)
    if not checked:
        try:
            export.check(model)
        except (ModelError, ValueError, AttributeError, TypeError) as error:
            raise ModelError(f"{what} is damaged: {error}; train it again or roll back") from None
    try_answers(model, card, what)
    return model, card


def fitting_card(stored: ModelBytes, kind: str, windows: Windows | None = None) -> Card:
    """The card, where the model it describes fits this code, and `windows` where given. Raises ModelError."""
    own = KINDS[kind]
    what = f"version {stored.version} of the {own.noun}"
    card = Card.from_json(stored.card)
    if card.kind != kind:
        raise ModelMisfitError(
            f"{what} is of the kind {card.kind}, not {kind}; check the names in the registry"
        )
    known = set(own.columns or card.feature_names)
    missing = [name for name in card.feature_names if name not in known]
    if missing or not card.feature_names:
        raise ModelMisfitError(
            f"{what} needs {len(missing)} features that this code does not compute, such as "
            f"{missing[0] if missing else 'none at all'}; train it again"
        )
    if kind == "energy" and card.feature_names != own.columns:
        raise ModelMisfitError(f"{what} takes other columns than this code makes; train it again")
    if card.features_version != own.version:
        raise ModelMisfitError(
            f"{what} was trained on features of version {card.features_version}, but this code computes "
            f"version {own.version}; train it again"
        )
    of_settings = (windows.length_seconds, windows.rate_hz) if windows and own.of_windows else None
    if of_settings and (card.length_seconds, card.rate_hz) != of_settings:
        raise ModelMisfitError(
            f"{what} was trained on windows of {card.length_seconds} s at {card.rate_hz} Hz, but the settings say "
            f"{of_settings[0]} s at {of_settings[1]} Hz; train it again or change the settings"
        )
    if own.answers != "number" and (len(card.labels) < 2 or len(set(card.labels)) != len(card.labels)):
        raise ModelMisfitError(f"{what} names too few labels, or one of them twice; train it again")
    if kind == "activity" and card.conformal_quantile is None:
        raise ModelMisfitError(f"{what} has no conformal quantile; train it again")
    return card
