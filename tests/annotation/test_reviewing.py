"""Review and users in the browser: an admin decides by keyboard, adds and shuts out people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from console_process import Console

from activitymodule.store import annotations as store

pytestmark = pytest.mark.integration


def disagree(console: Console) -> tuple[int, int]:
    """One window on which two people disagree, and one that was flagged; their items."""
    connection = console.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT item_id FROM queue_items ORDER BY item_id LIMIT 2")
        disputed, flagged = (row[0] for row in cursor.fetchall())
        cursor.execute("UPDATE queue_items SET wanted = 2 WHERE item_id = %s", (disputed,))
        store.answer(connection, disputed, "bob", "label", "walking", minutes=5)
        store.answer(connection, disputed, "cleo", "label", "sitting", minutes=5)
        store.answer(connection, flagged, "bob", "flag", minutes=5, note="the <b>strap</b> was loose")
    connection.close()
    return disputed, flagged


def at_desk(page: Any, item: int) -> None:
    page.wait_for_selector(f'#desk[data-item="{item}"]')


def test_a_reviewer_decides_by_keyboard(console: Console, visit: Callable[..., Any]) -> None:
    disputed, flagged = disagree(console)
    page = visit("anna", "/review")
    at_desk(page, disputed)
    assert "1 disputed" in page.inner_text("#review-counts")
    assert "bob and cleo" in page.inner_text("main")
    page.keyboard.press("ArrowDown")
    at_desk(page, flagged)
    assert "the <b>strap</b> was loose" in page.inner_text("#desk")
    page.keyboard.press("ArrowUp")
    at_desk(page, disputed)
    sitting = page.locator("#desk .label[data-label='sitting'] kbd").inner_text()
    page.keyboard.press(sitting)
    at_desk(page, flagged)
    told = console.rows(
        "SELECT g.label, g.adjudicated, q.closed_because FROM gold_labels g "
        "JOIN queue_items q USING (device_id, window_start) WHERE q.item_id = %s",
        (disputed,),
    )
    assert told == [("sitting", True, "answered")]
    page.keyboard.press("z")
    at_desk(page, disputed)
    page.locator("#desk .label[data-label='walking']").click()
    at_desk(page, flagged)
    page.keyboard.press("n")
    page.wait_for_selector("text=Nothing waits for a reviewer")
    assert console.rows("SELECT closed_because FROM queue_items WHERE item_id = %s", (flagged,)) == [
        ("withdrawn",)
    ]
    said = console.rows(
        "SELECT answer, label, origin FROM annotations WHERE adjudicates ORDER BY annotation_id"
    )
    assert said == [
        ("label", "sitting", "review"),
        ("undo", None, "review"),
        ("label", "walking", "review"),
        ("skip", None, "review"),
    ]


def test_labels_as_files(console: Console) -> None:
    disagree(console)
    client = console.session("anna")
    table = client.get(f"{console.address}/review/export/labels.csv", timeout=20)
    assert table.ok
    assert len(table.text.splitlines()) == 4
    tasks = client.get(f"{console.address}/review/export/labels.json", timeout=20).json()
    assert len(tasks) == 1
    assert len(tasks[0]["annotations"]) == 2
    assert len(tasks[0]["data"]["series"]["time"]) >= 90


def test_an_admin_adds_a_user_who_can_sign_in_until_disabled(
    console: Console, visit: Callable[..., Any]
) -> None:
    def allowed(password: str) -> bool:
        answer = requests.post(
            f"{console.address}/signin",
            data={"name": "erik", "password": password},
            allow_redirects=False,
            timeout=20,
        )
        return answer.status_code == 303

    console.rows("DELETE FROM users WHERE name = 'erik'")
    page = visit("anna", "/users")
    page.get_by_label("Name").fill("erik")
    page.get_by_role("button", name="Add", exact=True).click()
    first = page.wait_for_selector(".secret").inner_text()
    person = page.locator('.person[data-name="erik"]')
    assert allowed(first)
    person.get_by_role("button", name="New password").click()
    page.locator(".q-dialog").get_by_role("button", name="New password").click()
    page.wait_for_function("x => document.querySelector('.secret')?.textContent !== x", arg=first)
    second = page.inner_text(".secret")
    assert not allowed(first)
    assert allowed(second)
    person.get_by_role("button", name="Disable").click()
    page.locator(".q-dialog").get_by_role("button", name="Disable").click()
    person.get_by_text("disabled").wait_for()
    assert not allowed(second)
    page.locator('.person[data-name="anna"]').get_by_role("button", name="Disable").click()
    page.locator(".q-dialog").get_by_role("button", name="Disable").click()
    page.wait_for_selector("text=anna is the only admin")
    assert console.session("anna").get(console.address, timeout=20).ok


def test_the_start_page_says_what_comes_next(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("bob", "/")
    following = page.locator(".step.next")
    assert (
        "Windows wait to be labelled" in following.inner_text() or "Readings arrive" in following.inner_text()
    )
    assert page.locator('.step a[href="/annotate"]').count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    console.rows("TRUNCATE queue_items, model_versions, predictions CASCADE")
    page.reload()
    assert "There is no model yet" in page.inner_text(".step.next")
    assert "activity train both --data synthetic" in page.inner_text(".step.next .command")
