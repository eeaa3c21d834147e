"""The Dead letters page in the browser: messages are shown as text, and sent again once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from console_process import Console
from kafka import TopicPartition
from pages import complaints, fits_a_phone

from activitymodule.kafka.clients import consumer, topic_ends
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import DeadLetters, write_dead_letters
from activitymodule.telemetry.reasons import Reason

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running_console(fleet_console: Console) -> Console:
    """The console whose pages `visit` opens."""
    return fleet_console


SCRIPT = b'<script>window.owned = 1</script><img src="x" onerror="window.owned = 1"> {"device_id": '
TWICE = b'[{"device_id": "watch-00001"}, {"device_id": "watch-00001", "stamp": "soon"}]'


def write_letters(console: Console) -> None:
    """Three messages: text with markup in it, one with two bad items, and bytes that are no text."""
    now = time.time_ns() // 1000
    letters = DeadLetters(
        topic=console.settings.kafka.topic,
        partition=[0, 1, 1, 0],
        offset=[1000, 2000, 2000, 1001],
        item=[-1, 0, 1, -1],
        device_id=[None, "watch-00001", "watch-00001", None],
        reason=[Reason.NOT_JSON, Reason.NO_STAMP, Reason.BAD_STAMP, Reason.WRONG_ENCODING],
        detail=["<script>window.owned = 1</script>", None, "soon", None],
        payload=[SCRIPT, TWICE, TWICE, b"\xff\x00\x01"],
        kafka_at_us=[now] * 4,
    )
    with session(console.settings) as connection:
        assert write_dead_letters(connection, letters) == 4


def messages(console: Console) -> list[bytes]:
    """All that is on the topic."""
    settings = console.settings
    ends = topic_ends(settings, settings.kafka.topic)
    expected = sum(end - first for first, end in ends.values())
    found: list[bytes] = []
    with consumer(settings) as client:
        parts = [TopicPartition(settings.kafka.topic, number) for number in ends]
        client.assign(parts)
        client.seek_to_beginning(*parts)
        deadline = time.monotonic() + 30
        while len(found) < expected and time.monotonic() < deadline:
            for records in client.poll(1000).values():
                found += [record.value for record in records]
    assert len(found) == expected
    return found


def send_again(page: Any) -> str:
    page.get_by_role("button", name="Send again", exact=True).click()
    page.locator(".q-dialog").get_by_role("button", name="Send", exact=True).click()
    return str(page.locator(".notice.good").inner_text())


def test_dead_letters_are_shown_as_text_and_sent_again_once(
    running_console: Console, visit: Callable[..., Any]
) -> None:
    console = running_console
    empty = visit("bob", "/dead-letters")
    empty.get_by_role("heading", name="No dead letters").wait_for()
    write_letters(console)
    page = visit("anna", "/dead-letters")
    errors = complaints(page)
    page.locator("details.version").nth(3).wait_for()
    reasons = page.locator("table.plain tbody tr b").all_inner_texts()
    assert sorted(reasons) == ["bad_stamp", "no_stamp", "not_json", "wrong_encoding"]
    assert page.locator("details.version").count() == 4

    page.get_by_role("link", name="not_json").click()
    page.wait_for_url("**/dead-letters?reason=not_json")
    letter = page.locator("details.version")
    letter.wait_for()
    letter.locator("summary").click()
    assert letter.locator("pre.payload").inner_text() == SCRIPT.decode()
    assert "<script>window.owned = 1</script>" in letter.locator("dl.facts").inner_text()
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("window.owned") is None

    assert messages(console) == []
    assert send_again(page).startswith("1 message sent again")
    assert messages(console) == [SCRIPT]
    marked = "SELECT reason FROM dead_letters WHERE replayed_at IS NOT NULL ORDER BY reason"
    assert console.rows(marked) == [("not_json",)]
    page.reload()
    page.locator("details.version .chip.good", has_text="sent again").wait_for()
    assert page.get_by_role("button", name="Send again", exact=True).is_disabled()

    # a message with two bad items goes once
    page.goto(f"{console.address}/dead-letters")
    assert send_again(page).startswith("2 messages sent again")
    assert sorted(messages(console)) == sorted([SCRIPT, TWICE, b"\xff\x00\x01"])
    assert len(console.rows(marked)) == 4
    page.reload()
    page.locator("details.version .chip.good").nth(3).wait_for()
    fits_a_phone(page)
    assert page.evaluate("window.owned") is None
    assert errors == []

    empty.reload()
    empty.locator("details.version").nth(3).wait_for()
    assert empty.get_by_role("button").filter(has_text="Send again").count() == 0
