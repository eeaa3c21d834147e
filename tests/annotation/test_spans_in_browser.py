"""Spans over REST and on the page of a watch, by mouse, keyboard and touch: a later one covers, an undo uncovers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from console_process import Console
from pages import complaints, fits_a_phone

from activitymodule.embedded.processes import wait_until
from activitymodule.store.connection import session
from activitymodule.store.spans import SpanRow, import_spans
from activitymodule.store.users import add_token

pytestmark = pytest.mark.integration

_KOLKATA = ZoneInfo("Asia/Kolkata")


def given(console: Console) -> list[tuple[Any, ...]]:
    return console.rows("SELECT label, annotator, span_start, span_end FROM spans_in_force ORDER BY span_id")


def labelled(page: Any) -> list[str]:
    """What the lane of labels shows, in order of time."""
    shown = page.evaluate(
        "[...document.querySelectorAll('.span-lane.labelled i')].map(x => [parseFloat(x.style.left), x.title])"
    )
    return [title.split(",")[0] for _, title in sorted(shown)]


def drawn(page: Any, expected: list[str]) -> None:
    assert wait_until(lambda: labelled(page) == expected, 20), labelled(page)


def swipe(page: Any, low: float, high: float) -> None:
    """A finger over the timeline, from one share of its width to another."""
    box = page.locator("#span-line").bounding_box()
    client, y = page.context.new_cdp_session(page), box["y"] + 20

    def touch(kind: str, *points: float) -> None:
        at = [{"x": box["x"] + share * box["width"], "y": y} for share in points]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", low)
    for k in range(1, 6):
        touch("touchMove", low + (high - low) * k / 5)
    touch("touchEnd")


def test_people_give_spans_and_undo_them(console: Console) -> None:
    span = {
        "device_id": "w",
        "start": "2026-01-01T10:00+01:00",
        "end": "2026-01-01T11:00+01:00",
        "label": "गिरना",
    }
    with session(console.settings) as connection:
        token = add_token(connection, f"script-{secrets.token_hex(4)}")
    address = f"{console.address}/spans"
    refused = requests.post(address, json=span, headers={"authorization": f"Bearer {token}"}, timeout=20)
    assert refused.status_code == 401, "a token is no person"
    bob, cleo, anna = (console.session(name) for name in ("bob", "cleo", "anna"))
    made = bob.post(address, json=span, timeout=20)
    assert made.status_code == 201, made.text
    assert (made.json()["annotator"], made.json()["label"]) == ("bob", "गिरना")
    for over in (
        {"start": "2026-01-01T10:00"}, {"start": "0001-01-01T00:00+14:00"}, {"end": "2099-01-01T00:00Z"},
        {"device_id": "w w"}, {"label": "<b>"}, {"label": "\ud800"}, {"further": 1},
    ):  # fmt: skip
        assert bob.post(address, data=json.dumps({**span, **over}), timeout=20).status_code == 422, over
    other = cleo.post(address, json={**span, "label": "walking"}, timeout=20).json()["span_id"]
    query = {"device_id": "w", "since": "2026-01-01T09:30Z", "limit": "1"}
    listed = bob.get(address, params=query, timeout=20).json()
    assert ([one["label"] for one in listed["spans"]], listed["more"]) == (["walking"], True)
    assert bob.get(address, params={"until": "2026-01-01T09:00Z"}, timeout=20).json()["spans"] == []

    def undo(who: requests.Session, number: int) -> int:
        return who.post(f"{address}/{number}/undo", timeout=20).status_code

    assert undo(bob, other) == 403
    assert undo(anna, 2**62) == 404
    assert undo(anna, made.json()["span_id"]) == 200
    assert undo(bob, made.json()["span_id"]) == 409
    assert undo(cleo, other) == 200


def test_spans_by_mouse_keyboard_and_touch(console: Console, visit: Callable[..., Any]) -> None:
    ((device, last),) = console.rows(
        "SELECT device_id, max(window_end) FROM predictions GROUP BY 1 ORDER BY 1 LIMIT 1"
    )
    page = visit("bob", f"/watch?device={device}", timezone_id="Asia/Kolkata", has_touch=True)
    errors = complaints(page)
    page.wait_for_selector("#spans[data-drawn]")
    page.locator(".span-lane.predicted i").first.wait_for()

    # drag over the last quarter of the hour, and choose by number
    line = page.locator("#span-line")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 25, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + 25, steps=4)
    page.mouse.up()
    first = page.locator('#spans .label[data-key="1"]')
    page.keyboard.press("1")
    assert first.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter")
    label = str(first.get_attribute("data-label"))
    drawn(page, [label])
    ((stored, who, start, end),) = given(console)
    assert (stored, who) == (label, "bob")
    assert abs(start - (last - timedelta(minutes=15))) <= timedelta(seconds=15)
    assert abs(end - last) <= timedelta(seconds=15)

    # by keyboard alone, in the middle of it: times of the browser's zone, an activity of one's own
    middle = (start + timedelta(minutes=5)).replace(microsecond=0)
    for field, at in (("#span-from", middle), ("#span-to", middle + timedelta(minutes=2))):
        page.fill(field, f"{at.astimezone(_KOLKATA):%Y-%m-%dT%H:%M:%S}")
    page.locator('.grip[data-end="1"]').press("ArrowRight")
    page.fill("#span-other", "Treppen steigen")
    page.press("#span-other", "Enter")
    drawn(page, [label, "treppen steigen", label])
    assert given(console)[1] == (
        "treppen steigen", "bob", middle, middle + timedelta(minutes=2, seconds=10)
    )  # fmt: skip

    # another's span covers both, and is not for bob to undo; his own undo uncovers nothing of it
    with session(console.settings) as connection:
        import_spans(connection, [SpanRow(device, start, end, "resting", "anna")], recorded_by="anna")
    page.get_by_role("button", name="Newest").click()
    drawn(page, ["resting"])
    assert page.get_by_role("button", name="Undo", exact=False).filter(has_text="Undo").count() == 3
    ((hers,),) = console.rows("SELECT span_id FROM spans WHERE annotator = 'anna'")
    refused = console.session("bob").post(
        f"{console.address}/spans/{hers}/undo", headers={"origin": console.address}, timeout=20
    )
    assert refused.status_code == 403
    page.keyboard.press("z")
    assert wait_until(lambda: len(given(console)) == 2, 20)
    drawn(page, ["resting"])

    # a finger
    fits_a_phone(page)
    page.locator("#span-line").scroll_into_view_if_needed()
    swipe(page, 0.2, 0.5)
    assert page.input_value("#span-from")
    page.locator('#spans .label[data-key="2"]').click()
    page.get_by_role("button", name="Save").click()
    second = str(page.locator('#spans .label[data-key="2"]').get_attribute("data-label"))
    drawn(page, [second, "resting"])
    page.get_by_role("button", name=f"Undo {second}").click()
    drawn(page, ["resting"])
    assert errors == []


def test_a_diary_is_imported_on_the_page_review(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("anna", "/review")
    panel = page.locator("section.panel", has=page.get_by_role("heading", name="Export and import spans"))
    panel.get_by_label("Time zone").fill("Asia/Kolkata")
    upload = panel.locator('input[type="file"]')
    bad = "device,from,to,activity\nw,2026-01-01T10:00,2026-01-01T09:00,x\n"
    upload.set_input_files({"name": "d.csv", "mimeType": "text/csv", "buffer": bad.encode()})
    page.get_by_text("line 2, column to").wait_for()
    good = bad.replace("T09:00", "T11:00").replace(",x", ",चलना")
    upload.set_input_files({"name": "d.csv", "mimeType": "text/csv", "buffer": good.encode()})
    page.get_by_text("1 spans added").wait_for()
    assert given(console) == [
        (
            "चलना",
            "anna",
            datetime.fromisoformat("2026-01-01T04:30Z"),
            datetime.fromisoformat("2026-01-01T05:30Z"),
        )
    ]
    exported = console.session("anna").get(f"{console.address}/review/export/spans.csv", timeout=20)
    assert "w,2026-01-01T04:30:00+00:00,2026-01-01T05:30:00+00:00,चलना,anna," in exported.text
    panel.get_by_role("button", name="Undo last import").click()
    assert wait_until(lambda: given(console) == [], 20)
