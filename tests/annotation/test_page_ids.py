"""Who learns the id of an admin's page can do nothing with it: a real socket.io client tries every way in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import socketio
from console_process import Console
from disputes import disagree

from activitymodule.embedded.processes import wait_until

pytestmark = pytest.mark.integration

# the button of a label, as the page knows it
_BUTTON = """(label) => {
    const elements = document.querySelector("#app")._vnode.component.proxy.elements;
    for (const [id, element] of Object.entries(elements))
        if (JSON.stringify(element).includes(`data-label=\\\\"${label}\\\\"`))
            return {client_id: window.clientId, id: Number(id), listener_id: element.events[0].listener_id,
                    args: ["{}"]};
}"""
_UPLOAD = """() => Object.values(document.querySelector("#app")._vnode.component.proxy.elements)
    .map((element) => element.props?.url).find((url) => url?.includes("/upload/"))"""
_FORGED = "device_id,window_start,label\nforged,2026-01-01T00:00:00Z,walking\n"


def cookie(client: requests.Session) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


async def _send(
    console: Console,
    headers: dict[str, str],
    query: str,
    messages: list[tuple[str, dict[str, Any]]],
    transport: str = "websocket",
    before: Callable[[], Any] = lambda: None,
    patience: float = 10,
) -> list[Any]:
    """Open a socket, send the messages one by one; returns the reply to each, then the events received."""
    heard: list[Any] = []
    client = socketio.AsyncClient(reconnection=False)
    client.on("*", lambda event, *data: heard.append((event, *data)))
    try:
        await client.connect(
            f"{console.address}/?{query}",
            headers=headers,
            transports=[transport],
            socketio_path="/_nicegui_ws/socket.io",
            wait_timeout=2 if transport == "polling" else 10,  # the console lets nobody in by polling
        )
    except socketio.exceptions.ConnectionError:
        return ["refused"]
    except RuntimeError as error:
        # the console's no, and the end of the connection, before the client has read the answer
        if str(error) != "Connection closed.":
            raise
        return ["refused"]
    await asyncio.to_thread(before)
    answers: list[Any] = []
    for event, message in messages:
        try:
            answers.append(await client.call(event, message, timeout=patience))
        except (TimeoutError, socketio.exceptions.SocketIOError) as error:
            answers.append(type(error).__name__)
            break
    await client.disconnect()
    return [*answers, *heard]


def send(*arguments: Any, **more: Any) -> list[Any]:
    """`_send` in a thread of its own: the browser has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_send(*arguments, **more))).result()


def decided(console: Console) -> list[tuple[Any, ...]]:
    return console.rows("SELECT answer, label FROM annotations WHERE annotator = 'anna'")


def test_a_page_id_is_no_key(console: Console, visit: Callable[..., Any]) -> None:
    disputed, _ = disagree(console)
    page = visit("anna", "/review")
    page.wait_for_selector(f'#desk[data-item="{disputed}"]')
    press = page.evaluate(_BUTTON, "walking")
    hers = press["client_id"]
    shake = {"client_id": hers, "tab_id": "t", "document_id": "d", "next_message_id": 0}
    implicit = f"client_id={hers}&implicit_handshake=true&tab_id=t&document_id=d&next_message_id=0"

    bob = console.session("bob")
    html = bob.get(f"{console.address}/annotate", headers={"Accept": "text/html"}, timeout=20).text
    own = html.split('"client_id": "')[-1].split('"')[0] if '"client_id": "' in html else html
    own = html.split("client_id")[1].split("'")[2] if len(own) > 40 else own
    assert len(own) == 36, own

    # somebody signed in as an annotator
    for transport in ("websocket", "polling"):
        for query in ("", f"client_id={own}", f"client_id={hers}", implicit, f"client_id={own}&{implicit}"):
            replies = send(console, cookie(bob), query, [("handshake", shake), ("event", press)], transport)
            assert replies in (["refused"], [False, False]), (transport, query, replies)

    # somebody who has signed out while the socket was open
    anna = console.session("anna")
    replies = send(
        console,
        cookie(anna),
        "",
        [("event", press)],
        before=lambda: anna.post(f"{console.address}/signout", timeout=10),
        patience=1,  # for a reply that does not come
    )
    assert replies not in ([None], [True]), replies
    # and nobody at all
    for transport in ("websocket", "polling"):
        assert (send(console, {}, f"client_id={hers}", [], transport)) == ["refused"]

    # nor does the address to which the page sends files take any from them
    address = console.address + page.evaluate(_UPLOAD)
    for client in (bob, requests.Session()):
        answer = client.post(address, files={"file": ("labels.csv", _FORGED)}, timeout=10)
        assert answer.status_code in (401, 403)
    assert console.rows("SELECT 1 FROM annotations WHERE device_id = 'forged'") == []

    # the messages are those that work: sent by her, they decide
    assert decided(console) == []
    replies = send(console, cookie(console.session("anna")), "", [("event", press)], patience=1)
    assert wait_until(lambda: decided(console) == [("label", "walking")], 20), replies
