"""Erasure of a person from the store: begun, table by table, and finished in one transaction that proves itself.

Tables are found by their columns, so that one that is added later is not forgotten: `participant`, or `device_id` with
a time. What is then left anywhere, in whichever column, keeps the erasure from being finished.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg2 import sql
from psycopg2.extras import Json

from activitymodule.settings import Telemetry
from activitymodule.store.connection import Connection
from activitymodule.store.participants import required, withdraw, worn_by
from activitymodule.store.queries import execute, fetch_all, fetch_row, fetch_value
from activitymodule.store.times import AS_US
from activitymodule.telemetry.excluded import Periods
from activitymodule.telemetry.traces import Traces, period

# first one of these that a table with device_id has: begin and end of what a row is about
_TIMES = (
    ("window_start", "window_end"),
    ("span_start", "span_end"),
    ("bout_start", "bout_end"),
    ("kafka_at", "kafka_at"),
    ("at", "at"),
)
# what says who the person is goes last, in the transaction that finishes
_LAST = ("participant_devices", "participants")
_OWN = ("erasures", "erased_periods")


@dataclass(frozen=True)
class Erasure:
    """An erasure. removed : where -> how many; models : `name version` of those that learnt from the person"""

    erasure_id: int
    traces: Traces
    removed: Mapping[str, int] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    resumed: bool = False


_EXCLUDE = """
INSERT INTO erased_periods (salt, device_sha256, worn_from, worn_to)
SELECT salt, sha256(salt || convert_to(device_id, 'UTF8')), worn_from, worn_to
FROM participant_devices,
     (SELECT coalesce((SELECT salt FROM erased_periods LIMIT 1), %(salt)s::bytea) AS salt) AS one_for_all
WHERE participant = %(participant)s
"""


def begin(connection: Connection, participant: str, by_whom: str) -> Erasure:
    """Withdraw the participant, exclude what they wore for good, and record that the erasure was begun; or resume it.

    Raises NotFoundError.
    """
    required(connection, participant, lock=True)
    withdraw(connection, participant)
    row = fetch_row(
        connection, "SELECT erasure_id, removed, models FROM erasures WHERE participant = %s", (participant,)
    )
    resumed = row is not None
    if row is None:
        insert = "INSERT INTO erasures (participant, begun_by) VALUES (%s, %s) RETURNING erasure_id, removed, models"
        row = fetch_row(connection, insert, (participant, by_whom))
        values = {"salt": secrets.token_bytes(16), "participant": participant}
        execute(connection, _EXCLUDE, values)
    assert row is not None
    return Erasure(row[0], traces_of(connection, participant), row[1], tuple(row[2]), resumed)


_OTHERS = (
    "SELECT DISTINCT device_id FROM participant_devices WHERE participant <> %s AND device_id = ANY (%s)"
)


def traces_of(connection: Connection, participant: str) -> Traces:
    """What a participant may be found by."""
    worn = worn_by(connection, participant)
    watches: dict[str, Periods] = {}
    for one in worn:
        watches[one.device_id] = (*watches.get(one.device_id, ()), period(one.worn_from, one.worn_to))
    others = {row[0] for row in fetch_all(connection, _OTHERS, (participant, sorted(watches)))}
    always = {one.device_id for one in worn if one.worn_from is None and one.worn_to is None}
    return Traces(participant, watches, frozenset(always - others))


_NOTE = """
UPDATE erasures SET
    removed = removed || jsonb_build_object(
        %(where)s::text, coalesce((removed ->> %(where)s)::bigint, 0) + %(count)s),
    models = (SELECT coalesce(jsonb_agg(DISTINCT one ORDER BY one), '[]')
              FROM jsonb_array_elements(models || %(models)s::jsonb) AS one)
WHERE erasure_id = %(id)s
"""


def note(connection: Connection, erasure_id: int, where: str, count: int, models: Sequence[str] = ()) -> None:
    """Add to what an erasure removed from somewhere, and to the models that had learnt from it."""
    values = {"id": erasure_id, "where": where, "count": count, "models": Json(list(models))}
    execute(connection, _NOTE, values)


# ---- tables


@dataclass(frozen=True)
class Table:
    """A table of the store. columns : name -> type"""

    name: str
    columns: Mapping[str, str]

    @property
    def times(self) -> tuple[str, str] | None:
        """The columns in which what a row is about begins and ends."""
        return next(((a, b) for a, b in _TIMES if a in self.columns and b in self.columns), None)


_TABLES = """
SELECT c.relname, jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.relname ORDER BY c.relname
"""


def tables(connection: Connection) -> list[Table]:
    """The tables of the store, days of predictions that were taken out among them."""
    return [Table(*row) for row in fetch_all(connection, _TABLES)]


def _of_person(table: Table, traces: Traces) -> tuple[sql.Composable, dict[str, object]] | None:
    """The condition for the rows of a person; None where the table's columns name none."""
    found: list[sql.Composable] = []
    values: dict[str, object] = {"names": sorted(traces.names), "whole": sorted(traces.whole)}
    if "participant" in table.columns:
        found.append(sql.SQL("t.participant = ANY (%(names)s)"))
    if "device_id" in table.columns:
        found.append(sql.SQL("t.device_id = ANY (%(whole)s)"))
        if table.times is not None:
            begin, end = (sql.Identifier(name) for name in table.times)
            # a table that only has an instant: within; a stretch of time: overlapping
            after = sql.SQL(">=" if table.times[0] == table.times[1] else ">")
            found.append(
                sql.SQL(
                    "EXISTS (SELECT FROM unnest(%(devices)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[]) "
                    "AS worn (device_id, worn_from, worn_to) WHERE worn.device_id = t.device_id "
                    "AND coalesce(t.{end}, t.{begin} + interval '1 microsecond') {after} worn.worn_from "
                    "AND t.{begin} < worn.worn_to)"
                ).format(begin=begin, end=end, after=after)
            )
            worn = traces.worn()
            values |= {name: [one[k] for one in worn] for k, name in enumerate(("devices", "from", "to"))}
            found[-1] = sql.SQL("(t.device_id = ANY (%(devices)s) AND {})").format(found[-1])
    return (sql.SQL(" OR ").join(found), values) if found else None


