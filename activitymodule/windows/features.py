"""Features of windows: named numbers, the same code for training sets and for the stream.

One family is one function, in the manner of OxWearables' stepcount; a family sees a whole chunk of windows
at once. No feature changes when an axis of the watch is mirrored (worn on the other wrist, or the other way
round). What was not measured is NaN, and never spoils the features of another sensor. docs/features.md, made
by `activity features --markdown`, lists every name.

A window's features are the same to the last bit whatever other windows are in its batch: every chunk has the
same shape (the last one is padded with zeros), so that the linear algebra, the Fourier transform
and the vector code below always run the same instructions over a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from activitymodule import settings
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.catalogue import (
    BAND_EDGES_HZ,
    COLUMNS,
    FEATURE_NAMES,
    FEATURES_VERSION,
    LAGS_SECONDS,
    LEAST_DOMINANT_HZ,
    PEAK_LAGS_SECONDS,
    STILL_M_S2,
)
from activitymodule.windows.packing import CHANNELS

__all__ = ["FEATURES_VERSION", "FEATURE_NAMES", "features"]

STANDARD_GRAVITY = 9.80665  # m/s2 a g
CHUNK_READINGS = 12_800  # a chunk's channel is 50 KiB: all of a chunk stays in the second-level cache
LEAST_SECONDS = 2  # of acceleration (or rotation) a window must hold for features of it

_TINY = np.float32(1e-6)


@dataclass(frozen=True)
class Grid:
    """What follows from a window's length and rate alone: indices, weights and frequencies.

    chunk : windows taken at once; a multiple of 16, so that none meets the remainder code of a vector loop
    hann (slots,), band_weights (frequencies, bands + 2), lag_weights (frequencies of the padded transform,
    lags), frequencies in Hz.
    """

    rate: int
    slots: int
    chunk: int
    hann: np.ndarray
    frequencies: np.ndarray
    band_weights: np.ndarray
    first_dominant: int
    near_bins: int
    padded: int
    lag_weights: np.ndarray
    first_lag: int
    lags: tuple[int, ...]


@lru_cache(maxsize=8)
def grid_of(length_seconds: int, rate_hz: int) -> Grid:
    slots = length_seconds * rate_hz
    frequencies = fft.rfftfreq(slots, 1 / rate_hz)
    # a hair below each edge: a frequency that lies on it belongs to the band above, whatever its rounding
    edges = np.array(BAND_EDGES_HZ) - 1e-9
    bands = np.searchsorted(edges, frequencies, side="right") - 1
    columns = [bands == band for band in range(len(edges) - 1)]
    first_lag, last_lag = (max(1, min(round(s * rate_hz), slots - 1)) for s in PEAK_LAGS_SECONDS)
    lags = tuple(max(1, min(round(s * rate_hz), slots - 1)) for s in LAGS_SECONDS)
    count = max(last_lag, *lags) + 1
    padded = fft.next_fast_len(slots + count, real=True)
    # the inverse transform at the lags we look at, as a matrix; lags beyond the window's length never wrap
    bins = np.arange(padded // 2 + 1)
    twice = np.where((bins == 0) | (2 * bins == padded), 1.0, 2.0) / padded
    lag_weights = twice[:, None] * np.cos(2 * np.pi * np.outer(bins, np.arange(count)) / padded)
    return Grid(
        rate=rate_hz,
        slots=slots,
        chunk=min(128, max(16, CHUNK_READINGS // slots // 16 * 16)),
        hann=np.hanning(slots).astype(np.float32),
        frequencies=frequencies.astype(np.float32),
        band_weights=np.stack([*columns, np.ones(len(frequencies)), frequencies], 1).astype(np.float32),
        first_dominant=int(np.searchsorted(frequencies, LEAST_DOMINANT_HZ - 1e-9)),
        near_bins=max(1, round(0.1 * length_seconds)),
        padded=padded,
        lag_weights=lag_weights.astype(np.float32),
        first_lag=first_lag,
        lags=lags,
    )


@dataclass(frozen=True)
class Motion:
    """A chunk's acceleration in m/s2, taken apart once for all families.

    centred : (5, windows, slots): x, y, z, magnitude, each less its mean, and the vertical part of x, y, z
    horizontal : (windows, slots), size of the horizontal part
    mean : (4, windows) of x, y, z, magnitude; gravity : (3, windows), unit vector of the mean acceleration
    gravity_size : (windows,); sd : (4, windows) of x, y, z, magnitude
    squares : (4, windows, slots), squares of the first four of `centred`
    smooth : (5, windows, slots - rate + 1), `centred` averaged over 1 s
    """

    grid: Grid
    centred: np.ndarray
    horizontal: np.ndarray
    mean: np.ndarray
    gravity: np.ndarray
    gravity_size: np.ndarray
    sd: np.ndarray
    squares: np.ndarray
    smooth: np.ndarray


def _mean(values: np.ndarray) -> np.ndarray:
    return np.add.reduce(values, axis=-1) * np.float32(1 / values.shape[-1])


def _sums_of_neighbours(values: np.ndarray, width: int) -> np.ndarray:
    """Sums over `width` neighbours along the last axis, by doubling: few passes, and no running error."""
    size = values.shape[-1] - width + 1
    total = np.zeros((*values.shape[:-1], size), np.float32)
    done, doubled, span = 0, values, 1
    while done < width:
        if width & span:
            total += doubled[..., done : done + size]
            done += span
        if done < width:
            doubled = doubled[..., :-span] + doubled[..., span:]
            span *= 2
    return total


def motion(acceleration: np.ndarray, grid: Grid) -> Motion:
    """Takes the acceleration of a chunk apart: ndarray of shape (3, windows, slots), m/s2."""
    _, windows, slots = acceleration.shape
    whole = np.empty((4, windows, slots), np.float32)
    whole[:3] = acceleration
    np.sqrt(np.einsum("awt,awt->wt", acceleration, acceleration), out=whole[3])
    # less the first value before the mean: a flat signal is then exactly zero, and float32 is enough
    origin = whole[:, :, :1].copy()
    centred = np.empty((5, windows, slots), np.float32)
    axes = np.subtract(whole, origin, out=centred[:4])
    shift = _mean(axes)
    axes -= shift[:, :, None]
    mean = origin[:, :, 0] + shift
    size = np.sqrt(mean[0] ** 2 + mean[1] ** 2 + mean[2] ** 2)
    gravity = mean[:3] / (size + np.float32(1e-9))
    vertical = np.einsum("awt,aw->wt", centred[:3], gravity)
    centred[4] = vertical
    horizontal = np.zeros((windows, slots), np.float32)
    for axis in range(3):
        across = centred[axis] - vertical * gravity[axis][:, None]
        across *= across
        horizontal += across
    squares = axes * axes
    return Motion(
        grid=grid,
        centred=centred,
        horizontal=np.sqrt(horizontal, out=horizontal),
        mean=mean,
        gravity=gravity,
        gravity_size=size + np.float32(1e-9),
        sd=np.sqrt(_mean(squares)),
        squares=squares,
        smooth=_sums_of_neighbours(centred, grid.rate) * np.float32(1 / grid.rate),
    )


def statistics(m: Motion) -> list[np.ndarray]:
    """Spread and shape of each axis, and where the magnitude lies; moments about the mean."""
    slots = m.grid.slots
    axes, sd = m.centred[:4], m.sd + _TINY
    ordered = np.sort(axes, axis=-1)
    lower = round(0.25 * (slots - 1))
    signs = np.sign(axes)
    crossings = np.not_equal(signs[..., 1:], signs[..., :-1]).astype(np.float32)
    kurtosis = np.einsum("awt,awt->aw", m.squares, m.squares) / (slots * sd**4)
    positions = [round(q * (slots - 1)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    magnitude = ordered[3][:, [*positions, 0, slots - 1]] + m.mean[3][:, None]
    skewness = np.einsum("wt,wt->w", m.squares[3], axes[3]) / (slots * sd[3] ** 3)
    return [
        np.log(sd),
        ordered[..., slots - 1 - lower] - ordered[..., lower],
        _mean(np.abs(axes)),
        np.minimum(kurtosis, 50),
        _mean(crossings),
        m.mean[3:],
        magnitude.T,
        skewness[None],
    ]


def direction(m: Motion) -> list[np.ndarray]:
    """Which way the watch lies, without signs: the mean acceleration is mostly gravity."""
    across = np.sqrt(m.mean[1] ** 2 + m.mean[2] ** 2)
    return [np.abs(m.mean[:3]), np.abs(m.gravity), across[None], m.gravity_size[None]]


def jerk(m: Motion) -> list[np.ndarray]:
    """How fast the acceleration changes."""
    steps = np.diff(m.centred[:4], axis=-1) * np.float32(m.grid.rate)
    squares = steps * steps
    size = np.sort(np.sqrt(squares[0] + squares[1] + squares[2]), axis=-1)
    last = m.grid.slots - 2
    positions = [int(q * last) for q in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
    sizes = np.concatenate([_mean(size)[None], size[:, positions].T])
    log_sd = np.log(np.sqrt(np.maximum(_mean(squares) - _mean(steps) ** 2, 0)) + _TINY)
    return [log_sd, np.log(sizes + np.float32(1e-4)), log_sd[:3] - np.log(m.sd[:3] + _TINY)]


def gravity(m: Motion) -> list[np.ndarray]:
    """How the watch turns: the direction of the acceleration averaged over 1 s."""
    smooth, vertical = m.smooth[:3], m.smooth[4]
    across = np.zeros_like(vertical)
    for axis in range(3):
        part = smooth[axis] - vertical * m.gravity[axis][:, None]
        part *= part
        across += part
    # the arc tangent keeps small angles precise, where an arc cosine in float32 has none
    angle = np.arctan2(np.sqrt(across, out=across), m.gravity_size[:, None] + vertical)
    angle = np.sort(angle, axis=-1) * np.float32(180 / np.pi)
    count = angle.shape[-1]
    angles = np.stack([_mean(angle), angle[:, count // 2], angle[:, int(0.9 * (count - 1))], angle[:, -1]])
    moves = smooth[..., 1:] - smooth[..., :-1]
    moves *= moves
    path = np.add.reduce(np.sqrt(moves[0] + moves[1] + moves[2]), axis=-1)
    sd = np.sqrt(np.maximum(_mean(smooth * smooth) - _mean(smooth) ** 2, 0))
    drift = smooth[..., -1] - smooth[..., 0]
    return [
        np.log(angles + np.float32(0.01)),
        np.log(path + np.float32(1e-4))[None],
        np.log(sd + np.float32(1e-5)),
        np.log(np.sqrt(drift[0] ** 2 + drift[1] ** 2 + drift[2] ** 2) + np.float32(1e-4))[None],
    ]


def stillness(m: Motion) -> list[np.ndarray]:
    """Spread within blocks of 1 s: a window may be still in parts."""
    _, windows, slots = m.centred.shape
    blocks = slots // m.grid.rate
    shape = (windows, blocks, m.grid.rate)
    total = np.zeros(shape, np.float32)
    for axis in range(3):
        part = m.centred[axis].reshape(shape) - m.smooth[axis][:, :: m.grid.rate, None]
        part *= part
        total += part
    spread = np.log(np.sqrt(_mean(total)) + np.float32(1e-4))
    ordered = np.sort(spread, axis=-1)
    last = blocks - 1
    away = spread - _mean(spread)[:, None]
    thresholds = np.log(np.array(STILL_M_S2, np.float32))
    below = (spread[None] < thresholds[:, None, None]).astype(np.float32)
    return [
        ordered[:, [0, last // 4, last // 2, 3 * last // 4, last]].T,
        np.sqrt(_mean(away * away))[None],
        _mean(below),
    ]


def vertical(m: Motion) -> list[np.ndarray]:
    """Movement along gravity and across it."""
    slots = m.grid.slots
    up, across = m.centred[4], m.horizontal
    away = across - _mean(across)[:, None]
    mean_square = _mean(across * across)
    sd_up = np.sqrt(_mean(up * up))
    sd = np.stack([sd_up, np.sqrt(_mean(away * away))]) + _TINY
    tenth, quarter, half = slots // 10, slots // 4, slots // 2
    inner = [tenth, quarter, half, slots * 3 // 4, slots * 9 // 10, slots - 1]
    skewness = np.einsum("wt,wt,wt->w", up, up, up) / (slots * sd[0] ** 3)
    return [
        np.log(sd),
        (np.log(sd[0]) - np.log(np.sqrt(mean_square) + _TINY))[None],
        np.sort(up, axis=-1)[:, [0, *inner]].T,
        np.sort(across, axis=-1)[:, inner].T,
        skewness[None],
    ]


def covariance(m: Motion) -> list[np.ndarray]:
    """How the axes move together: the 3 x 3 covariance matrix of the acceleration."""
    # in double precision: where nearly all movement is along one line, float32 would round the rest away
    axes = m.centred[:3].astype(np.float64)
    variances, pairs = (
        np.stack([np.einsum("wt,wt->w", axes[j], axes[k]) for j, k in which]) / m.grid.slots
        for which in (((0, 0), (1, 1), (2, 2)), ((0, 1), (0, 2), (1, 2)))
    )
    sd = np.sqrt(np.maximum(variances, 1e-12))
    correlations = np.abs(pairs) / np.stack([sd[0] * sd[1], sd[0] * sd[2], sd[1] * sd[2]])
    values = np.maximum(_eigenvalues(variances, pairs), 1e-8)
    return [
        correlations,
        np.log(values),
        values / np.add.reduce(values, axis=0),
        np.log(sd) - np.log(sd[0] + sd[1] + sd[2]),
    ]


def _eigenvalues(diagonal: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Eigenvalues of symmetric 3 x 3 matrices, rising, in closed form (Smith, 1961).

    diagonal : (3, n) of xx, yy, zz; pairs : (3, n) of xy, xz, yz; float64. Returns (3, n).
    """
    third = (diagonal[0] + diagonal[1] + diagonal[2]) / 3
    a, b, c = diagonal - third
    xy, xz, yz = pairs
    off = xy * xy + xz * xz + yz * yz
    scale = np.sqrt((a * a + b * b + c * c + 2 * off) / 6)
    determinant = a * (b * c - yz * yz) - b * xz * xz - c * xy * xy + 2 * (xy * xz * yz)
    cube = scale * scale * scale
    cosine = np.divide(determinant / 2, cube, out=np.zeros_like(cube), where=cube > 0)
    angle = np.arccos(np.clip(cosine, -1, 1)) / 3
    largest = third + 2 * scale * np.cos(angle)
    least = third + 2 * scale * np.cos(angle + 2 * np.pi / 3)
    return np.stack([least, 3 * third - largest - least, largest])


