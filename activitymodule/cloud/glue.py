"""Tables of the Glue catalogue over Parquet in S3: made from Arrow schemas; columns are only ever added."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from activitymodule.cloud.aws import client, explained, missing
from activitymodule.errors import NotFoundError, RefusedError

_AT_ONCE = 100  # partitions that Glue takes in one call
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
}
_SERDE = {
    "Name": "parquet",
    "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
}
_PLAIN = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}


@dataclass(frozen=True)
class Table:
    """A table as it should be.

    schema : of the files; keys : Arrow types of the partitions' keys; comments : by column; projection : parameters of
    Athena's partition projection, without which partitions are added
    """

    name: str
    description: str
    location: str
    schema: pa.Schema
    keys: pa.Schema
    comments: Mapping[str, str] = field(default_factory=dict)
    projection: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Updated:
    """A table after an update. columns : how many it has; added : their names; partitions : how many were added."""

    name: str
    location: str
    columns: int
    made: bool
    added: tuple[str, ...]
    partitions: int = 0


def hive_type(kind: pa.DataType) -> str:
    """The type of a column in Glue, which are Hive's names. Raises ValueError for what Athena cannot read."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{part.name}:{hive_type(part.type)}' for part in kind)}>"
    raise ValueError(f"Glue has no type for {kind}")


