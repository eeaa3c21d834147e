"""Who may call a REST route: dependencies that name it, checked before anything of the body is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from activitymodule.store.users import Grant
from annotation import context
from annotation.auth import User
from annotation.limits import Limiter

_requests: Limiter | None = None


def _count(request: Request, who: str) -> None:
    """Count the request, once. Raises HTTPException 429 beyond `console.requests_per_minute`."""
    global _requests
    if getattr(request.state, "counted", False):
        return
    if _requests is None:
        _requests = Limiter(context.settings().console.requests_per_minute)
    seconds = _requests.wait(who)
    if seconds:
        raise HTTPException(
            429,
            f"more than {context.settings().console.requests_per_minute} requests a minute; try again later",
            headers={"Retry-After": str(int(seconds) + 1)},
        )
    request.state.counted = True


class Sender:
    """Who sent a request: `token NAME` or `user NAME`, and the devices it may speak for."""

    def __init__(self, name: str, grant: Grant | None) -> None:
        self.name, self._grant = name, grant

    def check_devices(self, devices: Iterable[str]) -> None:
        """Raises HTTPException 403 if the token is bound to other devices."""
        foreign = [] if self._grant is None else self._grant.foreign(devices)
        if foreign:
            raise HTTPException(
                403,
                f"the token {self._grant.name} is not for the device {foreign[0]}"  # type: ignore[union-attr]
                f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}; nothing of the request was taken",
            )


async def signed_in(request: Request) -> User:
    """Dependency: the signed-in user; 401 without a session (a token is not enough)."""
    user: User | None = getattr(request.state, "user", None)
    if user is None:
        raise HTTPException(401, "sign in first", headers={"WWW-Authenticate": "Bearer"})
    return user


async def require_user(request: Request) -> User:
    """Dependency of routes of the REST interface for people: the signed-in user; 401 for a token."""
    user = await signed_in(request)
    _count(request, f"user {user.name}")
    return user


async def require_admin(request: Request) -> User:
    """Dependency: the signed-in admin; 403 for other users."""
    user = await require_user(request)
    if not user.is_admin:
        raise HTTPException(403, "only an admin may do this")
    return user


async def require_sender(request: Request) -> Sender:
    """Dependency of routes that take readings: a token or a signed-in user; 401 without either."""
    token: Grant | None = getattr(request.state, "token", None)
    user: User | None = getattr(request.state, "user", None)
    if token is None and user is None:
        raise HTTPException(
            401, "send a token: Authorization: Bearer ...", headers={"WWW-Authenticate": "Bearer"}
        )
    who = f"token {token.name}" if token is not None else f"user {user.name}"  # type: ignore[union-attr]
    _count(request, who)
    return Sender(who, token)


async def require_token(request: Request) -> str:
    """Dependency of routes for scripts: as `require_sender`, but 403 for a token that is bound to devices."""
    sender = await require_sender(request)
    token: Grant | None = getattr(request.state, "token", None)
    if token is not None and token.devices:
        raise HTTPException(
            403, f"the token {token.name} is bound to devices; it may send and score their readings only"
        )
    return sender.name


Admin = Annotated[User, Depends(require_admin)]
SignedIn = Annotated[User, Depends(signed_in)]
Person = Annotated[User, Depends(require_user)]

_CHECKS = (signed_in, require_user, require_admin, require_sender, require_token)


def check_callers_first(app: FastAPI) -> None:
    """Let every route check its caller before its body is read: FastAPI reads and parses it first."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            checks = [call for call in _calls(route.dependant) if call in _CHECKS]
            route.app = _checked(checks, route.app)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _calls(one)


def _checked(checks: list[Any], inner: ASGIApp) -> ASGIApp:
    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        for check in checks:
            await check(Request(scope))
        await inner(scope, receive, send)

    return checked