def _power(signals: np.ndarray, length: int) -> np.ndarray:
    """|rFFT|^2 along the last axis, zero-padded to `length`; (..., length // 2 + 1)."""
    parts = fft.rfft(signals, n=length, axis=-1).view(np.float32)
    parts *= parts
    return parts[..., 0::2] + parts[..., 1::2]


def _with_sum_of_axes(power: np.ndarray) -> np.ndarray:
    """(5, ...) powers of x, y, z, magnitude, vertical -> (6, ...) with the sum of x, y, z at the end."""
    return np.concatenate([power, (power[0] + power[1] + power[2])[None]])


def spectrum(m: Motion) -> list[np.ndarray]:
    """Where in frequency the movement is: a Hann window, the power of each frequency, no constant part."""
    grid = m.grid
    power = _power(m.centred * grid.hann, grid.slots) * np.float32(1 / (grid.slots * grid.rate))
    power[..., 0] = 0
    power = _with_sum_of_axes(power)
    channels, windows, count = power.shape
    power = power.reshape(channels * windows, count)
    sums = power @ grid.band_weights
    bands, total = sums[:, :-2], sums[:, -2] + np.float32(1e-9)
    share = power * (1 / total)[:, None]
    entropy = np.einsum("rf,rf->r", share, np.log(share + np.float32(1e-12))) / -np.log(count)
    peak = np.argmax(power[:, grid.first_dominant :], axis=1) + grid.first_dominant
    rows = np.arange(len(power))
    near = _sums_of_neighbours(share, 2 * grid.near_bins + 1)

    def around(bins: np.ndarray) -> np.ndarray:
        return near[rows, np.clip(bins - grid.near_bins, 0, near.shape[1] - 1)]

    def by_channel(values: np.ndarray) -> np.ndarray:
        """(channels * windows, k) -> (channels * k, windows)."""
        return values.reshape(channels, windows, -1).transpose(0, 2, 1).reshape(-1, windows)

    harmonics = [np.where(peak * k < count - 1, around(peak * k), 0) for k in (1, 2, 3)]
    return [
        by_channel(np.log(bands + _TINY)),
        by_channel(bands / total[:, None]),
        by_channel(entropy),
        by_channel(sums[:, -1] / total),
        by_channel(grid.frequencies[peak]),
        by_channel(share[rows, peak]),
        *(by_channel(h) for h in harmonics),
        by_channel(around(np.round(peak / 2).astype(np.int64))),
    ]


