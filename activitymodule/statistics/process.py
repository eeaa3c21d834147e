"""The random process a profile describes, realised one minute at a time.

A minute is a pure function of (profile, seed, device, minute): any one can be computed alone, in any order.
Each is computed by itself, never in a batch of several, so that no other request changes a bit of
it. Steps: regime path -> white noise x slow volatility -> filter by the cross-spectrum's root -> stride
template -> marginal distribution -> posture -> weighted by the regimes' fades.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from enum import IntEnum

import numpy as np
from scipy import fft
from scipy.signal import lfilter

from activitymodule.statistics import spectra
from activitymodule.statistics.profile import HARMONICS, LEVELS, RATE_HZ, Profile, tangent_basis

MINUTE = 60 * RATE_HZ
OVERLAP = spectra.BLOCK - MINUTE
PATH_MINUTES = 10
"""The regime path starts afresh from a hash this often, so that a minute costs at most so long a walk."""
FADE = 10
"""Samples over which one regime fades into the next, at the end of its frame."""

_MASK = (1 << 64) - 1
_NODES = spectra.BLOCK // RATE_HZ + 1
_SETTLE = 4
_STRIDE_SETTLE = 60
_NODE_POSITION = np.arange(spectra.BLOCK) / RATE_HZ
_FADE_IN = np.sin(np.linspace(0, np.pi / 2, OVERLAP)).astype(np.float32)
_FADE_OUT = np.cos(np.linspace(0, np.pi / 2, OVERLAP)).astype(np.float32)
_LEVEL_STEPS = 1 / (LEVELS[1] - LEVELS[0])


class Stream(IntEnum):
    """Which random numbers of a (seed, device, minute): no two uses share any."""

    NOISE = 1
    STRIDE = 2
    PATH = 3
    JITTER = 4
    CHOICE = 5


def random_stream(seed: int, device: int, index: int, stream: Stream) -> np.random.Generator:
    """Random numbers that depend on nothing but these four (Philox; Salmon et al. 2011)."""
    counter = np.array([0, 0, index & _MASK, int(stream)], np.uint64)
    key = np.array([seed & _MASK, device & _MASK], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def _fade_weights(frame: int) -> np.ndarray:
    """(frame,) weight of the next frame's regime at each sample of a frame: 0, then up over the last FADE."""
    kernel = np.hanning(FADE + 2)[1:-1]
    weights = np.zeros(frame)
    weights[frame - FADE + 1 :] = np.cumsum(kernel / kernel.sum())[: FADE - 1]
    return weights.astype(np.float32)


