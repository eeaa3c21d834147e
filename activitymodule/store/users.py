"""Users of the console and tokens of the REST interface; everything happens in the caller's transaction.

Passwords are stored as argon2id hashes, tokens as SHA-256 (a token has 256 random bits, so a fast hash is enough).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, cast

import psycopg2
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from activitymodule.errors import ConfigError, RefusedError, TokenExpiredError
from activitymodule.store.connection import Connection
from activitymodule.store.locks import CHANGING_USERS
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row
from activitymodule.store.sqlstate import passes
from activitymodule.telemetry.identifiers import is_device_id

Role = Literal["annotator", "admin"]
ROLES: tuple[Role, ...] = ("annotator", "admin")
LEAST_CHARACTERS = 10
MOST_CHARACTERS = 200
MOST_TOKEN_DAYS = 3650

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_COLUMNS = "name, role, created_at, disabled_at, sessions_from"
_ADD_USER = f"""
INSERT INTO users (name, role, password_hash) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
"""
_ADD_SUBJECT = f"""
INSERT INTO users (name, role, password_hash, subject) VALUES (%(name)s, %(role)s, 'none', %(subject)s)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_ADMINS = """
SELECT count(*) FILTER (WHERE name <> %(name)s), count(*) FILTER (WHERE name = %(name)s)
FROM users WHERE role = 'admin' AND disabled_at IS NULL
"""
_ADD_TOKEN = """
INSERT INTO ingest_tokens (token_hash, name, devices, expires_at)
VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s)) ON CONFLICT DO NOTHING
"""
_FIND_TOKEN = """
SELECT name, devices, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute',
       expires_at, expires_at <= clock_timestamp()
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
    expires_at: datetime | None
    devices: tuple[str, ...]  # as of a Grant


@dataclass(frozen=True)
class Grant:
    """What a token in use allows. devices : names, or beginnings of names with `*` at the end; empty: all devices."""

    name: str
    devices: tuple[str, ...] = ()

    def foreign(self, devices: Iterable[str]) -> list[str]:
        """Those of the devices, each once and in their order, that the token is not for."""
        if not self.devices:
            return []
        exact = {one for one in self.devices if not one.endswith("*")}
        begins = tuple(one[:-1] for one in self.devices if one.endswith("*"))
        return [one for one in dict.fromkeys(devices) if one not in exact and not one.startswith(begins)]


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


def user_of_subject(connection: Connection, subject: str, name: str, role: Role) -> Account:
    """The user whom a sign-on provider knows as `subject`, with the role it gives; added at the first time.

    A changed role ends open sessions. Raises RefusedError if the user is disabled, or if another one has the name.
    """
    execute(connection, CHANGING_USERS)
    row = fetch_row(connection, f"SELECT {_COLUMNS} FROM users WHERE subject = %s", (subject,))
    if row is None:
        name = _checked(name)
        # no password fits this hash; an admin may set one
        row = fetch_row(connection, _ADD_SUBJECT, {"name": name, "role": role, "subject": subject})
        if row is None:
            raise RefusedError(
                f"there is a user {name} already, who does not sign in by this provider; ask an admin for another name"
            )
    account = _account(row)
    if account.disabled_at is not None:
        raise RefusedError(f"the user {account.name} is disabled; ask an admin")
    # the provider decides, also about the last admin: `activity users` makes another one
    return account if account.role == role else _change(connection, account.name, "role = %(value)s", role)


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
    nobodys = _nobodys_hash()  # made at the first call, whichever name it is for
    try:
        fits = _hasher().verify(stored or nobodys, password[:MOST_CHARACTERS])
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


def add_token(
    connection: Connection, name: str, *, devices: Sequence[str] = (), days: float | None = None
) -> str:
    """Create a token; it is returned once and not stored.

    devices : the only ones it may send readings of, see Grant; days : how long it is valid, None: until it is revoked

    Raises ConfigError for an invalid name, device or number of days, RefusedError where the name is taken.
    """
    token = secrets.token_urlsafe(32)
    if days is not None and not 0 < days <= MOST_TOKEN_DAYS:
        raise ConfigError(f"a token is valid for more than 0 and at most {MOST_TOKEN_DAYS} days")
    for device in devices:
        if not is_device_id(device.removesuffix("*")):
            raise ConfigError(
                f"{device!r} is no device: give its device_id, or the beginning of several with * at the end"
            )
    seconds = None if days is None else days * 86_400
    values = (_digest(token), _checked(name), list(dict.fromkeys(devices)), seconds)
    if not execute(connection, _ADD_TOKEN, values):
        raise RefusedError(f"a token {name} exists already; choose another name")
    return token


def list_tokens(connection: Connection) -> list[Token]:
    """All tokens by name, revoked and expired ones too."""
    sql = """
    SELECT name, created_at, last_used_at, revoked_at, expires_at, devices FROM ingest_tokens ORDER BY name
    """
    return [
        Token(name, created_at, last_used_at, revoked_at, expires_at, tuple(devices))
        for name, created_at, last_used_at, revoked_at, expires_at, devices in fetch_all(connection, sql)
    ]


def revoke_token(connection: Connection, name: str) -> None:
    """Revoke a token. Raises ConfigError where no token of that name is in use."""
    sql = "UPDATE ingest_tokens SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL"
    if not execute(connection, sql, (name,)):
        raise ConfigError(f"there is no token {name} in use; `activity tokens list` shows all tokens")


def token_grant(connection: Connection, token: str) -> Grant | None:
    """What a token in use allows, or None; records the use, at most once a minute.

    Raises TokenExpiredError.
    """
    digest = _digest(token)
    row = fetch_row(connection, _FIND_TOKEN, (digest,))
    if row is None:
        return None
    name, devices, unrecorded, expires_at, expired = row
    if expired:
        raise TokenExpiredError(
            f"the token {name} expired on {expires_at:%Y-%m-%d %H:%M} UTC; create another one with "
            "`activity tokens add NAME`"
        )
    if unrecorded:
        _note_use(connection, digest)
    return Grant(name, tuple(devices))


def _note_use(connection: Connection, digest: bytes) -> None:
    """Record the use of a token; where the store takes no writes now the token is good all the same."""
    within = not connection.autocommit  # a transaction, which must go on
    if within:
        execute(connection, "SAVEPOINT use")
    try:
        sql = "UPDATE ingest_tokens SET last_used_at = clock_timestamp() WHERE token_hash = %s"
        execute(connection, sql, (digest,))
    except psycopg2.Error as error:
        if connection.closed or not passes(error):
            raise
        if within:
            execute(connection, "ROLLBACK TO SAVEPOINT use")
