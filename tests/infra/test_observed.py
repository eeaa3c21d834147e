"""Dashboards and alerts on a stream that runs: every query of the store answered to Grafana's own user, and every
expression by a Prometheus that scrapes it. One file, so that the stream is started once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
import yaml
from grafana import Query, expanded, queries
from ledger import kill_java
from observed import Observed, Processes
from own_settings import replaced
from prometheus import ALERTS, FOLDER, names_in
from psycopg2 import sql
from receiver import receiver
from told import all_events
from verbs import Verbs

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.errors import JavaEndedError
from activitymodule.kafka.clients import consumer, partitions, read_until
from activitymodule.lake.erasing import Eraser, Folder
from activitymodule.settings import Settings, location, project_root
from activitymodule.store.connection import session
from activitymodule.store.erasures import left, traces_of
from activitymodule.store.queries import fetch_value
from activitymodule.workflows.events import webhooks
from activitymodule.workflows.events.sending import Sender

# the first test waits for a stream with seven processes
pytestmark = [pytest.mark.timeout(1500), pytest.mark.e2e, pytest.mark.integration]

STORE_QUERIES = [query for query in queries() if query.of_store]
EXPRESSIONS = [query for query in queries() if not query.of_store]
# known to PromQL or to Prometheus itself
_ITS_OWN = {"up", "ALERTS"}


# ---- queries of the store ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(observed: Observed) -> Iterator[Any]:
    """A connection as a user with the rights that sql/grants.sql gives dashboards, and no others."""
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


def result_of(reader: Any, query: Query) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a query, over the hours in which the fleet lived, or its days."""
    now = datetime.now(UTC)
    since = now - timedelta(days=2) if query.dashboard == "days" else now - timedelta(hours=2)
    with reader.cursor() as cursor:
        cursor.execute(expanded(query.text, since, now + timedelta(minutes=1)))
        return [column.name for column in cursor.description], cursor.fetchall()


@pytest.mark.parametrize("query", STORE_QUERIES, ids=str)
def test_every_panel_of_the_store_has_rows(reader: Any, query: Query):
    columns, rows = result_of(reader, query)
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
    return result_of(reader, query)[1]


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
    many = sum(labels.values())
    windows, disputed = many // 2, -(-many // 6)  # bob differs in every third
    assert counted > 0
    assert sum(row[2] for row in rows_of(reader, "Labels an hour")) == many
    assert {row[1]: row[2] for row in rows_of(reader, "Answers by kind")} == {"label": many, "skip": 2}
    assert sum(row[2] for row in rows_of(reader, "Activities")) == counted
    assert sum(row[1] for row in rows_of(reader, "Confidences")) == counted
    assert {row[0]: row[1] for row in rows_of(reader, "Dead letters by reason")} == dead
    as_model = rows_of(reader, "Labels and the model")
    assert sum(row[1] for row in as_model) == many
    assert sum(row[1] * row[2] for row in as_model) == pytest.approx(many - disputed)
    outcome = dict(rows_of(reader, "Windows labelled by several"))
    assert outcome["disputed"] == disputed
    assert sum(outcome.values()) == windows


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


