"""The memory of an import does not grow with the export. Long: for `make soak`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from health_exports import DOCUMENT_TYPE, PHONE, WATCH, record

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

_IMPORT = """
import resource, sys
from pathlib import Path
from activitymodule.days.imports.importing import import_export
found = import_export("apple-health", Path(sys.argv[1]), "p1", zone="Europe/Berlin")
print(len(found.rows), sum(row["steps"] for row in found.rows), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_KINDS = (
    ("HeartRate", 5, 0),
    ("StepCount", 10, 300),
    ("ActiveEnergyBurned", 3, 60),
    ("BasalEnergyBurned", 10, 600),
)


def export(path: Path, days: int) -> int:
    """An export of so many days, each with some 1,200 records of a watch and a phone, type after type; its bytes."""
    written = 0
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("apple_health_export/export.xml", "w", force_zip64=True) as member,
    ):
        written += member.write(f"{DOCUMENT_TYPE}<HealthData>\n".encode())
        for kind, step, seconds in _KINDS:
            for day in range(days):
                written += member.write("".join(_day(kind, step, seconds, day)).encode())
        written += member.write(b"</HealthData>\n")
    return written


def _day(kind: str, step: int, seconds: int, day: int) -> list[str]:
    found = []
    for minute in range(0, 1440, step):
        begin = datetime(2012, 1, 1) + timedelta(days=day, minutes=minute)
        times = [f"{at:%Y-%m-%d %H:%M:%S} +0100" for at in (begin, begin + timedelta(seconds=seconds))]
        found.append(record(kind, times[0], times[1], 60 + (7 * minute + day) % 50, WATCH, "Watch"))
        if kind == "StepCount":
            found.append(record(kind, times[0], times[1], 55, PHONE, "Phone"))
    return found


def imported(path: Path) -> tuple[int, float, int]:
    """Days, steps and peak memory (MB) of an import in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(path)], capture_output=True, text=True, check=True
    )
    rows, steps, kilobytes = done.stdout.split()
    return int(rows), float(steps), int(kilobytes) // 1024


def test_an_export_of_gigabytes_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    days = {150: "small", 3800: "large"}
    figures = {}
    for count, name in days.items():
        path = tmp_path / f"{name}.zip"
        megabytes = export(path, count) >> 20
        rows, steps, memory = imported(path)
        figures[name] = memory
        print(f"{megabytes:,} MB of XML, {rows:,} days: {memory:,} MB of memory at most")
        assert rows >= count
        assert steps == pytest.approx(
            sum(60 + (7 * minute + day) % 50 for day in range(count) for minute in range(0, 1440, 10)),
            rel=1e-3,
        )
        path.unlink()
    assert figures["large"] < figures["small"] + 64
