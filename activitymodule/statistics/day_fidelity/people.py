"""Daily records of people as arrays: what the comparison computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

NUMBERS = ("steps", "kcal", "active_minutes")
LEAST_WORN = 14  # worn days; a person with fewer says little about distributions


@dataclass(frozen=True)
class PersonDays:
    """The days of one person in order; arrays (n,).

    day : int64, days since 1970; worn : bool; numbers : one of NUMBERS -> float64, NaN where not worn
    """

    participant: str
    day: np.ndarray
    worn: np.ndarray
    numbers: dict[str, np.ndarray]

    def worn_values(self, name: str) -> np.ndarray:
        """The values of worn days."""
        return self.numbers[name][self.worn]

    @property
    def weekday(self) -> np.ndarray:
        """Monday is 0."""
        return (self.day + 3) % 7

    def on(self, days: np.ndarray) -> PersonDays:
        """Only these days."""
        kept = np.isin(self.day, days)
        numbers = {name: values[kept] for name, values in self.numbers.items()}
        return PersonDays(self.participant, self.day[kept], self.worn[kept], numbers)


def people_of(records: pa.Table) -> list[PersonDays]:
    """The people of daily records (days/columns), each without their first and last day, which exports cut short.

    A day is worn where it has minutes of wear, or steps where wear is not known. Numbers are rounded to whole ones, as
    trackers give them.
    """
    who = np.asarray(records.column("participant").to_pylist(), object)
    day = records.column("date").cast(pa.int32()).to_numpy().astype(np.int64)
    numbers = {
        name: records.column(name).to_numpy().astype(np.float64) for name in ("wear_minutes", *NUMBERS)
    }
    wear = numbers.pop("wear_minutes")
    worn = np.where(np.isnan(wear), np.nan_to_num(numbers["steps"]) > 0, wear > 0)
    found = []
    for name in sorted(set(who.tolist())):
        rows = np.flatnonzero(who == name)
        rows = rows[np.argsort(day[rows], kind="stable")][1:-1]
        own = {
            column: np.where(worn[rows], np.round(values[rows]), np.nan) for column, values in numbers.items()
        }
        found.append(PersonDays(name, day[rows], worn[rows], own))
    return found


def well_known(people: Sequence[PersonDays]) -> list[PersonDays]:
    """Those with enough worn days."""
    return [person for person in people if person.worn.sum() >= LEAST_WORN]
