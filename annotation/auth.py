"""Authentication: sessions in a signed cookie, tokens, and the gate before every request.

The gate refuses by default: without a session or a token only `/health` and the sign-in page answer; the websocket of
the pages needs a session too. A session ends when it expires, when its user is disabled or gets another password or
role, and on signing out; open websockets notice within seconds. A request that changes something must come from a page
of the console (Origin), so that no other site can act for a signed-in user.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import HTTPException, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from activitymodule.errors import ActivityError, ConfigError, RefusedError
from activitymodule.store.users import Account, Role, find_user, token_name
from annotation import context, sockets

COOKIE = "activity_session"
PUBLIC = frozenset({"/health", "/signin", "/favicon.ico"})
# apps that push here may be unable to send a header
TOKEN_IN_QUERY = frozenset({"/ingest/sensorlogger"})
_FRESH_SECONDS = 2.0  # how long an account is kept before the users table is read again
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


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
    """One sign-in: its own number, its user, its start (Unix seconds)."""

    number: str
    name: str
    since: float


class Limiter:
    """At most `limit` calls in any `seconds`, by key; keeps ten thousand keys and drops the oldest."""

    def __init__(
        self, limit: int, seconds: float = 60, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """0, and the call is counted; or how many seconds the key must wait."""
        now = self._clock()
        with self._lock:
            times = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._limit:
                return times[0] + self._seconds - now
            times.append(now)
            while len(self._seen) > 10_000:
                self._seen.popitem(last=False)
        return 0.0


# ---- sessions -----------------------------------------------------------------------------------------------


def _serializer() -> URLSafeTimedSerializer:
    secret = context.settings().console.secret
    if secret is None or len(secret.get_secret_value()) < 16:
        raise ConfigError(
            "the console needs a secret of at least 16 characters to sign sessions: set "
            "ACTIVITY_CONSOLE__SECRET in .env (./init.sh makes one)"
        )
    return URLSafeTimedSerializer(secret.get_secret_value(), salt="activity-session")


def check_secret() -> None:
    """Raises ConfigError if sessions cannot be signed."""
    _serializer()


def new_session(name: str) -> str:
    """The cookie's value for a session that starts now."""
    return _serializer().dumps({"n": secrets.token_urlsafe(12), "u": name, "t": time.time()})


def read_session(cookie: str | None) -> Session | None:
    """The session of a cookie's value; None if it is not ours, expired, or signed out."""
    if not cookie or len(cookie) > 1000:
        return None
    try:
        held = _serializer().loads(cookie, max_age=int(context.settings().console.session_hours * 3600))
        session = Session(str(held["n"]), str(held["u"]), float(held["t"]))
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


# ---- the gate -----------------------------------------------------------------------------------------------


def _headers(scope: Scope) -> dict[str, str]:
    return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}


def _cookie(headers: dict[str, str], name: str) -> str | None:
    for part in headers.get("cookie", "").split(";"):
        key, sign, value = part.strip().partition("=")
        if sign and key == name:
            return value
    return None


