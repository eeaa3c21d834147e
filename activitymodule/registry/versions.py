"""Versions of models in the registry, and MLflow's aliases of them.

`champion` serves, `previous` served before it, `challenger` is to be evaluated. The aliases are for people and other
programs: what serves is what the store's record of promotions names (activitymodule/serving).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from activitymodule.errors import ModelError, ModelRefusedError
from activitymodule.models.baseline import BASELINE_FILE
from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE, MODEL_FILE
from activitymodule.models.familiarity import FAMILIARITY_FILE
from activitymodule.models.flavour import MLMODEL_FILE
from activitymodule.models.thresholds import THRESHOLD_FILE
from activitymodule.registry import client
from activitymodule.registry.client import NotFoundError
from activitymodule.settings import Settings, resolve

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
EXPERIMENT = "activity"
DIGEST = "sha256"
"""The tag of a version with the SHA-256 of the files it was registered with."""

# What a version is: a picture, or the verdict that is added later, changes nothing about it.
_FILES = (
    *(MODEL_FILE, CARD_FILE, METRICS_FILE, LINEAGE_FILE),
    # versions of before have none of these
    *(BASELINE_FILE, FAMILIARITY_FILE, THRESHOLD_FILE, MLMODEL_FILE),
)


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. Name and version identify it; the rest is read from the registry."""

    name: str
    version: str
    run_id: str = ""
    source: str = ""  # of its artifacts
    created_at: datetime | None = None  # UTC
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


def _version(found: client.Json) -> ModelVersion:
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
            client.get(config, "registered-models/alias", name=name, alias=alias)["model_version"]
        )
    except NotFoundError:
        return None
    except ModelError as error:
        # MLflow answers 400, not 404, where the model exists but the alias does not
        if f"alias {alias} not found" in str(error):
            return None
        raise


def champion(config: Settings, name: str) -> ModelVersion | None:
    """The version with the alias `champion`, by one HTTP request; None where there is none.

    Raises ServiceUnavailableError where the registry does not answer.
    """
    return _aliased(config, name, CHAMPION)


def challenger(config: Settings, name: str) -> ModelVersion | None:
    """The version to be evaluated against the champion; None where there is none."""
    return _aliased(config, name, CHALLENGER)


def previous(config: Settings, name: str) -> ModelVersion | None:
    """The version with the alias `previous`, where a rollback leads; None where there is none."""
    return _aliased(config, name, PREVIOUS)


def get(config: Settings, name: str, version: str) -> ModelVersion:
    """A version by its number. Raises ModelError where it does not exist."""
    try:
        return _version(client.get(config, "model-versions/get", name=name, version=version)["model_version"])
    except (NotFoundError, ModelError):
        raise ModelError(
            f"the registry has no version {version} of {name}; `activity models list` shows what it has"
        ) from None


def versions(config: Settings, name: str) -> list[ModelVersion]:
    """All versions of a model, newest first; empty where the model is not registered."""
    found: list[ModelVersion] = []
    page = ""
    while True:
        query = {"filter": f"name='{name}'", "max_results": "200"} | ({"page_token": page} if page else {})
        answer = client.get(config, "model-versions/search", **query)
        found += [_version(entry) for entry in answer.get("model_versions", [])]
        page = answer.get("next_page_token", "")
        if not page:
            break
    if found:
        # a search does not return aliases
        model = client.get(config, "registered-models/get", name=name)["registered_model"]
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
    """The folder of downloaded versions; may be deleted at any time."""
    return resolve(config.local.folder) / "models"


def digest(folder: Path) -> str:
    """SHA-256 of the files of a version: of the lines `name sha256` of those that are there."""
    lines = [
        f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
        for name in sorted(_FILES)
        if (folder / name).is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def cached(config: Settings, name: str, version: str) -> list[Path]:
    """Folders of a version that were downloaded before; the registry is not asked."""
    return sorted((cache_folder(config) / name).glob(f"{version}-*"))


def fetch(config: Settings, version: ModelVersion) -> Path:
    """A folder with the version's artifacts, downloaded once.

    The folder appears complete or not at all, and is named by run and number, so that a new registry does not find
    the version 1 of an old one. Raises ModelError where the model file is not the one that was registered,
    ServiceUnavailableError where the registry does not answer.
    """
    if not version.run_id or not version.source:
        version = get(config, version.name, version.version)
    folder = cache_folder(config) / version.name / f"{version.version}-{version.run_id}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _downloaded(config, version, folder.parent) as partial:
        try:
            os.replace(partial, folder)
        except OSError:
            if not folder.is_dir():
                raise
            # another process was faster; its files are the same
    return folder


def beside(config: Settings, version: ModelVersion, file: str, sha256: str) -> bytes:
    """A file that was added to a version after it was registered, downloaded once.

    Raises ModelRefusedError where it has another SHA-256, ModelError where the registry has no such file,
    ServiceUnavailableError.
    """
    if not version.source:
        version = get(config, version.name, version.version)
    path = fetch(config, version) / file
    if path.is_file() and hashlib.sha256(content := path.read_bytes()).hexdigest() == sha256:
        return content
    what = f"{file} of version {version.version} of {version.name}"
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=path.parent.parent) as partial:
        with contextlib.suppress(NotFoundError):
            client.download(config, version.source, Path(partial), only=file)
        found = Path(partial) / file
        if not found.is_file():
            raise ModelError(f"the registry has no {what}")
        content = found.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelRefusedError(f"{what} is not the file that was exported (its SHA-256 differs)")
        os.replace(found, path)
    return content


