"""docs/features.md, made from the catalogue and the docstrings of the families."""

from __future__ import annotations

from activitymodule.windows import catalogue
from activitymodule.windows.families.base import ACCELERATION, Family

_INTRODUCTION = """\
# Features of a window

Made by `activity features --markdown`; do not edit. Version of the features: **{version}**. {count}
features in {families} families, {of_acceleration} of them of the acceleration.

The same code (`activitymodule/windows/`) computes them in training and in the stream. A test compares
stream and batch to the last bit, whatever the split into panes, the order of arrival, duplicates, and
the other windows of the batch.

## From readings to a window

1. A reading's total acceleration is its user acceleration plus gravity, in g; gravity = (cos pitch
   sin roll, -sin pitch, -cos pitch cos roll) (Apple, Core Motion, `CMDeviceMotion`).
2. Readings of one stamp count once. Where they differ, the one whose packed bytes come first is
   taken, so that the order of arrival does not matter.
3. Readings are averaged into slots of 1/`windows.rate_hz` s; steps are added up. Slots begin with
   the window, or half a slot earlier where that leaves fewer of them empty: a watch whose stamps
   fall on the boundaries within some milliseconds would otherwise seem to have gaps.
4. `coverage` is the share of slots that hold a whole acceleration (x, y and z).

## From a window to features

- The acceleration is in m/s2 (a g is 9.80665 m/s2). A gap is bridged by a straight line and the
  ends are held; with less than 2 s of acceleration its features are NaN. The same holds for the
  rotation rate, on its own: what one sensor lacks never spoils the features of another.
- What was not measured is NaN. The models impute.
- No feature changes when an axis is mirrored: the other wrist, or a watch worn the other way round,
  gives the same numbers, bit by bit.
- Logarithms are natural, of the value plus a floor (1e-6 for spreads and band powers, 1e-4 for
  jerk, path, drift and blocks, 1e-5 for the 1 s mean, .01 degrees for angles), so that a flat
  signal gives a finite number.
- Bands and lags are in Hz and s; what the rate cannot show (a band above half the rate) has no
  power, and a lag beyond the window is cut to it.
- Arithmetic is float32: less its first value and then its mean, a signal keeps all the digits that
  matter. A test compares every feature with a plain float64 reference
  (`benchmarks/plain_features.py`).

The version is raised by one with every change of a feature's name, order, or value beyond rounding.
A model names the features and the version it was trained on, and is rejected where they differ.

Each family is one module of `activitymodule/windows/families/`: its names, units and texts stand beside
the function that computes it. To add a family, add a module there (`families/base.py` explains
`@family`) and run `activity features --markdown`.

Speed: `python benchmarks/features.py`.
"""

_DATA = """\
## Data and manner

- G. M. Weiss, K. Yoneda, T. Hayajneh (2019), Smartphone and smartwatch-based biometrics using
  activities of daily living, IEEE Access 7: the WISDM recordings on which the features were chosen, by
  cross-validation over people.
- One function a family, as in OxWearables' stepcount.
"""


def markdown() -> str:
    """docs/features.md as it should be."""
    families = catalogue.FAMILIES.values()
    introduction = _INTRODUCTION.format(
        version=catalogue.FEATURES_VERSION,
        count=len(catalogue.FEATURES),
        families=len(families),
        of_acceleration=sum(len(f.features) for f in families if f.sensor == ACCELERATION),
    )
    return "\n".join([introduction, *(_section(family) for family in families), _DATA])


def _section(family: Family) -> str:
    rows = [f"| `{f.name}` | {f.unit} | {f.meaning} |" for f in family.features]
    title = f"## {family.name.capitalize()} ({len(rows)})"
    return "\n".join([title, "", family.text, "", "| name | unit | meaning |", "|---|---|---|", *rows, ""])
