"""The gate before every request: who it comes from, and whether it may go on.

It refuses by default: without a session or a token only `/health` and the sign-in page answer; the websocket of the
pages needs a session too, and open websockets notice within seconds that it has ended. A request that changes something
must come from a page of the console (Origin), so that no other site can act for a signed-in user. Nothing of a body is
read before that, and no more of it than its route allows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from activitymodule.errors import ActivityError, TokenExpiredError
from activitymodule.store.users import token_grant
from annotation import auth, context, failures, sockets
from annotation.auth import Session, User
from annotation.bodies import Limited, Receive, Scope, Send
from annotation.limits import WrongTokens

PUBLIC = frozenset(
    {"/health", "/signin", "/signin/oidc", "/signin/oidc/callback", "/signin/oidc/leave", "/favicon.ico"}
)
# apps that push here may be unable to send a header
TOKEN_IN_QUERY = frozenset({"/ingest/sensorlogger"})
_wrong_tokens = WrongTokens(30)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


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

    `scope["state"]` then holds `user` (User or None), `session`, `token` (Grant or None) and `body` (Limited).
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._sockets: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            await self._pass(scope, receive, send)
        except TokenExpiredError as error:
            await _refuse(scope, receive, send, 403, str(error))
        except ActivityError as error:
            # the store is away or not migrated: refuse with the reason
            scope.setdefault("state", {})["lasting"] = failures.lasts(error)
            await _refuse(scope, receive, send, 503, str(error))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        path = scope["path"]
        session = auth.read_session(_cookie(headers, auth.COOKIE))
        state = scope.setdefault("state", {})
        state.update(user=None, session=None, token=None, body=None)
        if path != "/health":
            state["user"] = await auth.user_of(session)
            state["session"] = session if state["user"] else None
        bearer = headers.get("authorization", "")
        token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else ""
        if not token and path in TOKEN_IN_QUERY:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            token = query.get("token", [""])[0]
        if state["user"] is None and token and path not in PUBLIC:
            address = scope["client"][0] if scope.get("client") else ""
            seconds = _wrong_tokens.wait(address, token)
            if seconds:
                why = "too many wrong tokens came from this address; try again later"
                await _refuse(scope, receive, send, 429, why, int(seconds) + 1)
                return
            state["token"] = await context.run(
                context.write, lambda connection: token_grant(connection, token), alone=True
            )
            _wrong_tokens.seen(address, token, right=state["token"] is not None)
        if scope["type"] == "websocket":
            if not (same_origin(headers) and state["user"] and _own_page(scope, state["user"])):
                await _refuse(scope, receive, send, 403, "sign in first")
                return
            await self._socket(scope, self._watched(receive, session), send, state["user"].name)
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
            state["body"] = Limited(scope, receive)
            await self._app(scope, state["body"], _with_headers(send))
            return
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            target = safe_target(path + (f"?{query}" if query else ""))
            await _answer(
                send, 303, "", [(b"location", f"/signin?next={quote(target, safe='/')}".encode("latin-1"))]
            )
            return
        await _refuse(scope, receive, send, 401, "sign in first, or send a token: Authorization: Bearer ...")

    async def _socket(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        if self._sockets[name] >= sockets.PER_USER:
            await _refuse(scope, receive, send, 429, f"{name} has {sockets.PER_USER} pages open; close some")
            return
        self._sockets[name] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets[name] -= 1

    def _watched(self, receive: Receive, session: Session | None) -> Receive:
        """Messages of a websocket while its session lasts; its pings end it within seconds."""

        async def watched() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "websocket.receive" and await auth.user_of(session) is None:
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


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, why: str, after_seconds: int | None = None
) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": 4401, "reason": why[:100]})
        return
    extra = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    if after_seconds is not None:
        extra.append((b"retry-after", str(after_seconds).encode()))
    wants_page = "text/html" in _headers(scope).get("accept", "")
    await _answer(send, status, why if wants_page else json.dumps({"detail": why}), extra)
