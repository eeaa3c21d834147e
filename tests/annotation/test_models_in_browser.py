"""The Models page in the browser: versions are promoted and rolled back; the Drift page without a comparison."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console_process import Console
from own_settings import serve
from pages import complaints, fits_a_phone

from activitymodule.models.baseline import BASELINE_FILE
from activitymodule.registry.versions import champion, get, previous, register

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running_console(fleet_console: Console) -> Console:
    """The console whose pages `visit` opens."""
    return fleet_console


def classifier(console: Console) -> str:
    return console.settings.registry.classifier


def serving(console: Console) -> str:
    found = champion(console.settings, classifier(console))
    assert found is not None
    return found.version


def acts(console: Console) -> list[tuple[Any, ...]]:
    """What is written down of promotions, newest first, without those of the fixtures."""
    return console.rows(
        "SELECT name, version, before, act, by_whom, why FROM promotions WHERE by_whom <> 'a test' "
        "ORDER BY promotion_id DESC"
    )


def version_block(page: Any, number: str) -> Any:
    return page.locator("details.version", has=page.locator(f"summary b:text-is('Version {number}')")).first


def named_champion(page: Any, number: str) -> None:
    version_block(page, number).locator("summary .chip.good", has_text="champion").wait_for()


def give_reason(page: Any, button: str, why: str) -> None:
    dialog = page.locator(".q-dialog")
    dialog.get_by_label("Reason").fill(why)
    dialog.get_by_role("button", name=button, exact=True).click()


def promote_button(page: Any, number: str) -> Any:
    block = version_block(page, number)
    if block.get_attribute("open") is None:
        block.locator("summary").first.click()
    return block.get_by_role("button", name="Promote", exact=True)


def test_an_admin_promotes_with_a_reason_and_rolls_back(
    running_console: Console, visit: Callable[..., Any]
) -> None:
    console = running_console
    now = serving(console)
    other = {"1": "2", "2": "1"}[now]
    page = visit("anna", "/models")
    errors = complaints(page)
    named_champion(page, now)
    version_block(page, now).get_by_text("Macro-F1", exact=True).wait_for()
    assert promote_button(page, now).count() == 0

    promote_button(page, other).click()
    give_reason(page, "Promote", "   ")
    page.get_by_text("Enter a reason.").wait_for()
    assert acts(console) == []
    promote_button(page, other).click()
    why = "better on <b>cyclists</b> & runners"
    give_reason(page, "Promote", why)
    named_champion(page, other)
    line = page.locator("table.plain tr", has_text=why)
    line.wait_for()
    assert line.locator("td").all_inner_texts()[1:] == [other, now, "promoted by hand", "anna", why]
    version_block(page, other).get_by_role("status").get_by_text(why).wait_for()
    assert serving(console) == other
    assert previous(console.settings, classifier(console)).version == now
    assert acts(console) == [(classifier(console), other, now, "promoted by hand", "anna", why)]

    page.get_by_role("button", name="Roll back", exact=True).click()
    give_reason(page, "Roll back", "worse on stairs after all")
    named_champion(page, now)
    page.locator("table.plain tr", has_text="worse on stairs after all").wait_for()
    assert serving(console) == now
    assert acts(console)[0] == (
        classifier(console),
        now,
        other,
        "rolled back",
        "anna",
        "worse on stairs after all",
    )
    version_block(page, now).get_by_text("Macro-F1", exact=True).wait_for()
    fits_a_phone(page)
    assert errors == []


def test_an_annotator_cannot_promote(running_console: Console, visit: Callable[..., Any]) -> None:
    console = running_console
    now = serving(console)
    other = {"1": "2", "2": "1"}[now]
    before = acts(console)
    pressed: list[dict[str, Any]] = []

    def listen(frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith("42") and '"event"' in frame[:12]:
            pressed.append(json.loads(frame[2:])[1])

    admin = visit("anna", "/")
    admin.on("websocket", lambda socket: socket.on("framesent", listen))
    admin.goto(f"{console.address}/models")
    promote_button(admin, other).click()
    admin.locator(".q-dialog").get_by_label("Reason").wait_for()
    press = pressed[-1]

    page = visit("bob", "/models")
    named_champion(page, now)
    assert promote_button(page, other).count() == 0
    version_block(page, other).get_by_role("heading", name="Lineage").wait_for()
    assert page.get_by_role("button").filter(has_text="Promote").count() == 0
    assert page.get_by_role("button").filter(has_text="Roll back").count() == 0
    assert page.get_by_role("button").filter(has_text="Retrain").count() == 0
    # the admin's press of the button, sent from the annotator's page: it finds nothing there
    page.evaluate("press => socket.emit('event', {...press, client_id: clientId})", press)
    # what is asked for after it has come: the press was handled
    page.locator("details.version > summary").last.click()
    page.get_by_text("Mean absolute error").wait_for()
    assert page.locator(".q-dialog").count() == 0

    # who is no admin any more may have the page open still
    console.rows("UPDATE users SET role = 'annotator' WHERE name = 'anna'")
    try:
        give_reason(admin, "Promote", "while nobody looks")
        admin.get_by_text("only an admin may do this, and anna is no longer one").wait_for()
    finally:
        console.rows("UPDATE users SET role = 'admin' WHERE name = 'anna'")
    assert serving(console) == now
    assert acts(console) == before


def drift_says(page: Any, words: str) -> None:
    page.get_by_role("heading", name="No drift report yet").wait_for()
    assert words in page.inner_text(".notice")


def test_drift_that_cannot_be_judged_yet_says_why(
    running_console: Console, trained: Path, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    console = running_console
    name = classifier(console)
    now = get(console.settings, name, serving(console))
    page = visit("anna", "/drift")
    errors = complaints(page)
    drift_says(page, f"version {now.version} has not scored a complete window yet")
    page.get_by_text("No alarms.").wait_for()
    bare = tmp_path / "bare"
    shutil.copytree(trained / "activity", bare, ignore=shutil.ignore_patterns(BASELINE_FILE))
    old = register(console.settings, name, bare, {})
    serve(console.settings, old)
    try:
        # of the version that serves now, and not of what was found a moment ago
        page.reload()
        drift_says(page, f"version {old.version} has no drift baseline")
    finally:
        serve(console.settings, now)
    assert page.get_by_role("link", name="Go to retraining").count() == 0
    fits_a_phone(page)
    assert errors == []
