"""The champion that serves: the driver polls the registry, and loads a new version before it is used.

If a new champion cannot be fetched or loaded, the previous version keeps serving, and the failure is logged once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.registry.versions import ModelVersion, champion, fetch
from activitymodule.settings import Settings
from activitymodule.store.connection import connect
from activitymodule.store.models import record_model_version
from activitymodule.streaming.log import log


@dataclass(frozen=True)
class Champion:
    """Classifier and regressor that serve: as bytes to broadcast, and loaded once to check them."""

    classifier: ModelVersion
    regressor: ModelVersion | None
    bundle: BundleBytes
    model: ScoringModel


def _pair(config: Settings) -> tuple[ModelVersion | None, ModelVersion | None]:
    return champion(config, config.registry.classifier), champion(config, config.registry.regressor)


def record_versions(config: Settings, serving: Champion) -> None:
    """Record the labels of a version in the store, before the first row that refers to it."""
    connection = connect(config)
    with connection:
        record_model_version(
            connection,
            name=serving.classifier.name,
            version=serving.classifier.version,
            labels=serving.model.labels,
            feature_version=serving.model.card.features_version,
        )
    connection.close()


class ChampionWatch:
    """Keeps `current` up to date from a thread of its own; a batch reads it once and uses that version throughout."""

    def __init__(self, config: Settings, on_change: Callable[[Champion], None]) -> None:
        self._config = config
        self._on_change = on_change
        self._rejected: set[tuple[str | None, str | None]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self.current: Champion | None = None

    def refresh(self) -> Champion | None:
        """Ask the registry now. Raises ServiceUnavailableError where it does not answer and no version serves yet."""
        try:
            classifier, regressor = _pair(self._config)
        except ServiceUnavailableError:
            if self.current is None:
                raise
            return self.current  # the version that serves needs no registry
        if classifier is None:
            return self.current
        key = (classifier.version, regressor.version if regressor else None)
        if self.current is not None and key == self._key(self.current):
            return self.current
        if key in self._rejected:
            return self.current
        try:
            found = self._load(classifier, regressor)
        except ServiceUnavailableError:
            if self.current is None:
                raise
            return self.current
        except ActivityError as error:
            self._rejected.add(key)
            serving = (
                f"version {self.current.classifier.version} keeps serving"
                if self.current
                else "no version serves"
            )
            log(f"CHAMPION REJECTED: version {classifier.version}: {error}; {serving}")
            return self.current
        self._on_change(found)
        before, self.current = self.current, found
        if before is not None:
            log(f"champion is now version {classifier.version} (was {before.classifier.version})")
        return found

    def load_version(self, classifier_version: str, regressor_version: str | None) -> Champion:
        """Load a given pair of versions, for a batch that began with them before a restart."""
        registry = self._config.registry
        regressor = ModelVersion(registry.regressor, regressor_version) if regressor_version else None
        found = self._load(ModelVersion(registry.classifier, classifier_version), regressor)
        self._on_change(found)
        return found

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """End polling."""
        self._stop.set()

    @staticmethod
    def _key(serving: Champion) -> tuple[str, str | None]:
        return serving.classifier.version, serving.regressor.version if serving.regressor else None

    def _load(self, classifier: ModelVersion, regressor: ModelVersion | None) -> Champion:
        bundle = BundleBytes.read(
            fetch(self._config, classifier),
            fetch(self._config, regressor) if regressor else None,
            version=classifier.version,
            energy_version=regressor.version if regressor else None,
            max_megabytes=self._config.models.max_megabytes,
        )
        return Champion(classifier, regressor, bundle, load_bundle(bundle, self._config.windows))

    def _run(self) -> None:
        while not self._stop.wait(self._config.registry.poll_seconds):
            try:
                self.refresh()
            except ServiceUnavailableError:
                continue  # no version serves yet; the job itself logs that it waits
            except Exception as error:
                # a thread that dies would silently stop all updates
                log(f"could not ask for a new champion: {type(error).__name__}: {error}")
