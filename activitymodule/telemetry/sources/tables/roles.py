"""What the columns of an unknown table are, by their names and values, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from activitymodule.telemetry.gravity import STANDARD_GRAVITY

_AXIS = re.compile(
    r"(?:(?<=[^A-Za-z])|^)([xyzXYZ])(?=[^A-Za-z]|$)|([XYZ])$|(?<=^a)([xyz])$|(?<=^g)([xyz])$|(?<=acc)([xyz])$"
)
_SENSORS = (
    ("magnetometer", r"mag|compass"),
    ("gravity", r"grav"),
    ("rotation", r"gyr|rot|omega|angular|^g[_ .-]?$"),
    ("orientation", r"quat|euler|orient|attitude"),
    ("acceleration", r"acc|^a[_ .-]?$|motion|lin"),
)
_TIMES = r"time|stamp|date|epoch|elapsed|^t$|^ts$|seconds|^ms$"
_OTHERS = {
    "heart_rate": r"heart.?rate|^bpm$|^hr$|pulse",
    "steps": r"^steps?$|step.?count",
    "speed": r"^speed",
}
_LABEL = r"label|a[ck]tivi|class|annotation|^state$|^task$|^target$|^gt$|behavio"
_PERSON = r"subject|person|participant|^user|^pid$|^sid$|volunteer|wearer"
_NOT_PERSON = r"age|height|weight|gender|sex"
_MOST_SPREAD = 0.35  # of the length of an acceleration, by its mean
_SIZES = (
    (1.0, "g", None), (STANDARD_GRAVITY, "m/s2", None), (1000.0, "mg", None),
    *((float(2**k), "counts", f"1/{2**k}") for k in (6, 7, 8, 9, 11, 12, 13, 14)),
)  # fmt: skip


@dataclass
class Columns:
    """An unknown table's columns: by name their numbers (NaN where none) or, in `texts`, their text."""

    names: list[str]
    numbers: dict[str, np.ndarray]
    texts: dict[str, list[str]]
    used: set[str] = field(default_factory=set)

    def matching(self, pattern: str) -> list[str]:
        """Columns that are not used yet and whose names match."""
        return [n for n in self.names if n not in self.used and re.search(pattern, n, re.IGNORECASE)]


@dataclass(frozen=True)
class Triple:
    """Three columns of a sensor. size : the usual length of its vector."""

    sensor: str
    x: str
    y: str
    z: str
    size: float
    reason: str


def triples(columns: Columns) -> list[Triple]:
    """Sensors of three axes, by their names; where names say nothing, by a vector whose length is that of gravity."""
    groups: dict[str, dict[str, str]] = {}
    for name in columns.names:
        if name not in columns.numbers:
            continue
        hit = list(_AXIS.finditer(name))
        if hit:
            axis = next(group for group in hit[-1].groups() if group).lower()
            groups.setdefault((name[: hit[-1].start()] + name[hit[-1].end() :]).lower(), {})[axis] = name
    found = []
    for key, axes in groups.items():
        if set(axes) == set("xyz"):
            bare = key.strip(" _.-()[]")
            sensor = next((s for s, pattern in _SENSORS if re.search(pattern, bare)), "acceleration")
            size = _size(columns, axes["x"], axes["y"], axes["z"])
            reason = f"the names {axes['x']}, {axes['y']}, {axes['z']}"
            found.append(Triple(sensor, axes["x"], axes["y"], axes["z"], size, reason))
    if not any(one.sensor == "acceleration" for one in found):
        found += _by_length(columns)
    return found


def _by_length(columns: Columns) -> list[Triple]:
    numeric = [name for name in columns.names if name in columns.numbers]
    best: tuple[float, Triple] | None = None
    for x, y, z in zip(numeric, numeric[1:], numeric[2:], strict=False):
        size = _size(columns, x, y, z)
        vector = np.stack([columns.numbers[name] for name in (x, y, z)])
        if (np.nanstd(vector, axis=1) == 0).any() or gravity_unit(size) is None:
            continue
        length = np.linalg.norm(vector, axis=0)
        spread = float(np.nanstd(length) / max(np.nanmean(length), 1e-9))
        if columns.names[0] != "1" and (spread > _MOST_SPREAD or not (vector < 0).any()):
            continue  # names that say something else weigh more than a length
        if best is None or spread < best[0]:
            reason = f"the length of ({x}, {y}, {z}) is {size:.4g}, as gravity is"
            best = spread, Triple("acceleration", x, y, z, size, reason)
    return [best[1]] if best else []


