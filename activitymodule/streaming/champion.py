"""The champion that serves: the driver polls the store's record of promotions and loads a new version before its use.

If a new champion cannot be fetched, is refused or does not load, the previous version keeps serving, and the failure is
logged once. A driver that has just started takes the last version of the record that passes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from activitymodule.errors import ModelError, ServiceUnavailableError, SignInRefusedError
from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.models.recalibration import Recalibration
from activitymodule.registry.versions import ModelVersion, champion
from activitymodule.serving.checking import Checked, checked_promoted
from activitymodule.serving.exports import serving_export
from activitymodule.serving.record import moved_sentence, names_of_windows, promoted
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, transact
from activitymodule.store.device_calibrations import in_force
from activitymodule.store.models import record_model_version
from activitymodule.store.promotions import Promoted
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.log import log

_POLLS_OF_ALIASES = 5  # the aliases are compared with the record at each of so many polls


@dataclass(frozen=True)
class Champion:
    """Classifier and regressor that serve: as bytes to broadcast, and loaded once to check them.

    calibrations : of the classifier, by device model
    """

    classifier: ModelVersion
    regressor: ModelVersion | None
    bundle: BundleBytes
    model: ScoringModel
    calibrations: Mapping[str, Recalibration] = field(default_factory=dict)


def record_versions(config: Settings, serving: Champion) -> None:
    """Record the labels of a version in the store, before the first row that refers to it."""
    transact(
        config,
        lambda connection: record_model_version(
            connection,
            name=serving.classifier.name,
            version=serving.classifier.version,
            labels=serving.model.labels,
            feature_version=serving.model.card.features_version,
        ),
    )


@dataclass(frozen=True)
class _Record:
    """The versions of both models by the record of promotions; the last one of each serves.

    exports : SHA-256 of the exports by which these two should score, None: by scikit-learn
    """

    classifier: list[Promoted]
    regressor: list[Promoted]
    exports: tuple[str | None, ...] = (None, None)

    def newest(self) -> tuple[Promoted | None, ...]:
        """The version of each that serves."""
        return tuple(one[-1] if one else None for one in (self.classifier, self.regressor))


class ChampionWatch:
    """Keeps `current` up to date from a thread of its own; a batch reads it once and uses that version throughout."""

    def __init__(self, config: Settings, on_change: Callable[[Champion], None]) -> None:
        self._config = config
        self._on_change = on_change
        self._seen: tuple[object, ...] | None = None  # whatever came of it
        self._serving: tuple[Checked | None, Checked | None] = (None, None)
        self._logged: set[str] = set()
        self._rejected = ""
        self._moved: dict[str, str | None] = {}
        self._polls = 0
        # asked every second, and from several threads
        self._connection = KeptConnection()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self.current: Champion | None = None

    def refresh(self) -> Champion | None:
        """Look at the record now. Raises ServiceUnavailableError where store or registry do not answer and no version
        serves yet."""
        try:
            record = self._record()
            seen = (*record.newest(), *record.exports)
            if seen != self._seen:
                self._change(record)
                # not before: what could not be asked for is asked for again
                self._seen = seen
            if self.current is not None:
                self.current = self._calibrated(self.current)
            self._compare_aliases(record)
        except ServiceUnavailableError as error:
            if self.current is None:
                raise
            if isinstance(error, SignInRefusedError):
                self._log_once(str(error))
        return self.current  # the version that serves needs neither

    def load_version(self, classifier_version: str, regressor_version: str | None) -> Champion:
        """Load a given pair of versions, for a batch that began with them before a restart.

        Where one of them is refused by now, the version that serves takes its place.
        """
        record, registry = self._record(), self._config.registry
        try:
            classifier = self._checked(record.classifier, registry.classifier, classifier_version)
            regressor = (
                self._checked(record.regressor, registry.regressor, regressor_version)
                if regressor_version
                else None
            )
            found = self._load(classifier, regressor)
        except ModelError as error:
            if self.current is None:
                raise
            serves = self.current.classifier.version
            self._log_once(
                f"a batch that began with version {classifier_version} is scored by version {serves}: {error}"
            )
            return self.current
        self._on_change(found)
        return self._calibrated(found)

    def why(self) -> str:
        """The last rejection, in brackets; empty where there was none."""
        return f" ({self._rejected})" if self._rejected else ""

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """End polling."""
        self._stop.set()

    def _record(self) -> _Record:
        def read(connection: Connection) -> _Record:
            classifier, regressor = (
                promoted(connection, self._config, name) for name in names_of_windows(self._config)
            )
            record = _Record(classifier, regressor)
            exports = (serving_export(connection, self._config, one) for one in record.newest())
            return replace(record, exports=tuple(exports))

        with self._lock:
            return self._connection.run(self._config, read)

    def _calibrated(self, serving: Champion) -> Champion:
        """With the calibrations that are in force now."""
        version = serving.classifier
        with self._lock:
            found = self._connection.run(self._config, lambda c: in_force(c, version.name, version.version))
        return serving if found == serving.calibrations else replace(serving, calibrations=found)

    def _checked(self, served: list[Promoted], name: str, version: str) -> Checked:
        """A version that served, with the files it was promoted with."""
        known = [one for one in served if one.version == version]
        return checked_promoted(self._config, known[-1] if known else Promoted(name, version, None, 0))

    def _change(self, record: _Record) -> None:
        """Take up what the record names, as far as it passes."""
        classifier, regressor = (
            self._choose(served, serving, export)
            for served, serving, export in zip(
                (record.classifier, record.regressor), self._serving, record.exports, strict=True
            )
        )
        if classifier is None or (regressor is None and record.regressor):
            return
        if (classifier, regressor) == self._serving:
            return
        try:
            found = self._load(classifier, regressor)
        except ModelError as error:
            self._reject(classifier.version, error)
            return
        self._on_change(found)
        before, self.current, self._serving = self.current, found, (classifier, regressor)
        if before is not None and before.classifier.version != found.classifier.version:
            log(f"champion is now version {found.classifier.version} (was {before.classifier.version})")

    def _choose(self, served: list[Promoted], serving: Checked | None, export: str | None) -> Checked | None:
        """The last version of the record. Where it is refused, the version that serves, or (at the start) the last one
        before it that passes."""
        for one in [*reversed(served)][: 1 if serving else None]:
            own = serving and (serving.version.version, serving.sha256, serving.stored.export)
            if own == (one.version, one.sha256, export):
                return serving
            try:
                found = checked_promoted(self._config, one)
            except ModelError as error:
                self._reject(ModelVersion(one.name, one.version), error)
                continue
            if found.note:
                self._log_once(f"version {one.version} of {one.name}: {found.note}")
            return found
        return serving

    def _reject(self, version: ModelVersion, error: ModelError) -> None:
        serving = [one.version for one in self._serving if one and one.version.name == version.name]
        self._rejected = str(error)
        then = f"version {serving[0].version} keeps serving" if serving else "it does not serve"
        self._log_once(f"CHAMPION REJECTED: {error}; {then}")

    def _load(self, classifier: Checked, regressor: Checked | None) -> Champion:
        bundle = BundleBytes(classifier.stored, regressor.stored if regressor else None)
        model = load_bundle(bundle, self._config.windows, checked=True)
        for note in model.notes:
            self._log_once(note)
        return Champion(classifier.version, regressor.version if regressor else None, bundle, model)

    def _compare_aliases(self, record: _Record) -> None:
        """Log once where an alias is elsewhere twice in turn: a promotion moves it before it commits its entry."""
        self._polls += 1
        if self._polls % _POLLS_OF_ALIASES != 1:
            return
        for name, one in zip(names_of_windows(self._config), record.newest(), strict=True):
            alias = champion(self._config, name)
            moved = moved_sentence(name, one.version if one else None, alias.version if alias else None)
            if moved is not None and self._moved.get(name) == moved:
                self._log_once(f"REGISTRY: {moved}")
            self._moved[name] = moved

    def _log_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            log(message)

    def _run(self) -> None:
        while not self._stop.wait(self._config.registry.poll_seconds):
            try:
                self.refresh()
            except ServiceUnavailableError:
                continue  # no version serves yet; the job itself logs that it waits
            except Exception as error:
                # a thread that dies would silently stop all updates
                log(f"could not look for a new champion: {type(error).__name__}: {error}")
