"""From what an export holds to daily records: one row a local day, with the columns of days/columns.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.days.columns import COLUMNS, MINUTES
from activitymodule.days.imports import minutes, zones
from activitymodule.days.imports.ledger import Ledger
from activitymodule.days.imports.samples import ROW, DayRows, Kind, Samples
from activitymodule.days.imports.workouts import Workout, distinct
from activitymodule.errors import DataError

Row = dict[str, object]
"""A daily record by column; what is missing is null."""

ACTIVE_STEPS = 40
"""Steps in a minute from which it is active: purposeful steps (Tudor-Locke et al. 2011, IJBNPA 8:79)."""
_MOST_WORKOUTS = 100_000
_MOST_A_DAY = 1000
_REST_MINUTES, _REST_QUANTILE = 30, 0.05


@dataclass
class Export:
    """What an importer found in an export, besides its samples.

    figures : what the export itself states of local days, by column (`minutes.NAME` for a map)
    zone : the person's, where the export says it; offsets : see zones.inferred
    gap_minutes : between two heart rates of a watch that is worn
    """

    samples: Samples
    gap_minutes: int
    figures: dict[date, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    workouts: list[Workout] = field(default_factory=list)
    zone: str | None = None
    offsets: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the import."""
        return self.samples.ledger

    def add_workout(self, workout: Workout) -> None:
        """Take a workout. Raises DataError where there are too many to be true."""
        usable = 0 <= workout.end - workout.start <= 7 * 86_400 and workout.start > 0
        if not usable or not 0 <= workout.minutes <= 1500:
            self.ledger.leave_out("workout: impossible time")
            return
        self.ledger.read["workout"] += 1
        self.workouts.append(workout)
        if len(self.workouts) > _MOST_WORKOUTS:
            raise DataError(f"the export has more than {_MOST_WORKOUTS:,} workouts; it cannot be right")


def rows_of(export: Export, participant: str, source: str, zone: ZoneInfo) -> list[Row]:
    """The daily records of an export, in the order of days. What sources told alike goes to the ledger."""
    days = _Days(export, zone)
    rows = []
    for day, samples in days.each():
        row: Row = {"participant": participant, "date": day, "source": source, "zone": zone.key}
        rows.append(bounded(row | days.row(day, samples), export.ledger))
    last = max((place for place, row in enumerate(rows) if not _is_unworn(row)), default=-1)
    if last + 1 < len(rows):
        export.ledger.leave_out("day after the last one with data", len(rows) - last - 1)
    return rows[: last + 1]


def bounded(row: Row, ledger: Ledger) -> Row:
    """The record without numbers that its day cannot have, which are counted."""
    minutes_of_day = 60 * cast(float, row["hours"]) + 1e-6
    for column in COLUMNS:
        value = row.get(column.name)
        if isinstance(value, float) and column.high is not None:
            high = min(column.high, minutes_of_day) if column.unit == "min" else column.high
            if not (column.low or 0.0) <= value <= high:
                row[column.name] = None
                ledger.leave_out(f"{column.name} of a day: impossible value")
    return row


def _is_unworn(row: Row) -> bool:
    return row.get("wear_minutes") == 0 and row.get("completeness") == 0


