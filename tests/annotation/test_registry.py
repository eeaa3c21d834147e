"""A page or a REST route is one file: it appears everywhere by itself, and a broken one is not passed over."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from activitymodule.errors import ConfigError
from annotation import api, app, auth, pages, registry

PAGE = """
from annotation import frame
from annotation.auth import User


@frame.page("/{name}", "Title of {name}", icon='<path d="M0 0h1"/>', group="Added", role="{role}")
async def {name}(who: User, word: str = "nothing") -> None:
    frame.text(f"{{who.name}} asked for {{word}}")
"""
ROUTER = """
from fastapi import APIRouter

router = APIRouter()


@router.get("/added_route")
async def added_route() -> str:
    return "it answers"
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose `pages` and `api` count as parts of the packages."""
    registry.load_pages(pages)
    known, before = dict(registry._pages), set(sys.modules)
    for package in (pages, api):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    registry._pages.clear()
    registry._pages.update(known)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The console's application; the cookie is the name of who is signed in, `anna` being an admin. No store."""
    roles = {"anna": "admin", "bob": "annotator"}

    async def user_of(session: auth.Session | None) -> auth.User | None:
        return auth.User(session.name, roles[session.name]) if session else None  # type: ignore[arg-type]

    monkeypatch.setattr(auth, "check_secret", lambda: None)
    monkeypatch.setattr(
        auth, "read_session", lambda cookie: auth.Session("1", cookie, 0.0) if cookie else None
    )
    monkeypatch.setattr(auth, "user_of", user_of)
    with TestClient(app.make_app(), headers={"Accept": "text/html"}, follow_redirects=False) as made:
        yield made


def as_user(name: str) -> dict[str, str]:
    return {"Cookie": f"{auth.COOKIE}={name}"}


def load(package: ModuleType) -> object:
    return (registry.load_pages if package is pages else registry.load_routers)(package)


def test_a_page_is_one_file_and_so_is_a_route(added: Path, request: pytest.FixtureRequest) -> None:
    (added / "pages" / "for_all.py").write_text(PAGE.format(name="for_all", role="annotator"))
    (added / "pages" / "for_admins.py").write_text(PAGE.format(name="for_admins", role="admin"))
    (added / "api" / "added_route.py").write_text(ROUTER)
    client = request.getfixturevalue("client")

    assert client.get("/for_all").status_code == 303
    seen = client.get("/for_all?word=bread", headers=as_user("bob"))
    assert seen.status_code == 200
    assert "bob asked for bread" in seen.text
    assert 'href=\\"/for_all\\"' in seen.text.replace("&quot;", '\\"')
    assert "/for_admins" not in seen.text
    assert "/for_admins" in client.get("/for_all", headers=as_user("anna")).text

    refused = client.get("/for_admins", headers=as_user("bob"))
    assert refused.status_code == 403
    assert "asked for" not in refused.text
    assert client.get("/for_admins", headers=as_user("anna")).status_code == 200

    assert client.get("/added_route", headers=as_user("bob")).json() == "it answers"
    assert client.get("/added_route", headers={"Accept": "*/*"}).status_code == 401


@pytest.mark.parametrize(
    ("package", "content"),
    [
        (pages, "import activitymodule.no_such_module"),
        (pages, "def (:"),
        (pages, "async def page(who): ..."),
        (pages, PAGE.format(name="live", role="annotator")),  # another page's path
        (api, "rooter = 1"),
        (api, "from activitymodule import no_such_name"),
    ],
)
def test_a_broken_module_stops_the_console_with_its_name(
    added: Path, package: ModuleType, content: str
) -> None:
    (added / package.__name__.rpartition(".")[2] / "broken_one.py").write_text(content)
    with pytest.raises(ConfigError, match=f"{package.__name__}.broken_one"):
        load(package)


def test_every_entry_of_the_navigation_is_there_for_admins_and_no_admin_page_for_others() -> None:
    registry.load_pages(pages)
    everything = {page.path for page in registry.navigation("admin")}
    assert everything == {
        "/",
        "/annotate",
        "/review",
        "/days",
        "/personas",
        "/reports",
        "/live",
        "/models",
        "/drift",
        "/device-models",
        "/dead-letters",
        "/storage",
        "/people",
        "/events",
        "/users",
    }
    assert everything - {page.path for page in registry.navigation("annotator")} == {
        "/review",
        "/storage",
        "/people",
        "/events",
        "/users",
    }
