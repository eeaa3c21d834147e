"""The dashboards as they are built. test_observed runs their queries on a stream."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from grafana import FOLDER, dashboards, expanded


def provisioned(kind: str) -> dict[str, Any]:
    (file,) = (FOLDER / "provisioning" / kind).glob("*.yaml")
    return yaml.safe_load(file.read_text())


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """infra/grafana/build.py as a module, its folder on the path as when it is run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("build_dashboards", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_build_writes(build: ModuleType):
    built = json.loads(json.dumps(build.dashboards()))
    assert dashboards() == built, "run `python infra/grafana/build.py`"


def test_a_dashboard_is_one_module(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "added.py").write_text(
        "from boards.panels import dashboard\n"
        "DASHBOARD = dashboard('activity-added', 'Added', 'One more.', [])\n"
    )
    monkeypatch.setattr(build.boards, "__path__", [*build.boards.__path__, str(tmp_path)])
    assert set(build.dashboards()) == {*dashboards(), "added"}


def test_data_sources_have_the_uids_and_kinds_that_panels_ask():
    sources = {one["uid"]: one["type"] for one in provisioned("datasources")["datasources"]}
    used = {
        (source["uid"], source["type"])
        for made in dashboards().values()
        for panel in made["panels"]
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"]))
    } | {
        (one["datasource"]["uid"], one["datasource"]["type"])
        for made in dashboards().values()
        for one in made["annotations"]["list"]
    }
    assert used == set(sources.items())


def test_the_password_is_not_in_the_files():
    (store,) = (one for one in provisioned("datasources")["datasources"] if one["uid"] == "activity-store")
    assert store["secureJsonData"] == {"password": "$ACTIVITY_READER_PASSWORD"}
    assert (store["url"], store["user"], store["jsonData"]["database"]) == (
        "store:5432", "activity_reader", "activity",
    )  # fmt: skip


def test_dashboards_are_taken_from_their_folder():
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_panels_say_what_they_are_and_do_not_overlap(name: str):
    made = dashboards()[name]
    assert made["uid"] == f"activity-{name}"
    assert made["refresh"] == "10s"
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    assert len({panel["title"] for panel in made["panels"]}) == len(made["panels"])
    for panel in made["panels"]:
        assert panel["description"], panel["title"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in combinations(made["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        )  # fmt: skip
        assert apart, f"{one['title']} and {other['title']}"


def test_macros_are_written_out_as_grafana_does():
    since, until = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    text = expanded(
        "SELECT $__timeGroupAlias(at, $__interval) FROM x WHERE $__timeFilter(x.at) AND $__timeTo() > now()",
        since,
        until,
    )
    assert text == (
        'SELECT floor(extract(epoch from at)/60)*60 AS "time" FROM x '
        "WHERE x.at BETWEEN '2026-01-02T00:00:00Z' AND '2026-01-03T00:00:00Z' AND '2026-01-03T00:00:00Z' > now()"
    )
    with pytest.raises(AssertionError, match="does not know"):
        expanded("SELECT $__timeGruop(at, 1m)", since, until)