class _Days:
    """An export by day."""

    def __init__(self, export: Export, zone: ZoneInfo) -> None:
        self.export, self.zone, self.ledger = export, zone, export.ledger
        self.has_heart = bool(self.ledger.read[Kind.heart_rate.name])
        self.workouts: dict[date, list[Workout]] = defaultdict(list)
        for workout in export.workouts:
            self.workouts[zones.date_of(workout.start, zone)].append(workout)

    def each(self) -> Iterator[tuple[date, DayRows]]:
        """Every day that has samples, a workout or a figure."""
        waiting = sorted(set(self.workouts) | set(self.export.figures))
        for found in self.export.samples.days(self.zone):
            while waiting and waiting[0] < found.day:
                yield self._empty(waiting.pop(0))
            if waiting and waiting[0] == found.day:
                waiting.pop(0)
            yield found.day, found
        for day in waiting:
            yield self._empty(day)

    def _empty(self, day: date) -> tuple[date, DayRows]:
        start, end = zones.day_starts(day, 1, self.zone)
        rows = np.empty(0, ROW)
        return day, DayRows(day, float(start), float(end), rows)

    def row(self, day: date, samples: DayRows) -> Row:
        """The columns of a day."""
        figures = self.export.figures.get(day, {})
        workouts = self._workouts(day)
        kinds = {kind: samples.rows[samples.rows["kind"] == kind] for kind in Kind}
        steps, covered = self._amount(samples, kinds[Kind.steps])
        cadence = steps if steps is not None and minutes.is_fine(kinds[Kind.steps]).any() else None
        active = self._active(samples, cadence, workouts)
        heart = minutes.means(samples, kinds[Kind.heart_rate])
        worn = minutes.worn(~np.isnan(heart), self.export.gap_minutes)
        kcal, covered_kcal = self._energy(samples, kinds)
        row: Row = {"hours": (samples.end - samples.start) / 3600}
        stated = {
            name.partition(".")[2]: value for name, value in figures.items() if name.startswith("minutes.")
        }
        moved = sum(value for name, value in stated.items() if name != "sedentary")
        total = None if steps is None else float(round(steps.sum()))
        if not worn.any() and not workouts and not total and not moved and (total == 0 or stated):
            return row | {"wear_minutes": 0.0, "completeness": 0.0}
        if self.has_heart:
            row["wear_minutes"] = float(worn.sum())
        recorded = covered | covered_kcal | worn
        if recorded.any():
            row["completeness"] = float(recorded.mean())
        if active is not None:
            row["active_minutes"] = float(active.sum())
            row["hours_active"] = minutes.by_hour(active)
        if any(name != "sedentary" for name in stated):
            row["active_minutes"] = moved
        row |= self._workout_columns(workouts, stated) | self._heart(samples, heart, worn, active, kinds)
        row |= {"steps": total, "kcal": kcal}
        row |= {name: value for name, value in figures.items() if not name.startswith("minutes.")}
        return row

    def _workouts(self, day: date) -> list[Workout]:
        found = self.workouts.get(day, [])
        if len(found) > _MOST_A_DAY:
            raise DataError(f"the export has {len(found):,} workouts on {day}; it cannot be right")
        kept, known = distinct(found)
        if known:
            self.ledger.merged["workout: told by another source too"] += known
        return kept

    def _amount(self, day: DayRows, rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        if not len(rows):
            return None, np.zeros(minutes.length(day), bool)
        amount, covered, others = minutes.merged(day, rows, self.export.samples.sources)
        if others >= 1:
            kind = Kind(rows["kind"][0]).name
            self.ledger.merged[f"{kind}: amount told by another source too"] += round(others)
        return amount, covered

    def _energy(self, day: DayRows, kinds: Mapping[Kind, np.ndarray]) -> tuple[float | None, np.ndarray]:
        """Energy of the day (kcal), resting included, or None; and the minutes that are covered."""
        resting, covered = self._amount(day, kinds[Kind.resting_energy])
        active, also = self._amount(day, kinds[Kind.active_energy])
        covered = covered | also
        if resting is not None:
            return float(resting.sum() + (0.0 if active is None else active.sum())), covered
        if active is not None and not self.ledger.read[Kind.resting_energy.name]:
            self.ledger.noticed["day whose kcal is active energy only: the export has no resting energy"] += 1
            return float(active.sum()), covered
        energy, also = self._amount(day, kinds[Kind.energy])
        return (None if energy is None else float(energy.sum())), covered | also

    def _active(
        self, day: DayRows, cadence: np.ndarray | None, workouts: Sequence[Workout]
    ) -> np.ndarray | None:
        """Minutes of purposeful steps or of a workout; None where neither is known."""
        if cadence is None and not workouts:
            return None
        n = minutes.length(day)
        active = np.zeros(n, bool) if cadence is None else cadence >= ACTIVE_STEPS
        for one in workouts:
            low, high = (one.start - day.start) / 60, (one.end - day.start) / 60
            active[int(low) : max(round(high), int(low) + 1)] = True
        return active

    def _workout_columns(self, workouts: Sequence[Workout], stated: Mapping[str, float]) -> Row:
        row: Row = {"minutes": dict(sorted(stated.items()))} if stated else {}
        if self.workouts and not workouts:
            row |= {"workout_minutes": 0.0, "workout_kcal": 0.0}
        if workouts:
            by_kind = {
                kind: min(sum(one.minutes for one in workouts if one.kind == kind), MINUTES)
                for kind in sorted({one.kind for one in workouts})
            }
            row.setdefault("minutes", by_kind)
            main = max(workouts, key=lambda one: (one.minutes, -one.start))
            row |= {"workout": main.kind, "workout_minutes": main.minutes, "workout_kcal": main.kcal}
        return row

    def _heart(
        self,
        day: DayRows,
        heart: np.ndarray,
        worn: np.ndarray,
        active: np.ndarray | None,
        kinds: Mapping[Kind, np.ndarray],
    ) -> Row:
        row: Row = {}
        known = ~np.isnan(heart)
        if known.any():
            row |= {"heart_mean": float(heart[known].mean()), "heart_max": float(heart[known].max())}
            at_rest = heart[known & ~active] if active is not None else heart[known]
            if len(at_rest) >= _REST_MINUTES:
                row["heart_resting"] = float(np.quantile(at_rest, _REST_QUANTILE))
            place = np.flatnonzero(worn)
            begin = datetime.fromtimestamp(day.start, UTC)
            row["first_wear"] = begin + timedelta(minutes=int(place[0]))
            row["last_wear"] = begin + timedelta(minutes=int(place[-1]) + 1)
        if len(stated := kinds[Kind.resting_heart_rate]):
            row["heart_resting"] = float(stated["value"].mean())
        return row
