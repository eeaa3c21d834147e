"""Validation of readings in columns, shared by the fast and the slow path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding.results import DeadLetters, Rows, one_chunk
from activitymodule.telemetry.decoding.stamps import local_stamps, parse_stamps
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID, is_device_id
from activitymodule.telemetry.reasons import Reason
from activitymodule.telemetry.schema import Field

_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_FEW = 100  # texts: a call of Arrow's, which compiles its expression each time, takes longer


def validate(
    table: pa.Table,
    fields: Sequence[Field],
    now_us: int | np.ndarray,
    limits: Telemetry,
    dead: DeadLetters,
) -> Rows:
    """Rows of the readings that are good; the others become dead letters.

    table : results.columns_schema(fields); now_us : as in decode_messages.
    """
    checked = _Checked(table, dead)
    devices, device_code = _devices(checked)
    stamp_us = _stamps(checked)
    _check_age(checked, stamp_us, now_us, limits)
    floats = {f.name: _numbers(checked, f) for f in fields if f.kind == "float"}
    strings = {
        f.name: one_chunk(table.column(f.name))
        for f in fields
        if f.kind == "string" and f.name != "device_id"
    }
    message, item = table.column("message").to_numpy(), table.column("item").to_numpy()
    good = checked.good
    if not good.all():
        message, item, device_code, stamp_us = message[good], item[good], device_code[good], stamp_us[good]
        floats = {name: values[good] for name, values in floats.items()}
        strings = {name: values.filter(pa.array(good)) for name, values in strings.items()}
    return Rows(message, item, devices, device_code, stamp_us, floats, strings, dead.table())


class _Checked:
    """Readings and which of them are still good; the first thing found wrong with a row is its reason."""

    def __init__(self, table: pa.Table, dead: DeadLetters) -> None:
        self.table = table
        self.good = np.ones(len(table), bool)
        self._dead = dead
        self._message = table.column("message").to_numpy()
        self._item = table.column("item").to_numpy()

    def reject(self, bad: np.ndarray, reason: Reason, detail: Callable[[int], str]) -> None:
        """Bad : bool ndarray of shape (n,); detail : sentence for a row."""
        for row in np.flatnonzero(bad & self.good):
            device = self.table.column("device_id")[int(row)].as_py()
            self._dead.add(self._message[row], self._item[row], reason, detail(int(row)), device)
        self.good &= ~bad

    def stamp_as_sent(self, row: int) -> str:
        """A row's stamp for a sentence: the text in quotes, or the number."""
        text = self.table.column("stamp")[row].as_py()
        return repr(self.table.column("stamp_ms")[row].as_py()) if text is None else ascii(text)


def _devices(checked: _Checked) -> tuple[pa.StringArray, np.ndarray]:
    """The device ids and each row's index into them; a missing or malformed id is rejected."""
    device = one_chunk(checked.table.column("device_id")).dictionary_encode()
    if device.null_count:
        absent = device.is_null().to_numpy(zero_copy_only=False)
        checked.reject(absent, Reason.NO_DEVICE_ID, lambda _: "the reading has no device_id")
    code = device.indices.fill_null(0).to_numpy()
    names = device.dictionary
    if len(names) <= _FEW:
        well_formed = np.array([is_device_id(name) for name in names.to_pylist()], bool)
    else:
        well_formed = pc.match_substring_regex(names, WHOLE_DEVICE_ID).to_numpy(zero_copy_only=False)
    if not well_formed.all():
        checked.reject(
            ~well_formed[code] & checked.good,
            Reason.BAD_DEVICE_ID,
            lambda row: (
                f"device_id {checked.table.column('device_id')[row].as_py()!a} has other characters or length"
            ),
        )
    return names, code


def _check_age(checked: _Checked, stamp_us: np.ndarray, now_us: int | np.ndarray, limits: Telemetry) -> None:
    """Rejects stamps too far ahead of now, or too old."""
    if isinstance(now_us, np.ndarray):
        now_us = now_us[checked.table.column("message").to_numpy()]
    ahead = stamp_us > now_us + int(limits.future_seconds * 1e6)
    if ahead.any():
        checked.reject(
            ahead,
            Reason.STAMP_FROM_THE_FUTURE,
            lambda row: f"stamp {checked.stamp_as_sent(row)} is in the future",
        )
    old = stamp_us < now_us - int(limits.past_days * 86_400e6)
    if old.any():
        checked.reject(
            old, Reason.STAMP_TOO_OLD, lambda row: f"stamp {checked.stamp_as_sent(row)} is too old"
        )


def _numbers(checked: _Checked, field: Field) -> np.ndarray:
    """A field's values, float32 ndarray of shape (n,), NaN where missing; those out of range are rejected."""
    column = one_chunk(checked.table.column(field.name))
    values = column.to_numpy(zero_copy_only=False)
    low, high = field.low, field.high
    if low is not None and high is not None and column.null_count < len(column):
        span = pc.min_max(column)
        if field.none_up_to is not None and span["min"].as_py() <= field.none_up_to:
            values = np.where(values <= field.none_up_to, np.nan, values)
        if span["min"].as_py() < low or span["max"].as_py() > high:
            checked.reject(
                (values < low) | (values > high),
                Reason.OUT_OF_RANGE,
                lambda row: f"{field.name} {values[row]:g} is not in {low:g} to {high:g}",
            )
    # orjson reads -0 as 0, Arrow as -0.0
    return np.asarray(values.astype(np.float32) + np.float32(0))


def _stamps(checked: _Checked) -> np.ndarray:
    """UTC microseconds of the stamps; 0 where there is none, which is rejected here."""
    text, epoch = (one_chunk(checked.table.column(name)) for name in ("stamp", "stamp_ms"))
    n = len(checked.table)
    stamp_us, known = np.zeros(n, np.int64), np.ones(n, bool)
    if epoch.null_count == n and text.null_count == 0:
        stamp_us, known = parse_stamps(text)
    elif text.null_count < n or epoch.null_count:
        has_text = text.is_valid().to_numpy(zero_copy_only=False)
        stamp_us[has_text], known[has_text] = parse_stamps(text.drop_null())
        absent = ~has_text & epoch.is_null().to_numpy(zero_copy_only=False)
        checked.reject(absent, Reason.NO_STAMP, lambda _: "the reading has no stamp")
    if epoch.null_count < n:
        has_epoch = epoch.is_valid().to_numpy(zero_copy_only=False)
        ms = epoch.fill_null(0).to_numpy()
        # bounded, so that microseconds fit: beyond it is the future or too old either way
        stamp_us = np.where(has_epoch, np.clip(ms, -_LAST_MS, _LAST_MS) * 1000, stamp_us)
    if not known.all():
        checked.reject(
            ~known & local_stamps(text),
            Reason.STAMP_WITHOUT_OFFSET,
            lambda row: f"stamp {checked.stamp_as_sent(row)} has no offset; end it with Z or +hh:mm",
        )
        checked.reject(
            ~known,
            Reason.BAD_STAMP,
            lambda row: f"stamp {checked.stamp_as_sent(row)} is not an ISO-8601 time",
        )
    return stamp_us
