"""The table of features: names, units and meanings of all families, in the order of the feature matrix."""

from __future__ import annotations

import importlib
import pkgutil

from activitymodule.windows import families
from activitymodule.windows.families.base import ACCELERATION, REGISTERED, Family, Feature


def _collected() -> dict[str, Family]:
    """The families of all modules of windows.families, in their order."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")
    return {family.name: family for family in sorted(REGISTERED.values(), key=lambda f: (f.order, f.name))}


FAMILIES: dict[str, Family] = _collected()
FEATURES: tuple[Feature, ...] = tuple(feature for family in FAMILIES.values() for feature in family.features)
FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)

FEATURES_VERSION = str(max(family.changed_in for family in FAMILIES.values()))
"""Rises with every change of a feature's name, order, or value beyond rounding (Family.changed_in); models name it
and are rejected where it differs."""

MOTION_FAMILIES: tuple[str, ...] = tuple(f.name for f in FAMILIES.values() if f.sensor == ACCELERATION)
"""Families of features of the acceleration, which every source measures."""


def _columns() -> dict[str, slice]:
    columns, start = {}, 0
    for name, family in FAMILIES.items():
        columns[name] = slice(start, start + len(family.features))
        start += len(family.features)
    return columns


COLUMNS: dict[str, slice] = _columns()
"""Where each family's features are in the feature matrix."""
