"""Promotion and rollback by hand: a person makes a version champion, which is recorded."""

from __future__ import annotations

from collections.abc import Callable

from activitymodule.errors import ModelError
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.registry.versions import (
    ModelVersion,
    champion,
    drop_challenger,
    fetch,
    get,
    previous,
    rollback,
    set_champion,
    versions,
)
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.promotions import Promotion, promotions, record_promotion


def model_name(config: Settings, kind: str) -> str:
    """The registry's name of the activity or energy model."""
    return config.registry.classifier if kind == "activity" else config.registry.regressor


def promote_by_hand(config: Settings, kind: str, version: str, *, by_whom: str, why: str) -> ModelVersion:
    """Make a version (its number, or `latest`) champion whatever the gate says; recorded in `promotions`.

    Raises ModelError where it does not load or fit, ServiceUnavailableError where it could not be recorded.
    """
    name = model_name(config, kind)
    if version == "latest":
        known = versions(config, name)
        if not known:
            raise ModelError(f"the registry has no version of {name}; `activity train {kind}` makes one")
        found = known[0]
    else:
        found = get(config, name, version)
    _must_fit(config, found, kind)
    _recorded(
        config, name, found.version, "promoted by hand", by_whom, why, lambda: set_champion(config, found)
    )
    drop_challenger(config, name, found.version)
    return get(config, name, found.version)


def roll_back(config: Settings, kind: str, *, by_whom: str, why: str) -> ModelVersion:
    """Make the previous champion the champion again; recorded in `promotions`."""
    name = model_name(config, kind)
    found = previous(config, name)
    if found is None:
        raise ModelError(f"no version of {name} served before this one; promote one by its number")
    _recorded(config, name, found.version, "rolled back", by_whom, why, lambda: rollback(config, name))
    return get(config, name, found.version)


def history(config: Settings, kind: str, limit: int) -> list[Promotion]:
    """Promotions, rejections and rollbacks of a model, newest first."""
    with session(config, read_only=True) as connection:
        return promotions(connection, name=model_name(config, kind), limit=limit)


def _recorded(
    config: Settings, name: str, version: str, act: str, by_whom: str, why: str, move: Callable[[], object]
) -> None:
    """Move the alias between writing the entry and committing it.

    So an alias that did not move leaves no entry, and without a store no alias moves unrecorded.
    """
    serving = champion(config, name)
    with session(config) as connection:
        record_promotion(
            connection,
            name=name,
            version=version,
            before=serving.version if serving else None,
            act=act,
            by_whom=by_whom,
            why=why or "no reason given",
        )
        move()


def _must_fit(config: Settings, version: ModelVersion, kind: str) -> None:
    stored = ModelBytes.read(fetch(config, version), version.version, config.models.max_megabytes)
    load_model(stored, kind, config.windows)
