"""`activity features`: what is computed from a window, as a list, as JSON, or as docs/features.md."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer

from activitymodule import settings
from activitymodule.errors import ConfigError, DataError
from activitymodule.windows import catalogue

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DOCUMENT = "docs/features.md"

_FAMILY_TEXT = {
    "statistics": (
        "Spread and shape of each axis and of the magnitude (Bao and Intille, 2004). Moments are about "
        "the mean; of an axis only what has no sign is kept."
    ),
    "direction": (
        "How the watch lies. The mean acceleration of a window is mostly gravity (Mizell, 2003); its "
        "sizes tell sitting from standing, which hardly differ in anything else."
    ),
    "jerk": "Differences of neighbouring slots, times the rate.",
    "gravity": "How the watch turns: the acceleration averaged over 1 s, and its angle to the window's mean.",
    "stillness": (
        "The spread (root of the summed variances of the axes) within blocks of 1 s: a window may be "
        "still in parts."
    ),
    "vertical": (
        "The movement (acceleration less its mean) along gravity, and the size of what is across it: the "
        "same however the watch is turned (Mizell, 2003)."
    ),
    "covariance": "How the axes move together. Eigenvalues in closed form (Smith, 1961).",
    "spectrum": (
        "Hann window (Harris, 1978), real Fourier transform, constant part removed; six channels: x, y, "
        "z, the magnitude, the vertical part, and the powers of x, y and z added up, which do not depend "
        "on how the watch is turned. Bands are in Hz, so that other rates and lengths mean the same. "
        "Spectral entropy as in Bao and Intille (2004). Harmonics tell steps from strides."
    ),
    "autocorrelation": (
        "The same six channels, from the power spectrum of the zero-padded movement (Wiener and "
        "Khinchin), not corrected for the shrinking overlap. Its peaks are cadence and regularity of "
        "gait (Moe-Nilssen and Helbostad, 2004)."
    ),
    "rotation": "Of the rotation rate, where a watch sends it.",
    "heart": "Of the heart rate, over the readings that have one.",
    "steps": "Steps are counted since the last reading, so they are added up.",
    "speed": "Ground speed, where it is known.",
}

_INTRODUCTION = """\
# Features of a window

Made by `activity features --markdown`; do not edit. Version of the features: **{version}**. {count}
features in {families} families, {of_acceleration} of them of the acceleration.

The same code (`activitymodule/windows/features.py`) computes them in training and in the stream: a
test holds stream and batch equal to the last bit, whatever the split into panes, the order of
arrival, duplicates, and the other windows of the batch.

## From readings to a window

1. A reading's total acceleration is its user acceleration plus gravity, in g; gravity = (cos pitch
   sin roll, -sin pitch, -cos pitch cos roll) (Apple, Core Motion, `CMDeviceMotion`).
2. Readings of one stamp count once. Where they differ, the one whose packed bytes come first is
   taken, so that the order of arrival does not matter.
3. Readings are averaged into slots of 1/`windows.rate_hz` s; steps are added up. Slots begin with
   the window, or half a slot earlier where that leaves fewer of them empty: a watch whose stamps
   fall on the boundaries, give or take some milliseconds, would otherwise seem to have gaps.
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
A model names the features and the version it was trained on, and is refused where they differ.

Speed: `python benchmarks/features.py`.
"""

_SOURCES = """\
## Sources

- L. Bao, S. S. Intille (2004), Activity recognition from user-annotated acceleration data,
  Pervasive 2004.
- F. J. Harris (1978), On the use of windows for harmonic analysis with the discrete Fourier
  transform, Proceedings of the IEEE 66(1).
- D. Mizell (2003), Using gravity to estimate accelerometer orientation, ISWC 2003.
- R. Moe-Nilssen, J. L. Helbostad (2004), Estimation of gait cycle characteristics by trunk
  accelerometry, Journal of Biomechanics 37(1).
- O. K. Smith (1961), Eigenvalues of a symmetric 3 x 3 matrix, Communications of the ACM 4(4).
- G. M. Weiss, K. Yoneda, T. Hayajneh (2019), Smartphone and smartwatch-based biometrics using
  activities of daily living, IEEE Access 7: the WISDM recordings on which the recipe was chosen, by
  people left out.
- The manner of one function a family is that of OxWearables' stepcount.
"""


def markdown() -> str:
    """docs/features.md as it should be."""
    motion = catalogue.COLUMNS["autocorrelation"].stop
    parts = [
        _INTRODUCTION.format(
            version=catalogue.FEATURES_VERSION,
            count=len(catalogue.FEATURES),
            families=len(catalogue.FAMILIES),
            of_acceleration=motion,
        )
    ]
    for family in catalogue.FAMILIES:
        rows = [f for f in catalogue.FEATURES if f.family == family]
        parts.append(f"## {family.capitalize()} ({len(rows)})\n\n{_FAMILY_TEXT[family]}\n")
        table = ["| name | unit | meaning |", "|---|---|---|"]
        table += [f"| `{f.name}` | {f.unit} | {f.meaning} |" for f in rows]
        parts.append("\n".join(table) + "\n")
    parts.append(_SOURCES)
    return "\n".join(parts)


@app.command(epilog="Example: activity features --family gravity")
def features(
    family: str = typer.Option("", help="Only this family: " + ", ".join(catalogue.FAMILIES) + "."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: version and features."),
    write: bool = typer.Option(False, "--markdown", help=f"Write {_DOCUMENT}."),
    check: bool = typer.Option(
        False, "--check", help=f"Fail where {_DOCUMENT} is not what --markdown would write."
    ),
) -> None:
    """Describe the window features: names, units and meanings."""
    if family and family not in catalogue.FAMILIES:
        raise ConfigError(f"there is no family {family!r}; the families are {', '.join(catalogue.FAMILIES)}")
    document: Path = settings.resolve(_DOCUMENT)
    if write:
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(markdown())
        typer.echo(f"{_DOCUMENT}: {len(catalogue.FEATURES)} features")
        return
    if check:
        if not document.is_file() or document.read_text() != markdown():
            raise DataError(f"{_DOCUMENT} is not what the code says; run `activity features --markdown`")
        typer.echo(f"{_DOCUMENT} is up to date")
        return
    chosen = [f for f in catalogue.FEATURES if family in ("", f.family)]
    if as_json:
        typer.echo(
            json.dumps(
                {"version": catalogue.FEATURES_VERSION, "features": [asdict(f) for f in chosen]}, indent=1
            )
        )
        return
    width = max(len(f.name) for f in chosen)
    unit_width = max(len(f.unit) for f in chosen)
    for f in chosen:
        typer.echo(f"{f.name:<{width}}  {f.unit:<{unit_width}}  {f.meaning}")
