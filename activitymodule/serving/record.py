"""Which version serves: the one that the store's record of promotions names, by number and SHA-256 of its files.

The registry's alias `champion` follows the record. An alias that was moved elsewhere, or files that were replaced,
serve nothing; they are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from activitymodule.errors import ModelError
from activitymodule.models.kinds import DAY_KINDS
from activitymodule.registry import versions as registry
from activitymodule.registry.versions import ModelVersion
from activitymodule.settings import Settings
from activitymodule.store.batches import last_versions
from activitymodule.store.connection import Connection, session
from activitymodule.store.model_checks import first_accepted, newest_checks
from activitymodule.store.promotions import Promoted, served


def names(config: Settings) -> dict[str, str]:
    """The registry's name of the model of each kind (models/kinds); one on daily records has its kind's
    name, after `registry.days_prefix`."""
    return {
        "activity": config.registry.classifier,
        "energy": config.registry.regressor,
        **{kind: config.registry.days_prefix + kind for kind in DAY_KINDS},
    }


def names_of_windows(config: Settings) -> tuple[str, str]:
    """Of these, the classifier and the regressor, by which the stream scores."""
    return config.registry.classifier, config.registry.regressor


def promoted(connection: Connection, config: Settings, name: str) -> list[Promoted]:
    """The versions of a model by the record: the last one serves, rollbacks lead to those before it.

    Stores of earlier versions of this project lack the first promotion, and the SHA-256 of all: there the version of
    the last batch serves, and the files of a version that first passed the check are its files.
    """
    found = served(connection, name)
    if not found:
        activity, energy = last_versions(connection, config.kafka.topic)
        version = {config.registry.classifier: activity, config.registry.regressor: energy}.get(name)
        found = [] if version is None else [Promoted(name, version, None, 0)]
    return [
        one if one.sha256 else replace(one, sha256=first_accepted(connection, name, one.version))
        for one in found
    ]


def serving(config: Settings, name: str) -> Promoted | None:
    """The version of a model that the record names; None before the first promotion."""
    with session(config, read_only=True) as connection:
        found = promoted(connection, config, name)
    return found[-1] if found else None


def serving_version(config: Settings, name: str) -> ModelVersion | None:
    """The same as a version of the registry, which is not asked."""
    found = serving(config, name)
    return None if found is None else ModelVersion(name, found.version)


@dataclass(frozen=True)
class Standing:
    """How record, registry and checks of a model stand.

    version : by the record; alias : the version with the alias `champion`; refusals : version -> why it must not serve
    """

    name: str
    version: str | None
    alias: str | None
    refusals: dict[str, str]

    def problems(self) -> list[str]:
        """A sentence on each thing that is wrong, where anything is."""
        found = [] if (moved := moved_sentence(self.name, self.version, self.alias)) is None else [moved]
        if self.version is not None and (why := self.refusals.get(self.version)):
            found.append(
                f"version {self.version} of {self.name} is champion by the record but refused: {why}; the last version "
                "before it that passes serves; `activity models rollback` or `activity models promote` another"
            )
        return found


def moved_sentence(name: str, version: str | None, alias: str | None) -> str | None:
    """What is wrong where the alias is not at the version of the record; None where nothing is."""
    if alias == version:
        return None
    if version is None:
        return (
            f"version {alias} of {name} has the alias champion in the registry, but no promotion of it is recorded, so "
            f"it does not serve; `activity models promote {alias}` checks and records it"
        )
    where = f"points to version {alias}" if alias else "is missing"
    return (
        f"the alias champion of {name} {where} in the registry, but the record of promotions names version {version}, "
        "which serves; `activity models repair` puts the alias back"
    )


def problems(config: Settings, connection: Connection, *, download: bool = False) -> dict[str, list[str]]:
    """Model -> a sentence on each thing that is wrong with what serves.

    download : compare the registry's files of the versions that serve, too. Raises ServiceUnavailableError where the
    registry does not answer.
    """
    found = {name: standing(config, connection, name).problems() for name in names(config).values()}
    if download:
        for name, sentences in found.items():
            if (other := replaced(config, connection, name)) is not None:
                sentences.append(other)
    return found


def standing(config: Settings, connection: Connection, name: str) -> Standing:
    """How a model stands. Raises ServiceUnavailableError where the registry does not answer."""
    found = promoted(connection, config, name)
    refusals = {one.version: one.refusal for one in newest_checks(connection, [name]) if one.refusal}
    alias = registry.champion(config, name)
    return Standing(name, found[-1].version if found else None, alias.version if alias else None, refusals)


def replaced(config: Settings, connection: Connection, name: str) -> str | None:
    """A sentence where the registry's files of the version that serves are no more those that were promoted.

    Downloads them. Raises ServiceUnavailableError where the registry does not answer.
    """
    found = promoted(connection, config, name)
    if not found or found[-1].sha256 is None:
        return None
    one = found[-1]
    try:
        now = registry.registered_digest(config, ModelVersion(name, one.version))
    except ModelError as error:
        return f"the registry's files of the version that serves cannot be used: {error}"
    return None if now == one.sha256 else replaced_sentence(one, now)


def replaced_sentence(one: Promoted, found: str) -> str:
    """What is wrong with files that are not those that were promoted."""
    return (
        f"the files of version {one.version} of {one.name} in the registry are not those that were promoted (SHA-256 "
        f"{found[:12]}, not {(one.sha256 or '')[:12]}); they do not serve"
    )


def move_aliases(config: Settings, found: list[Promoted]) -> None:
    """Point the registry's aliases champion and previous to the last versions of the record."""
    before = found[-2].version if len(found) > 1 else None
    registry.set_champion(config, ModelVersion(found[-1].name, found[-1].version), before=before)


def repair(config: Settings) -> list[str]:
    """Put the aliases champion and previous of all models where the record has them; a sentence on each that moved."""
    done = []
    for name in names(config).values():
        with session(config, read_only=True) as connection:
            found = promoted(connection, config, name)
        if not found:
            continue
        alias = registry.champion(config, name)
        move_aliases(config, found)
        if alias is None or alias.version != found[-1].version:
            was = f"was at version {alias.version}" if alias else "was missing"
            done.append(f"the alias champion of {name} is at version {found[-1].version} again ({was})")
    return done
