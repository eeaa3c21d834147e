"""Which model serves: the registry's champion, watched from the driver, fetched and tried before it is used.

A champion that cannot be fetched or loaded leaves the one before it serving, and is said loudly, once.
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
from activitymodule.streaming.waiting import say


@dataclass(frozen=True)
class Champion:
    """The pair that serves: classifier and regressor, as bytes to broadcast and loaded to know they load."""

    classifier: ModelVersion
    regressor: ModelVersion | None
    bundle: BundleBytes
    model: ScoringModel


def _pair(settings: Settings) -> tuple[ModelVersion | None, ModelVersion | None]:
    return champion(settings, settings.registry.classifier), champion(settings, settings.registry.regressor)


def record_versions(settings: Settings, serving: Champion) -> None:
    """Write into the store what a version's probabilities mean, before the first row that names it."""
    connection = connect(settings)
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
    """Keeps `current` up to date from a thread of its own; a batch takes it once and uses that one throughout."""

    def __init__(self, settings: Settings, on_change: Callable[[Champion], None]) -> None:
        self._settings = settings
        self._on_change = on_change
        self._refused: set[tuple[str | None, str | None]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self.current: Champion | None = None

    def refresh(self) -> Champion | None:
        """Look at the registry now. Raises ServiceUnavailableError where it is away and nothing serves yet."""
        try:
            classifier, regressor = _pair(self._settings)
        except ServiceUnavailableError:
            if self.current is None:
                raise
            return self.current  # a model that serves needs no registry
        if classifier is None:
            return self.current
        key = (classifier.version, regressor.version if regressor else None)
        if self.current is not None and key == self._key(self.current):
            return self.current
        if key in self._refused:
            return self.current
        try:
            found = self._load(classifier, regressor)
        except ServiceUnavailableError:
            if self.current is None:
                raise
            return self.current
        except ActivityError as error:
            self._refused.add(key)
            serving = (
                f"version {self.current.classifier.version} goes on serving"
                if self.current
                else "none serves"
            )
            say(f"CHAMPION REFUSED: version {classifier.version}: {error}; {serving}")
            return self.current
        self._on_change(found)
        before, self.current = self.current, found
        if before is not None:
            say(f"champion is now version {classifier.version} (was {before.classifier.version})")
        return found

    def load_version(self, classifier_version: str, regressor_version: str | None) -> Champion:
        """A given pair of versions, for a batch that was begun with it before a restart."""
        registry = self._settings.registry
        regressor = ModelVersion(registry.regressor, regressor_version) if regressor_version else None
        found = self._load(ModelVersion(registry.classifier, classifier_version), regressor)
        self._on_change(found)
        return found

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @staticmethod
    def _key(serving: Champion) -> tuple[str, str | None]:
        return serving.classifier.version, serving.regressor.version if serving.regressor else None

    def _load(self, classifier: ModelVersion, regressor: ModelVersion | None) -> Champion:
        bundle = BundleBytes.read(
            fetch(self._settings, classifier),
            fetch(self._settings, regressor) if regressor else None,
            version=classifier.version,
            energy_version=regressor.version if regressor else None,
            max_megabytes=self._settings.models.max_megabytes,
        )
        return Champion(classifier, regressor, bundle, load_bundle(bundle, self._settings.windows))

    def _run(self) -> None:
        while not self._stop.wait(self._settings.registry.poll_seconds):
            try:
                self.refresh()
            except ServiceUnavailableError:
                continue  # nothing serves yet; the job itself says that it waits
            except Exception as error:
                # a watcher that dies would freeze the champion for good without a word
                say(f"could not look for a new champion: {type(error).__name__}: {error}")
