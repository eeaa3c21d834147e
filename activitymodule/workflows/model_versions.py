"""Versions of all models, and one of them with its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from activitymodule.errors import ModelError
from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE
from activitymodule.models.thresholds import Thresholds, read_thresholds
from activitymodule.registry.versions import ModelVersion, fetch, get, versions
from activitymodule.serving.record import names, problems, serving_version
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.model_checks import newest_checks
from activitymodule.store.model_exports import ModelExport, exports_of
from activitymodule.workflows.promotion import model_name, trained_by


@dataclass(frozen=True)
class Row:
    """A version as lists show it. created_at : ISO 8601, UTC; data : what it was trained on; run_id : MLflow's;
    refusal : why it must not be loaded, where its check said so"""

    name: str
    version: str
    aliases: tuple[str, ...]
    created_at: str | None
    data: str
    run_id: str
    refusal: str | None = None


@dataclass(frozen=True)
class Details:
    """A version with the content of its files, which are JSON; folder : where they are; exports : to other formats"""

    version: Row
    folder: Path
    card: Any
    metrics: Any
    lineage: Any
    exports: tuple[ModelExport, ...] = ()
    thresholds: Thresholds | None = None

    def document(self) -> dict[str, object]:
        """All of it as one object."""
        files = {
            "card": self.card,
            "metrics": self.metrics,
            "lineage": self.lineage,
            "thresholds": self.thresholds,
            "exports": self.exports,
        }
        return {**asdict(self.version), "folder": self.folder, **files}


def row_of(version: ModelVersion, refusal: str | None = None) -> Row:
    """What lists show of a version."""
    created = version.created_at.isoformat(timespec="seconds") if version.created_at else None
    data = version.tags.get("data", "")
    return Row(version.name, version.version, version.aliases, created, data, version.run_id, refusal)


def all_versions(config: Settings) -> list[Row]:
    """The versions of all models, newest first."""
    known = list(names(config).values())
    with session(config, read_only=True) as connection:
        refusals = {(one.name, one.version): one.refusal for one in newest_checks(connection, known)}
    return [
        row_of(version, refusals.get((name, version.version)))
        for name in known
        for version in versions(config, name)
    ]


def problems_of_serving(config: Settings, *, download: bool = False) -> list[str]:
    """A sentence on each thing that is wrong with what serves: aliases moved elsewhere, a champion that is refused.

    download : compare the registry's files with those that were promoted, too. Raises ServiceUnavailableError.
    """
    with session(config, read_only=True) as connection:
        found = problems(config, connection, download=download)
    return [sentence for sentences in found.values() for sentence in sentences]


def details(config: Settings, kind: str, version: str | None = None) -> Details:
    """One version, the champion where None. Raises ModelError where there is none."""
    name = model_name(config, kind)
    serving = serving_version(config, name) if version is None else None
    if version is None and serving is None:
        raise ModelError(f"{name} has no champion yet; `{trained_by(kind)}` makes one")
    found = get(config, name, version or (serving.version if serving else ""))
    folder = fetch(config, found)
    card, metrics, lineage = (
        json.loads((folder / file).read_text(encoding="utf-8"))
        for file in (CARD_FILE, METRICS_FILE, LINEAGE_FILE)
    )
    with session(config, read_only=True) as connection:
        exports = tuple(exports_of(connection, name, found.version).values())
    return Details(row_of(found), folder, card, metrics, lineage, exports, read_thresholds(folder))
