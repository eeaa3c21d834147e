"""Garmin: FIT files of activities and of the day's monitoring, in a folder, zip or tar, or one of them.

Counters of monitoring (steps, active calories by activity, since midnight) become amounts between two messages;
resting energy is the watch's resting metabolic rate. Sessions of activities are workouts; their steps and heart rate
count where monitoring has none. A file that is there twice is read once; one that is damaged, as a watch leaves it
whose battery ends, is left out where others are whole. Everything else is counted by its message.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from activitymodule.days.imports.building import Export
from activitymodule.days.imports.files import each_file, whole
from activitymodule.days.imports.samples import Kind
from activitymodule.days.imports.workouts import Workout, kind_of
from activitymodule.errors import ConfigError, DataError

try:
    import fitdecode
except ModuleNotFoundError:
    fitdecode: ModuleType | None = None  # type: ignore[no-redef]

GAP_MINUTES = 15  # monitoring keeps a heart rate every minute or so, fewer at rest
_LARGEST_FILE = 128 << 20
_DAY = 86_400
_ON_FOOT = ("walking", "jogging", "hiking")
_COUNTED = ("walking", "running")
_PIECE = 600.0  # s
_LONGEST_GAP = 3600.0  # s over which the difference of a counter is spread
_USED = ("record", "session", "activity", "monitoring", "monitoring_info", "file_id", "device_settings")

_OF_RECORD = ("timestamp", "heart_rate")
_MOST_MESSAGES = 1_000_000

Fields = dict[str, object]
Message = tuple[str, float, Fields]


class _Monitoring:
    """Counters of monitoring by activity, over the files of a watch in the order of time."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._source = export.samples.source("monitoring", True)
        self._seen: dict[tuple[Kind, str], tuple[float, float, float]] = {}
        self._offset = 0.0
        self._resting: float | None = None
        self._activity = ""
        self._before: float | None = None

    def info(self, at: float, fields: Fields) -> None:
        """The beginning of a file: the local clock, and the resting metabolic rate in kcal a day."""
        if (local := _seconds(fields.get("local_timestamp"))) is not None:
            self._offset = local - at
        self._resting = _number(fields.get("resting_metabolic_rate"))
        self._before = at

    def message(self, at: float, fields: Fields) -> None:
        """One message: counters, or a heart rate."""
        if (rate := _number(fields.get("heart_rate"))) is not None:
            self._export.samples.add(Kind.heart_rate, self._source, at, at, rate)
        activity = fields.get("activity_type")
        self._activity = str(activity) if activity is not None else self._activity
        if self._activity in _COUNTED:
            steps, cycles = _number(fields.get("steps")), _number(fields.get("cycles"))
            if steps is None and cycles is not None:
                steps = 2 * cycles
            if steps is not None:
                self._counted(Kind.steps, self._activity, at, steps)
        if (kcal := _number(fields.get("active_calories"))) is not None:
            self._counted(Kind.active_energy, self._activity, at, kcal)
        before = self._before
        if self._resting is not None and before is not None and before < at <= before + _LONGEST_GAP:
            energy = self._resting * (at - before) / _DAY
            self._export.samples.add(Kind.resting_energy, self._source, before, at, energy)
        self._before = max(at, before or at)

    def _counted(self, kind: Kind, activity: str, at: float, total: float) -> None:
        # the message of midnight belongs to the day that ends with it
        day = (at + self._offset - 1) // _DAY
        before, since, of_day = self._seen.get((kind, activity), (0.0, at, day - 1))
        if of_day != day:
            before, since = 0.0, max(since, day * _DAY - self._offset)
        amount = total - before
        if amount >= 0:
            self._seen[kind, activity] = total, at, day
            if amount:
                begin = min(max(since, at - _LONGEST_GAP), at)
                if begin == at:
                    begin = at - 60
                self._export.samples.add(kind, self._source, begin, at, amount)


def read(path: Path, export: Export) -> None:
    """Read FIT files into `export`. Raises DataError where there is none, or one is damaged."""
    if fitdecode is None:
        raise ConfigError(
            "FIT files need the package fitdecode, which is not installed: pip install 'activitymodule[research]'"
        )
    known: set[bytes] = set()
    monitoring: list[tuple[float, Path, str]] = []
    damaged: list[DataError] = []
    with tempfile.TemporaryDirectory(prefix="activity-fit-") as folder:
        for name, stream in each_file(path, lambda one: one.lower().endswith(".fit")):
            content = whole(stream, name, _LARGEST_FILE)
            digest = hashlib.sha256(content).digest()
            if digest in known:
                export.ledger.merged["file: duplicate"] += 1
                continue
            known.add(digest)
            try:
                messages = list(_messages(content, name, export.ledger.left_out))
            except DataError as error:
                damaged.append(error)
                export.ledger.leave_out("file: damaged")
                continue
            export.ledger.read["file"] += 1
            first = _activity(messages, export)
            if first is not None:
                kept = Path(folder, str(len(known)))
                kept.write_bytes(content)
                monitoring.append((first, kept, name))
        counters = _Monitoring(export)
        for _, kept, name in sorted(monitoring):
            _monitored(_messages(kept.read_bytes(), name, Counter()), counters, export)
    if damaged and not export.ledger.read["file"]:
        raise damaged[0]
    if not known:
        raise DataError(f"{path} holds no FIT file (.fit) of a Garmin watch")


