"""Versions of models in the registry, and which of them serves: MLflow's aliases `champion`, `previous`, and
`challenger` for the one that wants to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from activitymodule import settings
from activitymodule.errors import ModelError
from activitymodule.models.export import LINEAGE_FILE, METRICS_FILE, MODEL_FILE
from activitymodule.registry import client
from activitymodule.registry.client import NotFoundError
from activitymodule.settings import Settings

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
EXPERIMENT = "activity"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. Name and version are enough to find it; the rest is what the registry
    knows of it: the run that made it, where its artifacts are, when (UTC), its aliases and its tags."""

    name: str
    version: str
    run_id: str = ""
    source: str = ""
    created_at: datetime | None = None
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


def _version(found: dict) -> ModelVersion:
    created = found.get("creation_timestamp")
    return ModelVersion(
        name=found["name"],
        version=str(found["version"]),
        run_id=found.get("run_id") or "",
        source=found.get("source") or "",
        created_at=datetime.fromtimestamp(int(created) / 1000, UTC) if created else None,
        aliases=tuple(found.get("aliases") or ()),
        tags={tag["key"]: tag.get("value", "") for tag in found.get("tags") or ()},
    )


def _aliased(config: Settings, name: str, alias: str) -> ModelVersion | None:
    try:
        return _version(
            client.ask(config, "registered-models/alias", name=name, alias=alias)["model_version"]
        )
    except NotFoundError:
        return None
    except ModelError as error:
        # MLflow answers 400 and not 404 where the model is there but the alias is not
        if f"alias {alias} not found" in str(error):
            return None
        raise


def champion(settings: Settings, name: str) -> ModelVersion | None:
    """The version that serves, by one HTTP call; None where there is none yet.

    Raises ServiceUnavailableError where the registry is away.
    """
    return _aliased(settings, name, CHAMPION)


def challenger(settings: Settings, name: str) -> ModelVersion | None:
    """The version that wants to serve; None where there is none."""
    return _aliased(settings, name, CHALLENGER)


def previous(settings: Settings, name: str) -> ModelVersion | None:
    """The version that served before the champion; None where there is none."""
    return _aliased(settings, name, PREVIOUS)


def get(settings: Settings, name: str, version: str) -> ModelVersion:
    """A version by its number. Raises ModelError where there is none."""
    try:
        return _version(
            client.ask(settings, "model-versions/get", name=name, version=version)["model_version"]
        )
    except (NotFoundError, ModelError):
        raise ModelError(
            f"the registry has no version {version} of {name}; `activity models list` shows what it has"
        ) from None


def versions(settings: Settings, name: str) -> list[ModelVersion]:
    """All versions of a model, newest first; none where the model is not known."""
    found: list[ModelVersion] = []
    page = ""
    while True:
        asked = {"filter": f"name='{name}'", "max_results": "200"} | ({"page_token": page} if page else {})
        answer = client.ask(settings, "model-versions/search", **asked)
        found += [_version(entry) for entry in answer.get("model_versions", [])]
        page = answer.get("next_page_token", "")
        if not page:
            break
    if found:
        # a search does not say which aliases a version has
        model = client.ask(settings, "registered-models/get", name=name)["registered_model"]
        named: dict[str, list[str]] = {}
        for entry in model.get("aliases", []):
            named.setdefault(str(entry["version"]), []).append(entry["alias"])
        found = [
            ModelVersion(
                v.name,
                v.version,
                v.run_id,
                v.source,
                v.created_at,
                tuple(sorted(named.get(v.version, ()))),
                v.tags,
            )
            for v in found
        ]
    return sorted(found, key=lambda v: int(v.version), reverse=True)


def cache_folder(config: Settings) -> Path:
    """Where versions are kept once they were fetched; may be deleted at any time."""
    return settings.resolve(config.local.folder) / "models"


def fetch(settings: Settings, version: ModelVersion) -> Path:
    """A folder with the version's artifacts, fetched once.

    The folder appears whole or not at all, and is named by the run as well as the number, so that a registry
    begun anew does not find another's version 1. Raises ModelError where the model file is not the one that was
    registered, ServiceUnavailableError where the registry is away.
    """
    if not version.run_id or not version.source:
        version = get(settings, version.name, version.version)
    folder = cache_folder(settings) / version.name / f"{version.version}-{version.run_id}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder.parent))
    try:
        with contextlib.suppress(NotFoundError):  # the check below says what is missing
            client.download(settings, version.source, partial)
        _check(version, partial)
        try:
            os.replace(partial, folder)
        except OSError:
            if not folder.is_dir():
                raise
            # another process was quicker; what it fetched is the same
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _check(version: ModelVersion, folder: Path) -> None:
    what = f"version {version.version} of {version.name}"
    try:
        lineage = json.loads((folder / LINEAGE_FILE).read_text())
        content = (folder / MODEL_FILE).read_bytes()
        expected = lineage["model"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{what} lacks {MODEL_FILE} or {LINEAGE_FILE} in the registry; train it again or roll back"
        ) from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(f"{what} is not the file that was registered (its SHA-256 differs); roll back")


