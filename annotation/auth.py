"""Sessions: who is signed in, by a signed cookie.

A session ends when it expires, when its user is disabled or gets another password or role, and on signing out.
`annotation/gate.py` reads it before every request, `annotation/access.py` defines what a route needs.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.store.users import Account, Role, find_user
from annotation import context

COOKIE = "activity_session"
KNOWN_BROWSER = "activity_browser"
KNOWN_SECONDS = 400 * 86_400  # the longest that browsers keep a cookie
_FRESH_SECONDS = 2.0  # how long an account is kept before the users table is read again


@dataclass(frozen=True)
class User:
    """The signed-in user."""

    name: str
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether the user has the role admin."""
        return self.role == "admin"


@dataclass(frozen=True)
class Session:
    """One sign-in: its own number, its user, its start (Unix seconds), whether it came by single sign-on."""

    number: str
    name: str
    since: float
    single_sign_on: bool = False


def _secret() -> str:
    secret = context.settings().console.secret
    if secret is None or len(secret.get_secret_value()) < 16:
        raise ConfigError(
            "the console needs a secret of at least 16 characters to sign sessions: set "
            "ACTIVITY_CONSOLE__SECRET in .env (./init.sh makes one)"
        )
    return secret.get_secret_value()


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(_secret(), salt=f"activity-{purpose}")


def check_secret() -> None:
    """Raises ConfigError if sessions cannot be signed."""
    _secret()


def signed(value: Any, purpose: str) -> str:
    """A value of JSON as the text of a cookie that only we can make."""
    return _serializer(purpose).dumps(value)


def unsigned(cookie: str | None, purpose: str, seconds: float) -> Any:
    """The value of such a cookie. Raises BadSignature if it is not ours, of another purpose, or older."""
    if not cookie or len(cookie) > 4000:
        raise BadSignature("no cookie")
    return _serializer(purpose).loads(cookie, max_age=int(seconds))


def is_known_browser(cookie: str | None, name: str) -> bool:
    """Whether this user has signed in with this browser before."""
    try:
        return bool(unsigned(cookie, "browser", KNOWN_SECONDS) == name)
    except BadSignature:
        return False


def new_session(name: str, *, since: float = 0.0, single_sign_on: bool = False) -> str:
    """The cookie's value for a session that starts now, or at `since` if the store's clock is ahead of ours."""
    held = {"n": secrets.token_urlsafe(12), "u": name, "t": max(time.time(), since)}
    return signed(held | ({"o": 1} if single_sign_on else {}), "session")


def read_session(cookie: str | None) -> Session | None:
    """The session of a cookie's value; None if it is not ours, expired, or signed out."""
    try:
        held = unsigned(cookie, "session", context.settings().console.session_hours * 3600)
        session = Session(str(held["n"]), str(held["u"]), float(held["t"]), bool(held.get("o")))
    except (BadSignature, KeyError, TypeError, ValueError):
        return None
    return None if session.number in _ended else session


_ended: dict[str, float] = {}  # signed-out sessions, until their cookies have expired anyway


def end_session(session: Session) -> None:
    """Sign out: the cookie is invalid from now on (in this process; the browser's is deleted too)."""
    now = time.time()
    for number in [n for n, until in _ended.items() if until < now]:
        del _ended[number]
    _ended[session.number] = now + context.settings().console.session_hours * 3600


_accounts: dict[str, tuple[float, Account | None]] = {}


async def user_of(session: Session | None) -> User | None:
    """The user of a session; None if it has ended. The users table is read at most every two seconds."""
    if session is None or session.number in _ended:
        return None
    seen = _accounts.get(session.name)
    if seen is None or seen[0] < time.monotonic() - _FRESH_SECONDS:
        account = await context.run_read(lambda connection: find_user(connection, session.name))
        if len(_accounts) > 1000:
            _accounts.clear()
        seen = _accounts[session.name] = (time.monotonic(), account)
    account = seen[1]
    if account is None or account.disabled_at is not None:
        return None
    # a password set in the instant of signing in must not end that session: two clocks are compared
    if session.since < account.sessions_from.timestamp() - 0.001:
        return None
    return User(account.name, account.role)


def forget(name: str) -> None:
    """Read the users table again for this user: something was changed."""
    _accounts.pop(name, None)


async def must_be_admin(who: User) -> None:
    """Check the role in the store before an admin's action: the page may have been open since before it changed.

    Raises RefusedError if the user is not an admin any more.
    """
    account = await context.run_read(lambda connection: find_user(connection, who.name))
    if account is None or account.disabled_at is not None or account.role != "admin":
        forget(who.name)
        raise RefusedError(f"only an admin may do this, and {who.name} is no longer one; ask an admin")
