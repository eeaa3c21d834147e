"""GENEActiv: .bin files, pages of hexadecimal samples (format: ActivInsights; R packages GENEAread, GGIRread)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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

_BEGINS = b"Device Identity"
_PAGE = b"Recorded Data"
_READ_BYTES = 1 << 20  # some 280 pages: 14 minutes at 100 Hz
_LONGEST_BYTES = 1 << 16  # of a header or a page; pages have some 3,800
_LINES_OF_HEADER = 59
_LINES_AFTER_NAME = 9
_NUMBER_OF_PAGES = re.compile(rb"(Number of Pages:)[ \d]+")
_RATE = re.compile(rb"\nMeasurement Frequency:[ ]*[1-9]\d{0,3}[.\s]")
_COMMA = re.compile(rb"(:-?\d+),(\d+)(?=\s)")
_ZONE = re.compile(r"([+-])(\d{1,2}):?(\d{2})")
_ASCII = bytes(code if code < 128 else ord("?") for code in range(256))
_HEADER = re.compile(rb"Time Zone:.*[xyz] gain:[1-9].*[xyz] offset:", re.DOTALL)


@register
class GeneActiv:
    """`.bin` files of GENEActiv: a folder, zip or tar of them (or of `.gz`), or one; needs the extra `research`.

    A header with the calibration, then pages of 300 samples with their time and rate. Acceleration has gravity; the
    sensor measures the force that holds it, so values are turned to Core Motion's signs, and the axes stay the
    device's (`device_model` geneactiv). Page times are local; the header's time zone makes them UTC. A page that is
    damaged counts as one row, `damaged_page`; temperature, light and the button are not read. The person is the file's
    name.
    """

    name = "geneactiv"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is none."""
        units = []
        for file, member in recordings_at(path, ".bin"):
            unit = unit_of(self.name, path, file, member)
            with opened_whole(unit) as stream:
                if stream.read(64).removeprefix(b"\xef\xbb\xbf").startswith(_BEGINS):
                    units.append(unit)
        if not units:
            raise none_found(path, "recording of a GENEActiv (.bin that begins with Device Identity)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        header, resampler, offset_us = b"", Resampler(unit.person, device_of(unit)), 0
        with opened_whole(unit) as file:
            for pages in _pages(file, unit):
                if not header and pages:
                    lines = pages[0].splitlines(keepends=True)
                    header, pages[0] = b"".join(lines[:_LINES_OF_HEADER]), b"".join(lines[_LINES_OF_HEADER:])
                    pages = pages if pages[0].strip() else pages[1:]
                    resampler, offset_us = _begun(header, unit)
                if pages:
                    yield from resampler.push(_rows(header, pages, offset_us, unit))
            yield from resampler.finish()


def _pages(file: IO[bytes], unit: Unit) -> Iterator[list[bytes]]:
    """The header, then pages, some at a time; ASCII with decimal points, and without the number of pages, for which
    the reader would reserve memory."""
    rest = b""
    while data := file.read(_READ_BYTES):
        *pieces, rest = (rest + data.translate(_ASCII)).split(_PAGE)
        if len(rest) > _LONGEST_BYTES:
            raise DataError(f"{unit} is not a recording of a GENEActiv, or is damaged: a page has no end")
        yield [_COMMA.sub(rb"\1.\2", _NUMBER_OF_PAGES.sub(rb"\g<1>0", piece)) for piece in pieces]
    yield [_COMMA.sub(rb"\1.\2", rest)]


def _begun(header: bytes, unit: Unit) -> tuple[Resampler, int]:
    """What makes the readings, and how far its times are ahead of UTC, in microseconds."""
    if header.count(b"\n") != _LINES_OF_HEADER or not _HEADER.search(header):
        raise DataError(f"{unit} is damaged: its header has no time zone, or no calibration")
    about = samples_of(header, unit).about
    serial = about.get("Device Identity", {}).get("Device Unique Serial Code", "").strip()
    zone = _ZONE.search(about.get("Configuration Info", {}).get("Time Zone", ""))
    minutes = 0 if not zone else int(f"{zone[1]}1") * (int(zone[2]) * 60 + int(zone[3]))
    return Resampler(unit.person, device_of(unit, serial), "geneactiv"), minutes * 60_000_000


def _rows(header: bytes, pages: list[bytes], offset_us: int, unit: Unit) -> Rows:
    """The samples of some pages, in g."""
    whole = [
        page for page in pages if page.strip().count(b"\n") == _LINES_AFTER_NAME - 1 and _RATE.search(page)
    ]
    found = samples_of(header + b"".join(_PAGE + b"\n" + page.strip() + b"\n" for page in whole), unit)
    damaged = len(pages) - found.blocks
    columns = {f"acceleration_{axis}": -found.acceleration[:, i] for i, axis in enumerate("xyz")}
    return Rows(
        found.time_us - offset_us, columns, Ledger(damaged, 0, {"damaged_page": damaged} if damaged else {})
    )
