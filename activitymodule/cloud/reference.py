"""Reference statistics that are a table: glue://DATABASE/TABLE or redshift://SCHEMA/TABLE."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.cloud.glue import Catalogue
from activitymodule.cloud.redshift import NAME, Redshift
from activitymodule.cloud.s3 import Bucket
from activitymodule.errors import ConfigError, DataError
from activitymodule.statistics.reference import FORMAT, Origin

SCHEMES = ("glue", "redshift")


@dataclass(frozen=True)
class Copy:
    """Reference statistics as the two files have them that `ReferenceStatistics.load` reads."""

    parquet: bytes
    note: bytes


def fetch(address: str, redshift: str | None, poll_seconds: float) -> Copy:
    """The reference statistics of an address.

    Of Glue the Parquet files at the table's location are read, and the note (.json) beside them; of Redshift the rows,
    whose lists are SUPER or JSON text. redshift : the database, redshift://WORKGROUP/DATABASE
    Raises ConfigError, NotFoundError or DataError.
    """
    scheme, _, rest = address.partition("://")
    first, _, table = rest.partition("/")
    if scheme not in SCHEMES or not NAME.fullmatch(first) or not NAME.fullmatch(table):
        raise ConfigError(
            f"{address[:200]} names no reference statistics; write glue://DATABASE/TABLE, redshift://SCHEMA/TABLE, the "
            "path of a .parquet file, or a shipped name"
        )
    if scheme == "glue":
        return _of_glue(address, first, table)
    if redshift is None:
        raise ConfigError(f"{address}: cloud.redshift is not set; set it to redshift://WORKGROUP/DATABASE")
    return _of_redshift(address, Redshift(redshift, poll_seconds), first, table)


def _of_glue(address: str, database: str, table: str) -> Copy:
    bucket = Bucket(Catalogue(database).place(table)[0])
    names = bucket.names("")
    files = [name for name in names if name.endswith(".parquet")]
    notes = [name for name in names if name.endswith(".json")]
    if not files:
        raise DataError(f"{address}: there is no Parquet file at {bucket.address}")
    try:
        rows = pa.concat_tables(pq.read_table(io.BytesIO(b"".join(bucket.read(name)))) for name in files)
    except pa.ArrowInvalid as error:
        raise DataError(f"{address} holds other tables than one of reference statistics ({error})") from error
    return Copy(_parquet(address, rows), b"".join(bucket.read(notes[0])) if notes else _note(address, rows))


def _of_redshift(address: str, database: Redshift, schema: str, table: str) -> Copy:
    found = database.rows(f'SELECT * FROM "{schema}"."{table}"')  # noqa: S608 (both are checked names)
    rows = pa.Table.from_pylist(
        [{name: _parsed(value) for name, value in zip(found.columns, row, strict=True)} for row in found.rows]
    )
    return Copy(_parquet(address, rows), _note(address, rows))


def _parsed(value: object) -> object:
    """A list where the text is one of JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _parquet(address: str, rows: pa.Table) -> bytes:
    if not {"person", "activity", "regime", "frames"} <= set(rows.column_names):
        raise DataError(
            f"{address} is no table of reference statistics: it lacks person, activity, regime or frames"
        )
    out = io.BytesIO()
    # in the order in which they were measured, whatever order the table gives
    order = [("person", "ascending"), ("activity", "ascending"), ("regime", "ascending")]
    pq.write_table(rows.sort_by(order), out)
    return out.getvalue()


def _note(address: str, rows: pa.Table) -> bytes:
    people, activities = (set(rows.column(name).to_pylist()) for name in ("person", "activity"))
    origin = Origin(address, source=address, people=len(people), activities=tuple(sorted(activities)))
    return json.dumps({"format": FORMAT, **asdict(origin)}).encode()
