"""ArWISE sample (WSU CASAS, github.com/WSU-CASAS/ArWISE, MIT; data: Dryad doi 10.5061/dryad.jdfn2z3nm)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.sources.base import (
    Chunk,
    Ledger,
    Unit,
    chunk_table,
    files_in,
    opened,
    register,
)
from activitymodule.telemetry.sources.casas_labels import activity_of, label_table
from activitymodule.telemetry.sources.clock import LocalClock
from activitymodule.telemetry.sources.csv_blocks import naive_stamps, numbers, stream_csv

STEPS = 100
STEP_US = 99_900
_CHANNELS = [f"{kind}_{axis}" for kind in ("user_acceleration", "rotation_rate") for axis in "xyz"]
_FILE = re.compile(r"(p\d+)_(train|test)\.csv")
_ROWS_IN_CHUNK = 500


@register
class Arwise:
    """`cnndata/p*_{train,test}.csv` of the ArWISE sample: its folder, its .tar.gz, or one of these files.

    A row holds 10 s: 100 steps of 8 channels, a stamp and a label. The rows of a person follow each other every
    9.99 s, so a row becomes 100 readings 99.9 ms apart; the stamp is the first step's, and its local time is
    taken as UTC; where the clock was set back, the readings after it are moved on as those of `casas`. User
    acceleration and rotation rate become fields of a reading; distance and bearing from home do not. There is no
    attitude, hence no total acceleration: windows of this sample lack the acceleration channels. Windows that a
    person with a smaller number has too are removed (p1 and p2 hold the same windows).
    """

    name = "arwise"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is no such file."""
        found = files_in(path, ".csv")
        units = []
        for file, member in found:
            match = _FILE.fullmatch(Path(member or file).name)
            if match:
                units.append(Unit(self.name, file, match[1], member))
        if units:
            return units
        if any(_is_features(Unit(self.name, file, "", member)) for file, member in found):
            raise DataError(
                f"{path} holds features of windows of 60 s, not readings; "
                "name the cnndata files (p1_train.csv ...)"
            )
        raise ConfigError(f"{path} holds no ArWISE recording (cnndata/p1_train.csv ...)")

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        taken = self._stamps_of_earlier_people(unit)
        labels = label_table()
        with opened(unit) as file:
            first = file.readline()
            header = first.decode("utf-8-sig", "replace").rstrip("\r\n").split(",")
            channels = [f"{channel}_{step + 1}" for step in range(STEPS) for channel in _CHANNELS]
            lacking = [name for name in ("stamp", *channels) if name not in header]
            if lacking:
                raise DataError(f"{unit} is not an ArWISE recording: the column {lacking[0]} is missing")
            clock = LocalClock(STEPS * STEP_US)
            for rows, malformed in stream_csv(file, header, ["stamp", "activity_label", *channels]):
                for start in range(0, max(len(rows), 1), _ROWS_IN_CHUNK):
                    part = rows.slice(start, _ROWS_IN_CHUNK)
                    yield _chunk(part, channels, unit, taken, labels, clock, malformed if start == 0 else 0)

    def _stamps_of_earlier_people(self, unit: Unit) -> set[str]:
        """Stamps of people with a smaller number: p1 and p2 of the sample hold the same windows."""
        folder = Path(unit.path) if unit.member else Path(unit.path).parent
        number = int(unit.person[1:])
        stamps: set[str] = set()
        for other in self.scan(folder):
            if int(other.person[1:]) < number:
                with opened(other) as file:
                    header = file.readline().decode().split(",")
                    column = header.index("stamp")
                    stamps |= {line.decode().split(",", column + 1)[column] for line in file}
        return stamps


def _is_features(unit: Unit) -> bool:
    with opened(unit) as file:
        return b"_mean" in file.readline()


def _chunk(
    rows: pa.Table,
    channels: list[str],
    unit: Unit,
    taken: set[str],
    labels: dict[str, str | None],
    clock: LocalClock,
    malformed: int,
) -> Chunk:
    removed = {"malformed_row": malformed * STEPS} if malformed else {}
    total = (len(rows) + malformed) * STEPS
    stamps, known = naive_stamps(rows.column("stamp"))
    copy = np.array([text in taken for text in rows.column("stamp").to_pylist()], bool)
    if (~known).any():
        removed["bad_stamp"] = int((~known).sum()) * STEPS
    if (copy & known).any():
        removed["copy_of_another_person"] = int((copy & known).sum()) * STEPS
    keep = known & ~copy
    rows, stamps = rows.filter(pa.array(keep)), stamps[keep]
    values = [numbers(rows.column(name))[0] for name in channels]
    readings = np.column_stack(values).reshape(-1, len(_CHANNELS))
    activity, noticed = activity_of(rows.column("activity_label").to_pylist(), labels)
    same = np.array(
        [hash(row.tobytes()) for row in readings.reshape(len(rows), STEPS * len(_CHANNELS))], np.int64
    )
    stamps, moves = clock.moved(stamps, same)
    noticed = Counter(noticed) + Counter(
        {what: count * (STEPS if what == "moved_on_after_the_clock" else 1) for what, count in moves.items()}
    )
    columns: dict[str, np.ndarray] = {name: readings[:, i] for i, name in enumerate(_CHANNELS)}
    columns["stamp"] = (stamps[:, None] + np.arange(STEPS) * STEP_US).reshape(-1)
    columns["activity"] = np.repeat(np.array(activity, object), STEPS)
    table = chunk_table(columns, unit.person, f"arwise-{unit.person}", len(readings))
    return Chunk(table, Ledger(total, len(table), removed, noticed))
