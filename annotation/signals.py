"""The readings of a window, and those before and after it, drawn as one SVG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from typing import TypeVar

import numpy as np

from activitymodule.errors import DataError
from activitymodule.windows.packing import CHANNELS, RECORD

ACCELERATION, ROTATION = slice(0, 3), slice(3, 6)
HEART_RATE, STEPS, SPEED = (CHANNELS.index(name) for name in ("heart_rate", "steps", "speed"))

_GAP_SECONDS = 0.55  # a line is broken where readings are missing for longer
_LEFT, _RIGHT, _TOP = 46, 10, 20  # room for numbers, at the end, and for the names of the panels
_NARROW = 560

Seconds = TypeVar("Seconds", float, np.ndarray)


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
    """Some figures of a window; None if not measured."""

    intensity_g: float | None  # mean distance of |a| from its mean
    heart_rate: float | None  # bpm, mean
    steps: int | None
    speed: float | None  # m/s, mean

    def sentence(self) -> str:
        """The figures as text, for screen readers."""
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
    """The figures of a window's records."""
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
    """Limits around [low, high] that span at least `least`, and three to five round marks within."""
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
    # tenths of a pixel are precise enough
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


@dataclass(frozen=True)
class _Axis:
    """The axis of time: [first, last] seconds around the window [0, length), on `inner` pixels."""

    first: float
    last: float
    length: float
    inner: int

    def at(self, second: Seconds) -> Seconds:
        """The x of seconds since the window's start: a number or an array."""
        return _LEFT + (second - self.first) / (self.last - self.first) * self.inner

    @property
    def before(self) -> bool:
        return self.first < 0

    @property
    def after(self) -> bool:
        return self.last > self.length


def plot(
    records: np.ndarray, start_us: int, end_us: int, width: int, *, height: int = 0, what: str = ""
) -> str:
    """The window [start, end) and the readings around it as SVG.

    records : RECORDs in the order of time, also of before and after; width, height : pixels of the screen (0: the
    height it needs); what : a description for screen readers. Colours are classes of annotate.css.
    """
    narrow = width < _NARROW
    length = (end_us - start_us) / 1e6
    stamps = records["stamp_us"]
    first = -length if (stamps < start_us).any() else 0.0
    last = 2 * length if (stamps >= end_us).any() else length
    axis = _Axis(first, last, length, width - _LEFT - _RIGHT)
    seconds = (stamps - start_us) / 1e6
    shown = (seconds >= first) & (seconds <= last)
    seconds, values = seconds[shown], records["values"][shown].astype(np.float64)

    parts: list[str] = []
    names = [_legend(width - _RIGHT, _TOP - 6)]
    top = _TOP
    for panel in _fitted(_panels(values, narrow), height):
        parts.append(_panel_body(panel, axis, seconds, top))
        names.append(f'<text class="name" x="{_LEFT}" y="{top - 6}">{panel.name}, {panel.unit}</text>')
        top += panel.height + _TOP + 6
    top -= 4
    parts.append(_steps_row(values[:, STEPS], axis.at(seconds), top, axis.inner))
    bottom = top + 14
    parts += [_surroundings(axis, bottom), _time_marks(axis, bottom, narrow), *names]
    tall = bottom + 22
    return (
        f'<svg class="signals" viewBox="0 0 {width} {tall}" width="{width}" height="{tall}" role="img" '
        f'aria-label="{escape(what)}">{"".join(parts)}</svg>'
    )


def _panel_body(panel: _Panel, axis: _Axis, seconds: np.ndarray, top: int) -> str:
    """One panel: its ground, its scale, its lines."""
    held = np.concatenate([line[np.isfinite(line)] for _, line in panel.lines])
    low, high, marks = _nice(
        float(held.min()) if len(held) else 0.0,
        float(held.max()) if len(held) else 0.0,
        panel.least,
        panel.centre,
    )
    scale = panel.height / (high - low)
    bottom = top + panel.height
    own, beyond = axis.at(0), axis.at(axis.length)
    parts = [
        f'<rect class="ground" x="{_LEFT}" y="{top}" width="{axis.inner}" height="{panel.height}"/>',
        f'<rect class="own" x="{own:.1f}" y="{top}" width="{beyond - own:.1f}" height="{panel.height}"/>',
    ]
    for mark in marks:
        y = bottom - (mark - low) * scale
        parts.append(f'<path class="rule" d="M{_LEFT} {y:.1f}h{axis.inner}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    x = axis.at(seconds)
    for name, line in panel.lines:
        parts.append(f'<path class="line {name}" d="{_path(x, bottom - (line - low) * scale, seconds)}"/>')
    return "".join(parts)


def _surroundings(axis: _Axis, bottom: float) -> str:
    """The shades over what came before and after, which is for comparison only, and the window's edges."""
    own, beyond = axis.at(0), axis.at(axis.length)
    parts = []
    for words, left, right, there in (
        ("before", float(_LEFT), own, axis.before),
        ("after", beyond, float(_LEFT + axis.inner), axis.after),
    ):
        if there:
            parts.append(
                f'<rect class="beside" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{bottom - _TOP}"/>'
                f'<text class="tick aside" x="{(left + right) / 2:.1f}" y="{_TOP + 14}" '
                f'text-anchor="middle">{words}</text>'
            )
    parts.append(f'<path class="edge" d="M{own:.1f} {_TOP}V{bottom}M{beyond:.1f} {_TOP}V{bottom}"/>')
    return "".join(parts)


def _time_marks(axis: _Axis, bottom: float, narrow: bool) -> str:
    """Seconds below the panels."""
    around = axis.before or axis.after
    step = axis.length / (1 if around and narrow else 2 if around else 5)
    parts = []
    for second in np.arange(axis.first, axis.last + 1e-6, step):
        anchor = "start" if second == axis.first else "end" if second > axis.last - 1e-6 else "middle"
        parts.append(
            f'<text class="tick" x="{axis.at(second):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{second:g} s</text>'
        )
    return "".join(parts)


def _fitted(panels: list[_Panel], height: int) -> list[_Panel]:
    """The panels scaled to the room there is, within limits."""
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
    """A mark at each counted step."""
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
