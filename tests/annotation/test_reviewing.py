"""Review and users in the browser: an admin decides by keyboard, adds and shuts out people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from console_process import Console
from disputes import disagree

from activitymodule.store import review

pytestmark = pytest.mark.integration


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
    stored = console.rows(
        "SELECT g.label, g.adjudicated, q.closed_because FROM gold_labels g "
        "JOIN queue_items q USING (device_id, window_start) WHERE q.item_id = %s",
        (disputed,),
    )
    assert stored == [("sitting", True, "answered")]
    page.keyboard.press("z")
    at_desk(page, disputed)
    page.locator("#desk .label[data-label='walking']").click()
    at_desk(page, flagged)
    page.keyboard.press("n")
    page.wait_for_selector("text=Nothing to review")
    assert console.rows("SELECT closed_because FROM queue_items WHERE item_id = %s", (flagged,)) == [
        ("withdrawn",)
    ]
    decisions = console.rows(
        "SELECT answer, label, origin FROM annotations WHERE adjudicates ORDER BY annotation_id"
    )
    assert decisions == [
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
    # one of the two answers about an audit window says what the model predicted, to who gives the other one
    console.rows("UPDATE queue_items SET stratum = 'audit', closed_at = NULL, closed_because = NULL")
    assert len(client.get(f"{console.address}/review/export/labels.csv", timeout=20).text.splitlines()) == 1
    assert client.get(f"{console.address}/review/export/labels.json", timeout=20).json() == []


def test_labels_come_in_by_the_page(console: Console, visit: Callable[..., Any], tmp_path: Path) -> None:
    (device, start), (other, later) = console.rows(
        "SELECT device_id, window_start FROM queue_items ORDER BY item_id LIMIT 2"
    )
    page = visit("anna", "/review")

    def hand_in(name: str, content: str | bytes) -> str:
        """The notification after a file is imported."""
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        page.reload()  # clears the notification before
        page.wait_for_function("window.did_handshake")
        page.set_input_files('input[type="file"]', path)
        return str(page.locator(".q-notification__message").inner_text().strip())

    def labels() -> list[tuple[Any, ...]]:
        return console.rows(
            "SELECT device_id, annotator, label, origin, item_id IS NULL FROM annotations ORDER BY annotation_id"
        )

    for name, content, message in (
        ("a.csv", "device,label\nx,y\n", "a.csv: line 1: "),
        (
            "b.csv",
            f"device_id,window_start,label\n{device},soon,walking\n",
            "b.csv: line 2, column window_start: ",
        ),
        ("c.csv", b"\xff\xfe\x00d", "c.csv: "),
        ("d.json", "[{", "d.json: "),
        ("e.json", '[{"annotations": []}]', "e.json: task 1 "),
        (
            "f.csv",
            f"device_id,window_start,label\n{device},{start},<b>\n",
            "f.csv: line 2, column label: '<b>' ",
        ),
        ("g.png", b"\x89PNG", "Only files of the kind .csv or .json of at most 20 MB can be imported."),
        (
            "h.csv",
            b"x" * ((20 << 20) + 1),
            "Only files of the kind .csv or .json of at most 20 MB can be imported.",
        ),
    ):
        assert hand_in(name, content).startswith(message), name
    # the second row is bad: nothing of the file counts
    half = f"device_id,window_start,label\n{device},{start},walking\n{device},{start},<b>\n"
    assert hand_in("f.csv", half).startswith("f.csv: line 3, column label: '<b>' ")
    assert labels() == []

    good = f"device_id,window_start,label\n{device},{start},Walking\nelsewhere,2026-11-20T10:00:00Z,sitting\n"
    counts = "2 labels added, 0 already known; 1 belong to windows that were never queued."
    assert hand_in("f.csv", good) == counts
    assert hand_in("f.csv", good).startswith("0 labels added, 2 already known")
    task = {
        "data": {"device_id": other, "window_start": later.isoformat()},
        "annotations": [
            {
                "completed_by": {"email": "zoe@example.org"},
                "result": [{"type": "choices", "value": {"choices": ["jogging"]}}],
            }
        ],
    }
    assert hand_in("tasks.json", json.dumps([task])).startswith("1 labels added")
    assert labels() == [
        (device, "anna", "walking", "import", False),
        ("elsewhere", "anna", "sitting", "import", True),
        (other, "zoe@example.org", "jogging", "import", False),
    ]


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
    assert following.get_attribute("data-step") in ("stream", "label")
    assert page.locator('.step a[href="/annotate"]').count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    console.rows("TRUNCATE queue_items, model_versions, predictions CASCADE")
    page.reload()
    assert page.get_attribute(".step.next", "data-step") == "train"
    assert "activity train both --data synthetic" in page.inner_text(".step.next .command")


def test_a_reviewer_sees_who_was_faster(console: Console, visit: Callable[..., Any]) -> None:
    disputed, _ = disagree(console)
    page = visit("anna", "/review")
    at_desk(page, disputed)
    connection = console.connect()
    with connection:
        review.adjudicate(connection, disputed, "bea", "sitting", minutes=5)
    connection.close()
    page.locator("#desk .label[data-label='walking']").click()
    page.wait_for_selector("text=bea has decided sitting meanwhile")
    at_desk(page, disputed)
    assert "bea (reviewer)" in page.inner_text("#desk")
    gold = (
        "SELECT label FROM gold_labels JOIN queue_items q USING (device_id, window_start) WHERE item_id = %s"
    )
    assert console.rows(gold, (disputed,)) == [("sitting",)]
    page.locator("#desk .label[data-label='walking']").click()
    page.wait_for_selector(f'#desk:not([data-item="{disputed}"])')
    assert console.rows(gold, (disputed,)) == [("walking",)]


def test_of_an_audit_window_a_reviewer_sees_no_prediction(
    console: Console, visit: Callable[..., Any]
) -> None:
    disputed, flagged = disagree(console)
    console.rows("UPDATE queue_items SET stratum = 'doubt'")
    console.rows("UPDATE queue_items SET stratum = 'audit' WHERE item_id = %s", (disputed,))
    page = visit("anna", "/review")
    at_desk(page, disputed)
    assert "model version" not in page.inner_text("#desk")
    assert "the prediction is hidden" in page.inner_text("#desk")
    page.keyboard.press("ArrowDown")
    at_desk(page, flagged)
    assert "model version" in page.inner_text("#desk")
