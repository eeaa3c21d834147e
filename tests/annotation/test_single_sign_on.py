"""Single sign-on with a provider that runs here, and what becomes of its users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from console_process import start_console
from own_settings import replaced

from activitymodule.embedded.processes import any_free_port
from activitymodule.errors import NotAllowedError
from activitymodule.settings import Settings
from activitymodule.settings.models import Oidc
from activitymodule.store.connection import session
from activitymodule.store.users import add_user, list_users, set_disabled
from annotation.pages.single_sign_on import name_of, role_of

PEOPLE = {
    "a1": {"preferred_username": "Greta.B", "roles": ["staff", "admin"]},
    "a2": {"preferred_username": "hugo", "roles": ["annotator"]},
    "a3": {"preferred_username": "ines", "roles": ["guest"]},
    "a4": {"preferred_username": "dora", "roles": ["admin"]},
    "a5": {"roles": ["admin"]},
}


@pytest.mark.parametrize(
    ("claims", "path", "role"),
    [
        ({"roles": ["annotator", "admin"]}, "roles", "admin"),
        ({"roles": "annotator"}, "roles", "annotator"),
        ({"realm_access": {"roles": ["admin"]}}, "realm_access.roles", "admin"),
        ({"https://a.example/roles": ["annotator"]}, "https://a.example/roles", "annotator"),
        ({}, "roles", None),
        ({"roles": ["Admin", " admin", "administrators"]}, "roles", None),
        ({"roles": {"admin": True}}, "roles", None),
        ({"roles": [["admin"], {"admin": 1}, None, 7]}, "roles", None),
        ({"realm_access": ["admin"]}, "realm_access.roles", None),
    ],
)
def test_a_role_comes_from_the_claim_and_from_nothing_else(
    claims: dict[str, Any], path: str, role: str | None
) -> None:
    if role is None:
        with pytest.raises(NotAllowedError):
            role_of(Oidc(role_claim=path), claims)
    else:
        assert role_of(Oidc(role_claim=path), claims) == role


@pytest.mark.parametrize(
    ("given", "name"),
    [("Greta.B", "greta.b"), ("g@ex.org", "g-ex.org"), ("-_x", "x"), ("ü b", "b"), ("x" * 50, "x" * 40)],
)
def test_a_name_is_one_of_ours(given: str, name: str) -> None:
    assert name_of(Oidc(), {"preferred_username": given}) == name
    for nothing in ("", "..", "ü", None, {}):
        with pytest.raises(NotAllowedError):
            name_of(Oidc(), {"preferred_username": nothing})


@pytest.fixture
def provider() -> Iterator[str]:
    """The address of a provider with some people."""
    import oidc_provider_mock  # brings Flask and warnings, which the tests without a provider do not need

    people = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in PEOPLE.items()]
    with oidc_provider_mock.run_server_in_thread(user_claims=people, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def address(
    provider: str,
    fresh_settings: Settings,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path: Path,
) -> Iterator[str]:
    """A console that lets people of the provider in."""
    own = replaced(
        fresh_settings,
        console={"port": any_free_port(), "secret": "s" * 32},
        oidc={"issuer": provider, "client_secret": "t" * 20, "button": "Sign in at <work>"},
    )
    log = tmp_path / "console.log"
    process = start_console(own, environment_of(own), log)
    yield f"http://127.0.0.1:{own.console.port}"
    process.terminate()
    process.wait(15)
    assert "Traceback" not in log.read_text()


def at_provider(client: httpx.Client, address: str, sub: str, target: str = "/live") -> str:
    """Go to the provider and sign in there; the address it leads back to."""
    left = client.get(f"{address}/signin/oidc", params={"next": target})
    assert left.status_code == 302
    asked = {key: one for key, (one,) in parse_qs(urlsplit(left.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"]
    assert asked["nonce"]
    assert asked["redirect_uri"] == f"{address}/signin/oidc/callback"
    back = httpx.post(left.headers["location"], data={"sub": sub})
    assert back.status_code == 302
    return str(back.headers["location"])


@pytest.mark.integration
def test_people_of_the_provider_come_in_with_their_roles(address: str, fresh_settings: Settings) -> None:
    with session(fresh_settings) as connection:
        add_user(connection, "dora", "annotator", "a password of dora")
    assert "Sign in at &lt;work&gt;" in httpx.get(f"{address}/signin").text

    def come(sub: str) -> tuple[httpx.Client, httpx.Response]:
        client = httpx.Client(headers={"accept": "text/html"}, timeout=30)
        return client, client.get(at_provider(client, address, sub))

    greta, answer = come("a1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/live")
    assert greta.get(f"{address}/users").status_code == 200
    hugo, answer = come("a2")
    assert answer.status_code == 303
    assert hugo.get(f"{address}/annotate").status_code == 200
    assert hugo.get(f"{address}/users").status_code == 403
    for sub, why in (
        ("a3", "you have no role in the console"),
        ("a4", "there is a user dora already"),
        ("a5", "the provider gives no preferred_username"),
    ):
        client, answer = come(sub)
        assert answer.status_code == 403
        assert why in answer.text
        assert client.get(f"{address}/annotate").status_code == 303, "not signed in"
    with session(fresh_settings) as connection:
        assert [(one.name, one.role) for one in list_users(connection)] == [
            ("dora", "annotator"), ("greta.b", "admin"), ("hugo", "annotator"),
        ]  # fmt: skip
        set_disabled(connection, "hugo", True)
    _, answer = come("a2")
    assert (answer.status_code, "the user hugo is disabled" in answer.text) == (403, True)
    # a password opens no account of the provider
    for password in ("", "none"):
        form = {"name": "greta.b", "password": password}
        assert httpx.post(f"{address}/signin", data=form, timeout=30).status_code == 401

    left = greta.post(f"{address}/signout", headers={"origin": address})
    assert left.headers["location"] == "/signin?left=true"
    assert "/signin/oidc/leave" in greta.get(f"{address}/signin?left=true").text
    assert greta.get(f"{address}/signin/oidc/leave").status_code in (200, 303)
    assert greta.get(f"{address}/users").status_code == 303


@pytest.mark.integration
def test_what_a_browser_did_not_begin_is_refused(address: str) -> None:
    victim, attacker = (httpx.Client(timeout=30) for _ in range(2))
    # an address of somebody else's sign-on, opened in this browser
    stolen = at_provider(attacker, address, "a1")
    for client in (victim, httpx.Client(timeout=30, cookies={"activity_oidc": "x.y.z"})):
        answer = client.get(stolen)
        assert answer.status_code == 403
        assert "activity_session" not in answer.cookies
    at_provider(victim, address, "a2")
    assert victim.get(stolen).status_code == 403, "another state than the one this browser keeps"
    assert attacker.get(f"{address}/signin/oidc/callback?error=access_denied&state=x").status_code == 403
    # once it is used, it is used up
    mine = at_provider(attacker, address, "a1")
    assert attacker.get(mine).status_code == 303
    assert attacker.get(mine).status_code == 403


@pytest.mark.integration
def test_a_provider_that_is_away_leaves_passwords(
    fresh_settings: Settings, environment_of: Callable[[Settings], dict[str, str]], tmp_path: Path
) -> None:
    own = replaced(
        fresh_settings,
        console={"port": any_free_port(), "secret": "s" * 32},
        oidc={"issuer": f"http://127.0.0.1:{any_free_port()}"},
    )
    with session(fresh_settings) as connection:
        add_user(connection, "dora", "annotator", "a password of dora")
    process = start_console(own, environment_of(own), tmp_path / "console.log")
    try:
        address = f"http://127.0.0.1:{own.console.port}"
        answer = httpx.get(f"{address}/signin/oidc", timeout=30)
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        form = {"name": "dora", "password": "a password of dora"}
        assert httpx.post(f"{address}/signin", data=form, timeout=30).status_code == 303
    finally:
        process.terminate()
        process.wait(15)
