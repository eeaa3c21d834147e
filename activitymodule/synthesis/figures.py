"""Pictures of the fleet for docs/fleet.md: plans of a day, bodies over an hour, readings around a change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from activitymodule import files
from activitymodule.synthesis.attitude import gravity_of
from activitymodule.synthesis.history import DEFAULT_START
from activitymodule.synthesis.people import device_name, wearers
from activitymodule.synthesis.readings import DECIMALS, MOTION, Watches, watches

# Okabe and Ito (2008): safe for colour-blind readers
_COLOURS = ("#0072B2", "#D55E00", "#CCCCCC", "#009E73", "#F0E442", "#CC79A7", "#56B4E9", "#E69F00")


def draw(folder: Path, reference: str, seed: int) -> list[Path]:
    """Draw all figures into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    source = watches(reference, seed)
    return [
        _plans(source, folder / "fleet-plans.png"),
        _bodies(source, folder / "fleet-bodies.png"),
        _readings(source, folder / "fleet-readings.png"),
    ]


def _colours(source: Watches) -> dict[str, str]:
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(source.activities)}


def _plans(source: Watches, path: Path) -> Path:
    """Sixteen watches over half a day, and the fleet's share of each activity over the day."""
    colours = _colours(source)
    figure = Figure(figsize=(9, 7), layout="constrained")
    (above, below) = figure.subplots(2, 1, height_ratios=[3, 2])
    seconds = np.arange(DEFAULT_START, DEFAULT_START + 6 * 3600, 15)
    hours = (seconds - DEFAULT_START) / 3600 + 8
    doing = source.plans.activity(np.repeat(np.arange(1, 17), len(seconds)), np.tile(seconds, 16))
    above.pcolormesh(
        hours,
        np.arange(1, 17),
        doing.reshape(16, -1),
        cmap=ListedColormap([colours[name] for name in source.activities]),
        vmin=-0.5,
        vmax=len(source.activities) - 0.5,
        shading="nearest",
    )
    above.hlines(np.arange(1.5, 16), 8, 14, color="white", linewidth=2)
    above.set(xlabel="hour of the day (UTC)", xlim=(8, 14), yticks=[1, 6, 11, 16], title="16 watches")
    above.set_yticklabels([device_name(d) for d in (1, 6, 11, 16)])
    above.invert_yaxis()

    day = np.arange(DEFAULT_START - 8 * 3600, DEFAULT_START + 16 * 3600, 300)
    many = 400
    activity = source.plans.activity(np.tile(np.arange(1, many + 1), len(day)), np.repeat(day, many))
    shares = [(activity.reshape(len(day), many) == n).mean(1) for n in range(len(source.activities))]
    below.stackplot(
        (day - day[0]) / 3600,
        shares,
        labels=source.activities,
        colors=[colours[a] for a in source.activities],
    )
    below.set(
        xlabel="hour of the day (UTC)", ylabel="share", xlim=(0, 24), ylim=(0, 1), title=f"{many} of them"
    )
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return _saved(figure, path)


def _bodies(source: Watches, path: Path) -> Path:
    """Heart rate and energy of three people over ninety minutes."""
    colours = _colours(source)
    figure = Figure(figsize=(9, 7), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True)
    seconds = np.arange(DEFAULT_START, DEFAULT_START + 5400)
    minutes = (seconds - DEFAULT_START) / 60
    for axes, device in zip(rows, _varied(source, seconds), strict=True):
        state = source.bodies.state(np.full(len(seconds), device), seconds)
        who = wearers(np.array([device]), source.seed)
        _shade(axes, minutes, state.activity, source, colours)
        axes.plot(minutes, state.heart_rate_bpm, color="black", linewidth=1)
        axes.set(ylabel="heart rate, bpm", ylim=(45, 190))
        energy = axes.twinx()
        energy.plot(minutes, state.kcal_per_min, color="#B00020", linewidth=1)
        energy.set(ylim=(0, 20))
        energy.set_ylabel("kcal/min", color="#B00020")
        sex = "woman" if who.female[0] else "man"
        axes.set_title(
            f"{device_name(device)}: {sex}, {who.age_years[0]:.0f} years, {who.weight_kg[0]:.0f} kg, "
            f"{who.resting_heart_rate_bpm[0]:.0f} bpm at rest",
            fontsize=10,
        )
    rows[-1].set(xlabel="minutes", xlim=(0, 90))
    _legend(figure, colours)
    return _saved(figure, path)


