"""Measure reference statistics: from a recording of one person doing one activity to its profile.

The model is a regime-switching spectral copula. A recording is cut into short frames; frames alike in
direction and energy make a regime (k-means); each regime keeps its marginal distributions and, in normal
scores, its mean stride and its cross-spectrum. Calibration then realises the profile and corrects the spectra
by what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from activitymodule.errors import DataError
from activitymodule.statistics import gait, spectra
from activitymodule.statistics.process import Process
from activitymodule.statistics.profile import (
    BANDS_HZ,
    HARMONICS,
    LEAST_FRAMES,
    LEVELS,
    RATE_HZ,
    Profile,
    Regime,
    tangent_basis,
    to_spherical,
)
from activitymodule.statistics.recordings import Recording, range_of
from activitymodule.telemetry.gravity import STANDARD_GRAVITY

LEAST_SECONDS = 40
"""A shorter recording gives no profile."""

ROUNDS = 4
"""Rounds of calibration."""


@dataclass(frozen=True)
class Recipe:
    """How a profile of an activity is fitted."""

    regimes: int
    """Most regimes that k-means makes."""
    lags: int
    """Samples of autocovariance kept: how fine the spectrum is before it is banded."""
    spherical: bool = True
    """Posture on the sphere of gravity (see Profile.spherical); not where the arm is thrown about."""
    gait: bool | None = False
    """Has a stride; None: decided by how periodic the recording is."""
    holds: bool = True
    """Whether each visit of a regime holds its own posture."""
    frame_seconds: int = 2
    energy_weight: float = 2.0
    """Weight of the energy beside the direction when frames are clustered."""


RECIPES: dict[str, Recipe] = {
    "walking": Recipe(6, 100, gait=True),
    "jogging": Recipe(2, 100, gait=True, spherical=False, holds=False),
    "stairs": Recipe(8, 60, gait=True),
    "sitting": Recipe(12, 60),
    "standing": Recipe(5, 60, energy_weight=3.0),
    "kicking": Recipe(10, 60, frame_seconds=1),
}
DEFAULT_RECIPE = Recipe(8, 60, gait=None)
_PERIODIC = 0.5
STRIDE_JITTER = 0.5
"""Share of the measured spread of the stride frequency that is synthesised: the rest of it is the
demodulation's own noise."""

# a score given its volatility: Gauss-Hermite nodes, and the scores at which its distribution is tabled
_NODES, _weights = np.polynomial.hermite_e.hermegauss(9)
_NODE_WEIGHTS = _weights / _weights.sum()
_SCORES = np.linspace(-6, 6, 241)
_PHASES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_RIDGE = 2.0
_CYCLE_RIDGE = np.diag([0.0, 20, 20, 20, 20])
_MOST_VOLATILITY = 1.0


def recipe_of(activity: str) -> Recipe:
    """The recipe of an activity; a general one where none was tuned."""
    return RECIPES.get(activity.lower(), DEFAULT_RECIPE)


def settings_used(activities: Collection[str]) -> dict[str, object]:
    """What a file of statistics says of how it was fitted."""
    return {
        "rate_hz": RATE_HZ,
        "least_frames_of_a_regime": LEAST_FRAMES,
        "quantile_levels": len(LEVELS),
        "bands": len(BANDS_HZ),
        "harmonics": HARMONICS,
        "calibration_rounds": ROUNDS,
        "stride_jitter": STRIDE_JITTER,
        "recipes": {name: asdict(recipe_of(name)) for name in sorted(activities)},
    }


# regimes


