"""What others wrote: JSON that no input can crash, and files whose errors name them.

Messages, requests and files come through here, so that each kind of damage (another encoding, endless nesting,
endless numbers, a file cut off) has one answer wherever it turns up.
"""

from __future__ import annotations

import json
import lzma
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import orjson

from activitymodule.errors import DataError
from activitymodule.telemetry.reasons import Reason

_LONGEST_INTEGER = 300  # digits; of more, a double is infinite


class UnusableError(ValueError):
    """Text that is no JSON value, and the reason: one of those of dead letters."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def parse_json(text: bytes) -> object:
    """The JSON value of a text in UTF-8. Raises UnusableError where it is none, or nests too deeply.

    NaN, Infinity and numbers beyond a double are read as such, so that who uses the field can reject the value and
    not the text, and so that they do no harm in fields that are not read.
    """
    if text.startswith(b"\xef\xbb\xbf"):
        raise UnusableError(Reason.WRONG_ENCODING, "starts with a byte order mark; send plain UTF-8")
    if b"\0" in text:
        raise UnusableError(Reason.WRONG_ENCODING, "holds NUL bytes; is it UTF-16?")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise UnusableError(Reason.WRONG_ENCODING, f"not UTF-8 at byte {error.start}") from None
    if not text.strip(b" \t\r\n"):
        raise UnusableError(Reason.EMPTY, "the message is only white space")
    try:
        return _load(text)
    except RecursionError:
        raise UnusableError(Reason.TOO_DEEP, "values are nested too deeply") from None
    except ValueError as error:
        raise UnusableError(Reason.NOT_JSON, str(error)) from None


def _load(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise RecursionError from None
        try:
            return json.loads(text, parse_int=_long_int)
        except RecursionError:
            raise
        except ValueError:
            raise ValueError(str(error)) from None


def _long_int(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is text that every part of the system can hold: no lone surrogate, no NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number within a double; a boolean is none."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


@contextmanager
def readable(what: object) -> Iterator[None]:
    """Raise DataError, with the name of the file, for whatever a damaged or foreign file makes its reader raise.

    Arrow's errors are among these classes. Only for the reading and taking apart of one file.
    """
    try:
        yield
    except DataError:
        raise
    except (
        OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError, RecursionError,
        zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{what} cannot be read: {said}") from error
