"""What an error of PostgreSQL means for its caller, by SQLSTATE: the only place that decides.

The classes of codes are those of PostgreSQL's documentation, appendix A. StoreUnavailableError and its subclasses pass
by waiting; the others do not: waiting for them, or running the statement again, helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg2

from activitymodule.errors import (
    ActivityError,
    ConflictError,
    DataError,
    NotAllowedError,
    ReadOnlyError,
    SchemaError,
    StoreError,
    StoreUnavailableError,
    TimedOutError,
)


@dataclass(frozen=True)
class _Meaning:
    """The error of the project, and its sentence with {at} and {reason} in it."""

    error: type[ActivityError]
    sentence: str


_BROKEN = _Meaning(
    StoreUnavailableError,
    "the connection to {at} broke ({reason}); what was not committed is undone; try again, or start it with "
    "`activity up`",
)
_RESTARTING = _Meaning(
    StoreUnavailableError,
    "{at} is shutting down or starting ({reason}); what was not committed is undone; try again in some seconds",
)
_BUSY = _Meaning(
    StoreUnavailableError,
    "{at} lacks a resource ({reason}); nothing was changed; try again once it has it",
)
_ROLLED_BACK = "{at} ended a transaction in favour of another ({reason}); nothing was changed; try again"
_CONFLICT = _Meaning(ConflictError, _ROLLED_BACK)
_TIMED_OUT = _Meaning(
    TimedOutError,
    "{at} cancelled a statement ({reason}); nothing was changed, and it is not run a second time; look for what "
    "blocks or slows it before you try again",
)
_SCHEMA = _Meaning(
    SchemaError,
    "the store at {at} has other tables, columns or functions than this version of the project needs ({reason}); "
    "run `activity db upgrade`",
)
_VALUE = _Meaning(DataError, "the store rejects a value: {reason}")

# A code is looked up whole, then by ever shorter beginnings.
_MEANINGS = {
    "08": _BROKEN,
    "22": _VALUE,
    "23": _VALUE,
    "25006": _Meaning(
        ReadOnlyError,
        "{at} is read-only, as a standby or after a failover ({reason}); nothing was changed; wait, or let "
        "store.host name the primary",
    ),
    "25P03": _BROKEN,  # idle for too long within a transaction: the server has closed the connection
    "25P04": _TIMED_OUT,
    "3F000": _SCHEMA,
    "40": _Meaning(StoreUnavailableError, _ROLLED_BACK),
    "40001": _CONFLICT,
    "40P01": _CONFLICT,
    "42501": _Meaning(
        NotAllowedError,
        "{at} does not allow this ({reason}); connect as a user that may do it, or let the owner of the store apply "
        "the grants with `activity db upgrade`",
    ),
    "42703": _SCHEMA,
    "42704": _SCHEMA,
    "42883": _SCHEMA,
    "42P01": _SCHEMA,
    "53": _BUSY,
    "53100": _Meaning(
        StoreUnavailableError,
        "{at} has no space left on its disk ({reason}); nothing was changed; free some there, then try again",
    ),
    "53300": _Meaning(
        StoreUnavailableError,
        "{at} has no connection left ({reason}); stop processes that use it, or try again",
    ),
    "55P03": _CONFLICT,
    "57014": _TIMED_OUT,
    "57P": _RESTARTING,
    "58": _Meaning(
        StoreUnavailableError,
        "{at} has trouble with its files or system ({reason}); nothing was changed; its log says more; try again",
    ),
}
_OTHER = _Meaning(StoreError, "{at} reports an error ({reason}, SQLSTATE {code}); nothing was changed")


def translated(error: psycopg2.Error, at: str) -> ActivityError | None:
    """The error of the project that one of psycopg2 stands for; None for a mistake in how psycopg2 is called.

    at : the server, for the sentence
    """
    code = error.pgcode
    if code is None:
        # libpq's own errors have no code: a lost connection, or one out of step
        lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        meaning = _BROKEN if lost or type(error) is psycopg2.DatabaseError else None
    else:
        parts = (code[:length] for length in range(len(code), 1, -1))
        meaning = next((_MEANINGS[part] for part in parts if part in _MEANINGS), _OTHER)
    if meaning is None:
        return None
    return meaning.error(
        meaning.sentence.format(at=at, reason=first_line(str(error)) or type(error).__name__, code=code)
    )


def passes(error: Exception) -> bool:
    """Whether an error of psycopg2 passes by waiting, so that its whole transaction may be run again."""
    return isinstance(error, psycopg2.Error) and isinstance(translated(error, ""), StoreUnavailableError)


def first_line(message: str) -> str:
    """The first line of libpq's or the server's message; details and hints follow it."""
    return next(iter(message.strip().splitlines()), "")
