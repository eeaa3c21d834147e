"""The readings of a window, with what came before and after, drawn as one SVG in the pixels of the screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape

import numpy as np

from activitymodule.errors import DataError
from activitymodule.windows.packing import CHANNELS, RECORD

ACCELERATION, ROTATION = slice(0, 3), slice(3, 6)
HEART_RATE, STEPS, SPEED = (CHANNELS.index(name) for name in ("heart_rate", "steps", "speed"))

_GAP_SECONDS = 0.55  # a line is broken where readings are missing for longer
_LEFT, _RIGHT, _TOP = 46, 10, 20  # room for numbers, at the end, and for the names of the panels
_NARROW = 560


def microseconds(at: datetime) -> int:
    """UTC microseconds."""
    return round(at.timestamp() * 1_000_000)


def unpack(packed: Iterable[bytes]) -> np.ndarray:
    """Packed readings as one array of RECORD, in the order of time, each stamp once."""
    parts = []
    for one in packed:
        if len(one) % RECORD.itemsize:
            raise DataError(f"packed readings of {len(one)} bytes are not whole records; the item is damaged")
        parts.append(np.frombuffer(one, RECORD))
    records = np.concatenate(parts) if parts else np.empty(0, RECORD)
    _, first = np.unique(records["stamp_us"], return_index=True)
    return records[first]


@dataclass(frozen=True)
class Facts:
    """What can be said of a window in words; None where it was not measured."""

    intensity_g: float | None  # mean distance of |a| from its mean
    heart_rate: float | None  # bpm, mean
    steps: int | None
    speed: float | None  # m/s, mean

    def sentence(self) -> str:
        """For those who do not see the picture."""
        parts = []
        if self.intensity_g is not None:
            parts.append(f"movement {self.intensity_g:.2f} g around the mean")
        if self.heart_rate is not None:
            parts.append(f"heart rate {self.heart_rate:.0f} bpm")
        if self.steps is not None:
            parts.append(f"{self.steps} steps")
        if self.speed is not None:
            parts.append(f"speed {self.speed:.1f} metres a second")
        return ", ".join(parts) or "no readings"


def facts(records: np.ndarray) -> Facts:
    """Facts of a window's records."""
    values = records["values"].astype(np.float64)

    def mean(column: int) -> float | None:
        there = values[:, column]
        there = there[np.isfinite(there)]
        return float(there.mean()) if len(there) else None

    size = np.sqrt((values[:, ACCELERATION] ** 2).sum(1))
    size = size[np.isfinite(size)]
    taken = values[:, STEPS][np.isfinite(values[:, STEPS])]
    speed = mean(SPEED)
    return Facts(
        intensity_g=float(np.abs(size - size.mean()).mean()) if len(size) else None,
        heart_rate=mean(HEART_RATE),
        steps=round(float(taken.sum())) if len(taken) else None,
        speed=speed if speed is not None and speed >= 0 else None,
    )


def _nice(
    low: float, high: float, least: float, centre: float | None = None
) -> tuple[float, float, list[float]]:
    """Limits that hold [low, high] and span `least` at the least, and three to five round marks within."""
    if high - low < least:
        middle = (low + high) / 2 if centre is None else centre
        low, high = min(low, middle - least / 2), max(high, middle + least / 2)
    raw = (high - low) / 3.5
    unit = 10 ** np.floor(np.log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw)
    margin = (high - low) * 0.04
    low, high = low - margin, high + margin
    marks = np.arange(np.ceil(low / step) * step, high + step * 1e-6, step)
    return low, high, [float(round(mark, 6)) + 0.0 for mark in marks]


def _path(x: np.ndarray, y: np.ndarray, seconds: np.ndarray) -> str:
    """The d of a line through (x, y); broken where a value is missing or time jumps."""
    there = np.isfinite(y)
    x, y, seconds = x[there], y[there], seconds[there]
    if not len(x):
        return ""
    broken = np.concatenate([[True], np.diff(seconds) > _GAP_SECONDS])
    # whole tenths of pixels are enough for the eye
    return "".join(
        f"{'M' if new else 'L'}{a:.1f} {b:.1f}"
        for a, b, new in zip(x.tolist(), y.tolist(), broken.tolist(), strict=True)
    )


@dataclass(frozen=True)
class _Panel:
    name: str
    unit: str
    lines: tuple[tuple[str, np.ndarray], ...]  # class of the line, values
    height: int
    least: float  # smallest span of the axis: noise must not fill it
    centre: float | None = None


def _panels(values: np.ndarray, narrow: bool) -> list[_Panel]:
    def axes(columns: slice) -> tuple[tuple[str, np.ndarray], ...]:
        return tuple((f"axis-{axis}", values[:, columns][:, k]) for k, axis in enumerate("xyz"))

    panels = [_Panel("acceleration", "g", axes(ACCELERATION), 150 if narrow else 190, 2.4, 0.0)]
    if np.isfinite(values[:, ROTATION]).any():
        panels.append(_Panel("rotation", "rad/s", axes(ROTATION), 96 if narrow else 116, 2.0, 0.0))
    if np.isfinite(values[:, HEART_RATE]).any():
        panels.append(_Panel("heart rate", "bpm", (("heart", values[:, HEART_RATE]),), 62, 24))
    return panels


