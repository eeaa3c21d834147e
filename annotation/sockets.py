"""The pages' sockets: a socket may act only on pages that were built for its own user.

NiceGUI accepts a message for any page whose id it names. Ids are long and random, but appear in addresses and logs; so
the user who opened a socket is compared with the user the page was built for, at the handshake and at every message.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qs

from nicegui import Client, core

CLIENT_PATH = "/_nicegui/client/"  # addresses that belong to one page: CLIENT_PATH + its id + ...
SOCKET_PATH = "/_nicegui_ws/"
PER_USER = 32  # open pages of one user


def built_for(page_id: object, name: str) -> bool:
    """Whether the page of this id was built for the user of this name. False if there is no such page."""
    page = Client.instances.get(page_id) if isinstance(page_id, str) else None
    # NiceGUI has no public way to the request a page was built for
    request = page._request if page is not None else None
    user = getattr(request.state, "user", None) if request is not None else None
    return user is not None and bool(user.name == name)


def of_another(query: str, name: str) -> bool:
    """Whether a socket's address names a page that was built for another user, or continues a connection (polling, or
    its upgrade) that another user has opened. A page that no longer exists belongs to nobody: NiceGUI refuses it, and
    the browser loads it again."""
    named = parse_qs(query)
    if any(
        page_id in Client.instances and not built_for(page_id, name) for page_id in named.get("client_id", [])
    ):
        return True
    opened = [core.sio.environ.get(number) for number in named.get("sid", [])]
    return any(environ is not None and _name(environ) != name for environ in opened)


def guard() -> None:
    """Put the check before every message handler of NiceGUI; calling it again does nothing."""
    handlers = core.sio.handlers["/"]
    for event, handler in list(handlers.items()):
        if event != "disconnect" and not hasattr(handler, "guarded"):
            handlers[event] = _guarded_connect(handler) if event == "connect" else _guarded(handler)


def _name(environ: Mapping[str, Any]) -> str | None:
    """The user who opened a socket, as the gate determined it."""
    user = (environ.get("asgi.scope", {}).get("state") or {}).get("user")
    return user.name if user is not None else None


def _guarded_connect(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @wraps(handler)
    async def connect(sid: str, environ: dict[str, Any], *more: Any) -> Any:
        name = _name(environ)
        if name is None or of_another(environ.get("QUERY_STRING", ""), name):
            return False
        # a page that cannot open a websocket asks again and again instead
        if sum(_name(one) == name for one in core.sio.environ.values()) > PER_USER:
            return False
        return await _result(handler(sid, environ, *more))

    connect.guarded = True  # type: ignore[attr-defined]
    return connect


def _guarded(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @wraps(handler)
    async def take(sid: str, message: Any = None) -> Any:
        name = _name(core.sio.get_environ(sid) or {})
        page_id = message.get("client_id") if isinstance(message, dict) else None
        if name is None or not built_for(page_id, name):
            return False
        return await _result(handler(sid, message))

    take.guarded = True  # type: ignore[attr-defined]
    return take


async def _result(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given
