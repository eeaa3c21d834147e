"""Windows of recordings and descriptive features of them, for comparing data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.statistics.recordings import Recording
from activitymodule.telemetry.gravity import STANDARD_GRAVITY

WINDOW = 10 * RATE_HZ

_CHANNELS = "xyzm"
_BANDS_HZ = ((0.05, 0.5), (0.5, 1.2), (1.2, 2.2), (2.2, 3.3), (3.3, 5.1))


@dataclass(frozen=True)
class Windowed:
    """Windows cut from recordings: values (n, 100, 3) in g, activity (n,) and person (n,) of each."""

    values: np.ndarray
    activity: np.ndarray
    person: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


def cut(recordings: Sequence[Recording], hop: int = WINDOW) -> Windowed:
    """Windows of 10 s, one every `hop` samples. Raises DataError where no recording is as long as a window."""
    values, activity, person = [], [], []
    for r in recordings:
        starts = np.arange(0, len(r.acceleration) - WINDOW + 1, hop)
        if len(starts):
            values.append(np.asarray(r.acceleration, np.float32)[starts[:, None] + np.arange(WINDOW)])
            activity += [r.activity] * len(starts)
            person += [r.person] * len(starts)
    if not values:
        raise NotEnoughDataError("no recording is as long as a window of 10 s")
    return Windowed(np.concatenate(values), np.array(activity), np.array(person))


class _Table:
    """Columns of features with their names."""

    def __init__(self) -> None:
        self.columns: list[np.ndarray] = []
        self.names: list[str] = []

    def put(self, name: str, values: np.ndarray) -> None:
        """Add values (n, k): four columns are x, y, z and magnitude."""
        k = values.shape[1]
        self.columns.append(values)
        self.names.extend(f"{name}_{_CHANNELS[i] if k == 4 else i}" for i in range(k))


def describe(windows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Descriptive features of windows (n, 100, 3) in g, to distinguish data sets: (n, n_features) and names.

    Levels, spread, shape, quantiles, jerk, spectrum, autocorrelation, correlation and unsteadiness. Unlike the
    features of the models, these keep the signs of the axes.
    """
    w = windows.astype(np.float64) * STANDARD_GRAVITY
    s = np.concatenate([w, np.linalg.norm(w, axis=2, keepdims=True)], axis=2)
    mean, sd = s.mean(axis=1), s.std(axis=1) + 1e-9
    c = s - mean[:, None]
    table = _Table()
    table.put("mean", mean)
    table.put("log_sd", np.log(sd))
    table.put("skewness", (c**3).mean(axis=1) / sd**3)
    table.put("kurtosis", (c**4).mean(axis=1) / sd**4)
    for q in (0, 10, 25, 50, 75, 90, 100):
        table.put(f"quantile{q}", np.percentile(s, q, axis=1) - (0 if q == 50 else mean))
    steps = np.abs(np.diff(s, axis=1))
    table.put("log_step_mean", np.log(steps.mean(axis=1) + 1e-6))
    table.put("log_step_max", np.log(steps.max(axis=1) + 1e-6))
    _spectral(table, c)
    _temporal(table, s, c, sd)
    return np.nan_to_num(np.concatenate(table.columns, axis=1)).astype(np.float32), table.names


def _spectral(table: _Table, c: np.ndarray) -> None:
    """Features of the spectrum of centred channels c (n, 100, 4)."""
    length = c.shape[1]
    power = np.abs(np.fft.rfft(c * np.hanning(length)[None, :, None], axis=1)) ** 2
    frequency = np.fft.rfftfreq(length, 1 / RATE_HZ)
    total = power[:, 1:].sum(axis=1) + 1e-12
    for low, high in _BANDS_HZ:
        inside = (frequency >= low) & (frequency < high)
        table.put(f"log_band{low}", np.log10(power[:, inside].sum(axis=1) / total + 1e-6))
    table.put("dominant_hz", frequency[1:][power[:, 1:].argmax(axis=1)])
    share = power[:, 1:] / total[:, None]
    table.put("entropy", -(share * np.log(share + 1e-12)).sum(axis=1))
    table.put("peak_share", share.max(axis=1))


def _temporal(table: _Table, s: np.ndarray, c: np.ndarray, sd: np.ndarray) -> None:
    """Autocorrelation, correlation of the axes and unsteadiness of channels s (n, 100, 4), centred: c."""
    n, length, _ = c.shape
    r = np.fft.irfft(np.abs(np.fft.rfft(c, 2 * length, axis=1)) ** 2, axis=1)[:, :length]
    r = r / (r[:, :1] + 1e-12)
    table.put("autocorrelation_peak", r[:, 4:25].max(axis=1))
    table.put("autocorrelation_lag", r[:, 4:25].argmax(axis=1) + 4.0)
    table.put("autocorrelation1", r[:, 1])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        correlation = (c[:, :, a] * c[:, :, b]).mean(axis=1) / (sd[:, a] * sd[:, b])
        table.put(f"correlation{a}{b}", correlation[:, None])
    parts = s.reshape(n, 5, 20, 4)
    table.put("unsteady_mean", np.log(parts.mean(axis=2).std(axis=1) + 1e-6))
    table.put("unsteady_sd", np.log(parts.std(axis=2) + 1e-4).std(axis=1))