def _size(columns: Columns, x: str, y: str, z: str) -> float:
    length = np.linalg.norm(np.stack([columns.numbers[name] for name in (x, y, z)]), axis=0)
    length = length[np.isfinite(length)]
    return float(np.median(length)) if len(length) else 0.0


def gravity_unit(size: float) -> tuple[str, str | None] | None:
    """Unit and scale in which a vector of this length is 1 g, None where in none of those known."""
    for one, unit, scale in _SIZES:
        if 0.85 < size / one < 1.2:
            return unit, scale
    return None


def time_of(columns: Columns) -> list[tuple[int, str, str, str]]:
    """Columns that can be the time: (rank, column, `time.is`, reason), the best first."""
    found = []
    for place, name in enumerate(columns.names):
        named = re.search(_TIMES, name, re.IGNORECASE) is not None
        if name in columns.numbers:
            values = columns.numbers[name]
            values = values[np.isfinite(values)]
            if len(values) < 3:
                continue
            rising = float((np.diff(values) >= 0).mean())
            kind = _epoch(float(np.median(values)))
            if kind and rising > 0.8:
                found.append(
                    (0 if named else 1, name, kind, f"{values[0]:.0f} is {kind.replace('_', ' in ')}")
                )
            elif (
                rising > 0.95
                and values[-1] > values[0]
                and (named or (place == 0 and columns.names[0] == "1"))
            ):
                found.append((3, name, *_elapsed(values)))
        elif name in columns.texts:
            by_text = _text_time(columns.texts[name])
            if by_text is not None:
                found.append((0 if named else 1, name, *by_text))
    return sorted(found)


def date_and_time(columns: Columns) -> tuple[str, str] | None:
    """A column of dates and one of times of day, where they are apart."""
    shown = {name: next((text for text in texts if text), "") for name, texts in columns.texts.items()}
    dates = [n for n, text in shown.items() if re.fullmatch(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", text)]
    times = [n for n, text in shown.items() if re.fullmatch(r"\d{1,2}:\d{2}:\d{2}([.,]\d+)?( ?[AP]M)?", text)]
    return (dates[0], times[0]) if dates and times else None


def _epoch(value: float) -> str | None:
    for unit, second in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if 9.4e8 < value / second < 2.6e9:  # 2000 to 2052
            return f"epoch_{unit}"
    return None


def _elapsed(values: np.ndarray) -> tuple[str, str]:
    step = float((values[-1] - values[0]) / (len(values) - 1))
    for unit, second in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if 1.5 <= second / step <= 1000:
            return f"elapsed_{unit}", f"it rises by {step:.4g} a row, {second / step:.4g} rows a second"
    return "elapsed_s", f"it rises by {step:.4g} a row"


FORMATS = (
    "%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S,%f", "%Y-%m-%d %H:%M:%S,%f", "%Y-%m-%d %H:%M:%S:%f", "%d-%m-%Y %H:%M:%S.%f",
    "%d-%m-%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d %H:%M:%S.%f", "%Y%m%dT%H%M%S.%f",
)  # fmt: skip


def _text_time(texts: list[str]) -> tuple[str, str] | None:
    shown = next((text for text in texts if text), "")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?", shown):
        return "local", f"{shown} has no offset"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})", shown):
        return "iso", f"{shown} has an offset"
    if re.search(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}.*\d{1,2}:\d{2}", shown):
        return "format", f"{shown} has no offset"
    return None


def one_of(columns: Columns, what: str) -> str | None:
    """The column of a label, a person or another number, by its name and values."""
    if what == "label":
        for name in columns.matching(_LABEL):
            values = columns.texts.get(name) or [str(v) for v in columns.numbers[name][:5000]]
            if 1 <= len(set(values)) <= 60:
                return name
        headless = [] if columns.names[0] != "1" else list(columns.texts)
        few = [
            name for name in headless if name not in columns.used and 1 < len(set(columns.texts[name])) <= 30
        ]
        return few[0] if few else None
    if what == "person":
        named = columns.matching(_PERSON)
        return next((n for n in named if not re.search(_NOT_PERSON, n, re.IGNORECASE)), None)
    named = [name for name in columns.matching(_OTHERS[what]) if name in columns.numbers]
    return named[0] if named else None


OTHERS = tuple(_OTHERS)
