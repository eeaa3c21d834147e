"""Nothing without signing in: pages, routes, the websocket; wrong passwords, too many of them, other sites."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from console_process import PASSWORDS, Console, answering
from own_settings import replaced
from verbs import Verbs
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.users import add_token, set_disabled, set_password

pytestmark = pytest.mark.integration

_PAGE = {"Accept": "text/html"}


def test_everything_asks_for_a_session(running_console: Console) -> None:
    assert requests.get(f"{running_console.address}/health?need=store", timeout=10).status_code == 200
    for path in ("/", "/annotate", "/review", "/users", "/static/console.css", "/openapi.json", "/nowhere"):
        as_page = requests.get(
            running_console.address + path, headers=_PAGE, timeout=10, allow_redirects=False
        )
        assert (as_page.status_code, as_page.headers["location"][:8]) == (303, "/signin?"), path
        assert requests.get(running_console.address + path, timeout=10).status_code == 401, path
    assert requests.get(f"{running_console.address}/annotate/next", timeout=10).status_code == 401
    assert requests.post(f"{running_console.address}/annotate/answer", json={}, timeout=10).status_code == 401


def test_the_websocket_asks_too(running_console: Console) -> None:
    address = (
        running_console.address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    )
    cookie = "; ".join(f"{k}={v}" for k, v in running_console.session("bob").cookies.items())
    with pytest.raises(InvalidStatus):
        connect(address, open_timeout=10)
    with pytest.raises(InvalidStatus):
        connect(
            address, open_timeout=10, additional_headers={"Cookie": cookie}, origin="http://elsewhere.example"
        )
    with connect(address, open_timeout=10, additional_headers={"Cookie": cookie}) as opened:
        assert str(opened.recv(timeout=10)).startswith("0{")


def test_a_wrong_password_and_a_right_one(console: Console, visit: Callable[..., Any]) -> None:
    page = visit(None, "/annotate")
    page.fill("#name", "anna")
    page.fill("#password", "not the password")
    page.press("#password", "Enter")
    assert page.inner_text('[role="alert"]') == "Name or password is wrong."
    assert page.input_value("#name") == "anna"
    page.fill("#password", PASSWORDS["anna"])
    page.press("#password", "Enter")
    page.wait_for_url("**/annotate")
    cookie = next(c for c in page.context.cookies() if c["name"] == "activity_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    page.click('button[aria-label^="Sign out"]')
    page.wait_for_url("**/signin")
    stale = requests.get(
        running := f"{console.address}/annotate/next", cookies={cookie["name"]: cookie["value"]}, timeout=10
    )
    assert stale.status_code == 401, running


def test_other_sites_cannot_act_for_us(running_console: Console) -> None:
    client = running_console.session("bob")
    for headers in (
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = client.post(
            f"{running_console.address}/annotate/release", json={"item_ids": []}, headers=headers, timeout=10
        )
        assert answer.status_code == 403, headers
    own = {"Origin": running_console.address}
    assert client.post(
        f"{running_console.address}/annotate/release", json={"item_ids": []}, headers=own, timeout=10
    ).ok


def test_where_signing_in_leads(running_console: Console) -> None:
    for target, leads in (
        ("/annotate", "/annotate"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil", "/"),
    ):
        answer = requests.post(
            f"{running_console.address}/signin",
            data={"name": "bob", "password": PASSWORDS["bob"], "next": target},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.headers["location"] == leads


def test_a_disabled_user_and_an_old_password_are_out_at_once(running_console: Console) -> None:
    def allowed(client: requests.Session) -> bool:
        return client.post(
            f"{running_console.address}/annotate/release", json={"item_ids": []}, timeout=10
        ).ok

    client = running_console.session("cleo")
    assert allowed(client)
    with session(running_console.settings) as connection:
        set_disabled(connection, "cleo", True)
    assert wait_until(lambda: not allowed(client), 10)
    with session(running_console.settings) as connection:
        set_disabled(connection, "cleo", False)
    again = running_console.session("cleo")
    assert allowed(again)
    with session(running_console.settings) as connection:
        set_password(connection, "cleo", PASSWORDS["cleo"])
    assert wait_until(lambda: not allowed(again), 10)
    assert allowed(running_console.session("cleo"))


def test_roles_are_kept(console: Console, visit: Callable[..., Any]) -> None:
    client = console.session("bob")
    for path in ("/review", "/users"):
        answer = client.get(console.address + path, headers=_PAGE, timeout=20)
        assert answer.status_code == 403
        assert "Only an admin may see this" in answer.text
    assert client.get(f"{console.address}/review/export/labels.csv", timeout=10).status_code == 403
    page = visit("bob", "/")
    assert page.locator('.rail a[href="/users"]').count() == 0
    assert page.locator('.rail a[href="/annotate"]').count() == 1


def test_a_token_opens_no_page(running_console: Console) -> None:
    with session(running_console.settings) as connection:
        token = add_token(connection, "a-phone")
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{running_console.address}/openapi.json", headers=headers, timeout=10).ok
    for path in ("/annotate/next", "/review/export/labels.csv"):
        assert requests.get(running_console.address + path, headers=headers, timeout=10).status_code == 401
    led = requests.get(f"{running_console.address}/", headers=headers, timeout=10, allow_redirects=False)
    assert led.status_code == 303
    wrong = {"Authorization": "Bearer nonsense"}
    assert (
        requests.get(f"{running_console.address}/openapi.json", headers=wrong, timeout=10).status_code == 401
    )


def test_the_first_start_too_many_attempts_and_a_taken_port(
    fresh_settings: Settings,
    environment_of: Callable[[Settings], dict[str, str]],
    verbs: Verbs,
    tmp_path: Path,
) -> None:
    """A console of its own: nobody may sign in yet, then too often, and its port is its own."""
    own = replaced(
        fresh_settings,
        console={
            "port": any_free_port(),
            "secret": "s" * 32,
            "sign_ins_per_minute": 3,
            "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"],
        },
    )
    environment = environment_of(own)

    log = tmp_path / "console.log"
    with log.open("wb") as out:  # the command itself
        command = [sys.executable, "-m", "activitymodule", "console"]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    answering(process, own, log)
    try:
        address = f"http://127.0.0.1:{own.console.port}"
        assert "activity users add NAME --role admin" in requests.get(f"{address}/signin", timeout=10).text
        ended = verbs.run(environment, "console")
        assert ended.returncode == 3
        assert f"port {own.console.port} of 127.0.0.1 is taken" in ended.stderr
        made = verbs.run(environment, "users", "add", "dora", "--json")
        password = json.loads(made.stdout)["password"]

        def attempt(name: str, given: str, forwarded: str, **more: Any) -> requests.Response:
            return requests.post(
                f"{address}/signin",
                data={"name": name, "password": given},
                headers={"X-Forwarded-For": forwarded},
                allow_redirects=False,
                timeout=20,
                **more,
            )

        # a client may invent what is left of the address that our proxy saw
        answers = [
            attempt(name, given, f"198.51.100.{number}, 203.0.113.7, 10.1.2.3")
            for number, (name, given) in enumerate(
                (("dora", "wrong"), ("nobody", "wrong"), ("dora", password), ("dora", password))
            )
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 303, 429]
        assert int(answers[3].headers["Retry-After"]) <= 61
        signed_in = attempt("dora", password, "203.0.113.8")
        assert signed_in.status_code == 303

        # an account has a limit for all addresses together, and one that does not exist has the same
        def tried(name: str) -> list[int]:
            return [attempt(name, "wrong", f"192.0.2.{number}").status_code for number in range(24)]

        assert tried("erik") == [401] * 20 + [429] * 4
        assert tried("dora") == [401] * 19 + [429] * 5  # one was wrong before
        assert attempt("dora", password, "192.0.2.200").status_code == 429
        # which keeps nobody out of an account they have used in this browser
        known = {"activity_browser": signed_in.cookies["activity_browser"]}
        assert attempt("dora", password, "192.0.2.201", cookies=known).status_code == 303
        stolen = {"activity_browser": signed_in.cookies["activity_browser"] + "x"}
        assert attempt("dora", password, "192.0.2.202", cookies=stolen).status_code == 429
    finally:
        process.terminate()
        assert process.wait(15) in (0, -15)
