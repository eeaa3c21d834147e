"""Messages in their usual form to columns, by compiled code that knows the keys: four times as fast as Arrow's reader.

It takes only what leaves no doubt: objects, or arrays of them, of plain ASCII text without escapes, numbers, booleans
and null. Any other message is not taken, and read by Arrow's reader or one by one. What it takes it reads to the same
bits as they do.

Importing this module costs half a second of processor time and some 80 MB (numba), so that only large batches do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
from numba import njit

FAILED = -1
_MOST_DIGITS = 18  # of a number, leading zeros aside: below 2**63
_MOST_POWER = 22  # 10**22 is the largest power of ten that is exact in a float
_EXACT = 2**53  # integers up to it are exact in a float
_POWERS = 10.0 ** np.arange(_MOST_POWER + 1)
_SPLIT = 2.0**27 + 1  # cuts a float into two halves of 26 bits
_MARGIN = 1e-10  # far more than what the quotient's correction may be wrong by, relatively

IGNORED, NUMBER, TEXT, STAMP = range(4)  # the kinds of keys
WIDTHS = (0, 1, 3, 3)  # how many columns of cells each has


Bytes = np.ndarray
P = ParamSpec("P")
T = TypeVar("T")


# numba's types do not name _nrt: with it, it counts who holds an array at each use, and nothing here makes one
def _compiled(function: Callable[P, T]) -> Callable[P, T]:
    """By numba, kept on disk for the next process where the machine allows it."""
    try:
        compiled: Callable[P, T] = njit(cache=True, nogil=True, _nrt=False)(function)  # type: ignore[call-overload]
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        compiled = njit(nogil=True, _nrt=False)(function)  # type: ignore[call-overload]
    return compiled


def _inline(function: Callable[P, T]) -> Callable[P, T]:
    """The same, as a part of what calls it."""
    inlined: Callable[P, T] = njit(forceinline=True, _nrt=False)(function)  # type: ignore[call-overload]
    return inlined


@_inline
def _digits(text: Bytes, at: int, end: int, value: int) -> tuple[int, int]:
    """Where the digits from `at` on end, and value with them behind it."""
    while at < end:
        digit = np.int64(text[at]) - 48
        if digit < 0 or digit > 9:
            break
        value = int(value * 10 + digit)
        at += 1
    return at, value


@_inline
def _leading_zeros(text: Bytes, at: int, end: int) -> int:
    """How many zeros a number begins with, the point aside."""
    zeros = 0
    while at < end and (text[at] == 48 or text[at] == 46):
        zeros += text[at] == 48
        at += 1
    return zeros


@_inline
def _quotient(value: int, divisor: float) -> float:
    """The float nearest to value / divisor, for 0 <= value < 2**63 and an exact divisor; nan where it is too close."""
    high = np.float64(value)
    if value <= _EXACT:
        return high / divisor
    low = np.float64(value - np.int64(high))
    quotient = high / divisor
    # quotient * divisor without error (Dekker), and from it what the first division left over
    product = quotient * divisor
    a = quotient * _SPLIT
    a = a - (a - quotient)
    b = divisor * _SPLIT
    b = b - (b - divisor)
    c, d = quotient - a, divisor - b
    error = ((a * b - product) + a * d + c * b) + c * d
    rest = (((high - product) - error) + low) / divisor
    nearest = quotient + rest
    if quotient + rest * (1 - _MARGIN) != quotient + rest * (1 + _MARGIN):
        return np.nan
    return nearest


@_inline
def read_number(text: Bytes, at: int, end: int) -> tuple[int, float, bool]:
    """A number of JSON: where it ends (or FAILED), its value, and whether it is an integer, and an exact one."""
    negative = at < end and text[at] == 45  # -
    start = at + negative
    at, value = _digits(text, start, end, 0)
    if at == start or (at > start + 1 and text[start] == 48):  # no digit, or a zero before others
        return FAILED, 0.0, False
    digits = at - start
    power = 0
    whole = True
    if at < end and text[at] == 46:  # .
        whole = False
        point = at + 1
        at, value = _digits(text, point, end, value)
        power = point - at
        digits -= power
        if power == 0:
            return FAILED, 0.0, False
    if digits > _MOST_DIGITS and digits - _leading_zeros(text, start, at) > _MOST_DIGITS:
        return FAILED, 0.0, False
    if at < end and (text[at] | 32) == 101:  # e or E
        whole = False
        down = at + 1 < end and text[at + 1] == 45
        first = at + 1 + (at + 1 < end and (text[at + 1] == 45 or text[at + 1] == 43))
        at, exponent = _digits(text, first, end, 0)
        if at == first or at > first + 3:
            return FAILED, 0.0, False
        power += -exponent if down else exponent
    if power < -_MOST_POWER or power > _MOST_POWER or (power > 0 and value > _EXACT):
        return FAILED, 0.0, False
    number = value * _POWERS[power] if power > 0 else _quotient(value, _POWERS[-power])
    if np.isnan(number):
        return FAILED, 0.0, False
    return at, -number if negative else number, whole and value <= _EXACT


@_inline
def _end_of_text(text: Bytes, at: int, end: int) -> int:
    """Where the closing quote of plain ASCII text is, from behind the opening one on; FAILED where it is not plain."""
    while at < end:
        byte = text[at]
        if byte == 34:
            return at
        if byte == 92 or byte < 32 or byte > 126:
            return FAILED
        at += 1
    return FAILED


@_inline
def _end_of_word(text: Bytes, at: int, end: int) -> int:
    """Where null, true or false ends; FAILED where it is none of them."""
    rest = end - at
    if rest >= 4 and text[at] == 110 and text[at + 1] == 117 and text[at + 2] == 108 and text[at + 3] == 108:
        return at + 4
    if rest >= 4 and text[at] == 116 and text[at + 1] == 114 and text[at + 2] == 117 and text[at + 3] == 101:
        return at + 4
    if (
        rest >= 5
        and text[at] == 102
        and text[at + 1] == 97
        and text[at + 2] == 108
        and text[at + 3] == 115
        and text[at + 4] == 101
    ):
        return at + 5
    return FAILED


@_inline
def _key(text: Bytes, at: int, end: int, names: Bytes, cuts: np.ndarray, guess: int) -> tuple[int, int]:
    """The key whose opening quote is at `at`: its number (the number of keys where it is unknown) and its end.

    guess : the number that is tried first, since readings have their keys in one order.
    """
    count = len(cuts) - 1
    if at >= end or text[at] != 34:
        return 0, FAILED
    at += 1
    for k in range(count):
        key = guess + k
        if key >= count:
            key -= count
        size = cuts[key + 1] - cuts[key]
        if at + size < end and text[at + size] == 34:
            same = 0
            while same < size and text[at + same] == names[cuts[key] + same]:
                same += 1
            if same == size:
                return key, at + size + 1
    at = _end_of_text(text, at, end)
    return count, at if at == FAILED else at + 1


@_inline
def _after_space(text: Bytes, at: int, end: int) -> int:
    """Behind spaces."""
    while at < end and text[at] == 32:
        at += 1
    return at


@_inline
def _value(text: Bytes, at: int, end: int, kind: int, place: int, row: int, cells: np.ndarray) -> int:
    """Read one value into row `row` of its cells; where it ends, or FAILED."""
    if at >= end:
        return FAILED
    byte = text[at]
    if byte == 45 or 48 <= byte <= 57:
        at, number, is_whole = read_number(text, at, end)
        if at == FAILED or kind == TEXT or (kind == STAMP and not is_whole):
            return FAILED
        if kind != IGNORED:
            cells[place, row] = number
        return at
    if byte == 34:
        stop = _end_of_text(text, at + 1, end)
        if stop == FAILED or kind == NUMBER:
            return FAILED
        if kind != IGNORED:
            cells[place + 1, row], cells[place + 2, row] = at + 1, stop - at - 1
        return stop + 1
    if kind != IGNORED and byte != 110:  # a boolean
        return FAILED
    return _end_of_word(text, at, end)


@_inline
def _object(
    text: Bytes,
    at: int,
    end: int,
    names: Bytes,
    cuts: np.ndarray,
    kinds: np.ndarray,
    places: np.ndarray,
    row: int,
    cells: np.ndarray,
    seen: np.ndarray,
) -> int:
    """Read one object into row `row` of the cells; where it ends, or FAILED. seen : the last row with each key."""
    if at >= end or text[at] != 123:  # {
        return FAILED
    at += 1
    guess = 0
    while True:
        key, at = _key(text, at, end, names, cuts, guess)
        if at == FAILED or at >= end or text[at] != 58:  # :
            return FAILED
        kind, place = IGNORED, 0
        if key < len(kinds):
            if seen[key] == row:
                return FAILED
            seen[key] = row
            guess = key + 1
            kind, place = kinds[key], places[key]
        at = _value(text, _after_space(text, at + 1, end), end, kind, place, row, cells)
        if at == FAILED or at >= end:
            return FAILED
        if text[at] == 125:  # }
            return at + 1
        if text[at] != 44:  # ,
            return FAILED
        at = _after_space(text, at + 1, end)


@_compiled
def scan(
    text: Bytes,
    begins: np.ndarray,
    ends: np.ndarray,
    names: Bytes,
    cuts: np.ndarray,
    kinds: np.ndarray,
    places: np.ndarray,
    seen: np.ndarray,
    most_items: int,
    row_message: np.ndarray,
    row_item: np.ndarray,
    cells: np.ndarray,
) -> int:
    """Read messages into cells, of as many rows as there are opening braces; how many rows were made.

    text : uint8 ndarray; message i is text[begins[i]:ends[i]]. names, cuts : the keys' bytes, one after the other, and
    where each begins; kinds, places : of each key, and its first column in cells; seen : int64 ndarray, -1 for each
    key. Written, a row a reading: row_message, row_item; cells, float64 ndarray of shape (columns, rows) given full of
    nan: a number has one column, a text three, of which the second and third are its place in text and its size, a
    stamp the same, and the first where it is a whole number. A message that row_message does not name was not taken.
    """
    rows = 0
    for message in range(len(begins)):
        at, end = begins[message], ends[message]
        first = rows
        in_array = at < end and text[at] == 91  # [
        at += in_array
        while rows < len(row_message) and rows - first < most_items:
            at = _object(text, at, end, names, cuts, kinds, places, rows, cells, seen)
            row_message[rows], row_item[rows] = message, rows - first
            rows += 1
            if at == FAILED or not in_array or at >= end:
                break
            if text[at] == 93:  # ]
                in_array = False
                at += 1
                break
            if text[at] != 44:
                break
            at = _after_space(text, at + 1, end)
        if at != end or in_array:  # what follows is not JSON, or the array is not closed
            for column in range(len(cells)):
                for row in range(first, rows):
                    cells[column, row] = np.nan
            for key in range(len(seen)):
                seen[key] = -1
            rows = first
    return rows


@_compiled
def gather(text: Bytes, starts: np.ndarray, sizes: np.ndarray, offsets: np.ndarray, data: Bytes) -> None:
    """Copy texts one after the other into data; offsets : int32 ndarray of shape (n + 1,) is filled.

    starts, sizes : float64 ndarray of shape (n,), nan where there is no text.
    """
    to = 0
    for row in range(len(starts)):
        offsets[row] = to
        if sizes[row] > 0:
            at, size = int(starts[row]), int(sizes[row])
            for k in range(size):
                data[to + k] = text[at + k]
            to += size
    offsets[len(starts)] = to
