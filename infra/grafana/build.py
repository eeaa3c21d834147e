"""Writes the dashboards: `python infra/grafana/build.py`.

Every module of boards/ with a DASHBOARD makes one file in dashboards/; SQL and PromQL stand there as one reads them.
tests/infra runs every query and compares the files with what this writes.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import boards
from boards.panels import Json

FOLDER = Path(__file__).with_name("dashboards")


def dashboards() -> dict[str, Json]:
    """Name of the file -> dashboard."""
    modules = [importlib.import_module(f"boards.{one.name}") for one in pkgutil.iter_modules(boards.__path__)]
    made = [module.DASHBOARD for module in modules if hasattr(module, "DASHBOARD")]
    return {one["uid"].removeprefix("activity-"): one for one in made}


def main() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in dashboards().items():
        (FOLDER / f"{name}.json").write_text(
            json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
