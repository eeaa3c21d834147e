"""Limits of a running console: requests at once, bound and expired tokens, and who is served meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import numpy as np
import psutil
import pytest
from rest_console import PASSWORD, Console, body, live

from activitymodule.store.connection import session
from activitymodule.store.queries import execute
from activitymodule.store.users import add_token

pytestmark = pytest.mark.integration


def token_of(api: Console, name: str, **limits: object) -> httpx.Client:
    with session(api.settings) as connection:
        token = add_token(connection, name, **limits)  # type: ignore[arg-type]
    return httpx.Client(base_url=api.base, headers={"authorization": f"Bearer {token}"}, timeout=60)


def half_sent(api: Console, client: httpx.Client, stack: ExitStack) -> socket.socket:
    """A request that has its place, and whose body has begun and does not end."""
    config = api.settings.console
    opened = stack.enter_context(socket.create_connection((config.host, config.port), timeout=30))
    opened.sendall(
        b"POST /batch_predict HTTP/1.1\r\nHost: console\r\nContent-Length: 20\r\nExpect: 100-continue\r\n"
        b"Authorization: " + client.headers["authorization"].encode() + b"\r\n\r\n"
    )
    # the server asks for the body when it has given the place, and not before
    assert opened.recv(100).startswith(b"HTTP/1.1 100"), "a place that was free was not given"
    opened.sendall(b"{")
    return opened


def held(api: Console, client: httpx.Client) -> bool:
    """Whether this sender is told that its places are taken."""
    answer = client.post("/batch_predict", json={"messages": []})
    if answer.status_code == 429:
        assert int(answer.headers["Retry-After"]) > 0
        assert "send it again" in answer.json()["detail"]
    return answer.status_code == 429


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 240  # half-sent requests end after 300
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_while_every_place_for_scoring_is_held_others_are_served(api: Console):
    first, second, third = (token_of(api, f"script-{k}") for k in range(3))
    with ExitStack() as stack:
        opened = [half_sent(api, first, stack) for _ in range(4)]
        assert held(api, first), "four requests of one sender were not all its places"
        assert not held(api, second), "one sender has taken the places of another"
        opened += [half_sent(api, second, stack) for _ in range(4)]
        assert held(api, third), "eight requests were not all places"
        # nobody else notices
        assert api.client.post("/ingest", content=body(live(1, 1))).status_code == 202
        admin = api.signed_in("boss")
        assert admin.get("/annotate/next").status_code == 200
        assert admin.get("/models", headers={"accept": "text/html"}).status_code == 200
        for one in opened:
            one.sendall(b'"messages": [1]   }')
            assert one.recv(100).startswith(b"HTTP/1.1 422")
    wait_for(lambda: not held(api, first), "the places were not given back")


def heavy() -> bytes:
    """A batch of 100 watches with twenty seconds of short readings each."""
    now = int(time.time() * 1000) // 10_000 * 10_000 - 10_000
    still = {"user_acceleration_y": 0.0, "user_acceleration_z": 0.0, "pitch": 0.1, "roll": 0.2}
    messages = [
        [
            {"device_id": f"watch-{k}", "stamp": now - j * 100, "user_acceleration_x": j % 7 / 10, **still}
            for j in range(200)
        ]
        for k in range(100)
    ]
    return json.dumps({"messages": messages}).encode()


class Others:
    """Somebody who signs in and opens pages; seconds : what was asked for -> how long each answer took."""

    def __init__(self, api: Console) -> None:
        self._base, self._admin = api.base, api.signed_in("boss")
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def ask(self) -> None:
        with httpx.Client(base_url=self._base, timeout=30, headers={"origin": self._base}) as other:
            form = {"name": "ann", "password": PASSWORD}
            self._timed("sign-in", 303, lambda: other.post("/signin", data=form))
            self._timed("/annotate/next", 200, lambda: other.get("/annotate/next"))
        for page in ("/live", "/models"):
            self._timed(page, 200, lambda: self._admin.get(page, headers={"accept": "text/html"}))  # noqa: B023

    def _timed(self, what: str, status: int, send: Callable[[], httpx.Response]) -> None:
        since = time.perf_counter()
        assert send().status_code == status
        self.seconds[what].append(time.perf_counter() - since)

    @property
    def figures(self) -> str:
        return "; ".join(
            f"{what} {len(taken)} times, p50 {np.median(taken):.2f} s, max {max(taken):.2f} s"
            for what, taken in self.seconds.items()
        )


def console_megabytes(api: Console) -> int:
    (console,) = (
        one.pid for one in psutil.net_connections("tcp")
        if one.status == "LISTEN" and one.laddr.port == api.settings.console.port
    )  # fmt: skip
    return psutil.Process(console).memory_info().rss >> 20


def test_eight_batches_at_once_are_scored_or_told_to_come_again(api: Console):
    """Sign-in and the pages of others answer meanwhile."""
    clients = [token_of(api, f"batch-{k}") for k in range(2)]
    content, others = heavy(), Others(api)
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(clients[k % 2].post, "/batch_predict", content=content, timeout=120)
            for k in range(8)
        ]
        while not all(one.done() for one in asked):
            others.ask()
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert any(answer.status_code == 200 for answer in answers)
    assert others.seconds


@pytest.mark.soak
def test_pages_answer_within_a_second_while_eight_batches_are_scored_again_and_again(api: Console):
    """A minute with eight batches at any time; a machine without other work. `make soak` prints the figures."""
    clients = [token_of(api, f"pressing-{k}") for k in range(2)]
    content, quiet, others = heavy(), Others(api), Others(api)
    for _ in range(10):
        quiet.ask()
    over, scored = threading.Event(), Counter[int]()

    def press(client: httpx.Client) -> None:
        while not over.is_set():
            answer = client.post("/batch_predict", content=content, timeout=120)
            scored[answer.status_code] += 1
            over.wait(float(answer.headers.get("Retry-After", 0)))

    with ThreadPoolExecutor(8) as threads:
        pressing = [threads.submit(press, clients[k % 2]) for k in range(8)]
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                others.ask()
        finally:
            over.set()
        for one in pressing:
            one.result()
    print(f"\nwithout load: {quiet.figures}")
    print(f"eight batches of {len(content) / 1e6:.1f} MB at any time, {dict(scored)}: {others.figures}")
    print(f"the console has {console_megabytes(api)} MB")
    assert set(scored) <= {200, 429}
    assert scored[200] > 8
    slowest = {what: float(np.quantile(taken, 0.95)) for what, taken in others.seconds.items()}
    assert max(slowest.values()) < 1, slowest


def test_too_many_windows_are_refused_before_they_are_scored(api: Console):
    now = int(time.time() * 1000) - 10_000
    content = {
        "messages": [[{"device_id": f"w-{k}-{j}", "stamp": now} for j in range(30)] for k in range(100)]
    }
    answer = api.client.post("/batch_predict", json=content)
    assert answer.status_code == 413
    assert "3000 windows; the limit is 2000" in answer.json()["detail"]
    spread = [{"device_id": "w", "stamp": now - 10_000 * k} for k in range(2500)]
    assert api.client.post("/predict", json=spread).status_code == 413


def test_a_bound_token_sends_and_scores_its_own_devices_only(api: Console):
    bound = token_of(api, "strap", devices=["strap-1", "lab-*"])
    now = int(time.time() * 1000) - 1000

    def reading(device: str) -> dict[str, object]:
        return {"device_id": device, "stamp": now}

    for path in ("/ingest", "/predict"):
        assert bound.post(path, json=reading("strap-1")).status_code in (200, 202)
        for given in (reading("strap-11"), [reading("strap-1"), reading("lab-2"), reading("watch-1")]):
            refused = bound.post(path, json=given)
            assert refused.status_code == 403
            assert "the token strap is not for the device" in refused.json()["detail"]
    assert (
        bound.post("/batch_predict", json={"messages": [reading("lab-1"), reading("strap-1")]}).status_code
        == 200
    )
    assert (
        bound.post("/batch_predict", json={"messages": [reading("lab-1"), reading("x")]}).status_code == 403
    )
    values = {"x": 0.1, "y": 0.2, "z": 0.3}
    push = {
        "payload": [
            {"name": name, "time": now * 1_000_000, "values": values} for name in ("accelerometer", "gravity")
        ]
    }
    foreign = bound.post("/ingest/sensorlogger", json={**push, "deviceId": "phone-9", "sessionId": "s"})
    assert foreign.status_code == 403
    assert bound.post("/ingest/sensorlogger?device=lab-3", json={**push, "sessionId": "s"}).status_code == 202
    for path in ("/metrics", "/monitoring/drift", "/monitoring/retraining/x"):
        assert bound.get(path).status_code == 403


def test_after_many_wrong_tokens_only_those_known_to_be_right_go_on(api: Console):
    here = {"transport": httpx.HTTPTransport(local_address="127.0.0.2"), "base_url": api.base}
    with httpx.Client(**here) as client:  # type: ignore[arg-type]
        right = {"authorization": f"Bearer {api.token}"}
        assert client.get("/metrics", headers=right).status_code == 200
        answers = [client.get("/metrics", headers={"authorization": f"Bearer wrong-{k}"}) for k in range(31)]
        assert [answer.status_code for answer in answers] == [401] * 30 + [429]
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        assert client.get("/metrics", headers=right).status_code == 200
    assert api.client.get("/metrics").status_code == 200


def test_an_expired_token_is_told_so(api: Console):
    client = token_of(api, "brief", days=1)
    assert client.get("/metrics").status_code == 200
    with session(api.settings) as connection:
        execute(connection, "UPDATE ingest_tokens SET expires_at = clock_timestamp() WHERE name = 'brief'")
    for answer in (client.get("/metrics"), client.post("/ingest", content=b"x" * 2_000_000)):
        assert answer.status_code == 403
        assert "the token brief expired on" in answer.json()["detail"]


def test_a_body_of_100_megabytes_is_not_taken(api: Console):
    """By its stated length, and in chunks; the console answers others meanwhile."""

    def chunks() -> object:
        for _ in range(100):
            yield b"[" * (1 << 20)

    for path in ("/annotate/answer", "/monitoring/retraining_trigger"):
        for content in (b"[" * (100 << 20), chunks()):
            try:
                answer = api.client.post(path, content=content, headers={"content-type": "application/json"})  # type: ignore[arg-type]
            except httpx.TransportError:
                continue  # closed while we were still sending
            assert answer.status_code == 401
    assert api.nobody.get("/health?need=store").status_code == 200
