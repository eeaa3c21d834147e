"""How a family of features is declared: its features, the sensor it is computed from, and its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from activitymodule.windows.packing import CHANNELS

AXES = ("x", "y", "z")
MOTION_CHANNELS = (*AXES, "magnitude")
SPECTRUM_CHANNELS = (*AXES, "magnitude", "vertical", "sum")

ACCELERATION, ROTATION = "acceleration", "rotation_rate"

CHANNEL_TEXT = {
    "x": "x",
    "y": "y",
    "z": "z",
    "magnitude": "the magnitude",
    "vertical": "the vertical part",
    "sum": "x, y, z added up",
}
QUANTILE_TEXT = {
    "min": "least",
    "q10": "10 %",
    "q25": "25 %",
    "q50": "median",
    "q75": "75 %",
    "q90": "90 %",
    "max": "greatest",
}

Compute = Callable[..., list[np.ndarray]]
"""Returns float32 arrays of shape (k, windows), which together hold one row a feature, in their order."""


@dataclass(frozen=True)
class Feature:
    """One feature: its name, family, unit ('' where it has none) and meaning."""

    name: str
    family: str
    unit: str
    meaning: str


class Described(NamedTuple):
    """A feature within its family: its name without the family's, unit and meaning."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Family:
    """A family of features.

    text : its paragraphs in docs/features.md; sensor : what it is computed from, ACCELERATION, ROTATION or one of
    packing.CHANNELS; order : its place among the families; changed_in : the version of the features in which it
    was added or last changed.
    """

    name: str
    text: str
    sensor: str
    features: tuple[Feature, ...]
    compute: Compute
    order: int
    changed_in: int


REGISTERED: dict[str, Family] = {}


def family(
    *, sensor: str, features: Iterable[Described], order: int, changed_in: int = 1
) -> Callable[[Compute], Compute]:
    """Decorator of the function that computes a family. Its name is the family's, its docstring the documentation.

    sensor : ACCELERATION: the function gets a Motion; ROTATION: the rates, float32 (3, windows, slots), rad/s, and
    the Grid; a name of packing.CHANNELS: its values, float32 (windows, slots), NaN where missing, and the Grid.
    order : a new family takes the next free number, so that the columns before it stay where they are.
    changed_in : the version of the features that the family came with; raise it by one above FEATURES_VERSION
    with every change of a name, of the order, or of a value beyond rounding. Models trained before are rejected
    then.
    """
    if sensor not in (ACCELERATION, ROTATION, *CHANNELS):
        raise ValueError(f"there is no sensor {sensor}")
    described = tuple(features)

    def register(compute: Compute) -> Compute:
        name = compute.__name__
        REGISTERED[name] = Family(
            name=name,
            text=inspect.getdoc(compute) or "",
            sensor=sensor,
            features=tuple(Feature(f"{name}_{f.name}", name, f.unit, f.meaning) for f in described),
            compute=compute,
            order=order,
            changed_in=changed_in,
        )
        return compute

    return register


def each(channels: tuple[str, ...], name: str, unit: str, meaning: str) -> list[Described]:
    """One feature a channel; {} in the meaning stands for the channel."""
    return [
        Described(f"{channel}_{name}", unit, meaning.format(CHANNEL_TEXT[channel])) for channel in channels
    ]
