"""A dataset of BigQuery: tables, load jobs and transactions that are done once, and what its errors mean.

Credentials come from where Google's libraries find them: GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth
application-default login`, the service account of a machine. Calls that are throttled or get no answer are repeated by
the library.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import google.auth
import pyarrow as pa
from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound, RetryError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from activitymodule.cloud.google import SCOPES, busy, refusal, signed_in
from activitymodule.cloud.redshift import Value
from activitymodule.errors import ActivityError, ConfigError, NotFoundError

Job = bigquery.LoadJob | bigquery.QueryJob

_STAGED = "activity_staged_"
_LEFT_OVER = timedelta(hours=1)  # a load takes minutes
_SECONDS = 120  # for so long a call is repeated
_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "INTEGER",
    pa.int32(): "INTEGER",
    pa.int64(): "INTEGER",
    pa.float32(): "FLOAT",
    pa.float64(): "FLOAT",
    pa.string(): "STRING",
    pa.date32(): "DATE",
}
_ROLES = (
    "bigquery.jobUser on the project, bigquery.dataEditor on the dataset and storage.objectViewer on the lake's "
    "bucket"
)


class BigQuery:
    """A dataset, bigquery://PROJECT/DATASET. It must be there: its location is that of the lake's bucket."""

    def __init__(self, address: str, poll_seconds: float) -> None:
        self.project, _, self.dataset = address.removeprefix("bigquery://").partition("/")
        if not self.project or not self.dataset:
            raise ConfigError(f"{address} names no dataset; write bigquery://PROJECT/DATASET")
        self._poll_seconds = poll_seconds
        self._retry = DEFAULT_RETRY.with_timeout(_SECONDS).with_delay(initial=min(1.0, poll_seconds))
        with explained(f"looking up the dataset {address}"):
            credentials, _ = google.auth.default(scopes=SCOPES)
            self._client = bigquery.Client(project=self.project, credentials=credentials)
            found = self._client.get_dataset(f"{self.project}.{self.dataset}", retry=self._retry)
        self._location: str = found.location
        self._defaults = bigquery.QueryJobConfig(default_dataset=found.reference)

    def _table(self, name: str) -> str:
        return f"{self.project}.{self.dataset}.{name}"

    def make_table(self, name: str, schema: pa.Schema, time_column: str | None) -> None:
        """Make a table where there is none, and add the columns that it lacks. time_column : of its partitions"""
        columns = [_field(one) for one in schema]
        table = bigquery.Table(self._table(name), schema=columns)
        if time_column is not None:
            table.time_partitioning = bigquery.TimePartitioning(field=time_column)
        with explained(f"making the table {table.reference}"):
            try:
                made = self._client.get_table(table.reference, retry=self._retry)
            except NotFound:
                made = self._client.create_table(table, exists_ok=True, retry=self._retry)
            known = {one.name for one in made.schema}
            if missing := [one for one in columns if one.name not in known]:
                made.schema = [*made.schema, *missing]
                self._client.update_table(made, ["schema"], retry=self._retry)

    def remove_staged(self) -> None:
        """Delete tables that loads which were killed have left."""
        with explained(f"looking for left tables of {self.project}.{self.dataset}"):
            for one in self._client.list_tables(f"{self.project}.{self.dataset}", retry=self._retry):
                if one.table_id.startswith(_STAGED) and one.created < datetime.now(UTC) - _LEFT_OVER:
                    self._client.delete_table(one.reference, not_found_ok=True, retry=self._retry)

    @contextlib.contextmanager
    def staged(self, file: str, schema: pa.Schema, rows: int, key: str) -> Iterator[str]:
        """The name of a table that a Parquet file in Cloud Storage is in, within the block."""
        name = f"{_STAGED}{key}"
        table = self._table(name)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            schema=[_field(one) for one in schema],
        )
        parquet = bigquery.ParquetOptions()
        parquet.enable_list_inference = True
        config.parquet_options = parquet  # which is a copy

        def begin(job_id: str) -> Job:
            return self._client.load_table_from_uri(
                file, table, job_id=job_id, location=self._location, job_config=config, retry=self._retry
            )

        def whole() -> bool:
            with contextlib.suppress(NotFoundError), explained(table):
                return self._client.get_table(table, retry=self._retry).num_rows == rows
            return False

        self._once(f"loading {file} into BigQuery", f"activity_load_{key}", begin, whole)
        yield name
        with explained(f"deleting the table {table}"):
            self._client.delete_table(table, not_found_ok=True, retry=self._retry)

    def run(self, statements: Sequence[str], key: str, done: Callable[[], bool]) -> None:
        """Run statements in one transaction, once for a key. done : whether it has an effect

        Raises StoreError with BigQuery's reason where one fails; then none has an effect.
        """
        script = "".join(f"{one};\n" for one in ("BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"))

        def begin(job_id: str) -> Job:
            return self._client.query(
                script,
                job_config=self._defaults,
                job_id=job_id,
                location=self._location,
                retry=self._retry,
                job_retry=None,
            )

        self._once("a transaction of BigQuery", f"activity_run_{key}", begin, done)

    def run_statement(self, statement: str) -> None:
        """Run one statement that may be repeated, such as one that makes a view."""
        self.rows(statement)

    def rows(self, query: str) -> list[tuple[Value, ...]]:
        """The rows of a query."""
        with explained("a query of BigQuery"):
            # by default a refused call of a query is repeated for 40 minutes
            job = self._client.query(
                query,
                job_config=self._defaults,
                location=self._location,
                retry=self._retry,
                job_retry=None,
            )
            return [row.values() for row in job.result(retry=self._retry, job_retry=None)]

    def _once(self, what: str, key: str, begin: Callable[[str], Job], done: Callable[[], bool]) -> None:
        """Have a job done that this or an earlier process began: BigQuery takes each id once.

        done : whether its effect is there; a job of long ago may have had one that is gone
        """
        with explained(what):
            try:
                job, earlier = begin(key), False
            except Conflict:
                found = self._client.get_job(key, location=self._location, retry=self._retry)
                assert isinstance(found, Job)
                job, earlier = found, True
            failed = self._failure(job)
            if earlier and (failed or not done()):
                failed = self._failure(begin(f"{key}_{uuid.uuid4().hex[:8]}"))
        if failed is not None:
            raise _refusal(what, 200, *failed)

    def _failure(self, job: Job) -> tuple[str, str] | None:
        """Wait for a job; reason and message of its failure, None where it succeeded."""
        pause = min(0.5, self._poll_seconds)
        while job.state != "DONE":
            time.sleep(pause)
            pause = min(2 * pause, self._poll_seconds)
            job.reload(retry=self._retry)
        error = job.error_result
        return None if error is None else (str(error.get("reason", "")), str(error.get("message", "")))


