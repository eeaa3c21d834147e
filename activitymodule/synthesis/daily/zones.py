"""Where synthesised people live: time zones, and when each local day begins and how long it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.synthesis.draws import uniform

ZONES: dict[str, float] = {
    "Europe/Berlin": 0.30,
    "Europe/London": 0.20,
    "America/New_York": 0.28,
    "America/Los_Angeles": 0.12,
    "Asia/Tokyo": 0.05,
    "Australia/Sydney": 0.05,
}
"""Shares are assumed."""
SOUTHERN = ("Australia/Sydney",)
NAMES = tuple(ZONES)


@dataclass(frozen=True)
class LocalDays:
    """The local days of n people, arrays (n, d)."""

    begins: np.ndarray  # datetime64[us], UTC
    hours: np.ndarray  # 23, 24 or 25


def zones_of(device: np.ndarray, seed: int) -> np.ndarray:
    """The zone of each person, as an index into NAMES."""
    shares = np.cumsum(list(ZONES.values()))[:-1]
    return np.searchsorted(shares, uniform("zone", seed, device), side="right")


def local_days(zone: np.ndarray, dates: np.ndarray) -> LocalDays:
    """The local days of people by their zones (n,), on consecutive dates (d,) datetime64[D]."""
    begins = np.stack([_midnights(name, dates) for name in NAMES])
    hours = np.diff(begins, axis=1) / np.timedelta64(1, "h")
    return LocalDays(begins[zone, :-1], hours[zone])


def _midnights(zone: str, dates: np.ndarray) -> np.ndarray:
    """UTC of the midnights that begin each date and end the last one, (d + 1,)."""
    days = [*dates.tolist(), dates[-1].item() + timedelta(days=1)]
    at = [datetime.combine(day, time(), ZoneInfo(zone)).timestamp() for day in days]
    return (np.array(at) * 1e6).astype("datetime64[us]")