class Catalogue:
    """A database of the Glue catalogue."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._glue: BaseClient = client("glue")

    def make(self) -> None:
        """Make the database, where there is none."""
        with explained(f"making the database {self.database} of Glue"):
            try:
                self._glue.get_database(Name=self.database)
            except ClientError as error:
                if not missing(error):
                    raise
                self._glue.create_database(DatabaseInput={"Name": self.database})

    def update(self, table: Table) -> Updated:
        """Make a table, or add the columns that it lacks; what it has beside them stays.

        Raises RefusedError where a column or a key has another type there.
        """
        columns = [_column(one, table.comments) for one in table.schema]
        keys = [_column(one, table.comments) for one in table.keys]
        with explained(f"looking for the table {self.database}.{table.name} of Glue"):
            try:
                there = self._glue.get_table(DatabaseName=self.database, Name=table.name)["Table"]
            except ClientError as error:
                if not missing(error):
                    raise
                there = None
        if there is None:
            with explained(f"making the table {self.database}.{table.name} of Glue"):
                self._glue.create_table(DatabaseName=self.database, TableInput=_input(table, columns, keys))
            return Updated(table.name, table.location, len(columns), True, tuple(table.schema.names))
        self._same_keys(table, keys, there.get("PartitionKeys", []))
        merged, added = self._merged(table, columns, there["StorageDescriptor"]["Columns"])
        wanted = _input(table, merged, keys)
        if added or _differs(wanted, there):
            with explained(f"updating the table {self.database}.{table.name} of Glue"):
                self._glue.update_table(DatabaseName=self.database, TableInput=wanted)
        return Updated(table.name, table.location, len(merged), False, added)

    def _merged(
        self, table: Table, columns: list[dict[str, str]], there: Sequence[Mapping[str, str]]
    ) -> tuple[list[dict[str, str]], tuple[str, ...]]:
        wanted = {one["Name"]: one for one in columns}
        for one in there:
            new = wanted.get(one["Name"])
            if new is not None and _squeezed(new["Type"]) != _squeezed(one["Type"]):
                raise RefusedError(
                    f"the column {one['Name']} of {self.database}.{table.name} is {one['Type']} in Glue, and "
                    f"would become {new['Type']}: its files could not be read; delete the table, which leaves the "
                    "files as they are, and repeat"
                )
        known = {one["Name"] for one in there}
        kept = [wanted.get(one["Name"], {**one}) for one in there]
        added = [one for one in columns if one["Name"] not in known]
        return kept + added, tuple(one["Name"] for one in added)

    def _same_keys(
        self, table: Table, keys: list[dict[str, str]], there: Sequence[Mapping[str, str]]
    ) -> None:
        if [(one["Name"], one["Type"]) for one in keys] != [(one["Name"], one["Type"]) for one in there]:
            raise RefusedError(
                f"{self.database}.{table.name} has other partitions in Glue than this version writes; delete the "
                "table, which leaves the files as they are, and repeat"
            )

    def add_partitions(self, table: Table, values: Sequence[tuple[tuple[str, ...], str]]) -> int:
        """Add partitions, (values of the keys, location), that the table lacks; how many."""
        with explained(f"adding partitions to {self.database}.{table.name}"):
            pages = self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=self.database, TableName=table.name, ExcludeColumnSchema=True
            )
            known = {tuple(one["Values"]) for page in pages for one in page["Partitions"]}
            new = [one for one in values if one[0] not in known]
            columns = [_column(one, table.comments) for one in table.schema]
            for first in range(0, len(new), _AT_ONCE):
                answer = self._glue.batch_create_partition(
                    DatabaseName=self.database,
                    TableName=table.name,
                    PartitionInputList=[
                        {"Values": list(keys), "StorageDescriptor": _storage(place, columns)}
                        for keys, place in new[first : first + _AT_ONCE]
                    ],
                )
                for failed in answer.get("Errors", ()):
                    # another run of this was quicker
                    if failed["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException":
                        raise RefusedError(
                            f"Glue refuses the partition {failed['PartitionValues']} of {self.database}.{table.name}: "
                            f"{failed['ErrorDetail'].get('ErrorMessage', '')}"
                        )
        return len(new)

    def drop(self, name: str) -> None:
        """Delete a table, which leaves its files as they are; one that is gone is no error."""
        with explained(f"deleting the table {self.database}.{name} of Glue"):
            try:
                self._glue.delete_table(DatabaseName=self.database, Name=name)
            except ClientError as error:
                if not missing(error):
                    raise

    def place(self, name: str) -> tuple[str, Mapping[str, str]]:
        """(location, parameters) of a table. Raises NotFoundError."""
        with explained(f"looking for the table {self.database}.{name} of Glue"):
            there = self._glue.get_table(DatabaseName=self.database, Name=name)["Table"]
        location = there.get("StorageDescriptor", {}).get("Location", "")
        if not location:
            raise NotFoundError(f"the table {self.database}.{name} of Glue has no location in S3")
        return re.sub("^s3[an]://", "s3://", location), there.get("Parameters", {})


def _column(one: pa.Field, comments: Mapping[str, str]) -> dict[str, str]:
    # Glue takes 255 characters of a comment
    return {"Name": one.name, "Type": hive_type(one.type), "Comment": comments.get(one.name, "")[:255]}


def _storage(location: str, columns: list[dict[str, str]]) -> dict[str, object]:
    return {"Columns": columns, "Location": location, **_PARQUET, "SerdeInfo": _SERDE}


def _input(table: Table, columns: list[dict[str, str]], keys: list[dict[str, str]]) -> dict[str, object]:
    return {
        "Name": table.name,
        "Description": table.description,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **table.projection},
        "PartitionKeys": keys,
        "StorageDescriptor": _storage(table.location, columns),
    }


def _differs(wanted: Mapping[str, object], there: Mapping[str, object]) -> bool:
    """Whether what is wanted is not there: description, parameters, location or comments."""

    def parts(of: Mapping[str, object]) -> Iterator[object]:
        storage = of.get("StorageDescriptor")
        assert isinstance(storage, Mapping)
        yield of.get("Description")
        yield of.get("Parameters")
        yield storage.get("Location")
        yield [(one["Name"], one.get("Comment", "")) for one in storage.get("Columns", ())]

    return list(parts(wanted)) != list(parts(there))


def _squeezed(kind: str) -> str:
    return kind.replace(" ", "").lower()
