"""A trained model's folder as a version of the registry, and as champion where there is none or it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from activitymodule.errors import ActivityError
from activitymodule.models.bundle import ModelBytes
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.trial import try_model
from activitymodule.registry.versions import ModelVersion, register
from activitymodule.serving.checking import checked, remember
from activitymodule.settings import Settings
from activitymodule.store.retraining import who
from activitymodule.workflows.model_operations.exporting import export_new
from activitymodule.workflows.promotion import make_champion, model_name, promote_by_hand

FIRST = "the first version of this model"


def register_folder(
    config: Settings,
    kind: str,
    folder: Path,
    headline: Mapping[str, float],
    *,
    parameters: Mapping[str, object],
    tags: Mapping[str, str],
    promote: bool,
    serves: bool,
    verb: str,
    windows: TrainingWindows | None = None,
) -> ModelVersion:
    """Register a folder of a model of a kind; its new version.

    headline : figures to compare versions by; promote : make it champion; serves : whether a version serves already,
    without which the first one becomes champion too; verb : which a promotion's record names; windows : of its
    training, with which it is exported for the engine that scores
    Raises ModelError where it is refused, ServiceUnavailableError.
    """
    with ThreadPoolExecutor(1) as pool:
        stored = ModelBytes.read(folder, "new", config.models.max_megabytes)
        # beside the registration, which takes as long
        trial = pool.submit(try_model, stored, kind) if promote or not serves else None
        version = register(
            config,
            model_name(config, kind),
            folder,
            headline,
            parameters=parameters,
            tags={"kind": kind, **tags},
        )
        if trial is not None:
            remember(config, version, folder, trial.result())
    if windows is not None:
        export_new(config, kind, version, folder, windows, tags.get("data", ""))
    if promote:
        _promote(config, kind, version, verb)
    elif not serves:
        make_champion(config, checked(config, version), "promoted", by_whom=who(), why=FIRST)
    return version


def _promote(config: Settings, kind: str, version: ModelVersion, verb: str) -> None:
    """Promote a version, recorded like every other promotion."""
    try:
        promote_by_hand(config, kind, version.version, by_whom=who(), why=f"trained with `{verb} --promote`")
    except ActivityError as error:
        option = "" if kind == "activity" else f" --kind {kind}"
        raise type(error)(
            f"version {version.version} of {version.name} is registered but not champion: {error}; then run "
            f"`activity models promote {version.version}{option}`"
        ) from error