def remove_from(connection: Connection, table: Table, traces: Traces) -> int:
    """Delete the rows of a person from one table; how many.

    Triggers that refuse deletions are off meanwhile, which only the owner of the store may do.
    """
    condition = None if table.name in (*_LAST, *_OWN) else _of_person(table, traces)
    if condition is None:
        return 0
    where, values = condition
    name = sql.Identifier(table.name)
    if not _count(connection, name, where, values):
        return 0
    guarded = fetch_value(
        connection,
        "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(quote_ident(%s)) AND NOT tgisinternal)",
        (table.name,),
    )
    with connection.cursor() as cursor:
        if guarded:
            cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
        cursor.execute(sql.SQL("DELETE FROM {} AS t WHERE {}").format(name, where), values)
        count = int(cursor.rowcount)
        if guarded:
            cursor.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))
    return count


def _count(
    connection: Connection, name: sql.Composable, where: sql.Composable, values: Mapping[str, object]
) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(name, where), values)
        row = cursor.fetchone()
        return int(row[0]) if row else 0


_LETTERS = f"""
SELECT topic, kafka_partition, kafka_offset, item, payload, coalesce({AS_US.format("kafka_at")}, 0) FROM dead_letters
WHERE payload IS NOT NULL AND (%(pattern)s::bytea[] = '{{}}' OR EXISTS (
    SELECT FROM unnest(%(pattern)s::bytea[]) AS part WHERE position(part IN payload) > 0))
"""
_DROP_LETTER = """
DELETE FROM dead_letters WHERE (topic, kafka_partition, kafka_offset, item) = (%s, %s, %s, %s)
"""


def remove_payloads(connection: Connection, traces: Traces, limits: Telemetry) -> int:
    """Delete dead letters, of whichever watch, whose message also holds readings of the person; how many."""
    patterns = [one.encode() for one in (*traces.watches, *traces.names)] + [rb"\u"]
    removed = 0
    for *key, payload, at in fetch_all(connection, _LETTERS, {"pattern": patterns}):
        if traces.in_message(bytes(payload), at, limits):
            removed += execute(connection, _DROP_LETTER, key)
    return removed


def remove_from_tokens(connection: Connection, traces: Traces) -> int:
    """Take the person's watches out of the tokens that are bound to them; one that is left without any is revoked, as a
    token without watches would be for all."""
    statement = """
        UPDATE ingest_tokens SET
            devices = ARRAY(SELECT one FROM unnest(devices) AS one WHERE one <> ALL (%(whole)s)),
            revoked_at = CASE WHEN devices <@ %(whole)s THEN coalesce(revoked_at, clock_timestamp()) ELSE revoked_at END
        WHERE devices && %(whole)s"""
    return execute(connection, statement, {"whole": sorted(traces.whole)})


# ---- the proof

_TEXT = re.compile(r"text|character varying|jsonb?|name|bytea")


def left(connection: Connection, traces: Traces) -> dict[str, int]:
    """Table and column -> rows in which the person is still named, or which are of their time on a watch."""
    found: dict[str, int] = {}
    pattern = traces.pattern()
    for table in tables(connection):
        name = sql.Identifier(table.name)
        if (condition := None if table.name in _OWN else _of_person(table, traces)) is not None and (
            count := _count(connection, name, *condition)
        ):
            found[table.name] = count
        for column, kind in table.columns.items():
            if not _TEXT.match(kind):
                continue
            text = sql.SQL("encode(t.{}, 'escape')" if kind == "bytea" else "t.{}::text").format(
                sql.Identifier(column)
            )
            where = sql.SQL("{} ~ %(pattern)s").format(text)
            if count := _count(connection, name, where, {"pattern": pattern}):
                found[f"{table.name}.{column}"] = count
    return found


def finish(connection: Connection, erasure: Erasure) -> dict[str, int]:
    """Delete the participant and what they wore, and record the end; then what is left, which must be nothing before
    the caller commits."""
    participant = erasure.traces.participant
    worn = execute(connection, "DELETE FROM participant_devices WHERE participant = %s", (participant,))
    note(connection, erasure.erasure_id, "store: participant_devices", worn)
    gone = execute(connection, "DELETE FROM participants WHERE participant = %s", (participant,))
    note(connection, erasure.erasure_id, "store: participants", gone)
    execute(
        connection,
        "UPDATE erasures SET participant = NULL, finished_at = clock_timestamp() WHERE erasure_id = %s",
        (erasure.erasure_id,),
    )
    return left(connection, erasure.traces)


def removed_by(connection: Connection, erasure_id: int) -> tuple[dict[str, int], tuple[str, ...]]:
    """What an erasure has removed from where, and the models that had learnt from it."""
    row = fetch_row(connection, "SELECT removed, models FROM erasures WHERE erasure_id = %s", (erasure_id,))
    return (dict(row[0]), tuple(row[1])) if row else ({}, ())


def mark_snapshots(connection: Connection, erasure_id: int, snapshot_ids: Sequence[str]) -> int:
    """Mark snapshots from which windows are removed: models trained on them cannot be reproduced."""
    statement = "UPDATE snapshots SET changed_by = %s WHERE snapshot_id = ANY (%s) AND changed_by IS NULL"
    return execute(connection, statement, (erasure_id, list(snapshot_ids)))
