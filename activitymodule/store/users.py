"""Users of the console and tokens of the REST interface; everything happens in the caller's transaction.

Passwords are stored as argon2id hashes, tokens as SHA-256 (a token has 256 random bits, so a fast hash is enough).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.store.connection import Connection
from activitymodule.store.locks import CHANGING_USERS
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row

Role = Literal["annotator", "admin"]
ROLES: tuple[Role, ...] = ("annotator", "admin")
LEAST_CHARACTERS = 10
MOST_CHARACTERS = 200

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_COLUMNS = "name, role, created_at, disabled_at, sessions_from"
_ADD_USER = f"""
INSERT INTO users (name, role, password_hash) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
"""
_ADMINS = """
SELECT count(*) FILTER (WHERE name <> %(name)s), count(*) FILTER (WHERE name = %(name)s)
FROM users WHERE role = 'admin' AND disabled_at IS NULL
"""
_FIND_TOKEN = """
SELECT name, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute'
FROM ingest_tokens WHERE token_hash = %s AND revoked_at IS NULL
"""


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
            f"{name!r} is no valid user name: 1 to 40 of a-z, 0-9, dot, dash and underscore, beginning with "
            "a letter or digit"
        )
    if password is not None and not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise ConfigError(f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters")
    return name


def _account(row: tuple[Any, ...]) -> Account:
    return Account(row[0], cast(Role, row[1]), *row[2:])


def add_user(connection: Connection, name: str, role: Role, password: str) -> Account:
    """Add a user. Raises ConfigError for an invalid name or password, RefusedError where the user exists."""
    name = _checked(name, password)
    if role not in ROLES:
        raise ConfigError(f"{role!r} is no role; choose one of {', '.join(ROLES)}")
    row = fetch_row(connection, _ADD_USER, (name, role, _hasher().hash(password)))
    if row is None:
        raise RefusedError(
            f"a user {name} exists already; `activity users password {name}` sets its password"
        )
    return _account(row)


def list_users(connection: Connection) -> list[Account]:
    """All users by name, disabled ones too."""
    return [_account(row) for row in fetch_all(connection, f"SELECT {_COLUMNS} FROM users ORDER BY name")]


def find_user(connection: Connection, name: str) -> Account | None:
    """One user, or None."""
    row = fetch_row(connection, f"SELECT {_COLUMNS} FROM users WHERE name = %s", (name,))
    return _account(row) if row else None


def password_hash(connection: Connection, name: str) -> str | None:
    """The hash of a user who may sign in; None for any other name."""
    if not _NAME.fullmatch(name):
        return None
    sql = "SELECT password_hash FROM users WHERE name = %s AND disabled_at IS NULL"
    row = fetch_row(connection, sql, (name,))
    return row[0] if row else None


def password_fits(password: str, stored: str | None) -> bool:
    """Whether the password matches the hash; equally slow for users that do not exist."""
    try:
        fits = _hasher().verify(stored or _nobodys_hash(), password[:MOST_CHARACTERS])
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def set_password(connection: Connection, name: str, password: str) -> Account:
    """Set a new password; open sessions end."""
    name = _checked(name, password)
    return _change(connection, name, "password_hash = %(value)s", _hasher().hash(password))


def set_role(connection: Connection, name: str, role: Role) -> Account:
    """Set another role; open sessions end. Raises RefusedError for the last admin."""
    if role not in ROLES:
        raise ConfigError(f"{role!r} is no role; choose one of {', '.join(ROLES)}")
    execute(connection, CHANGING_USERS)
    if role != "admin":
        _keep_an_admin(connection, name)
    return _change(connection, name, "role = %(value)s", role)


def set_disabled(connection: Connection, name: str, disabled: bool) -> Account:
    """Disable a user, which ends their sessions, or enable one. Raises RefusedError for the last admin."""
    execute(connection, CHANGING_USERS)
    if disabled:
        _keep_an_admin(connection, name)
    return _change(connection, name, "disabled_at = CASE WHEN %(value)s THEN clock_timestamp() END", disabled)


def _change(connection: Connection, name: str, assignment: str, value: Any) -> Account:
    # the assignment is one of the three above, never a user's text
    sql = f"""
    UPDATE users SET {assignment}, sessions_from = clock_timestamp() WHERE name = %(name)s RETURNING {_COLUMNS}
    """
    row = fetch_row(connection, sql, {"name": name, "value": value})
    if row is None:
        raise ConfigError(f"there is no user {name}; `activity users list` shows all users")
    return _account(row)


def _keep_an_admin(connection: Connection, name: str) -> None:
    others, this = fetch_one(connection, _ADMINS, {"name": name})
    if this and not others:
        raise RefusedError(f"{name} is the only admin; make another user an admin first")


# ---- tokens -------------------------------------------------------------------------------------------------


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def add_token(connection: Connection, name: str) -> str:
    """Create a token; it is returned once and not stored. Raises RefusedError where the name is taken."""
    token = secrets.token_urlsafe(32)
    sql = "INSERT INTO ingest_tokens (token_hash, name) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    if not execute(connection, sql, (_digest(token), _checked(name))):
        raise RefusedError(f"a token {name} exists already; choose another name")
    return token


def list_tokens(connection: Connection) -> list[Token]:
    """All tokens by name, revoked ones too."""
    sql = "SELECT name, created_at, last_used_at, revoked_at FROM ingest_tokens ORDER BY name"
    return [Token(*row) for row in fetch_all(connection, sql)]


def revoke_token(connection: Connection, name: str) -> None:
    """Revoke a token. Raises ConfigError where no token of that name is in use."""
    sql = "UPDATE ingest_tokens SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL"
    if not execute(connection, sql, (name,)):
        raise ConfigError(f"there is no token {name} in use; `activity tokens list` shows all tokens")


def token_name(connection: Connection, token: str) -> str | None:
    """The name of a token in use, or None; records the use, at most once a minute."""
    digest = _digest(token)
    row = fetch_row(connection, _FIND_TOKEN, (digest,))
    if row and row[1]:
        sql = "UPDATE ingest_tokens SET last_used_at = clock_timestamp() WHERE token_hash = %s"
        execute(connection, sql, (digest,))
    return row[0] if row else None
