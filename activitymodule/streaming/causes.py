"""The project's own error in a failure of Spark, which hands on only the text of what Python code raised."""

from __future__ import annotations

import re
from collections.abc import Iterable

from activitymodule import errors
from activitymodule.errors import ActivityError

_RETURNED = re.compile(r"(\w+): (.*)", re.DOTALL)
_RAISED = re.compile(rf"^\s*{re.escape(errors.__name__)}\.(\w+): (\S.*?)\s*$", re.MULTILINE)


def cause_of(error: Exception) -> Exception:
    """The error of the project that was raised in the driver or in a Python worker; else the error as it is."""
    if isinstance(error, ActivityError):
        return error
    found = (_error(*parts) for parts in reversed(_RAISED.findall(str(error))))
    return next((one for one in found if one is not None), error)


def error_text(error: ActivityError) -> str:
    """An error as text: what a task returns that is not to be tried again by Spark."""
    return f"{type(error).__name__}: {error}"


def raise_returned(texts: Iterable[str | None]) -> None:
    """Raise the first error that a task returned."""
    for text in texts:
        if text is not None and (match := _RETURNED.fullmatch(text)):
            raise _error(match[1], match[2]) or ActivityError(text)


def _error(name: str, sentence: str) -> ActivityError | None:
    kind = getattr(errors, name, None)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, ActivityError) else None
