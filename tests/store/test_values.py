"""Values that Python's types cannot hold."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from activitymodule.jobs import output
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.inspect import ask
from activitymodule.store.queries import fetch_row, fetch_value
from activitymodule.store.users import add_user, list_users
from activitymodule.store.values import FarDate, FarTime

NOW = datetime(2026, 11, 29, tzinfo=UTC)

VALUES = """
SELECT kind, shown FROM (VALUES
    ('timestamptz', 'infinity'), ('timestamptz', '-infinity'), ('timestamptz', '0044-03-15 12:00:00+00 BC'),
    ('timestamptz', '294276-12-31 23:59:59.999999+00'), ('timestamp', 'infinity'),
    ('timestamp', '10000-01-01 00:00:00'), ('date', 'infinity'), ('date', '4713-01-01 BC'), ('date', '10000-01-01'),
    ('time', '24:00:00'), ('numeric', 'NaN'), ('numeric', 'Infinity'), ('real', '-Infinity'),
    ('double precision', 'NaN'), ('interval', '178000000 years'), ('interval', '1 mon 3 days')
) AS values (kind, shown)
"""


def test_far_times_compare_add_and_print() -> None:
    late, early = FarTime("infinity"), FarTime("0044-03-15 00:00:00+00 BC")
    assert early < NOW < late
    assert f"{late:%Y-%m-%d}" == str(late.astimezone(UTC)) == late.isoformat() == "infinity"
    assert str(early - timedelta(days=1)) == str(early + timedelta(days=1)) == str(early)
    assert late - NOW > timedelta(days=365 * 7000)
    for value in (late, early, FarDate("-infinity")):
        for same in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert (type(same), str(same), same) == (type(value), str(value), value)


@pytest.mark.integration
def test_a_query_shows_what_psql_shows(fresh_settings: Settings) -> None:
    texts = ask(fresh_settings, VALUES).rows
    for kind, text in texts:
        (row,) = ask(
            fresh_settings, f"SELECT '{text}'::{kind} AS one, ARRAY['{text}'::{kind}] AS several"
        ).rows
        assert output.cell(row[0]) == text, kind
        assert json.loads(output.json_line(row)) == [text, [text]]
    digits = "9" * 5000
    (row,) = ask(
        fresh_settings, f"SELECT '[{digits}, 1e400, 1.5, 7]'::jsonb, tstzrange('-infinity', 'infinity')"
    ).rows
    read = json.loads(output.json_line(row[0]))
    assert read[0] == digits
    assert read[2:] == [1.5, 7]
    assert "infinity" in output.cell(row[1])


@pytest.mark.integration
def test_any_connection_reads_far_times(connection: Connection) -> None:
    add_user(connection, "zoe", "admin", "correct horse battery")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users SET created_at = '-infinity', disabled_at = '4713-01-01 BC'")
    (zoe,) = list_users(connection)
    assert zoe.created_at < NOW
    assert output.cell(zoe.created_at) == "-infinity"
    assert output.cell(zoe.disabled_at) == "4713-01-01 00:00:00+00 BC"
    assert fetch_row(connection, "SELECT now()::date - 1, now()::timestamp, NULL::timestamptz")
    assert fetch_value(connection, "SELECT timestamptz '2026-11-29 00:00:00+00'") == NOW
