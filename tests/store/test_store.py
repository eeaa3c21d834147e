"""The rest of the store: migrations, batches, people, dead letters, the lease, and errors in one sentence."""

from __future__ import annotations

import threading
import time

import numpy as np
import psycopg2
import pyarrow as pa
import pytest

from activitymodule import settings as config
from activitymodule.errors import ConfigError, DataError, RefusedError, ServiceUnavailableError
from activitymodule.store import migrate
from activitymodule.store.batches import begin_batch, finish_batch, knows_query, last_offsets, record_late
from activitymodule.store.connection import connect, explained, reachable, session
from activitymodule.store.dead_letters import (
    DeadLetters,
    Selection,
    list_dead_letters,
    mark_replayed,
    summarize_dead_letters,
    write_dead_letters,
)
from activitymodule.store.inspect import ask, summarize, table_sizes
from activitymodule.store.leases import ScorerLease
from activitymodule.store.live import LEAST_SECONDS, count_dead_letters, take_pulse
from activitymodule.store.models import labels_of, record_model_version
from activitymodule.store.people import people_changed, people_for, people_of, upsert_people
from activitymodule.store.predictions import write_predictions

integration = pytest.mark.integration


def letters(n=3, **over):
    return DeadLetters(
        **{
            "topic": "t",
            "partition": np.zeros(n, np.int32),
            "offset": np.arange(n),
            "item": np.full(n, -1),
            "device_id": ["a", None, "b\0c"][:n],
            "reason": ["not_json"] * n,
            "detail": ["x", None, "half \ud800 and \0"][:n],
            "payload": [b"\x00\xff\x1b[2J", None, b"x" * 100_000][:n],
            "kafka_at_us": np.full(n, 1_790_000_000_000_001),
            **over,
        }
    )


# ---- migrations -------------------------------------------------------------------------------------------


