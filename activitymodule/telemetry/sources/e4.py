"""Empatica E4: the files of a session (info.txt of each export; support.empatica.com, article 202028739)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from activitymodule.errors import DataError
from activitymodule.telemetry.cleaning import possible_stamps
from activitymodule.telemetry.merging import merged
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, opened, register
from activitymodule.telemetry.sources.exports import (
    beside,
    device_of,
    fields_of,
    lines_of,
    none_found,
    number_column,
    place_of,
    pseudonym,
    recordings_at,
)

_COUNTS_IN_G = 64
_SESSION = re.compile(r"\d{9,11}_(\w+)")
_AXES = ("acceleration_x", "acceleration_y", "acceleration_z")
_FASTEST_HZ = 1000


@register
class E4:
    """Sessions of an Empatica E4: a folder with `ACC.csv`, a session's zip, or a folder, zip or tar of these.

    The first row of a file is when it starts (UTC epoch seconds), the second its rate in Hz; of `ACC.csv` (32 Hz, 1/64
    g with gravity, range +-2 g) each row after them is a sample, of `HR.csv` (1 Hz) the mean heart rate. A row that is
    no number keeps its place in time and is counted. The E4 measures z = +1 g where it lies face up: values are turned
    to Core Motion's signs, the axes stay the E4's (`device_model` empatica-e4). `tags.csv` (the button) is counted as
    `event_mark`; TEMP, EDA, BVP and IBI are not read. The person is the folder or zip of the session; where that has
    the E4's own name (START_SERIAL), it is the folder above it within the path, else the serial number.
    """

    name = "e4"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a session; ConfigError or DataError where there is none."""
        units = []
        for file, member in recordings_at(path, "ACC.csv"):
            *folders, name = place_of(path, file, member)
            if name == "ACC":
                units.append(Unit(self.name, file, _person(folders), member))
        if not units:
            raise none_found(path, "session of an Empatica E4 (ACC.csv)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The session's readings in the order of time; DataError where a file has another format."""
        resampler = Resampler(unit.person, device_of(unit), "empatica-e4")
        with ExitStack() as stack:
            streams = [_series(stack.enter_context(opened(unit)), unit, _AXES, -1 / _COUNTS_IN_G)]
            heart, tags = beside(unit, "HR.csv"), beside(unit, "tags.csv")
            if heart:
                streams.append(_series(stack.enter_context(opened(heart)), heart, ("heart_rate",), 1.0))
            if tags:
                streams.append(_marks(stack.enter_context(opened(tags)), tags))
            for rows in merged(streams):
                yield from resampler.push(rows)
            yield from resampler.finish()


def _person(folders: Sequence[str]) -> str:
    """The innermost name that is not the E4's own, else the serial number in that."""
    given = [name for name in folders if not _SESSION.fullmatch(name)]
    own = [match[1] for name in folders if (match := _SESSION.fullmatch(name))]
    return pseudonym(given[-1] if given else own[-1])


def _series(file: IO[bytes], unit: Unit, names: Sequence[str], scale: float) -> Iterator[Rows]:
    """The samples of a file with a start and a rate. names : of its columns; scale : of their values."""
    pattern = r"\s*,\s*".join(f"(?P<{name}>NUMBER)" for name in names)
    start_us, rate, row = 0, 0.0, 0
    for lines in lines_of(file, unit):
        if not rate:
            start_us, rate = _head(lines[:2].to_pylist(), unit)
            lines = lines[2:]
        found, known = fields_of(lines, pattern, names)
        time_us = start_us + np.round((row + np.flatnonzero(known)) * (1e6 / rate)).astype(np.int64)
        row += len(lines)
        bad = int((~known).sum())
        yield Rows(
            time_us,
            {name: scale * number_column(found, name) for name in names},
            Ledger(bad, 0, {"malformed_row": bad} if bad else {}),
        )
    if not rate:  # the E4 writes empty files for what it did not measure
        yield Rows(np.empty(0, np.int64), {}, Ledger(noticed={f"empty_file:{names[0]}": 1}))


def _head(lines: list[str], unit: Unit) -> tuple[int, float]:
    """Start in UTC microseconds and rate in Hz."""
    try:
        start, rate = (float(line.split(",")[0]) for line in lines)
    except ValueError:
        start, rate = np.nan, np.nan
    if not (0 < rate <= _FASTEST_HZ and abs(start) < 1e11 and possible_stamps(np.array([start * 1e6]))[0]):
        raise DataError(
            f"{unit} is not a file of an Empatica E4: its first two rows must be the start in epoch seconds and the "
            f"rate in Hz, not {' / '.join(lines)[:80]!r}"
        )
    return round(start * 1e6), rate


def _marks(file: IO[bytes], unit: Unit) -> Iterator[Rows]:
    marks = sum(int(fields_of(lines, "(?P<at>NUMBER)", ["at"])[1].sum()) for lines in lines_of(file, unit))
    if marks:
        yield Rows(np.empty(0, np.int64), {}, Ledger(noticed={"event_mark": marks}))
