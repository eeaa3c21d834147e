"""Histories of synthesised people: months of daily records, and how they compare with those of real people."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from activitymodule.days.columns import SCHEMA
from activitymodule.days.imports import table_mapping
from activitymodule.days.imports.table import import_table
from activitymodule.lake import history
from activitymodule.settings import Settings
from activitymodule.statistics.day_fidelity.people import PersonDays, people_of
from activitymodule.statistics.day_fidelity.report import DayComparison, Halves, compare, halves
from activitymodule.streaming import day_history
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark
from activitymodule.synthesis.daily.records import (
    HistoryRun,
    people_table,
    person_name,
    record_table,
    truth_table,
)


@dataclass(frozen=True)
class GeneratedHistory:
    """What was written. months : the files, as YYYY-MM; stopped : people who put the watch away for good"""

    people: int
    days: int
    seed: int
    first: date
    last: date
    records: int
    months: tuple[str, ...]
    stopped: int
    personas: dict[str, int]
    seconds: float


def generate(
    config: Settings,
    *,
    people: int,
    days: int,
    seed: int,
    start: date,
    partitions: int | None = None,
    engine: str | None = None,
) -> GeneratedHistory:
    """Write daily records of synthesised people to `history/` in the lake, in place of those that are there.

    partitions, engine : `fleet.partitions` and `fleet.engine` without them; the records are the same. Raises
    ConfigError, ServiceUnavailableError.
    """
    run = HistoryRun(people, days, seed, start)
    began = time.monotonic()
    with explained_spark(config):
        spark = spark_session(config, "history")
        made = day_history.generate(
            spark, config, run, partitions or config.fleet.partitions, engine or config.fleet.engine
        )
    truth = truth_table(run)
    history.write(config, history.PEOPLE, people_table(run))
    history.write(config, history.TRUTH, truth)
    personas = {str(one["values"]): int(one["counts"]) for one in truth["persona"].value_counts().to_pylist()}
    return GeneratedHistory(
        people,
        days,
        seed,
        run.dates[0].item(),
        run.dates[-1].item(),
        sum(made.values()),
        tuple(map(str, made)),
        len(truth) - truth["stopped"].null_count,
        dict(sorted(personas.items())),
        time.monotonic() - began,
    )


@dataclass(frozen=True)
class ComparedHistory:
    """A comparison, with the people of it: the real ones, and the synthesised ones of each seed."""

    comparison: DayComparison
    real: Halves
    synthetic: tuple[Halves, ...]


def compare_with(
    path: Path, mapping: str, *, seeds: int, step: Callable[[str, int], None] = lambda text, steps: None
) -> ComparedHistory:
    """Compare synthesised days with a table of real ones, read by a mapping (docs/days.md).

    Each real person has a synthesised counterpart, drawn without regard to them, of whom the same dates are taken.
    """
    by = table_mapping.load(mapping)
    rows = import_table(by, path).rows
    prefix = by.participant.prefix if by.participant else ""
    real = halves(people_of(pa.Table.from_pylist(rows, SCHEMA)), key=lambda name: name.removeprefix(prefix))
    synthetic = []
    for seed in range(1, seeds + 1):
        step(f"synthesising, seed {seed}", seeds)
        synthetic.append(_counterparts(real, seed))
    return ComparedHistory(compare(real, synthetic, step), real, tuple(synthetic))


def _counterparts(real: Halves, seed: int) -> Halves:
    people = [*real.tuned, *real.reported]
    first, last = (int(f(np.concatenate([p.day for p in people]))) for f in (np.min, np.max))
    # a day more on either side, which people_of leaves out
    start = np.datetime64(first - 1, "D").item()
    run = HistoryRun(len(people), last - first + 3, seed, start)
    made = {p.participant: p for p in people_of(record_table(run))}
    lived: list[PersonDays] = [
        made[person_name(number)].on(person.day) for number, person in enumerate(people, 1)
    ]
    return Halves(lived[: len(real.tuned)], lived[len(real.tuned) :])