def _field(one: pa.Field) -> bigquery.SchemaField:
    """BigQuery's column: a list repeats its values, a map is a record of repeated keys and values. Times are UTC."""
    kind = one.type
    if pa.types.is_map(kind):
        pair = [_field(pa.field("key", kind.key_type)), _field(pa.field("value", kind.item_type))]
        pairs = bigquery.SchemaField("key_value", "RECORD", mode="REPEATED", fields=pair)
        return bigquery.SchemaField(one.name, "RECORD", fields=[pairs])
    if pa.types.is_list(kind):
        return bigquery.SchemaField(one.name, _TYPES[kind.value_type], mode="REPEATED")
    return bigquery.SchemaField(one.name, "TIMESTAMP" if pa.types.is_timestamp(kind) else _TYPES[kind])


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise an error of this project for one of Google's libraries. what : what is asked of BigQuery"""
    try:
        with signed_in(what):
            yield
    except GoogleAPICallError as error:
        reason = str(error.errors[0].get("reason", "")) if error.errors else ""
        raise _refusal(what, int(error.code or 0), reason, str(error.message)) from error
    except RetryError as error:
        raise busy(what, str(error.cause or error)) from error


def _refusal(what: str, code: int, reason: str, message: str) -> ActivityError:
    return refusal(what, code, reason, message, roles=_ROLES, setting="cloud.bigquery")