def plot(
    records: np.ndarray, start_us: int, end_us: int, width: int, *, height: int = 0, what: str = ""
) -> str:
    """The window [start, end) and what there is around it as SVG.

    records : RECORDs in the order of time, also of before and after; width, height : pixels of the screen (0: as
    high as it likes); what : words for those who do not see it. Colours are classes of annotate.css.
    """
    narrow = width < _NARROW
    length = (end_us - start_us) / 1e6
    stamps = records["stamp_us"]
    before, after = bool((stamps < start_us).any()), bool((stamps >= end_us).any())
    first, last = (-length if before else 0.0), (2 * length if after else length)
    seconds = (stamps - start_us) / 1e6
    shown = (seconds >= first) & (seconds <= last)
    seconds, values = seconds[shown], records["values"][shown].astype(np.float64)

    inner = width - _LEFT - _RIGHT
    x = _LEFT + (seconds - first) / (last - first) * inner

    def at(second: float) -> float:
        return _LEFT + (second - first) / (last - first) * inner

    own, beyond = at(0), at(length)
    panels = _fitted(_panels(values, narrow), height)
    parts: list[str] = []
    names = [_legend(width - _RIGHT, _TOP - 6)]
    top = _TOP
    for panel in panels:
        held = np.concatenate([line[np.isfinite(line)] for _, line in panel.lines])
        low, high, marks = _nice(
            float(held.min()) if len(held) else 0.0,
            float(held.max()) if len(held) else 0.0,
            panel.least,
            panel.centre,
        )
        scale = panel.height / (high - low)
        bottom = top + panel.height
        parts.append(f'<rect class="ground" x="{_LEFT}" y="{top}" width="{inner}" height="{panel.height}"/>')
        parts.append(
            f'<rect class="own" x="{own:.1f}" y="{top}" width="{beyond - own:.1f}" height="{panel.height}"/>'
        )
        for mark in marks:
            y = bottom - (mark - low) * scale
            parts.append(f'<path class="rule" d="M{_LEFT} {y:.1f}h{inner}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>'
            )
        for name, line in panel.lines:
            drawn = _path(x, bottom - (line - low) * scale, seconds)
            parts.append(f'<path class="line {name}" d="{drawn}"/>')
        names.append(f'<text class="name" x="{_LEFT}" y="{top - 6}">{panel.name}, {panel.unit}</text>')
        top = bottom + _TOP + 6
    top -= 4
    parts.append(_steps_row(values[:, STEPS], x, top, inner))
    bottom = top + 14
    for left, right in ((_LEFT, own), (beyond, width - _RIGHT)):
        if right - left > 1:  # before and after are there to compare with, not to judge
            parts.append(
                f'<rect class="beside" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{bottom - _TOP}"/>'
            )
    parts.append(f'<path class="edge" d="M{own:.1f} {_TOP}V{bottom}M{beyond:.1f} {_TOP}V{bottom}"/>')
    step = length / 2 if not narrow and (before or after) else length if before or after else length / 5
    for second in np.arange(first, last + 1e-6, step):
        anchor = "start" if second == first else "end" if second > last - 1e-6 else "middle"
        parts.append(
            f'<text class="tick" x="{at(second):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{second:g} s</text>'
        )
    for words, left, right, there in (
        ("before", _LEFT, own, before),
        ("after", beyond, width - _RIGHT, after),
    ):
        if there:
            parts.append(
                f'<text class="tick aside" x="{(left + right) / 2:.1f}" y="{_TOP + 14}" '
                f'text-anchor="middle">{words}</text>'
            )
    parts += names
    tall = bottom + 22
    return (
        f'<svg class="signals" viewBox="0 0 {width} {tall}" width="{width}" height="{tall}" role="img" '
        f'aria-label="{escape(what)}">{"".join(parts)}</svg>'
    )


def _fitted(panels: list[_Panel], height: int) -> list[_Panel]:
    """The panels as high as there is room for, within reason."""
    if not height:
        return panels
    around = _TOP + (_TOP + 6) * len(panels) + 34
    share = (height - around) / sum(panel.height for panel in panels)
    return [replace(panel, height=round(panel.height * min(max(share, 0.55), 2.2))) for panel in panels]


def _legend(right: float, y: float) -> str:
    return "".join(
        f'<path class="line axis-{axis} key" d="M{right - 34 * (3 - k)} {y - 4}h14"/>'
        f'<text class="tick" x="{right - 34 * (3 - k) + 18}" y="{y}">{axis}</text>'
        for k, axis in enumerate("xyz")
    )


def _steps_row(taken: np.ndarray, x: np.ndarray, top: float, inner: float) -> str:
    """A mark where a step was counted."""
    if not np.isfinite(taken).any():
        return ""
    marks = "".join(f"M{at:.1f} {top + 1}v12" for at in x[np.nan_to_num(taken) > 0].tolist())
    return (
        f'<path class="rule" d="M{_LEFT} {top + 7}h{inner}"/><path class="steps" d="{marks}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{top + 11}" text-anchor="end">steps</text>'
    )


def small(records: np.ndarray, start_us: int, end_us: int, *, width: int = 180, height: int = 62) -> str:
    """A small picture of a window: its three accelerations, on an axis of at least -1.2 to 1.2 g."""
    seconds = (records["stamp_us"] - start_us) / 1e6
    values = records["values"][:, ACCELERATION].astype(np.float64)
    held = values[np.isfinite(values)]
    low = min(-1.2, float(held.min())) if len(held) else -1.2
    high = max(1.2, float(held.max())) if len(held) else 1.2
    x = seconds / ((end_us - start_us) / 1e6) * width
    lines = "".join(
        f'<path class="line axis-{axis}" d="{_path(x, (high - values[:, k]) / (high - low) * height, seconds)}"/>'
        for k, axis in enumerate("xyz")
    )
    return (
        f'<svg class="signals small" viewBox="0 -2 {width} {height + 4}" preserveAspectRatio="none" '
        f'aria-hidden="true"><rect class="own" y="-2" width="{width}" height="{height + 4}"/>{lines}</svg>'
    )
