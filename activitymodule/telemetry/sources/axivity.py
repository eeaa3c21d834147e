"""Axivity AX3 and AX6: .cwa files (format: github.com/digitalinteraction/openmovement, Docs/ax3/ax3-technical.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from activitymodule.errors import DataError
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, register
from activitymodule.telemetry.sources.exports import (
    device_of,
    none_found,
    opened_whole,
    recordings_at,
    unit_of,
)
from activitymodule.telemetry.sources.research import samples_of

_HEADER_BYTES = 1024
_BLOCK_BYTES = 512
_BLOCKS = 2048  # read at a time: 40 minutes of an AX3 at 100 Hz
_FORM_AT = 25
_FORMS = (0x30, 0x32, 0x62, 0x92)  # number of axes and how they are packed


@register
class Axivity:
    """`.cwa` files of Axivity AX3 and AX6 (or `.gz`): a folder, zip or tar of them, or one; needs the extra `research`.

    The file says the range and the rate of each block, and blocks carry their own time. Acceleration has gravity; the
    sensor measures the force that holds it, so values are turned to Core Motion's signs, and the axes stay the
    device's (`device_model` axivity-ax3 or axivity-ax6). The AX6's gyroscope becomes rotation rates. Times are local
    times without an offset; they are taken as UTC, so that the hour of the day is the wearer's. A block whose checksum
    or time is wrong counts as one row, `damaged_block`; temperature, light and battery are not read. The person is the
    file's name.
    """

    name = "axivity"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is none."""
        units = [unit_of(self.name, path, *one) for one in recordings_at(path, ".cwa")]
        if not units:
            raise none_found(path, "recording of an Axivity (.cwa)")
        for unit in units:
            with opened_whole(unit) as file:
                if file.read(2) != b"MD":
                    raise DataError(f"{unit} is not a recording of an Axivity: it does not begin with MD")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        with opened_whole(unit) as file:
            header = file.read(_HEADER_BYTES)
            about = samples_of(header, unit).about.get("device", {})
            model = {"AX3": "axivity-ax3", "AX6": "axivity-ax6"}.get(about.get("hardware_type", ""))
            resampler = Resampler(unit.person, device_of(unit, about.get("device_id", "")), model)
            while data := file.read(_BLOCKS * _BLOCK_BYTES):
                yield from resampler.push(_rows(header, data, unit))
            yield from resampler.finish()


def _rows(header: bytes, data: bytes, unit: Unit) -> Rows:
    """The samples of some blocks, in g and rad/s."""
    blocks = np.frombuffer(data[: len(data) // _BLOCK_BYTES * _BLOCK_BYTES], np.uint8).reshape(
        -1, _BLOCK_BYTES
    )
    used = ~((blocks == 0xFF).all(axis=1) | (blocks == 0).all(axis=1))  # the rest is empty memory
    known = blocks[used & np.isin(blocks[:, _FORM_AT], _FORMS)]
    found = samples_of(header + known.tobytes(), unit)
    damaged = int(used.sum()) - found.blocks + (len(data) % _BLOCK_BYTES > 0)
    columns = {f"acceleration_{axis}": -found.acceleration[:, i] for i, axis in enumerate("xyz")}
    if found.rotation is not None:
        turned = np.deg2rad(found.rotation)
        columns |= {f"rotation_rate_{axis}": turned[:, i] for i, axis in enumerate("xyz")}
    return Rows(found.time_us, columns, Ledger(damaged, 0, {"damaged_block": damaged} if damaged else {}))
