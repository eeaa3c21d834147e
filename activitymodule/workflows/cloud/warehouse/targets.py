"""Where a warehouse is: Redshift, which reads a lake in S3, and BigQuery, which reads one in Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from activitymodule.cloud.bigquery import BigQuery
from activitymodule.cloud.redshift import Redshift, Value
from activitymodule.cloud.s3 import Bucket
from activitymodule.errors import ConfigError
from activitymodule.lake.folder import LakeFolder, files_below
from activitymodule.settings import Settings
from activitymodule.workflows.cloud.warehouse.tables import File, Table

Statements = Callable[[str], list[str]]
"""The statements of a transaction by the name of the table that a file is staged in."""

_REDSHIFT = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.string(): "VARCHAR(65535)",
    pa.date32(): "DATE",
}


class Target(Protocol):
    """A warehouse. now : the function of the time; prefix : of the names of tables within a view"""

    address: str
    now: str
    prefix: str

    def name(self, column: str) -> str:
        """A column's name in a statement."""

    def text(self, value: str) -> str:
        """A text in a statement."""

    def marks(self, folder: str) -> Mapping[str, str]:
        """The mark of each file below a folder of the lake, by its address within the lake."""

    def make(self, tables: Sequence[Table]) -> None:
        """Make the tables that are not there, and add the columns that a table of a former version lacks."""

    def rows(self, query: str) -> Sequence[tuple[Value, ...]]:
        """The rows of a query."""

    def run(self, statements: Sequence[str], key: str, recorded: str) -> None:
        """Run statements in one transaction, once for a key. recorded : a query that gives 1 where that has an effect.

        Raises StoreError with the reason where one fails; then none has an effect.
        """

    def load(self, file: File, key: str, statements: Statements, recorded: str) -> None:
        """The same with a file in a table of its own, which is gone afterwards."""

    def make_view(self, name: str, query: str) -> None:
        """Make a view, or replace it."""


class RedshiftTarget:
    """A database of Redshift: COPY into a temporary table, within the transaction."""

    now = "GETDATE()"
    prefix = ""

    def __init__(self, config: Settings, address: str) -> None:
        self.address = address
        self._redshift = Redshift(address, config.cloud.poll_seconds)
        self._bucket = Bucket(config.lake.folder.rstrip("/"))

    def name(self, column: str) -> str:
        """In quotation marks."""
        return f'"{column}"'

    def text(self, value: str) -> str:
        """In apostrophes, each of its own twice."""
        return "'" + value.replace("'", "''") + "'"

    def marks(self, folder: str) -> Mapping[str, str]:
        """The ETags."""
        return self._bucket.etags(folder)

    def make(self, tables: Sequence[Table]) -> None:
        """All tables in one transaction, then what they lack."""
        self._redshift.run(
            [f"CREATE TABLE IF NOT EXISTS {one.name} ({self._columns(one.schema)})" for one in tables]
        )
        for table in tables:
            query = f"SELECT column_name FROM svv_columns WHERE table_name = {self.text(table.name)}"
            known = {str(name) for (name,) in self.rows(query)}
            for one in table.schema if known else ():
                if one.name not in known:
                    self._redshift.run([f"ALTER TABLE {table.name} ADD COLUMN {self._column(one)}"])

    def rows(self, query: str) -> Sequence[tuple[Value, ...]]:
        """The rows of a query."""
        return self._redshift.rows(query).rows

    def run(self, statements: Sequence[str], key: str, recorded: str) -> None:  # noqa: ARG002 (as Target)
        """The ledger's line, which the transaction looks for, has it done once."""
        self._redshift.run(statements)

    def load(self, file: File, key: str, statements: Statements, recorded: str) -> None:
        """COPY, the statements, and the temporary table dropped in one transaction."""
        staging = [
            f"CREATE TEMP TABLE staged ({self._columns(file.schema)})",
            f"COPY staged FROM {self.text(file.address)} IAM_ROLE default FORMAT AS PARQUET SERIALIZETOJSON",
        ]
        self.run([*staging, *statements("staged"), "DROP TABLE staged"], key, recorded)

    def make_view(self, name: str, query: str) -> None:
        """Make a view, or replace it."""
        self._redshift.run([f"CREATE OR REPLACE VIEW {name} AS {query}"])

    def _columns(self, schema: pa.Schema) -> str:
        return ", ".join(map(self._column, schema))

    def _column(self, one: pa.Field) -> str:
        """Lists and maps are SUPER. Times are UTC."""
        kind = _REDSHIFT.get(one.type, "TIMESTAMP" if pa.types.is_timestamp(one.type) else "SUPER")
        return f"{self.name(one.name)} {kind}"


class BigQueryTarget:
    """A dataset of BigQuery: a load job into a table of its own, then a script that is one transaction."""

    now = "CURRENT_TIMESTAMP()"

    def __init__(self, config: Settings, address: str) -> None:
        self.address = address
        self._bigquery = BigQuery(address, config.cloud.poll_seconds)
        self._config = config
        self.prefix = f"`{self._bigquery.project}`.`{self._bigquery.dataset}`."

    def name(self, column: str) -> str:
        """In backticks."""
        return f"`{column}`"

    def text(self, value: str) -> str:
        """In apostrophes, with backslashes before what ends or changes it."""
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def marks(self, folder: str) -> Mapping[str, str]:
        """Size and time of writing, which Cloud Storage gives each new content."""
        lake = LakeFolder(self._config, folder)
        with lake.explained():
            found = files_below(lake.files, lake.base)
        above = len(lake.base) - len(folder)
        return {one.path[above:]: f"{one.size}-{one.mtime_ns}" for one in found}

    def make(self, tables: Sequence[Table]) -> None:
        """Tables have a partition for each day, so that replacing a part reads no other."""
        self._bigquery.remove_staged()
        for one in tables:
            self._bigquery.make_table(one.name, one.schema, one.time)

    def rows(self, query: str) -> Sequence[tuple[Value, ...]]:
        """The rows of a query."""
        return self._bigquery.rows(query)

    def run(self, statements: Sequence[str], key: str, recorded: str) -> None:
        """A script; its job has the key's name."""
        self._bigquery.run(statements, key, lambda: self._bigquery.rows(recorded)[0][0] == 1)

    def load(self, file: File, key: str, statements: Statements, recorded: str) -> None:
        """A load job, the script, and the table of its own dropped."""
        with self._bigquery.staged(file.address, file.schema, file.rows, key) as staged:
            self.run(statements(staged), key, recorded)

    def make_view(self, name: str, query: str) -> None:
        """Make a view, or replace it."""
        self._bigquery.run_statement(f"CREATE OR REPLACE VIEW {name} AS {query}")


def target_of(config: Settings) -> Target:
    """The warehouse that reads the lake. Raises ConfigError where there is none."""
    lake = config.lake.folder
    if lake.startswith("s3://"):
        if config.cloud.redshift is None:
            raise ConfigError("cloud.redshift is not set; set it to redshift://WORKGROUP/DATABASE")
        return RedshiftTarget(config, config.cloud.redshift)
    if lake.startswith("gs://"):
        if config.cloud.bigquery is None:
            raise ConfigError("cloud.bigquery is not set; set it to bigquery://PROJECT/DATASET")
        return BigQueryTarget(config, config.cloud.bigquery)
    raise ConfigError(
        f"lake.folder is {lake}; a warehouse reads files in a bucket: set lake.folder to s3://BUCKET/PREFIX for "
        "Redshift or gs://BUCKET/PREFIX for BigQuery"
    )
