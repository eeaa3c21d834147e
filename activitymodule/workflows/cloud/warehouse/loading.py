"""Daily records, predictions of past days, labels and model versions in tables of Redshift or of BigQuery.

A part (a file of a month or a day, a day of labels, all model versions) is loaded in one transaction: what the table
has of its dates is replaced by it, and the ledger gets a line with the part, its mark and its rows on both sides. So a
load that is killed has no effect, one that is repeated has nothing to do, and rows that left a part (an erasure), or a
part that is gone, leave the table with the next load. Two loads at once do not disturb each other: the ledger's line
is counted in the transaction, and the later one fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings
from activitymodule.workflows.cloud.warehouse import contents
from activitymodule.workflows.cloud.warehouse.contents import CONTENTS
from activitymodule.workflows.cloud.warehouse.tables import LEDGER, File, Part, Table, described
from activitymodule.workflows.cloud.warehouse.targets import Target, target_of


@dataclass(frozen=True)
class Loaded:
    """A part that was loaded. rows : of it now, 0 where it is gone"""

    table: str
    file: str
    rows: int


@dataclass(frozen=True)
class LoadReport:
    """What a load did. kept : parts that were loaded before, and have not changed since."""

    to: str
    loaded: tuple[Loaded, ...]
    kept: int


@dataclass(frozen=True)
class _Line:
    """The last line of the ledger on a part."""

    number: int
    mark: str


class _Load:
    """A load that is going on."""

    def __init__(self, config: Settings, target: Target, say: Callable[[str], None]) -> None:
        self._config, self._target, self._say = config, target, say
        self._lake = config.lake.folder.rstrip("/")
        self._ledger: dict[tuple[str, str], _Line] = {}
        self.loaded: list[Loaded] = []
        self.kept = 0

    def begin(self, tables: Sequence[Table]) -> None:
        """Have the tables made, and read the ledger."""
        self._target.make([LEDGER, *tables])
        query = f"SELECT table_name, file, etag, line FROM {LEDGER.name} ORDER BY loaded_at"
        for table, file, mark, number in self._target.rows(query):
            # lines of before have no number
            line = _Line(int(number or 0), str(mark))
            before = self._ledger.get((str(table), str(file)))
            if before is None or line.number >= before.number:
                self._ledger[str(table), str(file)] = line

    def load(self, table: Table, parts: contents.Parts) -> None:
        """Load the parts of a table that are due, and remove those that are gone."""
        found = parts(self._config, table, self._target.marks, lambda part: self._due(table, part))
        for part in found:
            if self._due(table, part):
                self._replace(table, part)
            else:
                self.kept += 1
        there = {self._address(part) for part in found}
        for (name, file), line in sorted(self._ledger.items()):
            # what another lake has loaded stays
            known = file.removeprefix(f"{self._lake}/")
            if name == table.name and file not in there and line.mark and table.place.fullmatch(known):
                self._remove(table, Part(known, ""))

    def _address(self, part: Part) -> str:
        return f"{self._lake}/{part.name}"

    def _line(self, table: Table, part: Part) -> _Line:
        return self._ledger.get((table.name, self._address(part)), _Line(0, ""))

    def _due(self, table: Table, part: Part) -> bool:
        return self._line(table, part).mark != part.mark

    def _replace(self, table: Table, part: Part) -> None:
        file = described(self._address(part))
        self._say(f"{table.name}: {part.name} ({file.rows:,} rows)")
        number = self._line(table, part).number + 1
        key = _key(table, file.address, part.mark, number)
        self._target.load(
            file,
            key,
            lambda staged: replacing(self._target, table, part, file, number, staged),
            self._recorded(table, file.address, number),
        )
        self._finish(table, part, file.rows)

    def _remove(self, table: Table, part: Part) -> None:
        address = self._address(part)
        self._say(f"{table.name}: {part.name} is gone")
        number = self._line(table, part).number + 1
        key = _key(table, address, "", number)
        statements = removing(self._target, table, part, address, number)
        self._target.run(statements, key, self._recorded(table, address, number))
        self._finish(table, part, 0)

    def _finish(self, table: Table, part: Part, rows: int) -> None:
        contents.loaded(self._config, part)
        self.loaded.append(Loaded(table.name, self._address(part), rows))

    def _recorded(self, table: Table, address: str, number: int) -> str:
        return f"SELECT count(*) FROM {LEDGER.name} WHERE {_same(self._target, table, address)} AND line = {number}"


def load(
    config: Settings, tables: Sequence[str] = (), *, say: Callable[[str], None] = lambda text: None
) -> LoadReport:
    """Load what is new or changed into the warehouse that reads the lake: s3:// into `cloud.redshift`, gs:// into
    `cloud.bigquery`. tables : only these; none: all of CONTENTS

    Raises ConfigError where the lake is in no bucket, no database is set or a table is unknown; StoreError with the
    warehouse's reason where it refuses a part: those before it are loaded, and the next load goes on with it.
    """
    if unknown := sorted({*tables} - {*CONTENTS}):
        raise ConfigError(f"there is no table {', '.join(unknown)}; there are {', '.join(CONTENTS)}")
    target = target_of(config)
    work = _Load(config, target, say)
    chosen = [one for name, one in CONTENTS.items() if not tables or name in tables]
    work.begin([one.table for one in chosen])
    for one in chosen:
        work.load(one.table, one.parts)
    return LoadReport(target.address, tuple(work.loaded), work.kept)


def replacing(target: Target, table: Table, part: Part, file: File, number: int, staged: str) -> list[str]:
    """The statements of the transaction that puts staged rows in place of a part; they fail where not all rows
    arrived, or where another load was faster."""
    names = ", ".join(target.name(one) for one in file.schema.names)
    line = [target.text(value) for value in (table.name, file.address, part.mark)]
    return [
        _checked(f"count(*) = {file.rows}", f"FROM {staged}"),
        *_begun(target, table, part, file.address, number),
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {staged}",
        f"INSERT INTO {LEDGER.name} ({', '.join(LEDGER.schema.names)}) "
        f"SELECT {', '.join(line)}, {file.rows}, count(*), {target.now}, {number} FROM {staged}",
    ]


def removing(target: Target, table: Table, part: Part, address: str, number: int) -> list[str]:
    """The same for a part that is gone."""
    line = f"{target.text(table.name)}, {target.text(address)}, '', 0, 0, {target.now}, {number}"
    return [
        *_begun(target, table, part, address, number),
        f"INSERT INTO {LEDGER.name} ({', '.join(LEDGER.schema.names)}) SELECT {line}",
    ]


def _begun(target: Target, table: Table, part: Part, address: str, number: int) -> list[str]:
    dates = table.dates(part.name)
    if dates is None or table.time is None:
        which = "true"
    else:
        time, (first, after) = target.name(table.time), dates
        which = f"{time} >= '{first}' AND {time} < '{after}'"
    condition = f"WHERE {_same(target, table, address)} AND line >= {number}"
    return [
        _checked("count(*) = 0", f"FROM {LEDGER.name} {condition}"),
        f"DELETE FROM {table.name} WHERE {which}",
    ]


def _same(target: Target, table: Table, address: str) -> str:
    return f"table_name = {target.text(table.name)} AND file = {target.text(address)}"


def _checked(condition: str, of: str) -> str:
    """A division by zero ends the transaction where a condition does not hold."""
    return f"SELECT 1 / CASE WHEN {condition} THEN 1 ELSE 0 END {of}"


def _key(table: Table, address: str, mark: str, number: int) -> str:
    """The name of a load, the same for the same content at the same place of the ledger."""
    digest = hashlib.sha256("\0".join((address, mark, str(number))).encode()).hexdigest()[:24]
    return f"{table.name}_{digest}"
