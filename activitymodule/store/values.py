"""Values of PostgreSQL that Python's types cannot hold: infinite times, and those before the year 1 or after 9999.

They are read as the nearest time that Python has, so that code which compares or sorts times goes on, and are shown as
psql shows them. Statements of users may return any type: what cannot be held there is read as psql's text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Self

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import register_default_json, register_default_jsonb

_DIGITS = 4300  # of an integer that Python still converts

Cast = Callable[[Any, Any], Any]


class _Far:
    """A time beyond Python's years. Every form of it is PostgreSQL's text."""

    _text: str

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    def __format__(self, form: str) -> str:
        return self._text

    def isoformat(self, *_: Any, **__: Any) -> str:
        """PostgreSQL's text."""
        return self._text

    def strftime(self, _: str) -> str:
        """PostgreSQL's text."""
        return self._text

    def __add__(self, _: timedelta) -> Self:
        return self

    __radd__ = __add__


class FarDate(_Far, date):
    """A date beyond Python's years."""

    def __new__(cls, text: str) -> FarDate:
        """Make it of PostgreSQL's text."""
        end = date.min if _before(text) else date.max
        far = super().__new__(cls, end.year, end.month, end.day)
        far._text = text
        return far

    def __reduce__(self) -> tuple[Any, ...]:
        return FarDate, (self._text,)

    def __sub__(self, other: Any) -> Any:
        return self if isinstance(other, timedelta) else super().__sub__(other)


class FarTime(_Far, datetime):
    """A date and time beyond Python's years."""

    def __new__(cls, text: str, zone: tzinfo | None = UTC) -> FarTime:
        """Make it of PostgreSQL's text."""
        end = datetime.min if _before(text) else datetime.max
        far = super().__new__(
            cls, end.year, end.month, end.day, end.hour, end.minute, end.second, end.microsecond, zone
        )
        far._text = text
        return far

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return FarTime, (self._text, self.tzinfo)

    def __sub__(self, other: Any) -> Any:
        return self if isinstance(other, timedelta) else super().__sub__(other)

    def astimezone(self, _: tzinfo | None = None) -> FarTime:
        """The same."""
        return self


def _before(text: str) -> bool:
    return text.startswith("-") or text.endswith("BC")


def _infinite(text: str) -> bool:
    return text.endswith("infinity")


def _end_of_day(text: str) -> bool:
    return text.startswith("24")


def _has_months(text: str) -> bool:
    return "mon" in text or "year" in text or _infinite(text)


def _cast(base: Cast, far: Callable[[str], Any], altered: Callable[[str], bool] = _infinite) -> Cast:
    """A cast that makes a value of its own of text which `base` refuses, or `altered` knows it to change."""

    def cast(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        if not altered(text):
            try:
                return base(text, cursor)
            except (ValueError, OverflowError, psycopg2.DataError):
                pass
        return far(text)

    return cast


def _finite(base: Cast) -> Cast:
    def cast(text: str | None, cursor: Any) -> Any:
        number = base(text, cursor)
        return text if number is not None and not math.isfinite(number) else number

    return cast


def _as_it_is(text: str) -> str:
    return text


_TIMES: tuple[tuple[tuple[int, ...], str, Cast], ...] = (
    ((1082,), "DATE", _cast(extensions.PYDATE, FarDate)),
    ((1114,), "TIMESTAMP", _cast(extensions.PYDATETIME, lambda text: FarTime(text, None))),
    ((1184,), "TIMESTAMPTZ", _cast(extensions.PYDATETIMETZ, FarTime)),
    ((1083, 1266), "TIME", _cast(extensions.PYTIME, _as_it_is, _end_of_day)),
    ((1186,), "INTERVAL", _cast(extensions.PYINTERVAL, _as_it_is, _has_months)),
)
_NUMBERS: tuple[tuple[tuple[int, ...], str, Cast], ...] = (
    ((700, 701), "FLOAT", _finite(extensions.FLOAT)),
    ((1700,), "NUMERIC", _finite(extensions.DECIMAL)),
)
_ARRAYS = {
    "DATE": (1182,),
    "TIMESTAMP": (1115,),
    "TIMESTAMPTZ": (1185,),
    "TIME": (1183, 1270),
    "INTERVAL": (1187,),
    "FLOAT": (1021, 1022),
    "NUMERIC": (1231,),
}
"""Object ids of the types of arrays."""


def _types(casts: tuple[tuple[tuple[int, ...], str, Cast], ...]) -> list[Any]:
    return [extensions.new_type(numbers, name, cast) for numbers, name, cast in casts]


_OF_TIMES = _types(_TIMES)
_OF_ALL = [*_OF_TIMES, *_types(_NUMBERS)]
_OF_ALL += [extensions.new_array_type(_ARRAYS[kind.name], f"{kind.name}[]", kind) for kind in _OF_ALL]


def read_far_times(connection: extensions.connection) -> None:
    """Let a connection read times beyond Python's years."""
    for kind in _OF_TIMES:
        extensions.register_type(kind, connection)


def read_anything(cursor: extensions.cursor) -> None:
    """Let a cursor read whatever a user asks for: what Python or JSON cannot hold comes as psql's text."""
    for kind in _OF_ALL:
        extensions.register_type(kind, cursor)
    # a number of thousands of digits, or one that is too large for a double
    register_default_json(cursor, loads=_json)
    register_default_jsonb(cursor, loads=_json)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str, parse_float=_float, parse_int=_int)
    except RecursionError:
        return text


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _int(text: str) -> int | str:
    return int(text) if len(text) < _DIGITS else text
