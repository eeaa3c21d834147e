"""The dashboards: as they are built, whole, and every query of the store answered to Grafana's own user."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
import yaml
from grafana import FOLDER, Query, dashboards, expanded, queries
from observed import Observed
from psycopg2 import sql

# the first test waits for a stream with seven processes
pytestmark = pytest.mark.timeout(1500)

STORE_QUERIES = [query for query in queries() if query.of_store]


def provisioned(kind: str) -> dict[str, Any]:
    (file,) = (FOLDER / "provisioning" / kind).glob("*.yaml")
    return yaml.safe_load(file.read_text())


# ---- files -------------------------------------------------------------------------------------------------------


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
    asked = {
        (source["uid"], source["type"])
        for made in dashboards().values()
        for panel in made["panels"]
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"]))
    } | {
        (one["datasource"]["uid"], one["datasource"]["type"])
        for made in dashboards().values()
        for one in made["annotations"]["list"]
    }
    assert asked == set(sources.items())


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


# ---- queries of the store ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(observed: Observed) -> Iterator[Any]:
    """A connection as a user with the rights that sql/grants.sql gives dashboards, and no others."""
    from activitymodule.embedded.postgres import Postgres
    from activitymodule.settings import project_root

    own = observed.settings
    name = f"reader_{own.store.database}"
    admin = Postgres(own).connect(own.store.database)
    with admin.cursor() as cursor:
        role = sql.Identifier(name)
        cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
        grants = (project_root() / "sql" / "grants.sql").read_text()
        cursor.execute(grants.replace("activity_reader", name))
        cursor.execute(sql.SQL("SET ROLE {}").format(role))
        cursor.execute("SET default_transaction_read_only = on")
    yield admin
    with admin.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))
    admin.close()


def asked(reader: Any, query: Query) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a query, over the hours in which the fleet lived."""
    now = datetime.now(UTC)
    with reader.cursor() as cursor:
        cursor.execute(expanded(query.text, now - timedelta(hours=2), now + timedelta(minutes=1)))
        return [column.name for column in cursor.description], cursor.fetchall()


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.parametrize("query", STORE_QUERIES, ids=str)
def test_every_panel_of_the_store_has_rows(reader: Any, query: Query):
    columns, rows = asked(reader, query)
    assert rows
    assert len(columns) == len(set(columns))
    if query.kind in ("timeseries", "annotations"):
        assert columns[0] == "time"
    if query.kind == "timeseries":
        numbers = [
            place for place, value in enumerate(rows[0]) if place and isinstance(value, int | float | Decimal)
        ]
        texts = [place for place, value in enumerate(rows[0]) if isinstance(value, str)]
        # a label goes with one number: Grafana would show neither otherwise
        assert len(numbers) == 1 or not texts
        assert numbers
        assert all(row[place] is not None for row in rows for place in numbers)
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    if query.kind == "barchart":
        assert isinstance(rows[0][0], str)


def rows_of(reader: Any, panel: str) -> list[tuple[Any, ...]]:
    (query,) = (one for one in STORE_QUERIES if one.panel == panel and one.kind != "annotations")
    return asked(reader, query)[1]


@pytest.mark.e2e
@pytest.mark.integration
def test_panels_add_up_to_what_is_stored(reader: Any):
    with reader.cursor() as cursor:
        # the stream goes on: all that is compared is of one moment
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT label, count(*) FROM annotations WHERE answer = 'label' GROUP BY label")
        labels = dict(cursor.fetchall())
        cursor.execute("SELECT coalesce(sum(windows), 0) FROM feature_minutes")
        counted = cursor.fetchone()[0]
        cursor.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason")
        dead = dict(cursor.fetchall())
        try:
            add_up(reader, labels, counted, dead)
        finally:
            cursor.execute("ROLLBACK")


def add_up(reader: Any, labels: dict[str, int], counted: int, dead: dict[str, int]) -> None:
    assert sum(labels.values()) == 18
    assert counted > 0
    assert sum(row[2] for row in rows_of(reader, "Labels an hour")) == 18
    assert {row[1]: row[2] for row in rows_of(reader, "Answers by kind")} == {"label": 18, "skip": 2}
    assert sum(row[2] for row in rows_of(reader, "Activities")) == counted
    assert sum(row[1] for row in rows_of(reader, "Confidences")) == counted
    assert {row[0]: row[1] for row in rows_of(reader, "Dead letters by reason")} == dead
    as_model = rows_of(reader, "Labels and the model")
    assert sum(row[1] for row in as_model) == 18
    assert sum(row[1] * row[2] for row in as_model) == pytest.approx(15)  # bob differs in 3
    outcome = dict(rows_of(reader, "Windows labelled by several"))
    assert outcome["disputed"] == 3


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT payload FROM dead_letters",
        "SELECT detail FROM dead_letters",
        "SELECT readings FROM queue_items",
        "SELECT annotator FROM annotations",
        "SELECT note FROM annotations",
        "SELECT by_whom FROM promotions",
        "SELECT started_by FROM retrain_runs",
        "SELECT * FROM users",
        "SELECT * FROM ingest_tokens",
        "SELECT * FROM people",
    ],
)
def test_the_reader_sees_nothing_of_persons(reader: Any, statement: str):
    with reader.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(statement)
