"""A stream that has run: a fleet scored by the real job, labelled by two people, and a store that shows it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from observed import Observed, Processes, start_cluster
from own_settings import register_champion, replaced, settings_of_ones_own

from activitymodule.days.columns import SCHEMA
from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.models.recalibration import Recalibration
from activitymodule.settings import Settings
from activitymodule.store import daily_records
from activitymodule.store.answers import answer
from activitymodule.store.connection import Connection, connect
from activitymodule.store.device_calibrations import add_calibration
from activitymodule.store.drift import Tripped, update_alarms
from activitymodule.store.leases import lease_next
from activitymodule.store.promotions import record_promotion
from activitymodule.store.queries import fetch_one
from activitymodule.store.retraining import begin_run, finish_run
from activitymodule.store.users import add_token

WATCHES = 40


@pytest.fixture(scope="session")
def prometheus_binaries() -> None:
    """Skip where Prometheus is not installed."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("there is no prometheus or no promtool here; apt-get install prometheus")


@pytest.fixture(scope="module")
def observed(
    stack: Any,
    trained: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Observed]:
    """A fleet and a scorer that run with Spark's figures on, their console, and what people made of the queue.

    For one file, not for the session: they would take the machine from every test that follows.
    """
    folder = tmp_path_factory.mktemp("observed")
    spark_ui, fleet_ui = any_free_port(), any_free_port()
    with settings_of_ones_own(stack, folder) as own, Processes(folder) as processes:
        own = replaced(
            own,
            queue={
                "items_per_hour": 3600,
                "burst": 600,
                "cooldown_minutes": 0,
                "overlap_share": 1,
                "audit_share": 0.7,
            },
            monitoring={"least_windows": 20},
            console={"port": any_free_port(), "secret": secrets.token_urlsafe(24)},
            spark={"driver_memory": "1g", "options": spark_options(spark_ui)},
        )
        register_champion(own, trained)
        environment = environment_of(own)
        connection = connect(own)
        token = add_token(connection, "prometheus")
        connection.commit()

        def count(query: str) -> int:
            with connection, connection.cursor() as cursor:
                cursor.execute(query)
                return int(cursor.fetchone()[0])

        score = processes.verb("score", environment=environment)
        fleet = processes.verb(
            "generate", "--devices", str(WATCHES), "--faults", "malformed=.05",
            environment=environment_of(replaced(own, spark={"options": spark_options(fleet_ui)})),
        )  # fmt: skip
        assert wait_until(
            lambda: (
                processes.alive(score)
                and count("SELECT count(*) FROM queue_items") >= 12
                # so many that of those whom two people label alike one is of the audit share
                and count("SELECT count(*) FROM queue_items WHERE stratum = 'audit'") >= 8
                # complete windows, enough for a drift report
                and count("SELECT coalesce(sum(windows), 0) FROM feature_minutes") >= WATCHES
                and count("SELECT count(*) FROM dead_letters") > 0
            ),
            900,
            pause=1,
        ), processes.output(score)
        label_and_judge(connection, own)
        connection.close()
        processes.verb("console", environment=environment)
        yield Observed(own, spark_ui, fleet_ui, token, processes, fleet)


def spark_options(port: int) -> dict[str, str]:
    """Those of docs/monitoring.md, Spark."""
    servlet = "spark.metrics.conf.*.sink.prometheusServlet"
    return {
        "spark.ui.enabled": "true",
        "spark.ui.port": str(port),
        "spark.ui.prometheus.enabled": "true",
        "spark.sql.streaming.metricsEnabled": "true",
        "spark.metrics.namespace": "activity",
        f"{servlet}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        f"{servlet}.path": "/metrics/prometheus",
    }


def label_and_judge(connection: Connection, settings: Settings) -> None:
    """Two people label, skip and differ; a measure drifts; a version is promoted, and another waits."""
    classifier = settings.registry.classifier
    with connection:
        # what was queued first may be doubtful throughout: the audit share is among the rest
        many = fetch_one(connection, "SELECT count(*) FROM queue_items WHERE closed_at IS NULL")[0] - 1
        for who in ("ann", "bob"):
            for number in range(many):
                item = lease_next(connection, who, 5)
                assert item is not None, "the queue is empty"
                if number == many - 1:
                    answer(connection, item.item_id, who, "skip", minutes=5, seconds=1.0)
                    continue
                # bob takes every third window for something else
                other = next(label for label in item.labels if label != item.activity)
                label = other if who == "bob" and number % 3 == 0 else item.activity
                answer(connection, item.item_id, who, "label", label, minutes=5, seconds=4.5)
        update_alarms(connection, "1", [Tripped("z_score", "log sd x", 7.5, 6.0)], datetime.now(UTC))
        record_promotion(
            connection,
            name=classifier,
            version="1",
            before=None,
            act="promoted",
            by_whom="ann",
            why="the first",
        )
        add_calibration(
            connection, classifier, "1", "empatica-e4", Recalibration(0.8, 0.9), by_whom="ann", labels=20
        )
        begin_run(connection, "run-1", started_by="ann", why="labels", options={"require_approval": True})
        finish_run(connection, "run-1", "waiting", "waits for a person")
        write_days(connection)


def write_days(connection: Connection) -> None:
    """Two days of two people, as a build and an import leave them."""
    today = datetime.now(UTC).date()
    rows = [
        {
            "participant": f"p{number % 2}",
            "date": today - timedelta(days=number // 2),
            "source": source,
            "zone": "UTC",
            "hours": 24.0,
            "wear_minutes": 700.0 * (number % 2),
            "completeness": 0.5,
            "minutes": [("walking", 30.0)],
            "workout": "walking",
            "workout_minutes": 20.0,
            "workout_kcal": 90.0,
            "steps": 3000.0,
            "kcal": 900.0,
        }
        for number in range(4)
        for source in ("devices", "fitbit")
    ]
    daily_records.replace_between(
        connection, today - timedelta(days=1), today, pa.Table.from_pylist(rows, SCHEMA)
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of the web pages of a Spark master and a worker of it, with the project's metrics.properties."""
    folder = tmp_path_factory.mktemp("cluster")
    with Processes(folder) as processes:
        yield start_cluster(processes, folder)
