"""Training, validation and test part of samples: by time where there is enough of it, by person otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from activitymodule.behaviour.wearing.samples import OUTCOME_DAYS, Samples
from activitymodule.errors import NotEnoughDataError

_TEST_SHARE = 0.2  # of the days between the first and the last cut
_TRAIN_SHARE = 0.7  # of what is left, for training


@dataclass(frozen=True)
class Split:
    """Places of the samples of each part. by : 'time' or 'person'; text : for people"""

    by: Literal["time", "person"]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    text: str


def split_of(samples: Samples, seed: int = 0) -> Split:
    """The parts. By time, the outcome of each part is known before the first cut of the next one.

    Raises NotEnoughDataError where a part has nobody who stops, or only such people.
    """
    found = _by_time(samples)
    if found is None or not _usable(samples, found):
        found = _by_person(samples, seed)
    if not _usable(samples, found):
        raise NotEnoughDataError(
            f"{len(samples)} samples, of which {int(samples.stops.sum())} stop, do not suffice for a training, a "
            "validation and a test part with both outcomes; bring a longer history or more people"
        )
    return found


def _by_time(samples: Samples) -> Split | None:
    first, last = int(samples.cut.min()), int(samples.cut.max())
    test = last - _TEST_SHARE * (last - first)
    known = test - OUTCOME_DAYS - 1  # the last cut of the validation part at the latest
    free = known - first - OUTCOME_DAYS - 1
    if free <= 0:
        return None
    train = first + _TRAIN_SHARE * free
    parts = (
        samples.cut <= train,
        (samples.cut > train + OUTCOME_DAYS) & (samples.cut <= known),
        samples.cut >= test,
    )
    if not all(part.any() for part in parts):
        return None
    spans = [
        f"{samples.dates[int(samples.cut[part].min())]} to {samples.dates[int(samples.cut[part].max())]}"
        for part in parts
    ]
    text = f"by time: training cuts {spans[0]}, validation {spans[1]}, test {spans[2]}"
    learn, choose, ask = (np.flatnonzero(part) for part in parts)
    return Split("time", learn, choose, ask, text)


def _by_person(samples: Samples, seed: int) -> Split:
    people = np.unique(samples.person)
    order = np.random.default_rng(seed).permutation(people)
    train, validation = order[: int(0.6 * len(order))], order[int(0.6 * len(order)) : int(0.8 * len(order))]
    in_train, in_validation = np.isin(samples.person, train), np.isin(samples.person, validation)
    text = (
        f"random by person, since the history is too short to split it by time: {len(train)} people for training, "
        f"{len(validation)} for validation, {len(order) - len(train) - len(validation)} for the test"
    )
    return Split(
        "person",
        np.flatnonzero(in_train),
        np.flatnonzero(in_validation),
        np.flatnonzero(~in_train & ~in_validation),
        text,
    )


def _usable(samples: Samples, split: Split) -> bool:
    return all(
        0 < samples.stops[part].sum() < len(part) for part in (split.train, split.validation, split.test)
    )
