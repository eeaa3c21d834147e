"""WISDM smartwatch accelerometer (Weiss 2019, UCI 507, CC BY 4.0): lines `subject,activity,x,y,z;`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.gravity import STANDARD_GRAVITY, split_gravity
from activitymodule.telemetry.sources.base import (
    Chunk,
    Ledger,
    Unit,
    chunk_table,
    files_in,
    opened,
    register,
)

ACTIVITIES = {
    "A": "walking",
    "B": "jogging",
    "C": "stairs",
    "D": "sitting",
    "E": "standing",
    "M": "kicking",
}
START_US = 1_546_300_800_000_000  # 2019-01-01T00:00Z
_PERIOD_US = 100_000
_BLOCK_US = 300_000_000
_LONGEST_RUN = 72_000  # lines, one hour: a longer run is cut, so that no file is held whole

_FILE = re.compile(r"data_(\d+)_accel_watch\.txt")
_NUMBER = rb"\s*(-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*"
_LINE = re.compile(
    rb"\s*(\d+)\s*,\s*([A-Z])\s*(?:,\s*\d+\s*)?," + _NUMBER + b"," + _NUMBER + b"," + _NUMBER + rb";?\s*"
)


@register
class Wisdm:
    """`data_<person>_accel_watch.txt` of WISDM (Weiss 2019, UCI 507, CC BY 4.0): a folder, a file, or a .tar.gz.

    Lines are `subject,activity,x,y,z;` at 20 Hz in m/s2, with gravity and without a time: their order is time.
    The mean of two lines becomes one reading, at 10 Hz. Total acceleration in g with Core Motion's signs is
    -a / 9.80665 (Android reports the force that holds the watch, Core Motion gravity itself: a watch lying face
    up reads +9.8 there and -1 here). The mean over 2.1 s around a reading is the direction of gravity, hence
    pitch and roll; the rest is user acceleration. A run (a stretch of one activity) that is an exact copy of an
    earlier one of its file is removed (the file of person 1629 holds every run twice). Stamps are made up: they
    start at 2019-01-01T00:00Z, and every run starts a block of 5 min.
    """

    name = "wisdm"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is no such file."""
        found = files_in(path, ".txt")
        units = []
        for file, member in found:
            match = _FILE.fullmatch(Path(member or file).name)
            if match:
                units.append(Unit(self.name, file, match[1], member))
        if not units:
            raise ConfigError(f"{path} holds no WISDM file (data_<person>_accel_watch.txt)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        seen: set[bytes] = set()
        start_us = START_US
        malformed = 0
        with opened(unit) as file:
            lines = (line for line in file if line.strip() and line.strip() != b";")
            parsed = ((_LINE.fullmatch(line.rstrip()), line) for line in lines)
            for code, group in groupby(parsed, key=lambda pair: pair[0][2] if pair[0] else None):
                if code is None:
                    malformed += sum(1 for _ in group)
                    continue
                while run := [pair[0].groups()[2:] for pair in islice(group, _LONGEST_RUN) if pair[0]]:
                    digest = hashlib.sha256(repr((code, run)).encode()).digest()
                    again = digest in seen
                    seen.add(digest)
                    removed = {"malformed_row": malformed} if malformed else {}
                    malformed = 0
                    if again:  # the file of person 1629 holds every run twice
                        removed["repeated_run"] = len(run)
                        yield Chunk(_no_readings(unit), Ledger(sum(removed.values()), 0, removed))
                        continue
                    chunk = _chunk(np.array(run, float), code.decode(), start_us, unit, removed)
                    yield chunk
                    length_us = len(chunk.readings) * _PERIOD_US
                    start_us += max(1, -(-length_us // _BLOCK_US)) * _BLOCK_US
        if malformed:
            yield Chunk(_no_readings(unit), Ledger(malformed, 0, {"malformed_row": malformed}))
        if not seen:
            raise DataError(f"{unit} has no line of the form subject,activity,x,y,z;")


def _no_readings(unit: Unit) -> pa.Table:
    return chunk_table({}, unit.person, f"wisdm-{unit.person}", 0)


def _chunk(force: np.ndarray, code: str, start_us: int, unit: Unit, removed: dict[str, int]) -> Chunk:
    """Force : ndarray of shape (n, 3), m/s2 at 20 Hz, one run."""
    pairs = len(force) // 2
    total = -force[: 2 * pairs].reshape(pairs, 2, 3).mean(axis=1) / STANDARD_GRAVITY
    pitch, roll, user = split_gravity(total)
    activity = ACTIVITIES.get(code)
    columns = {
        "stamp": start_us + np.arange(pairs) * _PERIOD_US,
        "pitch": pitch,
        "roll": roll,
        **{f"user_acceleration_{axis}": user[:, i] for i, axis in enumerate("xyz")},
    }
    if activity:
        columns["activity"] = np.full(pairs, activity, object)
    removed = {**removed, "averaged_into_the_reading_before": pairs}
    if len(force) % 2:
        removed["odd_row"] = 1
    noticed = {} if activity else {f"unknown_label:{code}": pairs}
    table = chunk_table(columns, unit.person, f"wisdm-{unit.person}", pairs)
    return Chunk(table, Ledger(pairs + sum(removed.values()), pairs, removed, noticed))
