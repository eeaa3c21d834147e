"""Garmin: accelerometer CSV of apps that log the raw sensor (format: im-ethz/flirt, MIT)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from activitymodule.telemetry.decoding import parse_stamps
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
from activitymodule.telemetry.sources.sensor_steps import StepCounter

_SAMPLE = r"(?P<at>[^;,]{16,40})\s*[;,]\s*(?P<x>NUMBER)\s*[;,]\s*(?P<y>NUMBER)\s*[;,]\s*(?P<z>NUMBER)"
_EVENT = r"(?P<at>[^;,]{16,40})\s*[;,]\s*(?P<kind>[A-Z_]{1,40})\s*[;,]\s*(?P<value>NUMBER)"
_MILLI = 1000


@register
class Garmin:
    """Accelerometer CSV of Garmin watches: `acc.csv` (or `acc_PERSON.csv`) in a folder, zip or tar, or the one file.

    Rows are `time;x;y;z` without a header: an ISO time with an offset, and milli-g with gravity, some 25 Hz. Values
    have Core Motion's signs already (face up: z = -1000); the axes stay the watch's (`device_model` garmin).
    `data.csv` beside it (`time;KIND;value`) gives heart rate (HEART_RATE) and steps (STEPS, a counter); its other
    kinds are counted. What is missing, as between two activities, stays missing. The person is PERSON in the file's
    name, else the folder.
    """

    name = "garmin"

    def scan(self, path: Path) -> list[Unit]:
        """One unit an accelerometer file; ConfigError or DataError where there is none."""
        units = []
        for file, member in recordings_at(path, ".csv"):
            *folders, name = place_of(path, file, member)
            if name.lower().startswith("acc") and _recognised(Unit(self.name, file, "", member)):
                person = name[3:].strip("_- ") or folders[-1]
                units.append(Unit(self.name, file, pseudonym(person), member))
        if not units:
            raise none_found(path, "accelerometer file of a Garmin watch (acc.csv with rows time;x;y;z)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time."""
        resampler = Resampler(unit.person, device_of(unit), "garmin")
        with ExitStack() as stack:
            streams = [_samples(stack.enter_context(opened(unit)), unit)]
            events = beside(unit, "data.csv")
            if events:
                streams.append(_events(stack.enter_context(opened(events)), events))
            for rows in merged(streams):
                yield from resampler.push(rows)
            yield from resampler.finish()


def _recognised(unit: Unit) -> bool:
    with opened(unit) as file:
        return bool(
            fields_of(pa.array([file.readline(200).decode("utf-8-sig", "replace").strip()]), _SAMPLE, "x")[1][
                0
            ]
        )


def _timed(found: pa.StructArray, known: np.ndarray) -> tuple[pa.StructArray, np.ndarray, Ledger]:
    """The lines whose time can be read, their times, and what else there was."""
    time_us, read = parse_stamps(found.field("at"))
    bad = int((~known).sum() + (~read).sum())
    return found.filter(pa.array(read)), time_us[read], Ledger(bad, 0, {"malformed_row": bad} if bad else {})


def _samples(file: IO[bytes], unit: Unit) -> Iterator[Rows]:
    for lines in lines_of(file, unit):
        found, time_us, ledger = _timed(*fields_of(lines, _SAMPLE, "xyz"))
        columns = {f"acceleration_{axis}": number_column(found, axis) / _MILLI for axis in "xyz"}
        yield Rows(time_us, columns, ledger)


def _events(file: IO[bytes], unit: Unit) -> Iterator[Rows]:
    counter = StepCounter()
    for lines in lines_of(file, unit):
        found, time_us, ledger = _timed(*fields_of(lines, _EVENT, ["kind", "value"]))
        kind, value = np.array(found.field("kind").to_pylist(), object), number_column(found, "value")
        heart, steps = kind == "HEART_RATE", kind == "STEPS"
        others = int((~heart & ~steps).sum())
        ledger += Ledger(noticed={"event_of_another_kind": others} if others else {})
        at, taken, counter = counter.after(time_us[steps] * 1000, value[steps])
        first = int(steps.sum()) - len(at)  # a counter says nothing before its second sample
        ledger += Ledger(first, 0, {"no_value": first} if first else {})
        time_us = np.r_[time_us[heart], at // 1000]
        order = np.argsort(time_us, kind="stable")
        columns = {
            "heart_rate": np.r_[value[heart], np.full(len(at), np.nan)][order],
            "steps": np.r_[np.full(int(heart.sum()), np.nan), taken][order],
        }
        yield Rows(time_us[order], columns, ledger)