def register(
    settings: Settings,
    name: str,
    folder: Path,
    metrics: Mapping[str, float],
    *,
    parameters: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """A new version of a model from a folder of artifacts (model.skops, model.json, lineage.json, ...).

    metrics : the figures to compare versions by. The new version serves only after `set_champion`.
    """
    for needed in (MODEL_FILE, LINEAGE_FILE, METRICS_FILE):
        if not (folder / needed).is_file():
            raise ModelError(f"{folder} holds no {needed}; a model is registered with all its files")
    champion(settings, name)  # away? say so now: MLflow's client would try for minutes
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # stdout is the command's own: it may be JSON
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    mlflow = MlflowClient(tracking_uri=settings.registry.uri, registry_uri=settings.registry.uri)
    try:
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        experiment_id = experiment.experiment_id if experiment else mlflow.create_experiment(EXPERIMENT)
        run = mlflow.create_run(experiment_id, run_name=name)
        for key, value in (parameters or {}).items():
            mlflow.log_param(run.info.run_id, key, value)
        for key, figure in metrics.items():
            mlflow.log_metric(run.info.run_id, key, float(figure))
        mlflow.log_artifacts(run.info.run_id, str(folder))
        mlflow.set_terminated(run.info.run_id)
        try:
            mlflow.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = mlflow.create_model_version(
            name,
            source=run.info.artifact_uri,
            run_id=run.info.run_id,
            tags=dict(tags or {}),
            await_creation_for=0,
        )
    except MlflowException as error:
        raise client.away(settings, str(error).splitlines()[0][:200]) from None
    return get(settings, name, str(made.version))


def set_champion(settings: Settings, version: ModelVersion) -> None:
    """Make a version serve; the one that served until now becomes `previous`. Also how one rolls back."""
    get(settings, version.name, version.version)
    before = champion(settings, version.name)
    if before is not None and before.version != version.version:
        _point(settings, before, PREVIOUS)
    _point(settings, version, CHAMPION)


def set_challenger(settings: Settings, version: ModelVersion) -> None:
    """Say that a version wants to serve."""
    _point(settings, version, CHALLENGER)


def drop_challenger(settings: Settings, name: str, version: str) -> None:
    """A version no longer wants to serve: it was let in or turned away. Another that does is left alone."""
    found = challenger(settings, name)
    if found is not None and found.version == version:
        with contextlib.suppress(NotFoundError):
            client.remove(settings, "registered-models/alias", {"name": name, "alias": CHALLENGER})


def tag(settings: Settings, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Write tags onto a version; an older value of the same key is replaced."""
    for key, value in tags.items():
        body = {"name": version.name, "version": version.version, "key": key, "value": value[:4000]}
        client.tell(settings, "model-versions/set-tag", body)


def keep_json(settings: Settings, version: ModelVersion, file: str, content: Mapping[str, object]) -> None:
    """Put a JSON file beside a version's artifacts; the model itself stays what it was."""
    found = version if version.run_id else get(settings, version.name, version.version)
    champion(settings, version.name)  # away? say so now: MLflow's client would try for minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    mlflow = MlflowClient(tracking_uri=settings.registry.uri, registry_uri=settings.registry.uri)
    try:
        mlflow.log_text(found.run_id, json.dumps(content, indent=1, default=str) + "\n", file)
    except MlflowException as error:
        raise client.away(settings, str(error).splitlines()[0][:200]) from None


def rollback(settings: Settings, name: str) -> ModelVersion:
    """Make the version serve that served before the champion; the two change places."""
    before = _aliased(settings, name, PREVIOUS)
    if before is None:
        raise ModelError(f"no version of {name} served before this one; promote one by its number")
    set_champion(settings, before)
    return get(settings, name, before.version)


def _point(config: Settings, version: ModelVersion, alias: str) -> None:
    body = {"name": version.name, "alias": alias, "version": version.version}
    client.tell(config, "registered-models/alias", body)
