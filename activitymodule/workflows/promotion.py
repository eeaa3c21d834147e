"""Promotion and rollback by hand: a person makes a version champion, which is recorded."""

from __future__ import annotations

from activitymodule.errors import ModelError
from activitymodule.models.kinds import TRAINED_BY
from activitymodule.registry.versions import ModelVersion, drop_challenger, get, versions
from activitymodule.serving.checking import Checked, checked, checked_promoted
from activitymodule.serving.record import move_aliases, names, promoted
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.promotions import Promotion, promotions, record_promotion
from activitymodule.workflows.model_operations.release import ReleaseReport, check_version, require_release


def model_name(config: Settings, kind: str) -> str:
    """The registry's name of the model of a kind."""
    return names(config)[kind]


def trained_by(kind: str) -> str:
    """The command that makes a version of a kind."""
    return f"activity {TRAINED_BY[kind]}" if kind in TRAINED_BY else f"activity train {kind}"


def promote_by_hand(
    config: Settings, kind: str, version: str, *, by_whom: str, why: str, because: str = ""
) -> ModelVersion:
    """Make a version (its number, or `latest`) champion whatever its verdict is; recorded in `promotions`.

    because : why it is promoted although it fails the release check; kept with the entry, like the check itself
    It is checked first. Raises ModelError where it is refused or does not fit, ReleaseBlockedError where it fails the
    release check and no reason is given, ServiceUnavailableError where it could not be recorded.
    """
    name = model_name(config, kind)
    if version == "latest":
        known = versions(config, name)
        if not known:
            raise ModelError(f"the registry has no version of {name}; `{trained_by(kind)}` makes one")
        found = known[0]
    else:
        found = get(config, name, version)
    may_load = checked(config, found)
    report = check_version(config, kind, found)
    overridden = require_release(report, because)
    reasons = "; ".join(filter(None, (why, overridden)))
    make_champion(config, may_load, "promoted by hand", by_whom=by_whom, why=reasons, report=report)
    drop_challenger(config, name, found.version)
    return get(config, name, found.version)


def roll_back(config: Settings, kind: str, *, by_whom: str, why: str) -> ModelVersion:
    """Make the version that served before the champion the champion again; recorded in `promotions`.

    By the record: a second rollback leads further back. Raises ModelError where no version served before, or where the
    one that did is refused.
    """
    name = model_name(config, kind)
    with session(config, read_only=True) as connection:
        found = promoted(connection, config, name)
    if len(found) < 2:
        raise ModelError(f"no version of {name} served before this one; promote one by its number")
    make_champion(config, checked_promoted(config, found[-2]), "rolled back", by_whom=by_whom, why=why)
    return get(config, name, found[-2].version)


def make_champion(
    config: Settings,
    version: Checked,
    act: str,
    *,
    by_whom: str,
    why: str,
    report: ReleaseReport | None = None,
) -> None:
    """Record that a checked version serves from now on, and point the registry's aliases to it.

    report : of the release check, where there was one; kept with the entry

    The aliases move between writing the entry and committing it: aliases that did not move leave no entry, and without
    a store nothing moves.
    """
    name = version.version.name
    with session(config) as connection:
        serving = promoted(connection, config, name)
        record_promotion(
            connection,
            name=name,
            version=version.version.version,
            before=serving[-1].version if serving else None,
            act=act,
            by_whom=by_whom,
            why=why or "no reason given",
            verdict={"release": report.model_dump(mode="json")} if report else {},
            sha256=version.sha256,
        )
        move_aliases(config, promoted(connection, config, name))


def check(config: Settings, kind: str, version: str) -> str | None:
    """Try a version again, whatever is remembered of it: a note where there is one.

    Raises ModelError where it is refused or does not fit, which is remembered.
    """
    return checked(config, get(config, model_name(config, kind), version), anew=True).note


def history(config: Settings, kind: str, limit: int) -> list[Promotion]:
    """Promotions, rejections and rollbacks of a model, newest first."""
    with session(config, read_only=True) as connection:
        return promotions(connection, name=model_name(config, kind), limit=limit)
