"""The one way to load a model version: its files are compared with the record, and loaded and tried in a process of
their own, before any other process of the project loads them. A refusal is remembered in the store.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from activitymodule.errors import ConfigError, ModelError, ModelMisfitError, ModelRefusedError
from activitymodule.models.bundle import ModelBytes, fitting_card
from activitymodule.models.export import libraries
from activitymodule.models.trial import Outcome, try_model
from activitymodule.registry.versions import ModelVersion, cached, digest, fetch
from activitymodule.serving.exports import with_export
from activitymodule.serving.record import names, replaced_sentence
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.model_checks import find_check, record_check
from activitymodule.store.promotions import Promoted


@dataclass(frozen=True)
class Checked:
    """A version that may be loaded. sha256 : of its files; note : worth logging, None where it was logged before"""

    version: ModelVersion
    stored: ModelBytes
    sha256: str
    note: str | None = None


def checked(
    config: Settings,
    version: ModelVersion,
    *,
    sha256: str | None = None,
    anew: bool = False,
    max_megabytes: float | None = None,
) -> Checked:
    """Fetch and check a version. Blocks for some 2 s where these files were not checked before.

    sha256 : that its files must have; anew : try it although an outcome is remembered. Raises ModelRefusedError where
    it must not be loaded, ModelError where it does not fit, ServiceUnavailableError where store or registry do not
    answer.
    """
    kind = _kind(config, version.name)
    most = config.models.max_megabytes if max_megabytes is None else max_megabytes
    folder = _fetched(config, version, sha256)
    stored = ModelBytes.read(folder, version.version, most)
    found = digest(folder)
    if sha256 is not None and found != sha256:
        raise ModelRefusedError(replaced_sentence(Promoted(version.name, version.version, sha256, 0), found))
    try:
        fitting_card(stored, kind, config.windows)
    except ModelMisfitError:
        raise  # of the settings or this code, which may change
    except ModelError as error:
        _record(config, version, found, Outcome(str(error)))
        raise _refused(version, str(error)) from None
    note = _pass(config, version, stored, kind, found, anew)
    stored, engine = with_export(config, version, kind, stored)
    return Checked(version, stored, found, "; ".join(filter(None, (note, engine))) or None)


def checked_promoted(config: Settings, one: Promoted) -> Checked:
    """The same for a version of the record. One that was recorded without a SHA-256 may have any files now, and only
    those from then on."""
    found = checked(config, ModelVersion(one.name, one.version), sha256=one.sha256)
    if one.sha256 is not None:
        return found
    adopted = f"its promotion has no SHA-256: its present files ({found.sha256[:12]}) are taken from now on"
    return Checked(found.version, found.stored, found.sha256, "; ".join(filter(None, (adopted, found.note))))


def remember(config: Settings, version: ModelVersion, folder: Path, outcome: Outcome) -> None:
    """Keep the outcome of a trial of the files that a version was registered with: `checked` does not repeat it."""
    if outcome.sure:
        _record(config, version, digest(folder), outcome)


def _pass(
    config: Settings, version: ModelVersion, stored: ModelBytes, kind: str, sha256: str, anew: bool
) -> str | None:
    """The note of the check, now or remembered as refused. Raises ModelRefusedError."""
    with session(config, read_only=True) as connection:
        known = find_check(connection, version.name, version.version, sha256, environment())
    if known is not None and not anew:
        if known.refusal:
            kind_option = "" if kind == "activity" else f" --kind {kind}"
            again = f"`activity models check {version.version}{kind_option}` tries it again"
            raise _refused(version, f"{known.refusal} (checked on {known.checked_at:%Y-%m-%d}; {again})")
        return None
    outcome = try_model(stored, kind)
    if outcome.sure:
        _record(config, version, sha256, outcome)
    if outcome.refusal:
        raise _refused(version, outcome.refusal)
    return outcome.note


def _fetched(config: Settings, version: ModelVersion, sha256: str | None) -> Path:
    """The folder of the version: the one with the files that are asked for, where it was downloaded before."""
    if sha256 is not None:
        for folder in cached(config, version.name, version.version):
            if digest(folder) == sha256:
                return folder
            # damaged on this disk, or of another registry: what the registry has now decides
            shutil.rmtree(folder, ignore_errors=True)
    try:
        return fetch(config, version)
    except ModelRefusedError as error:
        _record(config, version, "", Outcome(str(error)))
        raise


def _record(config: Settings, version: ModelVersion, sha256: str, outcome: Outcome) -> None:
    with session(config) as connection:
        record_check(
            connection,
            name=version.name,
            version=version.version,
            sha256=sha256,
            environment=environment(),
            refusal=outcome.refusal,
            note=outcome.note,
        )


def _refused(version: ModelVersion, why: str) -> ModelRefusedError:
    subject = f"version {version.version} of"
    return ModelRefusedError(
        why if why.startswith(subject) else f"{subject} {version.name} is refused: {why}"
    )


def environment() -> str:
    """The libraries with which a version is tried here."""
    return ", ".join(f"{name} {number}" for name, number in sorted(libraries().items()))


def _kind(config: Settings, name: str) -> str:
    for kind, known in names(config).items():
        if known == name:
            return kind
    raise ConfigError(
        f"{name} is no model of this project: not registry.classifier, registry.regressor or one on days"
    )
