"""Who may sign in to the console, and the tokens that may use the REST interface; the caller's transaction.

Passwords are kept as argon2id hashes, tokens as SHA-256 (a token has 256 random bits: nothing to guess).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.store.connection import Connection

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Role = Literal["annotator", "admin"]
ROLES: tuple[Role, ...] = ("annotator", "admin")
LEAST_CHARACTERS = 10
MOST_CHARACTERS = 200

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_COLUMNS = "name, role, created_at, disabled_at, sessions_from"
# one at a time may change who is an admin: two admins who disable each other would leave nobody
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('activity users'))"


@dataclass(frozen=True)
class Account:
    """A user as stored, without the password. Sessions begun before `sessions_from` are over."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    sessions_from: datetime


@dataclass(frozen=True)
class Token:
    """A token as stored: its name, never the token."""

    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()  # RFC 9106's low-memory profile: 64 MiB, 3 passes


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))


def new_password() -> str:
    """A generated password: 120 random bits."""
    return secrets.token_urlsafe(15)


def _checked(name: str, password: str | None = None) -> str:
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a user's name: 1 to 40 of a-z, 0-9, dot, dash and underscore, beginning with "
            "a letter or digit"
        )
    if password is not None and not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise ConfigError(f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters")
    return name


def _account(row: tuple[Any, ...]) -> Account:
    return Account(row[0], cast(Role, row[1]), *row[2:])


def add_user(connection: Connection, name: str, role: Role, password: str) -> Account:
    """Add a user. Raises ConfigError for a name or password that cannot be, RefusedError if it is there."""
    name = _checked(name, password)
    if role not in ROLES:
        raise ConfigError(f"{role!r} is no role; take one of {', '.join(ROLES)}")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO users (name, role, password_hash) VALUES (%s, %s, %s) "
            f"ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}",
            (name, role, _hasher().hash(password)),
        )
        row = cursor.fetchone()
    if row is None:
        raise RefusedError(f"there is a user {name} already; `activity users password {name}` changes it")
    return _account(row)


def list_users(connection: Connection) -> list[Account]:
    """All users by name, disabled ones too."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM users ORDER BY name")
        return [_account(row) for row in cursor.fetchall()]


def find_user(connection: Connection, name: str) -> Account | None:
    """One user, or None."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM users WHERE name = %s", (name,))
        row = cursor.fetchone()
    return _account(row) if row else None


def password_hash(connection: Connection, name: str) -> str | None:
    """The hash of a user who may sign in; None where there is none such."""
    if not _NAME.fullmatch(name):
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT password_hash FROM users WHERE name = %s AND disabled_at IS NULL", (name,))
        row = cursor.fetchone()
    return row[0] if row else None


def password_fits(password: str, stored: str | None) -> bool:
    """Whether the password is the hashed one; as slow for a user who is not there as for one who is."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        fits = _hasher().verify(stored or _nobodys_hash(), password[:MOST_CHARACTERS])
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def set_password(connection: Connection, name: str, password: str) -> Account:
    """Give a new password; sessions that are open end."""
    name = _checked(name, password)
    return _change(connection, name, "password_hash = %(value)s", _hasher().hash(password))


def set_role(connection: Connection, name: str, role: Role) -> Account:
    """Give another role; sessions that are open end. RefusedError where nobody would be left as admin."""
    if role not in ROLES:
        raise ConfigError(f"{role!r} is no role; take one of {', '.join(ROLES)}")
    with connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME)
    if role != "admin":
        _keep_an_admin(connection, name)
    return _change(connection, name, "role = %(value)s", role)


def set_disabled(connection: Connection, name: str, disabled: bool) -> Account:
    """Shut a user out, sessions and all, or let one in again. RefusedError for the last admin."""
    with connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME)
    if disabled:
        _keep_an_admin(connection, name)
    return _change(connection, name, "disabled_at = CASE WHEN %(value)s THEN clock_timestamp() END", disabled)


def _change(connection: Connection, name: str, assignment: str, value: Any) -> Account:
    with connection.cursor() as cursor:
        # the assignment is one of the three above, never a user's text
        cursor.execute(
            f"UPDATE users SET {assignment}, sessions_from = clock_timestamp() WHERE name = %(name)s "
            f"RETURNING {_COLUMNS}",
            {"name": name, "value": value},
        )
        row = cursor.fetchone()
    if row is None:
        raise ConfigError(f"there is no user {name}; `activity users list` shows who there is")
    return _account(row)


def _keep_an_admin(connection: Connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE name <> %(name)s), count(*) FILTER (WHERE name = %(name)s) "
            "FROM users WHERE role = 'admin' AND disabled_at IS NULL",
            {"name": name},
        )
        others, this = cursor.fetchone()
    if this and not others:
        raise RefusedError(f"{name} is the only admin; make another one first, so that somebody is left")


# ---- tokens -------------------------------------------------------------------------------------------------


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def add_token(connection: Connection, name: str) -> str:
    """Make a token; it is returned this once and not kept. RefusedError where the name is taken."""
    token = secrets.token_urlsafe(32)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ingest_tokens (token_hash, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (_digest(token), _checked(name)),
        )
        if not cursor.rowcount:
            raise RefusedError(f"there is a token {name} already; take another name")
    return token


def list_tokens(connection: Connection) -> list[Token]:
    """All tokens by name, revoked ones too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, created_at, last_used_at, revoked_at FROM ingest_tokens ORDER BY name")
        return [Token(*row) for row in cursor.fetchall()]


def revoke_token(connection: Connection, name: str) -> None:
    """Shut a token out for good. Raises ConfigError where there is none of that name in use."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ingest_tokens SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL",
            (name,),
        )
        if not cursor.rowcount:
            raise ConfigError(
                f"there is no token {name} in use; `activity tokens list` shows which there are"
            )


def token_name(connection: Connection, token: str) -> str | None:
    """The name of a token in use, or None; notes the use, at most once a minute."""
    digest = _digest(token)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' "
            "FROM ingest_tokens WHERE token_hash = %s AND revoked_at IS NULL",
            (digest,),
        )
        row = cursor.fetchone()
        if row and row[1]:
            cursor.execute(
                "UPDATE ingest_tokens SET last_used_at = clock_timestamp() WHERE token_hash = %s", (digest,)
            )
    return row[0] if row else None