def _cluster(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(n_frames,) regime of each frame of x (n_frames * frame, 3): k-means, then small ones merged."""
    from sklearn.cluster import KMeans

    frame = recipe.frame_seconds * RATE_HZ
    frames = x.reshape(-1, frame, 3)
    log_sd = np.log(frames.std(axis=1) + 0.02 / STANDARD_GRAVITY)
    seen = np.concatenate(
        [
            frames.mean(axis=1) * (STANDARD_GRAVITY / 1.5),
            log_sd.mean(axis=1, keepdims=True) * recipe.energy_weight,
            log_sd * (recipe.energy_weight / 3),
        ],
        axis=1,
    )
    distinct = len(np.unique(seen.round(9), axis=0))
    count = max(1, min(recipe.regimes, len(seen) // LEAST_FRAMES, distinct))
    label = KMeans(count, n_init=4, random_state=0).fit_predict(seen)
    while True:
        names, sizes = np.unique(label, return_counts=True)
        if sizes.min() >= LEAST_FRAMES or len(names) == 1:
            return np.unique(label, return_inverse=True)[1]
        smallest = names[sizes.argmin()]
        others = [name for name in names if name != smallest]
        centres = np.stack([seen[label == name].mean(axis=0) for name in others])
        for i in np.flatnonzero(label == smallest):
            label[i] = others[((seen[i] - centres) ** 2).sum(axis=1).argmin()]


def _transitions(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Occupancy (k,) and transition matrix (k, k), a little drawn to the occupancy."""
    count = label.max() + 1
    occupancy = np.bincount(label, minlength=count) / len(label)
    matrix = np.zeros((count, count))
    np.add.at(matrix, (label[:-1], label[1:]), 1)
    matrix += 0.3 * occupancy
    return occupancy, matrix / matrix.sum(axis=1, keepdims=True)


def _without_holds(value: np.ndarray, visit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates less each visit's own mean offset, and the root (3, 3) of those offsets' covariance."""
    _, index, size = np.unique(visit, return_inverse=True, return_counts=True)
    if len(size) < 2:
        return value, np.zeros((3, 3))
    mean = np.stack([np.bincount(index, value[:, c]) / size for c in range(3)], axis=1)
    offset = mean - value.mean(axis=0)
    w, v = np.linalg.eigh((offset * size[:, None]).T @ offset / size.sum())
    return value - offset[index], v * np.sqrt(np.maximum(w, 0))


# scores


def _volatility(scores: np.ndarray, member: np.ndarray, before: float | None) -> tuple[float, float]:
    """Standard deviation and one-second memory of the slow logarithmic amplitude of scores (n, 3).

    From the energy of differences, second by second; the sampling noise of a second's energy is taken off.
    """
    difference = np.diff(scores, axis=0, prepend=scores[:1])
    whole = member * np.r_[0, member[:-1]] > 0
    seconds = whole[: len(whole) // RATE_HZ * RATE_HZ].reshape(-1, RATE_HZ).all(axis=1)
    if seconds.sum() < 4:
        return (0.3 if before is None else before), 0.5
    blocks = difference[: len(seconds) * RATE_HZ].reshape(-1, RATE_HZ, 3)[seconds]
    covariance = np.einsum("fti,ftj->ij", blocks, blocks) / (len(blocks) * RATE_HZ) + 1e-8 * np.eye(3)
    energy = np.einsum("fti,ij,ftj->f", blocks, np.linalg.inv(covariance), blocks) / (3 * RATE_HZ)
    amplitude = 0.5 * np.log(energy + 1e-6)
    spread = amplitude.var() - 0.5 / 24
    adjacent = np.flatnonzero(np.diff(np.flatnonzero(seconds)) == 1)
    centred = amplitude - amplitude.mean()
    memory = 0.5
    if len(adjacent) > 5:
        memory = (centred[adjacent] * centred[adjacent + 1]).mean() / max(spread, 1e-3)
    return (
        float(np.clip(np.sqrt(max(spread, 0)), 0, _MOST_VOLATILITY)),
        float(np.clip(memory, 0, 0.9)),
    )


def _amplitudes(volatility: float) -> np.ndarray:
    """Amplitude at each quadrature node; its mean square is one."""
    return np.asarray(np.exp(volatility * _NODES - volatility**2))


@dataclass(frozen=True)
class _Scored:
    """A regime in normal scores: residual (n, 3), what the stride explains, the quantile levels to store."""

    residual: np.ndarray
    template: np.ndarray
    cycle: np.ndarray
    volatility: float
    memory: float
    levels: np.ndarray
    """(17, 3) probability of each LEVELS score under the process."""


def _spread_out(residual: np.ndarray, member: np.ndarray) -> np.ndarray:
    full = np.zeros((len(member), 3))
    full[member > 0] = residual
    return full


def _score_still(rank: np.ndarray, member: np.ndarray, before: float | None) -> _Scored:
    """Scores without a stride. `rank` (n, 3) in (0, 1)."""
    volatility, memory = _volatility(_spread_out(ndtri(rank), member), member, before)
    below = ndtr(_SCORES[:, None] / _amplitudes(volatility)) @ _NODE_WEIGHTS
    levels = np.interp(LEVELS, _SCORES, below).clip(0, 1)
    return _Scored(
        np.interp(rank, below, _SCORES),
        np.zeros((2 * HARMONICS, 3)),
        np.zeros((4, 3)),
        volatility,
        memory,
        np.repeat(levels[:, None], 3, axis=1),
    )


def _score_gait(rank: np.ndarray, phase: np.ndarray, member: np.ndarray, before: float | None) -> _Scored:
    """Scores with a stride: alternately the template given the scores, and the scores given the model."""
    wave = gait.waves(phase, HARMONICS)
    picked = [0, 1, HARMONICS, HARMONICS + 1]
    cycle_wave = np.concatenate([np.ones((len(phase), 1)), wave[:, picked]], axis=1)
    wave_grid = gait.waves(_PHASES, HARMONICS)
    cycle_grid = np.concatenate([np.ones((len(_PHASES), 1)), wave_grid[:, picked]], axis=1)
    gram = wave.T @ wave + _RIDGE * np.eye(2 * HARMONICS)
    cycle_gram = cycle_wave.T @ cycle_wave + _CYCLE_RIDGE
    scores = ndtri(rank)
    for _ in range(3):
        template = np.linalg.solve(gram, wave.T @ scores)
        residual = scores - wave @ template
        cycle = np.linalg.solve(cycle_gram, cycle_wave.T @ np.log(np.abs(residual) + 0.03))
        cycle[0] = 0
        residual = residual / np.exp(cycle_wave @ cycle)
        volatility, memory = _volatility(_spread_out(residual, member), member, before)
        scale = np.exp(cycle_grid @ cycle) * residual.std(axis=0)
        # distribution of the score under the model: mean over the stride's phases and the volatility
        away = (_SCORES[:, None, None] - (wave_grid @ template)[None]) / scale
        below = ndtr(away[..., None] / _amplitudes(volatility)).mean(axis=1) @ _NODE_WEIGHTS
        scores = np.stack([np.interp(rank[:, c], below[:, c], _SCORES) for c in range(3)], axis=1)
    levels = np.stack([np.interp(LEVELS, _SCORES, below[:, c]) for c in range(3)], axis=1).clip(0, 1)
    return _Scored(residual, template, cycle[1:], volatility, memory, levels)


# profile


def measure_profile(
    recording: Recording,
    recipe: Recipe | None = None,
    *,
    range_g: float | None = None,
    rounds: int = ROUNDS,
) -> Profile:
    """The profile of a recording; raises DataError where it is shorter than LEAST_SECONDS.

    `range_g`: how far the person's sensor reaches, where more is known of it than this recording.
    """
    recipe = recipe or recipe_of(recording.activity)
    x = np.asarray(recording.acceleration, float)
    frame = recipe.frame_seconds * RATE_HZ
    x = x[: len(x) // frame * frame]
    if len(x) < LEAST_SECONDS * RATE_HZ:
        raise DataError(
            f"the recording of {recording.person}, {recording.activity} has {len(x) / RATE_HZ:.0f} s; "
            f"a profile needs {LEAST_SECONDS} s"
        )
    label = _cluster(x, recipe)
    occupancy, transitions = _transitions(label)
    sample_label = np.repeat(label, frame)
    visit = np.r_[0, np.cumsum(np.diff(sample_label) != 0)]

    with_gait = bool(recipe.gait)
    stride = gait.stride(x) if recipe.gait is not False else None
    if recipe.gait is None and stride is not None:
        with_gait = stride.periodicity >= _PERIODIC

    regimes: list[Regime] = []
    memories: list[float] = []
    before: float | None = None
    for k in range(len(occupancy)):
        index = np.flatnonzero(sample_label == k)
        member = (sample_label == k).astype(float)
        mean = x[index].mean(axis=0)
        value = to_spherical(x[index], tangent_basis(mean)) if recipe.spherical else x[index]
        hold = np.zeros((3, 3))
        if recipe.holds:
            value, hold = _without_holds(value, visit[index])
        rank = (value.argsort(axis=0).argsort(axis=0) + 0.5) / len(value)
        if with_gait and stride is not None:
            scored = _score_gait(rank, stride.phase[index], member, before)
        else:
            scored = _score_still(rank, member, before)
        before = scored.volatility
        memories.append(scored.memory)
        covariance = spectra.lagged_covariance(_spread_out(scored.residual, member), member, recipe.lags)
        log_power, coherence = spectra.to_bands(spectra.spectrum(covariance))
        target = scored.residual.var(axis=0) if with_gait else np.ones(3)
        regimes.append(
            Regime(
                frames=int((label == k).sum()),
                occupancy=float(occupancy[k]),
                transitions=transitions[k],
                direction=mean / np.linalg.norm(mean),
                hold=hold,
                quantiles=np.stack(
                    [np.quantile(value[:, c], scored.levels[:, c], method="hazen") for c in range(3)]
                ),
                log_power=spectra.with_variance(log_power, target),
                coherence=coherence,
                volatility=scored.volatility,
                template=scored.template,
                cycle=scored.cycle,
            )
        )
    moving = with_gait and stride is not None
    stride_sd, stride_memory = 0.0, 0.9
    if moving and stride is not None:
        deviation = stride.deviation_hz
        lag = float(np.corrcoef(deviation[:-RATE_HZ], deviation[RATE_HZ:])[0, 1])
        stride_sd = float(deviation.std()) * STRIDE_JITTER
        stride_memory = float(np.clip(lag, 0.05, 0.98) ** (1 / RATE_HZ))
    profile = Profile(
        person=recording.person,
        activity=recording.activity,
        spherical=recipe.spherical,
        frame_samples=frame,
        stride_hz=stride.hz if moving and stride is not None else 0.0,
        stride_sd_hz=stride_sd,
        stride_memory=stride_memory,
        volatility_memory=float(np.mean(memories)),
        range_g=range_of([recording]) if range_g is None else range_g,
        regimes=tuple(regimes),
    )
    return calibrate(profile, x, rounds)


# calibration

_SEGMENT = 100
_CALIBRATION_MINUTES = 4
_DAMPING = 0.6
_MOST_GAIN = 1.4
_CALIBRATION_SEED = 99
_SMOOTHING_HZ = 0.3


def typical_spectrum(x: np.ndarray) -> np.ndarray:
    """(4, 51) geometric mean over half-overlapping 10 s segments of the spectra of x, y, z (n, 3) in g and of
    their magnitude.

    Geometric, because that is what a typical window looks like; the mean is that of the liveliest few.
    """
    channels = np.concatenate([x, np.linalg.norm(x, axis=1, keepdims=True)], axis=1)
    starts = np.arange(0, len(x) - _SEGMENT + 1, _SEGMENT // 2)
    segments = channels[starts[:, None] + np.arange(_SEGMENT)]
    segments = segments - segments.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(segments * np.hanning(_SEGMENT)[None, :, None], axis=1)) ** 2
    return np.asarray(np.exp(np.log(power + 1e-5 / STANDARD_GRAVITY**2).mean(axis=0)).T)


def calibrate(profile: Profile, x: np.ndarray, rounds: int) -> Profile:
    """The profile with band gains such that what it realises has the typical spectrum of x (n, 3).

    Regimes differ in their coordinates, windows show x, y, z and magnitude: an axis' error goes to a regime's
    tangents by the squares of their direction cosines. The variance of each channel stays; gains are damped,
    smooth over frequency and bounded.
    """
    wanted = typical_spectrum(x)
    frequency = np.fft.rfftfreq(_SEGMENT, 1 / RATE_HZ)
    hat = np.maximum(1 - np.abs(frequency - BANDS_HZ[:, None]) / _SMOOTHING_HZ, 0)
    hat[:, 0] = 0  # each segment is centred: nothing is known at 0 Hz
    hat /= hat.sum(axis=1, keepdims=True)
    gain = np.zeros((4, len(BANDS_HZ)))

    def adjusted(regime: Regime) -> Regime:
        channels = gain[:3]
        if profile.spherical:
            cosines = tangent_basis(regime.direction)[:2] ** 2
            channels = np.concatenate([cosines @ gain[:3], gain[3:]])
        log_power = regime.log_power + 2 * channels.T
        return replace(regime, log_power=spectra.with_variance(log_power, spectra.variance(regime.log_power)))

    current = profile
    for turn in range(rounds):
        process = Process(current)
        first = 1000 + 10 * turn
        minutes = range(first, first + _CALIBRATION_MINUTES)
        made = np.concatenate([process.minute(_CALIBRATION_SEED, 0, minute) for minute in minutes])
        gain += _DAMPING * (0.5 * np.log(wanted / typical_spectrum(made))) @ hat.T
        middle = gain.mean(axis=1, keepdims=True)
        gain = np.clip(gain, middle - _MOST_GAIN, middle + _MOST_GAIN)
        current = replace(profile, regimes=tuple(adjusted(r) for r in profile.regimes))
    return current


def measure(
    recordings: Sequence[Recording],
    *,
    rounds: int = ROUNDS,
    progress: Callable[[Profile], None] | None = None,
) -> tuple[Profile, ...]:
    """Profiles of recordings, each person's by themselves: leaving one out changes nobody else's.

    Recordings shorter than LEAST_SECONDS are passed over. `progress` is called after each profile.
    """
    reach = {
        person: range_of([r for r in recordings if r.person == person])
        for person in {r.person for r in recordings}
    }
    profiles: list[Profile] = []
    for recording in recordings:
        if len(recording.acceleration) < LEAST_SECONDS * RATE_HZ:
            continue
        profiles.append(measure_profile(recording, range_g=reach[recording.person], rounds=rounds))
        if progress is not None:
            progress(profiles[-1])
    if not profiles:
        raise DataError(f"no recording is as long as {LEAST_SECONDS} s; nothing could be measured")
    return tuple(sorted(profiles, key=lambda p: (p.activity, p.person)))