class Process:
    """A profile made ready to be realised."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        regimes = profile.regimes
        self._cumulative_start = np.cumsum([r.occupancy for r in regimes]).tolist()
        self._cumulative_next = [np.cumsum(r.transitions).tolist() for r in regimes]
        self._frames_a_minute = MINUTE // profile.frame_samples
        self._fade = _fade_weights(profile.frame_samples)
        self._roots = np.stack([spectra.root(spectra.from_bands(r.log_power, r.coherence)) for r in regimes])
        self._volatility = np.array([r.volatility for r in regimes], np.float32)
        self._hold = np.stack([r.hold for r in regimes]).astype(np.float32)
        self._quantiles = np.stack([r.quantiles for r in regimes]).astype(np.float32)
        self._quantile_steps = np.diff(self._quantiles, axis=2, append=self._quantiles[:, :, -1:])
        self._basis = np.stack([tangent_basis(r.direction) for r in regimes]).astype(np.float32)
        self._template = np.stack([r.template.T for r in regimes]).astype(np.float32)
        self._cycle = np.stack([r.cycle.T for r in regimes]).astype(np.float32)
        self._paths: OrderedDict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def _path_block(self, seed: int, device: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Regime (n_frames,) and hold score (n_frames, 3) of each frame of ten minutes."""
        key = (seed, device, block)
        known = self._paths.get(key)
        if known is not None:
            return known
        n = PATH_MINUTES * self._frames_a_minute
        random = random_stream(seed, device, block, Stream.PATH)
        uniform = random.random(n).tolist()
        scores = random.standard_normal((n, 3), dtype=np.float32)
        last = len(self._cumulative_start) - 1
        state = min(bisect_right(self._cumulative_start, uniform[0]), last)
        states = [state]
        for u in uniform[1:]:
            state = min(bisect_right(self._cumulative_next[state], u), last)
            states.append(state)
        path = np.array(states)
        # a visit keeps the hold score of its first frame
        first = np.r_[True, np.diff(path) != 0]
        visit = np.maximum.accumulate(np.where(first, np.arange(n), 0))
        self._paths[key] = path, scores[visit]
        if len(self._paths) > 64:
            self._paths.popitem(last=False)
        return self._paths[key]

    def path(self, seed: int, device: int, minute: int) -> tuple[np.ndarray, np.ndarray]:
        """Regime and hold score of the frames of a minute and of the first one after it."""
        paths, holds = [], []
        for m, count in ((minute, self._frames_a_minute), (minute + 1, 1)):
            block, within = divmod(m, PATH_MINUTES)
            path, hold = self._path_block(seed, device, block)
            start = within * self._frames_a_minute
            paths.append(path[start : start + count])
            holds.append(hold[start : start + count])
        return np.concatenate(paths), np.concatenate(holds)

    def _noise(self, seed: int, device: int, minute: int) -> tuple[np.ndarray, np.ndarray]:
        """White noise (3, BLOCK) of a minute's block and its slow volatility score (BLOCK,)."""
        random = random_stream(seed, device, minute, Stream.NOISE)
        draws = random.standard_normal(3 * spectra.BLOCK + _NODES + _SETTLE, dtype=np.float32)
        memory = self.profile.volatility_memory
        nodes = lfilter([np.sqrt(1 - memory**2)], [1, -memory], draws[3 * spectra.BLOCK :])[_SETTLE:]
        slow = np.interp(_NODE_POSITION, np.arange(_NODES), nodes).astype(np.float32)
        return draws[: 3 * spectra.BLOCK].reshape(3, spectra.BLOCK), slow

    def _filtered(self, regimes: np.ndarray, seed: int, device: int, minute: int) -> np.ndarray:
        """(n_regimes, 3, BLOCK) scores of each regime, all driven by the same noise."""
        white, slow = self._noise(seed, device, minute)
        sd = self._volatility[regimes, None]
        amplitude = np.exp(sd * slow - sd * sd)  # its mean square is one
        transformed = fft.rfft(white * amplitude[:, None, :], axis=2)
        roots = self._roots[regimes]
        product = roots[:, :, 0] * transformed[:, None, 0]
        product += roots[:, :, 1] * transformed[:, None, 1]
        product += roots[:, :, 2] * transformed[:, None, 2]
        return np.asarray(fft.irfft(product, spectra.BLOCK, axis=2, overwrite_x=True))

    def phase(self, seed: int, device: int, minute: int, cadence: float = 1.0) -> np.ndarray:
        """(MINUTE,) phase of the stride in rad; steady but for a jitter that is nil at the minute's edges."""
        p = self.profile
        noise = random_stream(seed, device, minute, Stream.STRIDE).standard_normal(
            MINUTE + _STRIDE_SETTLE, dtype=np.float32
        )
        jitter = lfilter([np.sqrt(1 - p.stride_memory**2)], [1, -p.stride_memory], noise)[_STRIDE_SETTLE:]
        drift = np.cumsum(jitter * (p.stride_sd_hz * 2 * np.pi / RATE_HZ))
        drift -= np.linspace(0, 1, MINUTE) * drift[-1]
        # whole turns do not matter, and small numbers keep their precision
        start = (p.stride_hz * cadence * 60 * minute) % 1.0
        turns = start + p.stride_hz * cadence / RATE_HZ * np.arange(MINUTE)
        return np.asarray(2 * np.pi * turns + drift)

    def minute(
        self, seed: int, device: int, minute: int, *, cadence: float = 1.0, intensity: float = 1.0
    ) -> np.ndarray:
        """(MINUTE, 3) float32 total acceleration in g.

        `cadence` multiplies the stride frequency, `intensity` the scores (how far motion leaves its median).
        """
        p = self.profile
        path, hold_scores = self.path(seed, device, minute)
        regimes, where = np.unique(path, return_inverse=True)
        present = (np.arange(len(regimes))[:, None] == where).astype(np.float32)  # (R, frames + 1)
        now, then = 1 - self._fade, self._fade
        weight = (present[:, :-1, None] * now + present[:, 1:, None] * then).reshape(len(regimes), MINUTE)

        scores = self._filtered(regimes, seed, device, minute)[:, :, :MINUTE]
        # only regimes that are there in the first seconds need the end of the block before
        early = np.flatnonzero(weight[:, :OVERLAP].any(axis=1))
        before = self._filtered(regimes[early], seed, device, minute - 1)[:, :, MINUTE:]
        scores[:, :, :OVERLAP] *= _FADE_IN
        scores[early, :, :OVERLAP] += before * _FADE_OUT

        if p.gait:
            angle = np.outer(np.arange(1, HARMONICS + 1), self.phase(seed, device, minute, cadence))
            waves = np.concatenate([np.cos(angle), np.sin(angle)]).astype(np.float32)  # (2 H, MINUTE)
            slow_waves = waves[[0, 1, HARMONICS, HARMONICS + 1]]
            scores *= np.exp(self._cycle[regimes] @ slow_waves)
            scores += self._template[regimes] @ waves
        if intensity != 1.0:
            scores *= np.float32(intensity)

        value = self._marginal(regimes, scores)
        held = np.einsum("rij,fj->rfi", self._hold[regimes], hold_scores) * present[:, :, None]
        offset = held[:, :-1, None] * now[:, None] + held[:, 1:, None] * then[:, None]
        offset = offset.reshape(len(regimes), MINUTE, 3) / np.maximum(weight, 1e-6)[:, :, None]
        value += np.swapaxes(offset, 1, 2)
        return self._compose(regimes, weight, value)

    def _marginal(self, regimes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(R, 3, MINUTE) coordinates of scores: the stored quantiles, linear between the levels."""
        position = (scores - np.float32(LEVELS[0])) * np.float32(_LEVEL_STEPS)
        np.clip(position, 0, np.float32(len(LEVELS) - 1.001), out=position)
        below = position.astype(np.intp)
        position -= below
        tables = (np.arange(3 * len(regimes)) * len(LEVELS)).reshape(-1, 3, 1)
        below += tables
        value = np.take(self._quantiles[regimes].reshape(-1), below)
        position *= np.take(self._quantile_steps[regimes].reshape(-1), below)
        value += position
        return np.asarray(value)

    def _compose(self, regimes: np.ndarray, weight: np.ndarray, value: np.ndarray) -> np.ndarray:
        """(MINUTE, 3) accelerations: the regimes' coordinates, weighted, as vectors."""
        if not self.profile.spherical:
            return np.ascontiguousarray((value * weight[:, None]).sum(axis=0).T)
        angle = np.hypot(value[:, 0], value[:, 1])
        across = np.sinc(angle / np.float32(np.pi))
        local = np.stack([value[:, 0] * across, value[:, 1] * across, np.cos(angle)], axis=1)
        direction = ((np.swapaxes(self._basis[regimes], 1, 2) @ local) * weight[:, None]).sum(axis=0)
        magnitude = (value[:, 2] * weight).sum(axis=0)
        length = np.sqrt((direction * direction).sum(axis=0))
        return np.ascontiguousarray((direction * (magnitude / np.maximum(length, 1e-6))).T)