def _messages(content: bytes, name: str, others: Counter[str]) -> Iterator[Message]:
    """The messages that are used: kind, time (seconds since 1970) and fields. The others are counted by kind.

    Raises DataError where the file is damaged, which may show at its end only.
    """
    at = 0.0
    left_out = Counter[str]()
    used = 0
    with (
        _explained(name),
        fitdecode.FitReader(
            io.BytesIO(content),
            check_crc=fitdecode.CrcCheck.RAISE,
            error_handling=fitdecode.ErrorHandling.IGNORE,
        ) as reader,
    ):
        for frame in reader:
            if not isinstance(frame, fitdecode.FitDataMessage):
                continue
            if frame.name not in _USED:
                left_out[
                    "message unknown" if frame.name.startswith("unknown") else f"message {frame.name}"
                ] += 1
                continue
            fields: Fields = {
                one.name: one.value
                for one in frame.fields
                if one.value is not None and (frame.name != "record" or one.name in _OF_RECORD)
            }
            used += 1
            if used > _MOST_MESSAGES:
                raise DataError(f"more than {_MOST_MESSAGES:,} messages")
            if (full := _seconds(fields.get("timestamp"))) is not None:
                at = full
            elif (low := fields.get("timestamp_16")) is not None and isinstance(low, int):
                raw = int(at) - fitdecode.FIT_UTC_REFERENCE
                at += (low - (raw & 0xFFFF)) & 0xFFFF
            yield frame.name, at, fields
    others.update(left_out)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Raise DataError for what the reader of FIT files finds wrong, and for what a damaged file makes it raise."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{name} is no whole FIT file: {said}; nothing was imported, copy it from the watch again"
        ) from error


def _monitored(messages: Iterable[Message], counters: _Monitoring, export: Export) -> None:
    for kind, at, fields in messages:
        if kind == "monitoring_info":
            counters.info(at, fields)
            _clock(export, at, fields)
        elif kind == "monitoring":
            export.ledger.read["message monitoring"] += 1
            counters.message(at, fields)


def _clock(export: Export, at: float, fields: Fields) -> None:
    local = _seconds(fields.get("local_timestamp"))
    if local is not None and abs(local - at) <= 14 * 3600:
        month = datetime.fromtimestamp(at, UTC).strftime("%Y-%m")
        export.offsets[month, round((local - at) / 900) * 900] += 1


def _activity(messages: Iterable[Message], export: Export) -> float | None:
    """Take the messages of activities. The time of the first message of monitoring, None where there is none."""
    source = export.samples.source("activity", False)
    first = None
    for kind, at, fields in messages:
        if kind == "record" and (rate := _number(fields.get("heart_rate"))) is not None:
            export.samples.add(Kind.heart_rate, source, at, at, rate)
        elif kind == "activity":
            _clock(export, at, fields)
        elif kind == "session":
            _session(fields, source, export)
        elif kind.startswith("monitoring"):
            first = at if first is None else min(first, at)
    return first


def _session(fields: Fields, source: int, export: Export) -> None:
    start = _seconds(fields.get("start_time"))
    seconds = _number(fields.get("total_timer_time")) or 0.0
    elapsed = _number(fields.get("total_elapsed_time")) or seconds
    if start is None:
        export.ledger.leave_out("session: no start")
        return
    sport = str(fields.get("sport") or "")
    sub_sport = str(fields.get("sub_sport") or "")
    kind = kind_of(
        sub_sport if sport in ("", "training", "fitness_equipment") and sub_sport != "generic" else sport
    )
    kcal = _number(fields.get("total_calories"))
    export.add_workout(Workout(kind, start, start + elapsed, seconds / 60, kcal))
    strides = _number(fields.get("total_strides"))
    if strides is not None and kind in _ON_FOOT:
        _in_pieces(export, Kind.steps, source, start, start + elapsed, 2 * strides)
    if kcal is not None:
        _in_pieces(export, Kind.energy, source, start, start + elapsed, kcal)


def _in_pieces(export: Export, kind: Kind, source: int, start: float, end: float, amount: float) -> None:
    """A session's amount in pieces of ten minutes, so that it is no total of hours."""
    count = max(int((end - start) // _PIECE), 1)
    if count > 1000:
        return
    step = (end - start) / count
    for k in range(count):
        export.samples.add(kind, source, start + k * step, start + (k + 1) * step, amount / count)


def _seconds(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) and value.tzinfo is not None else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
