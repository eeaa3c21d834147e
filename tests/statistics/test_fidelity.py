"""The measures themselves: real against real scores well, and each kind of fake is found out by some measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_recordings import sitter, walker

from activitymodule.errors import DataError, NotEnoughDataError
from activitymodule.statistics.fidelity.copying import copying
from activitymodule.statistics.fidelity.distributions import (
    autocorrelation,
    autocorrelation_error,
    marginal_distance,
)
from activitymodule.statistics.fidelity.protocol import Used, compare, folds_of
from activitymodule.statistics.fidelity.report import spread, summary
from activitymodule.statistics.fidelity.transfer import Transfer
from activitymodule.statistics.fidelity.two_sample import two_sample_test
from activitymodule.statistics.recordings import Recording

PEOPLE = [str(n) for n in range(8)]


def crowd(seed: int) -> list[Recording]:
    """Eight people with strides of their own; another seed is another day of the same people."""
    made = []
    for n, person in enumerate(PEOPLE):
        made += [
            walker(person, 0.8 + 0.03 * n, 60, seed=100 * seed + n),
            sitter(person, 60, seed=100 * seed + n),
        ]
    return made


@pytest.fixture(scope="module")
def day() -> list[Recording]:
    return crowd(1)


@pytest.fixture(scope="module")
def other_day() -> list[Recording]:
    return crowd(2)


def test_folds_are_fixed_and_part_everybody() -> None:
    folds = folds_of(PEOPLE)
    assert sorted(sum(folds, ())) == PEOPLE
    assert {len(fold) for fold in folds} == {2}
    assert folds == folds_of(reversed(PEOPLE))


def test_the_two_sample_test_finds_noise_and_nothing_else(
    day: list[Recording], other_day: list[Recording]
) -> None:
    assert two_sample_test(day, other_day).auc < 0.65
    random = np.random.default_rng(0)
    noise = [
        replace(
            r,
            acceleration=(
                r.acceleration.mean(axis=0)
                + r.acceleration.std(axis=0) * random.normal(size=r.acceleration.shape)
            ).astype(np.float32),
        )
        for r in other_day
    ]
    result = two_sample_test(day, noise)
    assert result.auc > 0.97
    assert result.by_activity.keys() == {"walking", "sitting"}


def test_copies_are_found_out(day: list[Recording], other_day: list[Recording]) -> None:
    copied = copying(day, day)
    assert copied.signal_median < 0.3
    assert copied.features_median < 0.4
    # and so is a single copied window in fifty
    few = [*other_day[1:], day[0]]
    assert copying(day, few).signal_nearest < 0.1
    made = copying(day, other_day)
    assert made.signal_median == pytest.approx(1, abs=0.15)
    assert made.features_median == pytest.approx(1, abs=0.2)


def test_the_autocorrelation_of_a_sine() -> None:
    x = np.tile(np.sin(2 * np.pi * np.arange(2000) / 20)[:, None], (1, 3))
    r = autocorrelation(x)
    assert r.shape == (30, 3)
    assert r[[9, 19]] == pytest.approx(np.array([[-1] * 3, [1] * 3]), abs=0.02)


def test_errors_are_person_by_person_where_people_match(day: list[Recording]) -> None:
    errors, matched = autocorrelation_error(day, day)
    assert matched
    assert max(errors.values()) == 0
    strangers = [replace(r, person="x" + r.person) for r in day]
    errors, matched = autocorrelation_error(day, strangers)
    assert not matched
    assert max(errors.values()) < 1e-9
    assert max(marginal_distance(day, day).values()) == 0


def test_data_sets_with_nothing_in_common_are_refused(day: list[Recording]) -> None:
    with pytest.raises(DataError):
        marginal_distance(day, [replace(day[0], activity="flying")])
    with pytest.raises(NotEnoughDataError):
        compare(day[:4], lambda people, seed: list(day), [1])


def test_spread_and_ratio() -> None:
    assert str(spread([1.0, 3.0])) == "2.000 ± 1.414 (1.000 to 3.000)"
    assert Transfer(0.9, 1.0).ratio == 0.9


def test_the_whole_protocol_leaves_people_out(day: list[Recording]) -> None:
    asked: list[set[str]] = []

    def synthesise(people: object, seed: int) -> list[Recording]:
        asked.append(set(people))  # type: ignore[call-overload]
        return [r for r in crowd(2 + seed) if r.person in asked[-1]]

    report = compare(day, synthesise, [1])
    # all of them once; then each fold left out, and each half
    assert [len(people) for people in asked] == [8, 6, 4, 6, 4, 6, 4, 6, 4]
    assert all(isinstance(u, Used) for u in report.used)
    lines = {line.name: line for line in summary(report)}
    assert lines["TSTR / TRTR, people left out"].met
    assert lines["C2ST AUC, people used"].met
    assert lines["ACF error, people used, person by person"].met
    assert lines["nearest neighbour, signal, median, synthetic / real"].met