def same_origin(headers: dict[str, str]) -> bool:
    """Whether a browser sent this from a page of ours; true for clients that send none of these headers."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:  # such as http://[
            return False
    site = headers.get("sec-fetch-site")
    return site in (None, "same-origin", "none")


def safe_target(target: str | None) -> str:
    """A path of our own to open after signing in; the start page for anything else."""
    if (
        not target
        or not target.startswith("/")
        or target.startswith(("//", "/\\", "/signin", "/signout"))
        or any(ord(character) < 32 or character == "\\" for character in target)
    ):
        return "/"
    return target


_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Vue compiles its templates in the browser
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)


class Gate:
    """ASGI middleware around everything: identifies the user, refuses or passes on, sets the headers of responses.

    `scope["state"]` then holds `user` (User or None), `session` and `token` (a token's name, or None).
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            await self._pass(scope, receive, send)
        except ActivityError as error:
            # the store is away or not migrated: refuse with the reason
            await _refuse(scope, receive, send, 503, str(error))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        path = scope["path"]
        session = read_session(_cookie(headers, COOKIE))
        state = scope.setdefault("state", {})
        state.update(user=None, session=None, token=None)
        if path != "/health":
            state["user"] = await user_of(session)
            state["session"] = session if state["user"] else None
        bearer = headers.get("authorization", "")
        token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else ""
        if not token and path in TOKEN_IN_QUERY:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            token = query.get("token", [""])[0]
        if state["user"] is None and token and path not in PUBLIC:
            state["token"] = await context.run_write(lambda connection: token_name(connection, token))
        if scope["type"] == "websocket":
            if not (same_origin(headers) and state["user"] and _own_page(scope, state["user"])):
                await _refuse(scope, receive, send, 403, "sign in first")
                return
            await self._app(scope, self._watched(receive, session), send)
            return
        # browsers keep no token, so no other site can make one send it
        if scope["method"] not in _SAFE_METHODS and not state["token"] and not same_origin(headers):
            await _refuse(
                scope, receive, send, 403, "the request came from another site; open the console itself"
            )
            return
        if path in PUBLIC or state["user"] or state["token"]:
            if not _own_page(scope, state["user"]):
                await _refuse(scope, receive, send, 403, "the page belongs to another user; open it again")
                return
            await self._app(scope, receive, _with_headers(send))
            return
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            target = safe_target(path + (f"?{query}" if query else ""))
            await _answer(
                send, 303, "", [(b"location", f"/signin?next={quote(target, safe='/')}".encode("latin-1"))]
            )
            return
        await _refuse(scope, receive, send, 401, "sign in first, or send a token: Authorization: Bearer ...")

    def _watched(self, receive: Receive, session: Session | None) -> Receive:
        """Messages of a websocket while its session lasts; its pings end it within seconds."""

        async def watched() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "websocket.receive" and await user_of(session) is None:
                return {"type": "websocket.disconnect", "code": 4401}
            return message

        return watched


def _own_page(scope: Scope, user: User | None) -> bool:
    """Whether a request to a page (its socket, an upload) comes from the user the page was built for: two users may
    share a browser in turn, and a page's id may become known. True for all other requests."""
    path, query = scope["path"], scope.get("query_string", b"").decode("latin-1")
    if path.startswith(sockets.CLIENT_PATH):
        return user is not None and sockets.built_for(path.split("/")[3], user.name)
    if path.startswith(sockets.SOCKET_PATH):
        return user is not None and not sockets.of_another(query, user.name)
    return True


def _with_headers(send: Send) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return wrapped


async def _answer(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    kind = b"application/json" if text.startswith("{") else b"text/plain; charset=utf-8"
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind), (b"cache-control", b"no-store"), *_HEADERS, *headers],
        }
    )
    await send({"type": "http.response.body", "body": text.encode()})


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": 4401, "reason": why[:100]})
        return
    extra = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    wants_page = "text/html" in _headers(scope).get("accept", "")
    await _answer(send, status, why if wants_page else json.dumps({"detail": why}), extra)


# ---- dependencies of REST routes ------------------------------------------------------------------------------

_requests: Limiter | None = None


def _counted(who: str) -> None:
    global _requests
    if _requests is None:
        _requests = Limiter(context.settings().console.requests_per_minute)
    seconds = _requests.wait(who)
    if seconds:
        raise HTTPException(
            429,
            f"more than {context.settings().console.requests_per_minute} requests a minute; try again later",
            headers={"Retry-After": str(int(seconds) + 1)},
        )


async def require_user(request: Request) -> User:
    """Dependency: the signed-in user; 401 without a session (a token is not enough)."""
    user = getattr(request.state, "user", None)
    if user is None:
        raise HTTPException(401, "sign in first", headers={"WWW-Authenticate": "Bearer"})
    _counted(f"user {user.name}")
    return user


async def require_admin(request: Request) -> User:
    """Dependency: the signed-in admin; 403 for other users."""
    user = await require_user(request)
    if not user.is_admin:
        raise HTTPException(403, "only an admin may do this")
    return user


async def require_token(request: Request) -> str:
    """Dependency of routes for scripts and phones: `token NAME` or `user NAME`; 401 without either."""
    token = getattr(request.state, "token", None)
    user = getattr(request.state, "user", None)
    if token is None and user is None:
        raise HTTPException(
            401, "send a token: Authorization: Bearer ...", headers={"WWW-Authenticate": "Bearer"}
        )
    who = f"token {token}" if token is not None else f"user {user.name}"  # type: ignore[union-attr]
    _counted(who)
    return who
