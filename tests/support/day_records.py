"""Daily records of made-up people: small, quick, and with known personas, workouts, calories and stops."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from activitymodule.days.columns import SCHEMA

PERSONAS = {  # workouts a week, minutes of one, hour, spread of the hour, kinds, only at weekends
    "athlete": (6.0, 70.0, 7, 0.3, ("running", "cycling", "swimming"), False),
    "weekender": (1.8, 60.0, 10, 1.0, ("cycling", "running"), True),
    "walker": (3.0, 30.0, 12, 4.0, ("walking",), False),
    "idle": (0.15, 20.0, 15, 4.0, ("walking",), False),
}
MET = {"running": 9.0, "cycling": 7.0, "swimming": 8.0, "walking": 3.5}


def day_records(
    people: int = 60,
    days: int = 70,
    *,
    seed: int = 0,
    source: str = "synthetic",
    stopping: float = 0.0,
    every: int = 1,
    first: date = date(2026, 1, 5),
) -> pa.Table:
    """Daily records; person k has the persona k % 4 (`persona_of`). stopping : chance a day, after a fortnight of less
    and less wear, that a person stops wearing the watch; then there are no more records. every : only every such day
    has a record, which is quicker"""
    dice = np.random.default_rng(seed)
    names = list(PERSONAS)
    rows: list[dict[str, object]] = []
    for person in range(people):
        rate, minutes, hour, spread, kinds, weekends = PERSONAS[names[person % len(names)]]
        weight, rest = dice.normal(75, 10), dice.normal(60, 6)
        end = days if not stopping else int(dice.geometric(stopping)) + 20
        for day in range(0, min(days, end), every):
            fading = max(0, 10 - (end - day)) / 10 if end < days else 0.0
            wear = max(0.0, dice.normal(900 * (1 - 0.6 * fading), 60))
            chance = rate / 7 if not weekends else rate / 2 * (day % 7 >= 5)  # the first day is a Monday
            kind = str(dice.choice(kinds)) if dice.random() < chance * (1 - fading) else None
            length = max(12.0, dice.normal(minutes, 5)) if kind else 0.0
            own = 0.0175 * MET[kind] * weight * length if kind else 0.0
            hours = np.zeros(24)
            hours[int(np.clip(dice.normal(hour, spread), 0, 23))] += min(length, 60.0)
            hours[12] = min(hours[12] + 5, 60.0)
            active = length + 20 * dice.random()
            rows.append(
                {
                    "participant": f"p{person:04d}",
                    "date": first + timedelta(days=day),
                    "source": source,
                    "zone": "UTC",
                    "hours": 24.0,
                    "wear_minutes": wear,
                    "completeness": min(wear / 1440, 1.0),
                    "active_minutes": active,
                    "minutes": [(kind, length)] if kind else [],
                    "bouts": [(kind, 1.0)] if kind else [],
                    "hours_active": hours.tolist(),
                    "workout": kind,
                    "workout_minutes": length,
                    "workout_kcal": own,
                    "steps": 4000
                    + (130.0 if kind in ("running", "walking") else 5.0) * length
                    + 500 * dice.random(),
                    "kcal": 1500 * weight / 75 + own + 100 * dice.random(),
                    "heart_resting": rest,
                    "heart_mean": rest + 15 + length / 6,
                    "heart_max": rest + (10 * MET[kind] if kind else 40) + 8 * dice.random(),
                    "intensity": 0.02 + 0.001 * length,
                }
            )
    return pa.Table.from_pylist(rows, SCHEMA)


def persona_of(participant: str) -> str:
    """The persona that a person was made by."""
    return list(PERSONAS)[int(participant[1:]) % len(PERSONAS)]
