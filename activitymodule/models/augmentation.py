"""Copies of recorded runs as another person or watch would have made them, to learn from.

A copy is a run at another tempo, with larger or smaller movements, or on a watch whose maker calls the other axis of
the screen x. Nothing is drawn at random: copies at fixed steps of tempo and size were better on held-out people, as
recorded and as other people and watches would have been recorded, than as many drawn between (docs/models.md).

T. T. Um et al. (2017), Data augmentation of wearable sensor data for Parkinson's disease monitoring, ICMI 2017.
"""

from __future__ import annotations

import numpy as np

from activitymodule.settings import RunCopy
from activitymodule.windows.packing import CHANNELS, RECORD

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)
_BY_TEMPO = [*range(3, 6), CHANNELS.index("steps"), CHANNELS.index("speed")]
_SWAPPED = [1, 0, 2]


def changed(records: np.ndarray, copy: RunCopy, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """A copy of one run, and the place in the run that each of its readings comes from.

    records : RECORDs (n,) in the order of time. Returns RECORDs (n_copy,) at `rate_hz` from the run's start, and
    int64 (n_copy,); nothing is made up for gaps.
    """
    stamps = records["stamp_us"]
    since = (stamps - stamps[0]) / 1e6
    if len(since) == 1:
        return records[:0], np.empty(0, np.int64)
    wanted = np.arange(int(since[-1] * rate_hz / copy.tempo + 1e-9) + 1) * copy.tempo / rate_hz
    right = np.clip(np.searchsorted(since, wanted), 1, len(since) - 1)
    left = right - 1
    nearest = np.where(wanted - since[left] <= since[right] - wanted, left, right)
    near = np.abs(since[nearest] - wanted) <= 1 / rate_hz
    share = (wanted - since[left]) / (since[right] - since[left])
    values = records["values"].astype(np.float64)
    found = values[left] + (values[right] - values[left]) * share[:, None]
    # a count belongs to one reading, and is not between two
    found[:, _BY_TEMPO[3:]] = values[nearest][:, _BY_TEMPO[3:]]
    found[:, _BY_TEMPO] *= copy.tempo
    total = found[:, _ACCELERATION]
    mean = np.nanmean(values[:, _ACCELERATION], axis=0) if np.isfinite(total).any() else 0.0
    found[:, _ACCELERATION] = mean + (total - mean) * copy.size
    if copy.swapped:
        found[:, _ACCELERATION] = found[:, _ACCELERATION][:, _SWAPPED]
        # a rotation is a pseudovector: a mirrored frame sees it turn the other way
        found[:, _ROTATION] = -found[:, _ROTATION][:, _SWAPPED]
    made = np.empty(len(wanted), RECORD)
    made["stamp_us"] = stamps[0] + np.arange(len(wanted)) * (1_000_000 // rate_hz)
    made["values"] = found
    return made[near], nearest[near]


def copies_of_runs(
    records: np.ndarray, run: np.ndarray, copy: RunCopy, rate_hz: int
) -> tuple[np.ndarray, np.ndarray]:
    """One copy of each run: RECORDs (n_copies,), and the place of the reading that each comes from, int64.

    records : (n,), with `run` (n,) that counts up from 0
    """
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    ends = np.append(starts[1:], len(run))
    parts, origins = [records[:0]], [np.empty(0, np.int64)]
    for start, end in zip(starts, ends, strict=True):
        made, origin = changed(records[start:end], copy, rate_hz)
        parts.append(made)
        origins.append(origin + start)
    return np.concatenate(parts), np.concatenate(origins)
