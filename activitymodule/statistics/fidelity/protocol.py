"""The comparison protocol: all measures, against the people whose statistics were used and against people left out.

- against the people used: two-sample test, autocorrelation, marginals, copying
- against people left out of the statistics: transfer, two-sample test, autocorrelation, marginals
- real people against other real people: the values that a perfect generator would have
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.fidelity.copying import Copying, copying, halves
from activitymodule.statistics.fidelity.distributions import autocorrelation_error, marginal_distance
from activitymodule.statistics.fidelity.transfer import Transfer, train_and_test
from activitymodule.statistics.fidelity.two_sample import FOLDS, TwoSampleResult, two_sample_test
from activitymodule.statistics.recordings import Recording, select

Synthesise = Callable[[Collection[str], int], list[Recording]]
"""(people, seed) -> synthetic recordings from the statistics of those people alone."""


@dataclass(frozen=True)
class Used:
    """Against the very people whose statistics were used, for one seed."""

    seed: int
    c2st: TwoSampleResult
    autocorrelation: dict[str, float]
    matched: bool
    """Whether the autocorrelation was compared person by person."""
    marginals: dict[str, float]
    copying: Copying


@dataclass(frozen=True)
class LeftOut:
    """Against people left out of the statistics, for one seed.

    transfers: one of each fold of people left out. c2st_auc: one of each way to set two folds against the other
    two. autocorrelation and marginals: of each fold, by activity, people pooled.
    """

    seed: int
    transfers: tuple[Transfer, ...]
    c2st_auc: tuple[float, ...]
    autocorrelation: tuple[dict[str, float], ...]
    marginals: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class RealPairs:
    """The same measures of real people against other real people, or other minutes: the best that can be reached."""

    c2st_auc: tuple[float, ...]
    autocorrelation_minutes: dict[str, float]
    """One half of a recording against the other half, person by person."""
    autocorrelation_people: tuple[dict[str, float], ...]
    marginals_people: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Report:
    """All measures. folds: the people of each fold."""

    folds: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...]
    used: tuple[Used, ...]
    left_out: tuple[LeftOut, ...]
    real_pairs: RealPairs


def folds_of(people: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """People dealt into FOLDS folds: ranked by the SHA-256 of their name, dealt out in turn."""
    ranked = sorted(set(people), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return tuple(tuple(sorted(ranked[k::FOLDS])) for k in range(FOLDS))


def compare(
    real: Sequence[Recording],
    synthesise: Synthesise,
    seeds: Sequence[int],
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Compare what `synthesise` makes with real recordings; `progress` is called before each step with its name.

    Raises DataError where there are fewer than eight people: nothing could be left out.
    """
    step = progress or (lambda text: None)
    people = {r.person for r in real}
    if len(people) < 2 * FOLDS:
        raise NotEnoughDataError(
            f"the real recordings are of {len(people)} people; comparing needs at least {2 * FOLDS}, "
            "so that some can be left out"
        )
    folds = folds_of(people)
    pairs = [set(folds[k]) | set(folds[(k + 1) % FOLDS]) for k in range(FOLDS)]

    trtr: list[float] = []
    for k, fold in enumerate(folds):
        step(f"training on real people, fold {k + 1} left out")
        trtr.append(train_and_test(select(real, people - set(fold)), select(real, fold)))
    used, left_out = [], []
    for seed in seeds:
        step(f"seed {seed}: the people used")
        used.append(_used(real, synthesise(people, seed), seed))
        left_out.append(_left_out(real, synthesise, seed, folds, pairs, trtr, step))
    step("real people against each other")
    return Report(folds, tuple(seeds), tuple(used), tuple(left_out), _real_pairs(real, folds, pairs))


def _used(real: Sequence[Recording], synthetic: Sequence[Recording], seed: int) -> Used:
    errors, matched = autocorrelation_error(real, synthetic)
    return Used(
        seed=seed,
        c2st=two_sample_test(real, synthetic),
        autocorrelation=errors,
        matched=matched,
        marginals=marginal_distance(real, synthetic),
        copying=copying(real, synthetic),
    )


def _left_out(
    real: Sequence[Recording],
    synthesise: Synthesise,
    seed: int,
    folds: Sequence[Sequence[str]],
    pairs: Sequence[set[str]],
    trtr: Sequence[float],
    step: Callable[[str], None],
) -> LeftOut:
    people = {r.person for r in real}
    transfers, aucs, correlations, marginals = [], [], [], []
    for k, fold in enumerate(folds):
        step(f"seed {seed}: fold {k + 1} left out")
        synthetic = synthesise(people - set(fold), seed)
        tested = select(real, fold)
        transfers.append(Transfer(train_and_test(synthetic, tested), trtr[k]))
        correlations.append(autocorrelation_error(tested, synthetic)[0])
        marginals.append(marginal_distance(tested, synthetic))
        aucs.append(two_sample_test(select(real, pairs[k]), synthesise(people - pairs[k], seed)).auc)
    return LeftOut(seed, tuple(transfers), tuple(aucs), tuple(correlations), tuple(marginals))


def _real_pairs(
    real: Sequence[Recording], folds: Sequence[Collection[str]], pairs: Sequence[set[str]]
) -> RealPairs:
    people = {r.person for r in real}
    first, second = halves(real)
    sides = [(select(real, fold), select(real, people - set(fold))) for fold in folds]
    return RealPairs(
        # two of the four are the other two turned round
        tuple(two_sample_test(select(real, h), select(real, people - h)).auc for h in pairs[: FOLDS // 2]),
        autocorrelation_error(first, second)[0],
        tuple(autocorrelation_error(a, b)[0] for a, b in sides),
        tuple(marginal_distance(a, b) for a, b in sides),
    )