def autocorrelation(m: Motion) -> list[np.ndarray]:
    """How alike the movement is to itself a little later: cadence and regularity."""
    grid = m.grid
    power = _with_sum_of_axes(_power(m.centred, grid.padded))
    channels, windows, count = power.shape
    r = (power.reshape(-1, count) @ grid.lag_weights).reshape(channels, windows, -1)
    r /= r[..., :1] + np.float32(1e-9)
    last = min(round(PEAK_LAGS_SECONDS[1] * grid.rate), grid.slots - 1)
    span = r[..., grid.first_lag : last + 1]
    inner = span[..., 1:-1]
    peaks = (inner > span[..., :-2]) & (inner >= span[..., 2:])
    heights = np.where(peaks, inner, np.float32(-1))
    best = np.argmax(heights, axis=-1)
    height = np.take_along_axis(heights, best[..., None], -1)[..., 0]
    any_peak = height > -1
    seconds = (np.arange(peaks.shape[-1]) + grid.first_lag + 1).astype(np.float32) / np.float32(grid.rate)
    first = np.argmax(peaks, axis=-1)
    at_lags = r[3:][..., list(grid.lags)].transpose(0, 2, 1).reshape(-1, windows)
    return [
        height,
        np.where(any_peak, seconds[best], 0),
        np.where(any_peak, seconds[first], 0),
        np.min(span, axis=-1),
        at_lags,
    ]


