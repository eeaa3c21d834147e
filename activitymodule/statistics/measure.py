"""Measure reference statistics: from a recording of one person doing one activity to its profile.

The model is a regime-switching spectral copula. A recording is cut into short frames; frames alike in
direction and energy make a regime (k-means); each regime keeps its marginal distributions and, in normal
scores, its mean stride and its cross-spectrum. Calibration then realises the profile and corrects the spectra
by the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics import gait, spectra
from activitymodule.statistics.calibration import calibrate
from activitymodule.statistics.normal_scores import Scored, score_gait, score_still, spread_out
from activitymodule.statistics.profile import RATE_HZ, Profile, Regime, tangent_basis, to_spherical
from activitymodule.statistics.recipes import ROUNDS, STRIDE_JITTER, Recipe, recipe_of
from activitymodule.statistics.recordings import Recording, range_of
from activitymodule.statistics.regimes import cluster, transitions, without_holds

LEAST_SECONDS = 40
"""A shorter recording gives no profile."""

_PERIODIC = 0.5


def measure(
    recordings: Sequence[Recording],
    *,
    rounds: int = ROUNDS,
    progress: Callable[[Profile], None] | None = None,
) -> tuple[Profile, ...]:
    """Profiles of recordings, each person's by themselves: leaving one out changes nobody else's.

    Recordings shorter than LEAST_SECONDS are passed over; raises DataError where there is no longer one.
    `progress` is called after each profile.
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
        raise NotEnoughDataError(f"no recording is as long as {LEAST_SECONDS} s; nothing could be measured")
    return tuple(sorted(profiles, key=lambda p: (p.activity, p.person)))


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
        raise NotEnoughDataError(
            f"the recording of {recording.person}, {recording.activity} has {len(x) / RATE_HZ:.0f} s; "
            f"a profile needs {LEAST_SECONDS} s"
        )
    stride = _stride(x, recipe)
    regimes, memories = _regimes(x, recipe, stride)
    stride_sd, stride_memory = _stride_change(stride)
    profile = Profile(
        person=recording.person,
        activity=recording.activity,
        spherical=recipe.spherical,
        frame_samples=frame,
        stride_hz=stride.hz if stride is not None else 0.0,
        stride_sd_hz=stride_sd,
        stride_memory=stride_memory,
        volatility_memory=float(np.mean(memories)),
        range_g=range_of([recording]) if range_g is None else range_g,
        regimes=regimes,
    )
    return calibrate(profile, x, rounds)


def _stride(x: np.ndarray, recipe: Recipe) -> gait.Stride | None:
    """The stride of x (n, 3), None where the activity has none."""
    if recipe.gait is False:
        return None
    stride = gait.stride(x)
    return stride if recipe.gait or stride.periodicity >= _PERIODIC else None


def _stride_change(stride: gait.Stride | None) -> tuple[float, float]:
    """Standard deviation (Hz) and AR(1) coefficient a sample of the stride frequency."""
    if stride is None:
        return 0.0, 0.9
    deviation = stride.deviation_hz
    lag = float(np.corrcoef(deviation[:-RATE_HZ], deviation[RATE_HZ:])[0, 1])
    return float(deviation.std()) * STRIDE_JITTER, float(np.clip(lag, 0.05, 0.98) ** (1 / RATE_HZ))


@dataclass(frozen=True)
class _Part:
    """The samples of one regime: where they are, their mean, coordinates and the root of the visits' covariance."""

    index: np.ndarray
    mean: np.ndarray
    value: np.ndarray
    hold: np.ndarray


def _regimes(
    x: np.ndarray, recipe: Recipe, stride: gait.Stride | None
) -> tuple[tuple[Regime, ...], list[float]]:
    """Regimes of x (n, 3) and the volatility memory of each."""
    label = cluster(x, recipe)
    occupancy, chances = transitions(label)
    sample_label = np.repeat(label, recipe.frame_seconds * RATE_HZ)
    visit = np.r_[0, np.cumsum(np.diff(sample_label) != 0)]
    regimes: list[Regime] = []
    memories: list[float] = []
    volatility: float | None = None
    for k in range(len(occupancy)):
        part = _part(x, np.flatnonzero(sample_label == k), visit, recipe)
        member = (sample_label == k).astype(float)
        rank = (part.value.argsort(axis=0).argsort(axis=0) + 0.5) / len(part.value)
        scored = (
            score_still(rank, member, volatility)
            if stride is None
            else score_gait(rank, stride.phase[part.index], member, volatility)
        )
        volatility = scored.volatility
        memories.append(scored.memory)
        log_power, coherence = _spectrum(scored, member, recipe.lags, keep_variance=stride is not None)
        regimes.append(
            Regime(
                frames=int((label == k).sum()),
                occupancy=float(occupancy[k]),
                transitions=chances[k],
                direction=part.mean / np.linalg.norm(part.mean),
                hold=part.hold,
                quantiles=np.stack(
                    [np.quantile(part.value[:, c], scored.levels[:, c], method="hazen") for c in range(3)]
                ),
                log_power=log_power,
                coherence=coherence,
                volatility=scored.volatility,
                template=scored.template,
                cycle=scored.cycle,
            )
        )
    return tuple(regimes), memories


def _part(x: np.ndarray, index: np.ndarray, visit: np.ndarray, recipe: Recipe) -> _Part:
    mean = x[index].mean(axis=0)
    value = to_spherical(x[index], tangent_basis(mean)) if recipe.spherical else x[index]
    hold = np.zeros((3, 3))
    if recipe.holds:
        value, hold = without_holds(value, visit[index])
    return _Part(index, mean, value, hold)


def _spectrum(
    scored: Scored, member: np.ndarray, lags: int, *, keep_variance: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Log power (21, 3) and coherence (21, 3) of a regime's scores; their variance is 1 unless it is kept."""
    covariance = spectra.lagged_covariance(spread_out(scored.residual, member), member, lags)
    log_power, coherence = spectra.to_bands(spectra.spectrum(covariance))
    target = scored.residual.var(axis=0) if keep_variance else np.ones(3)
    return spectra.with_variance(log_power, target), coherence
