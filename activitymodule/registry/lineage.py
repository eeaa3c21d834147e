"""Lineage of a model: fingerprints of its data, configuration and file, the code and the libraries."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from activitymodule import __version__
from activitymodule.models.export import LINEAGE_FILE
from activitymodule.settings import Settings, project_root
from activitymodule.windows.catalogue import FEATURES_VERSION

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "skops", "pyarrow")


Surroundings = dict[str, str | dict[str, str | None] | None]


def fingerprint(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def code_revision() -> str | None:
    """The commit of the checkout this code runs from, `+` where it was changed since; None outside of one."""
    root = project_root()
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            encoding="utf-8",
            errors="replace",
        )
        return described.stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def smoothing(config: Settings) -> dict[str, object]:
    """The settings of scoring that a version's figures depend on."""
    return config.scoring.model_dump(include={"smoothing_windows", "smoothing_stay"})


def surroundings() -> Surroundings:
    """The code, the libraries and the machine that a model is trained with here."""
    return {
        "code": {"version": __version__, "revision": code_revision()},
        "features_version": FEATURES_VERSION,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            # which of their kernels libraries choose here: the last bits of a sum depend on it
            "blas": _kernels(),
            "simd": ", ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),
        },
    }


def _kernels() -> str:
    """The linear algebra libraries of this process, with the processor that they were tuned for."""
    found = {
        f"{one.get('internal_api')} {one.get('version')} {one.get('architecture', '')}".strip()
        for one in threadpool_info()
        if one.get("user_api") == "blas"
    }
    return ", ".join(sorted(found))


def write_lineage(
    folder: Path,
    *,
    data: Mapping[str, Any],
    config: Mapping[str, Any],
    model_sha256: str,
    parents: Mapping[str, str] | None = None,
) -> None:
    """Write lineage.json into a model's folder.

    data : what it learned from, with the `sha256` of the snapshot; config : settings and parameters in force
    parents : versions of other models it was made with
    """
    lineage = {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": dict(data),
        "config": {"sha256": fingerprint(config), "values": dict(config)},
        "model": {"sha256": model_sha256},
        "parents": dict(parents or {}),
        **surroundings(),
    }
    (folder / LINEAGE_FILE).write_text(json.dumps(lineage, indent=1, default=str) + "\n", encoding="utf-8")
