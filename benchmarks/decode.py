"""Readings/s of one core from messages to panes; prints JSON.

Shapes of traffic: one reading a message (all fields), ten readings a message, some bad messages among them.
The measures are ratios in the same run, since seconds of a shared machine say little: to the same columns
made message by message with orjson (the slow path), to Arrow's reader without the scanner, and to orjson.loads alone,
which makes no columns.
Example: python benchmarks/decode.py --messages 50000 --repeat 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import unittest.mock
from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa

from activitymodule import settings
from activitymodule.telemetry import decoding
from activitymodule.telemetry.decoding import fast
from activitymodule.telemetry.schema import FIELDS
from activitymodule.windows.panes import PANE_FIELDS, decode_panes

NOW_US = 1_790_000_000_000_000
WATCHES = 100
DIGITS = 3  # of every number; makes messages of some 550 bytes


def reading_text(rng: np.random.Generator, device: int, stamp_us: int) -> str:
    """A reading with every field, as a watch would write it."""
    parts = [f'"device_id":"watch-{device:05d}"', f'"stamp":"{np.datetime64(stamp_us, "us")!s:.23}Z"']
    for f in FIELDS[2:]:
        if f.kind == "float":
            parts.append(f'"{f.name}":{rng.uniform(max(f.low or 0, -2), min(f.high or 2, 2)):.{DIGITS}f}')
    parts.append('"location_type":null,"battery_state":"unplugged","user_activity_label":null')
    return "{" + ",".join(parts) + "}"


def messages(count: int, readings_per_message: int) -> list[bytes]:
    rng = np.random.default_rng(1)
    out = []
    for i in range(count // readings_per_message):
        device, tick = i % WATCHES, i // WATCHES
        start_us = NOW_US - 3_600_000_000 + tick * readings_per_message * 100_000
        texts = [reading_text(rng, device, start_us + k * 100_000) for k in range(readings_per_message)]
        out.append((texts[0] if readings_per_message == 1 else "[" + ",".join(texts) + "]").encode())
    return out


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median of `repeat` runs, in seconds of processor time: others on the machine count less."""
    took = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return statistics.median(took)


def measure(batch: list[bytes], readings: int, repeat: int) -> dict[str, float]:
    limits = settings.Telemetry()
    values = pa.array([m + b"\n" for m in batch], pa.binary())
    kafka_us = np.full(len(batch), NOW_US)

    def panes() -> None:
        decode_panes(
            values, kafka_us, now_us=NOW_US, limits=limits, slide_seconds=10, newline_terminated=True
        )

    def table() -> None:
        decoding.decode_messages(values, now_us=NOW_US, limits=limits, newline_terminated=True)

    def plain() -> None:
        for message in batch:
            try:
                orjson.loads(message)
            except ValueError:
                continue

    def one_by_one() -> None:
        decoding.decode_rows(
            values, fields=PANE_FIELDS, now_us=NOW_US, limits=limits, newline_terminated=True, slowly=True
        )

    def arrow() -> None:
        with unittest.mock.patch.object(fast, "_scanner", return_value=None):
            panes()

    panes()  # the scanner is compiled, or read from the disk
    works = (
        ("plain", plain),
        ("one_by_one", one_by_one),
        ("arrow", arrow),
        ("panes", panes),
        ("table", table),
    )
    of = {name: seconds(work, repeat) for name, work in works}
    return {
        "messages": len(batch),
        "bytes_per_message": round(sum(map(len, batch)) / len(batch)),
        "panes_readings_per_second": round(readings / of["panes"]),
        "table_readings_per_second": round(readings / of["table"]),
        "one_by_one_readings_per_second": round(readings / of["one_by_one"]),
        "orjson_loads_only_readings_per_second": round(readings / of["plain"]),
        "panes_to_arrow": round(of["arrow"] / of["panes"], 2),
        "panes_to_one_by_one": round(of["one_by_one"] / of["panes"], 2),
        "panes_to_orjson_loads_only": round(of["plain"] / of["panes"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000, help="readings in a batch")
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    pa.set_cpu_count(1)
    singles = messages(asked.messages, 1)
    one_bad = list(singles)
    one_bad[len(singles) // 2] = b'{"device_id":'
    some_bad = [b'{"device_id":' if i % 1000 == 500 else m for i, m in enumerate(singles)]
    mixed = [m if i % 2 else b"[" + m + b"]" for i, m in enumerate(singles)]
    shapes = {
        "single": singles,
        "single_one_bad": one_bad,
        "single_one_bad_in_1000": some_bad,
        "singles_and_arrays": mixed,
        "arrays_of_10": messages(asked.messages, 10),
    }
    print(json.dumps({n: measure(b, asked.messages, asked.repeat) for n, b in shapes.items()}, indent=2))


if __name__ == "__main__":
    main()
