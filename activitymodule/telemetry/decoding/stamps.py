"""Stamps as text to UTC microseconds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DAY_US = 86_400_000_000
_UTC_US = pa.timestamp("us", tz="UTC")
_DATE_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"
_OFFSET_END = r"([Zz]|[+-]\d{2}(:?\d{2})?)$"
_LONG_FRACTION = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\.\d{6})\d+(Z|[+-]\d{2}(?::?\d{2})?)$"
_LEAP_SECOND = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}):60"


def parse_stamps(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """ISO-8601 with an offset to UTC microseconds, and whether each could be read.

    text : string array of shape (n,) without nulls. All that RFC 3339 allows is read: small letters t and z, any
    number of digits in the fraction (from the seventh on they are cut off), and a leap second, which counts as the
    second after it, as in Unix time.
    What a value becomes does not depend on its neighbours: Arrow's cast decides, of all or of fewer.
    """
    try:
        return pc.cast(text, _UTC_US).cast(pa.int64()).to_numpy(), np.ones(len(text), bool)
    except pa.ArrowInvalid:
        pass
    stamp_us, known = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    # wider than Arrow's cast; it keeps whole batches of local times from being tried one by one
    hopeful = np.flatnonzero(pc.match_substring_regex(text, _OFFSET_END).to_numpy(zero_copy_only=False))
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d{2}-\d{2})t", r"\1T")
    text = pc.replace_substring_regex(text, "z$", "Z")
    text = pc.replace_substring_regex(text, _LONG_FRACTION, r"\1\2")
    leap = np.asarray(pc.match_substring_regex(text, _LEAP_SECOND).to_numpy(zero_copy_only=False))
    if leap.any():
        text = pc.replace_substring_regex(text, _LEAP_SECOND, r"\1:59")
    ranges = [hopeful]
    while ranges:
        chosen = ranges.pop()
        if not len(chosen):
            continue
        try:
            stamp_us[chosen] = pc.cast(text.take(pa.array(chosen)), _UTC_US).cast(pa.int64()).to_numpy()
            known[chosen] = True
        except pa.ArrowInvalid:
            if len(chosen) > 1:
                ranges += np.array_split(chosen, 2)
    stamp_us[leap & known] += 1_000_000
    known &= ~leap | (stamp_us % _DAY_US < 1_000_000)  # they end a day of UTC
    return np.where(known, stamp_us, 0), known


def local_stamps(text: pa.StringArray) -> np.ndarray:
    """Whether each text is a time that only lacks its offset; bool ndarray of shape (n,), false for null."""
    is_time = pc.match_substring_regex(text, _DATE_TIME + r"(:\d{2}(\.\d{1,9})?)?$")
    return np.asarray(is_time.fill_null(False).to_numpy(zero_copy_only=False))