# ---- a Prometheus that scrapes a stream --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask(
    prometheus_binaries: None,
    observed: Observed,
    cluster: tuple[int, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Any]]:
    """A function: path of Prometheus' API, parameters -> data. It scrapes by the project's own configuration, of
    which only addresses, the token's file and the interval are others."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "token").write_text(observed.token)
    shutil.copy(FOLDER / "rules.yml", folder)
    master, worker = cluster
    port = any_free_port()
    there = {
        "console:18080": f"127.0.0.1:{observed.settings.console.port}",
        "scorer:4040": f"127.0.0.1:{observed.spark_ui}",
        "generator:4040": f"127.0.0.1:{observed.fleet_ui}",
        "spark-master:8080": f"127.0.0.1:{master}",
        "localhost:9090": f"127.0.0.1:{port}",
        "/run/secrets/metrics_token": str(folder / "token"),
        "_interval: 15s": "_interval: 2s",
    }
    text = (FOLDER / "prometheus.yml").read_text()
    for name, address in there.items():
        assert name in text
        text = text.replace(name, address)
    configuration = yaml.safe_load(text)
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    del jobs["spark-worker"]["dns_sd_configs"]
    jobs["spark-worker"]["static_configs"] = [{"targets": [f"127.0.0.1:{worker}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with Processes(folder) as processes:
        process = processes.start(
            "prometheus",
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
        )  # fmt: skip

        def ask(path: str, **parameters: str) -> Any:
            answer = requests.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=parameters, timeout=30)
            assert answer.ok, answer.text
            return answer.json()["data"]

        def scraped() -> bool:
            processes.alive(process)
            try:
                return all(target["health"] == "up" for target in ask("targets")["activeTargets"])
            except (requests.RequestException, AssertionError):
                return False

        up = wait_until(scraped, 300, pause=1)
        assert up, [(one["scrapeUrl"], one["lastError"]) for one in ask("targets")["activeTargets"]]
        # agreement and drift come beside an answer of the console, and a rate needs two of them
        assert wait_until(lambda: bool(ask("query", query="activity_drift_measure")["result"]), 300, pause=1)
        assert wait_until(lambda: bool(ask("query", query="activity:lag_seconds")["result"]), 60, pause=1), (
            "the rule was never evaluated"
        )
        yield ask


def test_every_job_has_a_target_that_is_up(ask: Callable[..., Any]):
    jobs = {target["labels"]["job"] for target in ask("targets")["activeTargets"]}
    assert jobs == {
        "prometheus", "console", "scorer", "scorer-executors", "generator", "spark-master", "spark-applications",
        "spark-worker",
    }  # fmt: skip


@pytest.mark.parametrize("query", EXPRESSIONS, ids=str)
def test_every_expression_of_a_dashboard_has_data(ask: Callable[..., Any], query: Query):
    expression = expanded(query.text, datetime.now(UTC), datetime.now(UTC))
    # a figure of the last minute is not there between two windows of a scorer that is short of time
    assert wait_until(lambda: bool(ask("query", query=expression)["result"]), 300, pause=1), expression


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_name_in_an_alert_is_known_and_it_is_evaluated(ask: Callable[..., Any], name: str):
    known = set(ask("label/__name__/values")) | _ITS_OWN
    assert names_in(ALERTS[name]["expr"]) <= known
    rules = {rule["name"]: rule for group in ask("rules")["groups"] for rule in group["rules"]}
    assert wait_until(
        lambda: {
            rule["name"]: rule for group in ask("rules")["groups"] for rule in group["rules"]
        }[name]["health"] == "ok",
        30,
    ), rules[name]  # fmt: skip


def test_names_of_spark_hold_no_id_of_an_application(ask: Callable[..., Any]):
    for name in ask("label/__name__/values"):
        assert not re.search(r"(app_|local_)\d", name), name
    series = ask("series", **{"match[]": '{job=~"scorer.*|spark-.*"}'})
    assert series
    assert not any({"application_id", "type"} & set(one) for one in series)
    assert {one["query"] for one in series if one["__name__"] == "spark_streaming_latency"} == {"score"}


# ---- activity events of the stream -----------------------------------------------------------------------------------


def test_what_the_scorer_tells_reaches_the_topic_and_a_webhook(observed: Observed) -> None:
    own = replaced(observed.settings, events={"webhook_networks": ["127.0.0.1"]})
    sender = Sender(own)
    with receiver() as taking, ThreadPoolExecutor(1) as threads:
        taking.secret = webhooks.add(own, taking.url).secret
        sent = threads.submit(sender.run)
        try:
            assert wait_until(lambda: len(taking.taken) >= 2 or sent.done(), 180, pause=0.2)
        finally:
            sender.stop()
        # a sender that is stopped may leave to the next one what a webhook already has
        both = [sent.result(), Sender(own, once=True).run()]
    assert sum(one.delivered for one in both) == len(taking.taken) >= 2
    with session(own, read_only=True) as connection:
        told = {str(event.id): json.loads(event.message()) for event in all_events(connection)}
    assert [told[event["id"]] for event in taking.taken] == taking.taken
    with consumer(own) as client:
        parts = partitions(client, own, own.events.topic)
        client.assign(parts)
        client.seek_to_beginning(*parts)
        ends = {part: end for part, end in client.end_offsets(parts).items() if end}
        topic = [json.loads(one.value) for records in read_until(client, own, ends) for one in records]
    assert len(topic) == sum(one.sent for one in both)
    assert {event["id"] for event in taking.taken} <= {event["id"] for event in topic} <= {*told}


# ---- the rights of a person, on the stream that goes on (what it removes is gone) -----------------------------------


def test_a_person_is_exported_and_erased_while_their_watch_goes_on_sending(
    observed: Observed,
    verbs: Verbs,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path: Path,
) -> None:
    own = observed.settings
    lake = Folder(location(own.lake.folder), "lake")

    def asked(query: str, *values: object) -> Any:
        with session(own, read_only=True) as connection:
            return fetch_value(connection, query, values)

    # one of whom there are labels, which refuse to be deleted, predictions and events
    who = asked("SELECT device_id FROM annotations GROUP BY device_id ORDER BY count(*) DESC LIMIT 1")
    with session(own, read_only=True) as connection:
        traces = traces_of(connection, who)
    files = Eraser(lake, traces, own.telemetry)
    assert wait_until(lambda: bool(files.left()), 120, pause=1), "nothing of them was archived"
    exported = verbs.run(environment_of(own), "people", "export", who, "--out", str(tmp_path / "theirs.zip"))
    assert exported.returncode == 0, exported.stderr
    erased = verbs.run(environment_of(own), "people", "erase", who, "--yes", "--json")
    assert erased.returncode == 0, erased.stderr
    removed = json.loads(erased.stdout)["removed"]
    assert {"store: predictions", "store: annotations", "store: participants", "lake/archive"} <= {*removed}
    newest = "SELECT max(batch_id) FROM batches"
    before = asked(newest)
    assert wait_until(lambda: asked(newest) >= before + 3, 120, pause=0.2), "the stream does not go on"
    with session(own, read_only=True) as connection:
        assert left(connection, traces) == {}
    assert files.left() == []


# ---- a fleet without Java (last: it is gone) -------------------------------------------------------------------------


def test_a_fleet_whose_java_is_killed(observed: Observed) -> None:
    fleet = observed.fleet
    kill_java(fleet.pid)
    assert fleet.wait(240) == JavaEndedError.exit_code
    output = observed.processes.output(fleet)
    assert output.count("signal 9") == 1
    assert "Traceback" not in output
    assert not list(Path(observed.settings.spark.checkpoints).glob("generate-*"))