def _readings(source: Watches, path: Path) -> Path:
    """One watch for two minutes around a change of activity: all that moves, steps, heart."""
    colours = _colours(source)
    start, device = _change(source)
    seconds = np.arange(start, start + 120)
    made = source.seconds(np.full(120, device), seconds)
    motion = made.motion.reshape(-1, len(MOTION)) / [10 ** DECIMALS[name] for name in MOTION]
    total = np.stack(gravity_of(motion[:, 1], motion[:, 2]), 1) + motion[:, 6:9]
    time = np.arange(1200) / 10
    figure = Figure(figsize=(9, 7), layout="constrained")
    rows = figure.subplots(4, 1, sharex=True)
    for axes in rows:
        _shade(axes, np.arange(120), made.activity, source, colours)
    for axis, letter in enumerate("xyz"):
        rows[0].plot(
            time, total[:, axis], linewidth=0.7, label=letter, color=("#222222", "#0072B2", "#B00020")[axis]
        )
        rows[2].plot(time, motion[:, 3 + axis], linewidth=0.7, color=("#222222", "#0072B2", "#B00020")[axis])
    rows[0].set(ylabel="acceleration, g", title=f"{device_name(device)}: what it sends, ten times a second")
    rows[0].legend(loc="upper right", ncols=3, fontsize=8)
    rows[1].plot(time, np.degrees(motion[:, 1]), linewidth=0.9, color="#222222", label="pitch")
    rows[1].plot(time, np.degrees(motion[:, 2]), linewidth=0.9, color="#009E73", label="roll")
    rows[1].legend(loc="upper right", ncols=2, fontsize=8)
    rows[1].set(ylabel="degrees")
    rows[2].set(ylabel="rotation, rad/s")
    rows[3].plot(np.arange(120), made.heart_rate / 10, color="black", linewidth=1)
    rows[3].set(ylabel="heart rate, bpm", xlabel="seconds", xlim=(0, 120))
    steps = rows[3].twinx()
    steps.plot(time, np.cumsum(made.steps.ravel()), color="#B00020", linewidth=1)
    steps.set_ylabel("steps so far", color="#B00020")
    _legend(figure, colours)
    return _saved(figure, path)


def _varied(source: Watches, seconds: np.ndarray) -> list[int]:
    """The three of the first forty devices that do the most different things."""
    kinds = [
        len(np.unique(source.plans.activity(np.full(len(seconds), device), seconds)))
        for device in range(1, 41)
    ]
    return sorted(int(i) + 1 for i in np.argsort(kinds, kind="stable")[-3:])


def _change(source: Watches) -> tuple[int, int]:
    """Start of two minutes with walking before and another, moving activity after: (second, device)."""
    seconds = np.arange(DEFAULT_START, DEFAULT_START + 3600)
    for device in range(1, 60):
        activity = source.plans.activity(np.full(3600, device), seconds)
        for at in (np.nonzero(np.diff(activity))[0] + 1).tolist():
            if not 60 <= at < 3540:
                continue
            before, after = activity[at - 45 : at], activity[at : at + 60]
            names = {source.activities[before[0]], source.activities[after[0]]}
            if (before == before[0]).all() and (after == after[0]).all() and names == {"standing", "walking"}:
                return int(seconds[at]) - 60, device
    return DEFAULT_START, 1


def _shade(
    axes: Axes, time: np.ndarray, activity: np.ndarray, source: Watches, colours: dict[str, str]
) -> None:
    """The activity as the colour of the background."""
    edges = [0, *(np.nonzero(np.diff(activity))[0] + 1).tolist(), len(activity)]
    for first, last in pairwise(edges):
        end = time[last] if last < len(time) else time[-1] + (time[1] - time[0])
        axes.axvspan(
            time[first], end, color=colours[source.activities[activity[first]]], alpha=0.25, linewidth=0
        )


def _legend(figure: Figure, colours: dict[str, str]) -> None:
    handles = [Patch(color=colour, alpha=0.4, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)


def _saved(figure: Figure, path: Path) -> Path:
    with files.written_beside(path) as part:
        figure.savefig(part, dpi=110)
    return path
