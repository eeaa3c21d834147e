"""A running console on a database of its own that is filled with real queue items, and a browser to use it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from console_process import PASSWORDS, ROLES, Console, start_console
from filled_queue import fill
from own_settings import drop_database, register_champion, replaced, settings_of_ones_own
from rest_console import PASSWORD, serving
from rest_console import Console as RestConsole

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port
from activitymodule.registry.versions import register
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.migrate import upgrade
from activitymodule.store.users import add_token, add_user


@pytest.fixture(scope="session")
def console_base(stack: Any) -> Iterator[Settings]:
    """Settings with a migrated database for the consoles of this session, with three users in it."""
    own = replaced(
        stack.settings,
        store={"database": f"console_{secrets.token_hex(4)}"},
        console={
            "port": any_free_port(),
            "secret": secrets.token_urlsafe(24),
            "sign_ins_per_minute": 1000,
        },
    )
    Postgres(own).settle()
    upgrade(own)
    with session(own) as connection:
        for name, password in PASSWORDS.items():
            add_user(connection, name, ROLES[name], password)  # type: ignore[arg-type]
    yield own
    drop_database(own)


@pytest.fixture(scope="session")
def running_console(
    console_base: Settings,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Console]:
    """One console for the session; `console` gives each test a fresh queue on it."""
    log = tmp_path_factory.mktemp("console") / "console.log"
    process = start_console(console_base, environment_of(console_base), log)
    held = Console(f"http://127.0.0.1:{console_base.console.port}", console_base, None, process, log)
    yield held
    if process.poll() is None:
        held.stop()
    print(log.read_text())


@pytest.fixture
def console(running_console: Console) -> Console:
    """The running console with a queue of 60 real items, none of them touched."""
    connection = running_console.connect()
    for left in reversed(range(5)):
        try:
            with connection, connection.cursor() as cursor:
                # truncation is no DELETE: the append-only trigger guards rows, not tests
                cursor.execute(
                    "TRUNCATE leases, annotations, spans, queue_items, predictions, model_versions, retrain_runs "
                    "CASCADE"
                )
            break
        except psycopg2.errors.DeadlockDetected:
            # a page of the test before is giving back what it held
            if not left:
                raise
    running_console.made = fill(connection, running_console.settings)
    connection.close()
    return running_console


@pytest.fixture
def visit(browser: Any, running_console: Console) -> Iterator[Callable[..., Any]]:
    """A function: name of a user, path -> a page that is signed in and there. Errors of a page fail the test."""
    contexts, troubles = [], []

    def open_page(name: str | None = "anna", path: str = "/", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(45_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"{running_console.address}/signin?next={path}")
        if name is not None:
            page.fill("#name", name)
            page.fill("#password", PASSWORDS[name])
            page.press("#password", "Enter")
            page.wait_for_url(f"**{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles, troubles


@pytest.fixture(scope="module")
def fleet_console(
    stack: Any,
    trained: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Console]:
    """A console whose registry has two versions of the classifier, and whose store is empty but for its users."""
    folder = tmp_path_factory.mktemp("fleet-console")
    with settings_of_ones_own(stack, folder) as own:
        settings = replaced(
            own,
            console={
                "port": any_free_port(),
                "secret": secrets.token_urlsafe(24),
                "sign_ins_per_minute": 1000,
            },
        )
        first = register_champion(settings, trained)
        register(settings, first.name, trained / "activity", {}, tags={"data": "synthetic"})
        with session(settings) as connection:
            for name, password in PASSWORDS.items():
                add_user(connection, name, ROLES[name], password)  # type: ignore[arg-type]
        log = folder / "console.log"
        process = start_console(settings, environment_of(settings), log)
        held = Console(f"http://127.0.0.1:{settings.console.port}", settings, None, process, log)
        yield held
        if process.poll() is None:
            held.stop()
        print(log.read_text())


@pytest.fixture(scope="module")
def api(
    stack: Any,
    trained: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RestConsole]:
    """A console with a champion, a token and two users."""
    folder = tmp_path_factory.mktemp("rest")
    with settings_of_ones_own(stack, folder) as own:
        settings = replaced(
            own,
            console={
                "port": any_free_port(),
                "secret": "0123456789abcdef",
                "requests_per_minute": 100_000,
                "sign_ins_per_minute": 10_000,
                # requests that tests leave half-sent wait for them, on a machine as busy as may be
                "request_seconds": 300,
            },
            airflow={"uri": f"http://127.0.0.1:{any_free_port()}"},
        )
        register_champion(settings, trained)
        with session(settings) as connection:
            token = add_token(connection, "phone")
            add_user(connection, "boss", "admin", PASSWORD)
            add_user(connection, "ann", "annotator", PASSWORD)
        with serving(settings, environment_of(settings), token, folder / "console.log") as console:
            yield console