@integration
def test_migrations_of_several_at_once_happen_once(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    found, errors = [], []

    def run():
        try:
            found.append(migrate.upgrade(fresh_settings))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(bool(before.pending) for before in found) == 1
    assert migrate.schema(fresh_settings).up_to_date
    assert migrate.upgrade(fresh_settings).pending == ()


@integration
def test_a_store_from_the_future_is_refused(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer"):
        migrate.upgrade(fresh_settings)


@integration
def test_a_store_without_tables_says_what_to_do(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with (
        pytest.raises(ServiceUnavailableError, match="activity db upgrade"),
        session(fresh_settings) as connection,
    ):
        people_of(connection)


# ---- connections ------------------------------------------------------------------------------------------


def changed(settings, **keys):
    return settings.model_copy(update={"store": settings.store.model_copy(update=keys)})


def test_nobody_there_is_one_sentence():
    from activitymodule.embedded.processes import any_free_port

    away = changed(config.build({}), port=any_free_port())
    assert not reachable(away)
    with pytest.raises(
        ServiceUnavailableError, match=f"127.0.0.1:{away.store.port} does not answer.*activity up"
    ):
        connect(away)


@integration
def test_a_wrong_password_and_a_missing_database_are_told_apart(fresh_settings):
    from pydantic import SecretStr

    with pytest.raises(ConfigError, match="refuses the user"):
        connect(changed(fresh_settings, password=SecretStr("wrong")))
    with pytest.raises(ConfigError, match="asks for the password"):
        connect(changed(fresh_settings, password=None))
    with pytest.raises(ServiceUnavailableError, match="no database nix"):
        connect(changed(fresh_settings, database="nix"))


@integration
def test_a_broken_connection_is_one_sentence(fresh_settings, connection):
    other = connect(fresh_settings)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (other.info.backend_pid,))
    time.sleep(0.1)
    with pytest.raises(ServiceUnavailableError, match="broke"), explained(fresh_settings):
        other.cursor().execute("SELECT 1")


# ---- batches ----------------------------------------------------------------------------------------------


def begin(connection, batch_id, offsets, query="q", version="1"):
    return begin_batch(
        connection,
        query_id=query,
        batch_id=batch_id,
        topic="t",
        offsets=offsets,
        model_version=version,
        energy_version=None,
    )


@integration
def test_a_replayed_batch_keeps_its_first_record(connection):
    first = begin(connection, 7, {0: (0, 10), 1: (5, 9)}, version="1")
    assert not first.replayed
    again = begin(connection, 7, {0: (0, 99)}, version="2")
    assert again.replayed
    assert (again.model_version, again.offsets) == ("1", {0: (0, 10), 1: (5, 9)})
    finish_batch(connection, query_id="q", batch_id=7, windows=3)
    record_late(connection, "q", {7: 4, 8: 1})
    with connection.cursor() as cursor:
        cursor.execute("SELECT messages, windows, dropped_late FROM batches")
        assert cursor.fetchall() == [(14, 3, 4)]


@integration
def test_last_offsets_are_those_of_the_newest_query_that_finished_one(connection):
    assert last_offsets(connection, "t") is None
    assert not knows_query(connection, "q")
    begin(connection, 0, {0: (0, 10)})
    assert last_offsets(connection, "t") is None
    assert knows_query(connection, "q"), "begun is known"
    finish_batch(connection, query_id="q", batch_id=0, windows=0)
    begin(connection, 1, {0: (10, 30)})
    assert last_offsets(connection, "t") == {0: 10}
    begin(connection, 0, {0: (4, 8), 1: (0, 5)}, query="r")
    finish_batch(connection, query_id="r", batch_id=0, windows=0)
    assert last_offsets(connection, "t") == {0: 8, 1: 5}
    assert last_offsets(connection, "other") is None


# ---- people, versions -------------------------------------------------------------------------------------


@integration
def test_people(connection):
    table = pa.table(
        {
            "device_id": ["b", "a", "a"],
            "age_years": pa.array([40.0, 1.0, float("nan")], pa.float32()),
            "sex": ["female", "male", None],
            "weight_kg": pa.array([70.5, 80.0, 81.0], pa.float32()),
        }
    )
    assert upsert_people(connection, table) == 2
    connection.commit()
    assert upsert_people(connection, table) == 0
    known = people_for(connection, ["a", "b", "c"])
    assert known == {"a": (None, None, None, 81.0, None), "b": (40.0, "female", None, 70.5, None)}
    everybody = people_of(connection)
    assert everybody.device_id == ["a", "b"]
    assert np.isnan(everybody.age_years[0])
    assert everybody.weight_kg.tolist() == [81.0, 70.5]
    assert people_changed(connection) == (2, everybody.updated_at)
    connection.commit()
    assert (
        upsert_people(connection, table.set_column(1, "age_years", pa.array([41.0, 1, 2], pa.float32()))) == 2
    )
    assert people_changed(connection)[1] > everybody.updated_at


@integration
def test_people_that_cannot_be_are_refused(fresh_settings):
    bad = pa.table({"device_id": ["a"], "age_years": [999.0]})
    with pytest.raises(DataError, match="age_years"), session(fresh_settings) as connection:
        upsert_people(connection, bad)
    with pytest.raises(DataError, match="device_id"):
        upsert_people(None, pa.table({"age_years": [1.0]}))


@integration
def test_nobody_is_known_in_the_beginning(connection):
    assert people_of(connection).updated_at is None
    assert people_of(connection).age_years.shape == (0,)
    assert people_changed(connection) == (0, None)


@integration
def test_labels_of_a_version(connection):
    record_model_version(connection, name="m", version="5", labels=["x", "y"], feature_version="f")
    record_model_version(connection, name="m", version="5", labels=["x", "y"], feature_version="f")
    assert labels_of(connection, "5") == ("x", "y")
    assert labels_of(connection, "6") is None


# ---- dead letters -----------------------------------------------------------------------------------------


@integration
def test_dead_letters_are_kept_once_whatever_is_in_them(connection):
    assert write_dead_letters(connection, letters()) == 3
    assert write_dead_letters(connection, letters()) == 0
    connection.commit()
    found = {letter.offset: letter for letter in list_dead_letters(connection)}
    assert found[0].payload == b"\x00\xff\x1b[2J"
    assert found[1].payload is None
    assert len(found[2].payload) == 65_536
    assert found[2].device_id == "b\\0c"
    assert found[2].detail == "half \\ud800 and \\0"
    assert found[0].kafka_at.microsecond == 1
    assert write_dead_letters(connection, letters(0)) == 0
    assert count_dead_letters(connection) == 3


@integration
def test_dead_letters_are_found_and_marked(connection):
    write_dead_letters(connection, letters())
    write_dead_letters(connection, letters(2, topic="u", reason=["bad_stamp", "not_json"]))
    chosen = list_dead_letters(connection, Selection(topic="u", reason="bad_stamp"))
    assert [(letter.topic, letter.offset) for letter in chosen] == [("u", 0)]
    assert list_dead_letters(connection, Selection(device_id="a"), payloads=False)[0].payload is None
    assert mark_replayed(connection, [("u", 0, 0)]) == 1
    assert mark_replayed(connection, []) == 0
    assert len(list_dead_letters(connection, Selection(replayed=False))) == 4
    assert len(list_dead_letters(connection, limit=2)) == 2
    counts = {(count.topic, count.reason): count for count in summarize_dead_letters(connection)}
    assert counts["t", "not_json"].letters == 3
    assert counts["u", "bad_stamp"].replayed == 1


# ---- the lease --------------------------------------------------------------------------------------------


@integration
def test_a_second_scorer_is_refused_and_told_of_the_first(fresh_settings):
    import os

    with ScorerLease(fresh_settings, "t") as lease:
        lease.check()
        with ScorerLease(fresh_settings, "another topic"):
            pass
        with (
            pytest.raises(RefusedError, match=f"pid {os.getpid()}"),
            ScorerLease(fresh_settings, "t", patience_seconds=0),
        ):
            pass
    with ScorerLease(fresh_settings, "t", patience_seconds=0):
        pass


@integration
def test_a_lost_lease_is_taken_again_unless_somebody_else_has_it(fresh_settings, connection):
    def cut(lease):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", (lease._connection.info.backend_pid,))
        connection.commit()
        time.sleep(0.2)

    with ScorerLease(fresh_settings, "t", patience_seconds=1) as lease:
        cut(lease)
        lease.check()
        with pytest.raises(RefusedError), ScorerLease(fresh_settings, "t", patience_seconds=0):
            pass
        cut(lease)
        with ScorerLease(fresh_settings, "t"), pytest.raises(RefusedError):
            lease.check()


# ---- looking into it --------------------------------------------------------------------------------------


@integration
def test_ask_reads_and_only_reads(fresh_settings, connection):
    write_dead_letters(connection, letters())
    connection.commit()
    answer = ask(
        fresh_settings, "SELECT item, item, kafka_offset FROM dead_letters ORDER BY kafka_offset;\n", limit=2
    )
    assert answer.columns == ("item", "item_2", "kafka_offset")
    assert (answer.rows, answer.more) == ([(-1, -1, 0), (-1, -1, 1)], True)
    for statement in (
        "DELETE FROM dead_letters",
        "COMMIT; DELETE FROM dead_letters",
        "WITH gone AS (DELETE FROM dead_letters RETURNING *) SELECT * FROM gone",
        "SELECT refresh_smoothed(array['a'], array[now()], 6, .8), set_config('transaction_read_only', 'off', false)",
        "SELEC 1",
        "SELECT * FROM nix",
    ):
        with pytest.raises(ConfigError, match="refused"):
            ask(fresh_settings, statement)
    with pytest.raises(ConfigError, match="longer than"):
        ask(fresh_settings, "SELECT pg_sleep(10)", seconds=0.2)
    assert count_dead_letters(connection) == 3


@integration
def test_summary_and_pulse(connection, make_rows):
    assert take_pulse(connection, "t").watches == {}
    assert summarize(connection).predictions == 0
    begin(connection, 3, {0: (0, 10)})
    finish_batch(connection, query_id="q", batch_id=3, windows=20)
    write_predictions(connection, make_rows(4, 5))
    write_dead_letters(connection, letters())
    connection.commit()
    pulse = take_pulse(connection, "t", recent=6)
    assert sum(pulse.watches.values()) == 4
    assert (pulse.windows, pulse.readings, pulse.dead_letters_last_minute) == (20, 2000, 3)
    # a moment is no minute: what came in it says nothing of how much comes
    assert pulse.seconds < LEAST_SECONDS
    assert pulse.windows_per_second is pulse.readings_per_second is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE predictions SET processed_at = now() - interval '20 seconds'")
    connection.commit()
    later = take_pulse(connection, "t")
    assert later.windows_per_second == pytest.approx(1, abs=0.2)
    assert later.readings_per_second == pytest.approx(100, abs=20)
    assert (pulse.model_version, pulse.batch_id, pulse.offsets) == ("1", 3, {0: 10})
    assert pulse.labels == make_rows(1, 1).labels
    assert len(pulse.recent) == 6
    found = summarize(connection)
    assert (found.predictions, found.watches, found.dead_letters) == (20, 4, 3)
    assert sum(found.activities.values()) == found.with_activity
    sizes = {table.name: table for table in table_sizes(connection)}
    assert {"batches", "dead_letters", "people", "predictions", "queue_items", "annotations"} <= sizes.keys()
    assert "alembic_version" not in sizes


@integration
def test_a_row_needs_an_activity_or_a_reason(connection):
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation):
        cursor.execute(
            "INSERT INTO predictions (device_id, window_start, window_end, coverage, readings_used) "
            "VALUES ('a', now(), now() + interval '10 s', 0, 0)"
        )
