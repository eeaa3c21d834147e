"""Each service's role may do what the service does, and no more (sql/roles.sql, sql/grants.sql)."""

from __future__ import annotations

import os
import secrets
import subprocess

import psycopg2
import pytest
from own_settings import replaced, settings_of_ones_own

from activitymodule import settings as config
from activitymodule.embedded.postgres import SUPERUSER
from activitymodule.embedded.psql import find_psql, psql_libraries
from activitymodule.lake import predictions as lake
from activitymodule.store.batches import begin_batch, finish_batch
from activitymodule.store.connection import connect, session
from activitymodule.store.migrate import upgrade
from activitymodule.store.models import record_model_version
from activitymodule.store.people import people_for, upsert_people
from activitymodule.store.predictions import write_predictions
from activitymodule.store.users import add_user
from activitymodule.synthesis.people import people
from activitymodule.workflows.retention import run

pytestmark = pytest.mark.integration

SERVICES = ("generator", "scorer", "console", "airflow", "registry", "reader", "sender")


@pytest.fixture(scope="module")
def passwords(stack):
    """The password of each service's role; roles.sql has been run, twice, as at two starts."""
    made = {service: secrets.token_urlsafe(12) for service in SERVICES}
    store = stack.settings.store
    psql = find_psql()
    environment = {
        **os.environ,
        **psql_libraries(psql),
        "PGHOST": store.host,
        "PGPORT": str(store.port),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
        "PGPASSWORD": store.admin_password.get_secret_value(),
        "STORE_OWNER_PASSWORD": store.password.get_secret_value(),
        **{f"STORE_{service.upper()}_PASSWORD": password for service, password in made.items()},
    }
    script = config.project_root() / "sql" / "roles.sql"
    for _ in range(2):
        ran = subprocess.run(
            [psql, "--no-psqlrc", "--quiet", f"--file={script}"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    return made


@pytest.fixture(scope="module")
def owner(stack, passwords, tmp_path_factory):
    """Settings of the owner of a store whose grants are in force."""
    with settings_of_ones_own(stack, tmp_path_factory.mktemp("roles")) as own:
        upgrade(own)  # the database that this one was copied from may be older than the roles
        yield own


@pytest.fixture
def as_role(owner, passwords):
    """A function: service -> settings with which it connects to that store."""

    def settings_of(service):
        return replaced(owner, store={"user": f"activity_{service}", "password": passwords[service]})

    return settings_of


def attempt(settings, statement):
    """The name of the error that a statement ends with, None where it may be done."""
    connection = connect(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        return None
    except psycopg2.Error as error:
        return type(error).__name__
    finally:
        connection.close()


def test_the_scorer_scores_and_the_generator_writes_people(as_role, make_rows):
    generating = connect(as_role("generator"))
    wearers = people(3, 1)
    assert upsert_people(generating, wearers) == 3
    generating.commit()
    scoring = connect(as_role("scorer"))
    assert len(people_for(scoring, wearers.column("device_id").to_pylist())) == 3
    rows = make_rows(2, 5)
    record_model_version(scoring, name="m", version="1", labels=rows.labels, feature_version="f")
    begin_batch(
        scoring,
        query_id="q",
        batch_id=1,
        topic="t",
        offsets={0: (0, 5)},
        model_version="1",
        energy_version=None,
    )
    assert write_predictions(scoring, rows) == 10
    assert write_predictions(scoring, make_rows(2, 5, readings=101)) == 10
    finish_batch(scoring, query_id="q", batch_id=1, windows=10)
    scoring.commit()
    reading = connect(as_role("reader"))
    with reading.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM predictions")
        assert cursor.fetchone() == (10,)
    for connection in (generating, scoring, reading):
        connection.close()


def test_airflow_moves_old_predictions_and_deletes_what_is_due(as_role, make_rows):
    scoring = connect(as_role("scorer"))
    assert (
        write_predictions(scoring, make_rows(2, 5, device="other-")) == 10
    )  # of a day that has no partition yet
    with scoring.cursor() as cursor:
        cursor.execute("UPDATE predictions SET processed_at = window_end")
        rows = cursor.rowcount
    scoring.commit()
    scoring.close()
    airflow = replaced(as_role("airflow"), retention={"predictions_days": 30})
    report = run.apply(airflow)
    assert report.failed == ()
    assert next(one.count for one in report.kinds if one.moved) == rows >= 10
    assert lake.read(airflow).num_rows == rows


def test_the_console_adds_users_and_labels(as_role):
    connection = connect(as_role("console"))
    assert add_user(connection, "anna", "annotator", "long enough a word").name == "anna"
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        ("generator", "SELECT * FROM predictions"),
        ("generator", "SELECT * FROM users"),
        ("scorer", "SELECT * FROM users"),
        ("scorer", "DELETE FROM predictions"),
        ("scorer", "INSERT INTO annotations DEFAULT VALUES"),
        ("scorer", "UPDATE participants SET weight_kg = 1"),
        ("console", "UPDATE predictions SET activity = NULL"),
        ("console", "DELETE FROM annotations"),
        ("console", "UPDATE spans SET label = 'x'"),
        ("scorer", "SELECT * FROM spans"),
        ("airflow", "INSERT INTO spans DEFAULT VALUES"),
        ("console", "DELETE FROM promotions"),
        ("console", "INSERT INTO predictions DEFAULT VALUES"),
        ("airflow", "SELECT * FROM users"),
        ("airflow", "SELECT * FROM ingest_tokens"),
        ("airflow", "UPDATE predictions SET activity = NULL"),
        ("airflow", "DELETE FROM predictions"),
        ("airflow", "DELETE FROM annotations"),
        ("airflow", "DELETE FROM promotions"),
        ("airflow", "DROP TABLE predictions_default"),
        ("scorer", "SELECT take_out_prediction_day('predictions_20200101')"),
        ("console", "SELECT take_late_predictions('2020-01-01')"),
        ("reader", "SELECT make_prediction_days('2020-01-01', '2020-01-01')"),
        ("reader", "SELECT analyse_new_prediction_days()"),
        ("reader", "SELECT * FROM users"),
        ("reader", "SELECT readings FROM queue_items"),
        ("reader", "SELECT payload FROM dead_letters"),
        ("reader", "SELECT * FROM people"),
        ("reader", "SELECT annotator FROM annotations"),
        ("reader", "SELECT note FROM spans"),
        *((service, "CREATE TABLE mine (a int)") for service in SERVICES if service != "registry"),
    ],
)
def test_what_a_role_may_not(as_role, service, statement):
    refused = "ReadOnlySqlTransaction" if statement.startswith("CREATE") and service == "reader" else None
    assert attempt(as_role(service), statement) in (refused, "InsufficientPrivilege")
    assert attempt(as_role(service), statement) is not None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT device_id, stratum, queued_at FROM queue_items",
        "SELECT reason, noticed_at FROM dead_letters",
        "SELECT * FROM current_activity",
        "SELECT * FROM predictions_readable",
        "SELECT * FROM bouts",
        "SELECT * FROM gold_labels",
        "SELECT device_id, span_start, span_end, label, undoes FROM spans",
    ],
)
def test_what_the_reader_may(as_role, statement):
    assert attempt(as_role("reader"), statement) is None


def test_privileges_that_are_no_longer_listed_are_revoked(as_role, owner):
    with session(owner) as connection, connection.cursor() as cursor:
        cursor.execute("GRANT SELECT ON users TO activity_reader")
    assert attempt(as_role("reader"), "SELECT * FROM users") is None
    upgrade(owner)
    assert attempt(as_role("reader"), "SELECT * FROM users") == "InsufficientPrivilege"