def registered_digest(config: Settings, version: ModelVersion) -> str:
    """SHA-256 of the files that the registry has of a version now, whatever was downloaded before; as `fetch`."""
    cache_folder(config).mkdir(parents=True, exist_ok=True)
    with _downloaded(config, get(config, version.name, version.version), cache_folder(config)) as partial:
        return digest(partial)


@contextlib.contextmanager
def _downloaded(config: Settings, version: ModelVersion, parent: Path) -> Iterator[Path]:
    """A folder with the version's files, as they were registered; removed where it is not renamed within the block."""
    partial = Path(tempfile.mkdtemp(prefix=".fetching-", dir=parent))
    try:
        with contextlib.suppress(NotFoundError):  # the check below names what is missing
            client.download(config, version.source, partial)
        _check(version, partial)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(version: ModelVersion, folder: Path) -> None:
    what = f"version {version.version} of {version.name}"
    try:
        lineage = json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))
        content = (folder / MODEL_FILE).read_bytes()
        expected = lineage["model"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{what} lacks {MODEL_FILE} or {LINEAGE_FILE} in the registry; train it again or roll back"
        ) from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelRefusedError(
            f"{what} is not the file that was registered (its SHA-256 differs); roll back"
        )
    if version.tags.get(DIGEST, (found := digest(folder))) != found:
        raise ModelRefusedError(
            f"{what} has other files than it was registered with (their SHA-256 differs); roll back"
        )


def register(
    config: Settings,
    name: str,
    folder: Path,
    metrics: Mapping[str, float],
    *,
    parameters: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Register a folder of artifacts (model.skops, model.json, lineage.json, ...) as a new version.

    metrics : to compare versions by. The new version serves only after `set_champion`. Raises ModelError for a
    folder that is not complete, ServiceUnavailableError where the registry does not answer.
    """
    for needed in (MODEL_FILE, LINEAGE_FILE, METRICS_FILE):
        if not (folder / needed).is_file():
            raise ModelError(f"{folder} has no {needed}; a model is registered with all its files")
    champion(config, name)  # fail now if it does not answer: MLflow's client would retry for minutes
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # MLflow must not print to stdout, which may be JSON
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # an import of some seconds
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client.sign_in_mlflow(config)
    mlflow = MlflowClient(tracking_uri=config.registry.uri, registry_uri=config.registry.uri)
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
            tags={**(tags or {}), DIGEST: digest(folder)},
            await_creation_for=0,
        )
    except MlflowException as error:
        raise client.unavailable(config, str(error).splitlines()[0][:200]) from None
    return get(config, name, str(made.version))


def set_champion(config: Settings, version: ModelVersion, *, before: str | None = None) -> None:
    """Point the alias `champion` to a version, and `previous` to the one before it (None: to none).

    The aliases serve nothing: the store's record of promotions does (activitymodule/serving), which they follow. Raises
    ModelError for an unknown version.
    """
    get(config, version.name, version.version)
    if before is not None and before != version.version:
        # a version that was deleted in the registry has no alias
        with contextlib.suppress(NotFoundError, ModelError):
            _point(config, ModelVersion(version.name, before), PREVIOUS)
    else:
        _drop(config, version.name, PREVIOUS)
    _point(config, version, CHAMPION)


def set_challenger(config: Settings, version: ModelVersion) -> None:
    """Make a version the challenger."""
    _point(config, version, CHALLENGER)


def drop_challenger(config: Settings, name: str, version: str) -> None:
    """Remove the alias `challenger` from a version that was promoted or rejected; another challenger keeps it."""
    found = challenger(config, name)
    if found is not None and found.version == version:
        _drop(config, name, CHALLENGER)


def tag(config: Settings, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Set tags of a version; values of existing keys are replaced."""
    for key, value in tags.items():
        body = {"name": version.name, "version": version.version, "key": key, "value": value[:4000]}
        client.post(config, "model-versions/set-tag", body)


def keep_json(config: Settings, version: ModelVersion, file: str, content: Mapping[str, object]) -> None:
    """Add a JSON file to a version's artifacts; the model itself does not change."""
    keep(config, version, {file: (json.dumps(content, indent=1, default=str) + "\n").encode()})


def keep(config: Settings, version: ModelVersion, files: Mapping[str, bytes]) -> None:
    """Add files, name -> content, to a version's artifacts; the model itself does not change."""
    found = version if version.run_id else get(config, version.name, version.version)
    champion(config, version.name)  # fail now if it does not answer: MLflow's client would retry for minutes
    # an import of some seconds
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client.sign_in_mlflow(config)
    mlflow = MlflowClient(tracking_uri=config.registry.uri, registry_uri=config.registry.uri)
    with tempfile.TemporaryDirectory(prefix="activity-artifacts-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            mlflow.log_artifacts(found.run_id, folder)
        except MlflowException as error:
            raise client.unavailable(config, str(error).splitlines()[0][:200]) from None


def _drop(config: Settings, name: str, alias: str) -> None:
    with contextlib.suppress(NotFoundError, ModelError):
        client.delete(config, "registered-models/alias", {"name": name, "alias": alias})


def _point(config: Settings, version: ModelVersion, alias: str) -> None:
    body = {"name": version.name, "alias": alias, "version": version.version}
    client.post(config, "registered-models/alias", body)