def rotation(rates: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Rotation rate, ndarray of shape (3, windows, slots), rad/s: how much and how rhythmically."""
    squares = rates * rates
    size = np.sqrt(squares[0] + squares[1] + squares[2])
    away = rates - _mean(rates)[..., None]
    mean = _mean(size)
    size_away = size - mean[:, None]
    ordered = np.sort(size, axis=-1)
    power = _power(away * grid.hann, grid.slots)
    power[..., 0] = 0
    power = power[0] + power[1] + power[2]
    sums = power @ grid.band_weights
    total = sums[:, -2] + np.float32(1e-9)
    share = power * (1 / total)[:, None]
    peak = np.argmax(power[:, grid.first_dominant :], axis=1) + grid.first_dominant
    entropy = np.einsum("wf,wf->w", share, np.log(share + np.float32(1e-12))) / -np.log(power.shape[1])
    return [
        np.log(np.sqrt(_mean(away * away)) + _TINY),
        mean[None],
        np.log(np.sqrt(_mean(size_away * size_away)) + _TINY)[None],
        ordered[:, [grid.slots // 2, grid.slots - 1]].T,
        grid.frequencies[peak][None],
        share[np.arange(len(peak)), peak][None],
        entropy[None],
        (sums[:, -1] / total)[None],
    ]


def heart(rate: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Heart rate, ndarray of shape (windows, slots), bpm, NaN where there is none; over what is there."""
    there = ~np.isnan(rate)
    count = np.add.reduce(there, axis=1, dtype=np.float64)
    values = np.where(there, rate, 0.0).astype(np.float64)
    time = np.where(there, np.arange(grid.slots) / (60.0 * grid.rate), 0.0)  # minutes
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduce(values, axis=1) / count
        away = np.where(there, values - mean[:, None], 0.0)
        time_away = np.where(there, time - (np.add.reduce(time, axis=1) / count)[:, None], 0.0)
        sd = np.sqrt(np.add.reduce(away * away, axis=1) / count)
        slope = np.add.reduce(away * time_away, axis=1) / np.add.reduce(time_away * time_away, axis=1)
    none = count == 0
    least = np.where(none, np.nan, np.min(np.where(there, rate, np.inf), axis=1))
    most = np.where(none, np.nan, np.max(np.where(there, rate, -np.inf), axis=1))
    return [mean[None], sd[None], least[None], most[None], np.where(count > 1, slope, np.nan)[None]]


def steps(taken: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Steps since the last reading, ndarray of shape (windows, slots), NaN where there are none.

    The readings with steps cover the time from the first to the last and one mean distance before it; one
    alone covers the window.
    """
    there = ~np.isnan(taken)
    count = np.count_nonzero(there, axis=1)
    first = np.argmax(there, axis=1)
    last = grid.slots - 1 - np.argmax(there[:, ::-1], axis=1)
    covered = np.where(count > 1, (last - first) / np.maximum(count - 1, 1) * count, grid.slots)
    total = np.add.reduce(np.where(there, taken, 0.0), axis=1, dtype=np.float64)
    total = np.where(count > 0, total, np.nan)
    return [total[None], (total / np.minimum(covered, grid.slots) * (60 * grid.rate))[None]]


def speed(over_ground: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Ground speed, ndarray of shape (windows, slots), m/s; negative means unknown."""
    with np.errstate(invalid="ignore"):
        there = over_ground >= 0
        count = np.add.reduce(there, axis=1, dtype=np.float64)
        mean = np.add.reduce(np.where(there, over_ground, 0.0), axis=1, dtype=np.float64) / count
    most = np.max(np.where(there, over_ground, -np.inf), axis=1)
    return [mean[None], np.where(count > 0, most, np.nan)[None]]


MOTION_FAMILIES: dict[str, Callable[[Motion], list[np.ndarray]]] = {
    "statistics": statistics,
    "direction": direction,
    "jerk": jerk,
    "gravity": gravity,
    "stillness": stillness,
    "vertical": vertical,
    "covariance": covariance,
    "spectrum": spectrum,
    "autocorrelation": autocorrelation,
}
CHANNEL_FAMILIES: dict[str, tuple[str, Callable[[np.ndarray, Grid], list[np.ndarray]]]] = {
    "heart": ("heart_rate", heart),
    "steps": ("steps", steps),
    "speed": ("speed", speed),
}
_MOTION = slice(0, COLUMNS["autocorrelation"].stop)


def features(batch: WindowBatch, windows: settings.Windows) -> np.ndarray:
    """Features of every window: float32 ndarray of shape (n_windows, len(FEATURE_NAMES)).

    NaN stands for what is missing.
    A gap in the acceleration (or rotation) is bridged by a straight line, its ends held; with less than
    LEAST_SECONDS of it, all features of that sensor are NaN.
    """
    grid = grid_of(windows.length_seconds, windows.rate_hz)
    out = np.empty((len(batch), len(FEATURE_NAMES)), np.float32)
    block = np.empty((len(FEATURE_NAMES), grid.chunk), np.float32)
    for start in range(0, len(batch), grid.chunk):
        part = batch.grid[start : start + grid.chunk]
        _chunk(part, grid, block)
        out[start : start + grid.chunk] = block.T[: len(part)]
    return out


def _chunk(part: np.ndarray, grid: Grid, block: np.ndarray) -> None:
    """Features of at most a chunk of windows, (n, slots, channels), into `block`, (features, chunk)."""

    def put(family: str, rows: list[np.ndarray]) -> None:
        np.concatenate(rows, out=block[COLUMNS[family]], casting="same_kind")

    acceleration, enough = _sensor(part, slice(0, 3), grid)
    if enough.any():
        acceleration *= np.float32(STANDARD_GRAVITY)
        taken_apart = motion(acceleration, grid)
        for family, function in MOTION_FAMILIES.items():
            put(family, function(taken_apart))
    block[_MOTION, ~enough] = np.nan

    rates, enough = _sensor(part, slice(3, 6), grid)
    if enough.any():
        put("rotation", rotation(rates, grid))
    block[COLUMNS["rotation"], ~enough] = np.nan

    for family, (channel, of_channel) in CHANNEL_FAMILIES.items():
        values = np.full((grid.chunk, grid.slots), np.nan, np.float32)
        values[: len(part)] = part[:, :, CHANNELS.index(channel)]
        if np.isnan(values).all():
            block[COLUMNS[family]] = np.nan
        else:
            put(family, of_channel(values, grid))
    # one NaN for all: 0/0 makes one of another sign
    block[_MOTION.stop :][np.isnan(block[_MOTION.stop :])] = np.nan


def _sensor(part: np.ndarray, channels: slice, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Three axes without gaps, (3, chunk, slots), and which windows have enough of them, (chunk,).

    The others, and the padding of the chunk, are zero.
    """
    values = np.zeros((3, grid.chunk, grid.slots), np.float32)
    values[:, : len(part)] = part[:, :, channels].transpose(2, 0, 1)
    there = np.zeros((grid.chunk, grid.slots), bool)
    # one sum is NaN where any axis is
    there[: len(part)] = np.isfinite(values[0] + values[1] + values[2])[: len(part)]
    count = np.count_nonzero(there, axis=1)
    enough = count >= LEAST_SECONDS * grid.rate
    values[:, ~enough] = 0
    gaps = np.flatnonzero(enough & (count < grid.slots))
    if len(gaps):
        values[:, gaps] = _bridged(values[:, gaps], there[gaps])
    return values, enough


def _bridged(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Straight lines over gaps along the last axis, ends held: values (3, n, slots), there (n, slots)."""
    slots = there.shape[1]
    now = np.arange(slots)
    before = np.maximum.accumulate(np.where(there, now, -1), axis=1)
    after = np.minimum.accumulate(np.where(there, now, slots)[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == slots, before, after)
    weight = ((now - before) / np.maximum(after - before, 1)).astype(np.float32)
    left = np.take_along_axis(values, before[None], axis=2)
    right = np.take_along_axis(values, after[None], axis=2)
    return left + (right - left) * weight
