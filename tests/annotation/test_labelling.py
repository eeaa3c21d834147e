"""Labelling in the browser: by keyboard, by two people at once, and what becomes of it in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from console_process import Console

pytestmark = pytest.mark.integration

_IN_FORCE = "SELECT item_id, annotator, answer, label FROM annotations_in_force ORDER BY annotation_id"


def item_of(page: Any, besides: str | None = None) -> str:
    """The number of the item on the screen, once there is one (another than `besides`)."""
    page.wait_for_function(
        "x => { const i = document.getElementById('annotate')?.dataset.item; return i && i !== x; }",
        arg=besides,
    )
    return page.get_attribute("#annotate", "data-item")


def press(page: Any, key: str, item: str) -> str:
    """Answer the item with a key; the next one's number."""
    page.keyboard.press(key)
    return item_of(page, item)


def settled(page: Any, hour: int) -> None:
    """All answers are saved: the count of the hour includes them."""
    page.wait_for_function(
        "x => document.getElementById('annotate').dataset.hour === x", arg=str(hour), polling=100
    )


def test_twenty_items_by_keyboard(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("anna", "/annotate")
    item = item_of(page)
    labels = page.eval_on_selector_all(".choose .label[data-label]", "all => all.map(x => x.dataset.label)")
    given = {}
    for place in range(20):
        chosen = labels[place % len(labels)]
        given[int(item)] = chosen
        item = press(page, str(labels.index(chosen) + 1), item)
    settled(page, 20)
    stored = {row[0]: row[3] for row in console.rows(_IN_FORCE)}
    assert stored == given
    closed = console.rows("SELECT item_id FROM queue_items WHERE closed_because = 'answered'")
    assert {row[0] for row in closed} == set(given)
    stored = console.rows("SELECT seconds, suggested, model_version, origin, model_hidden FROM annotations")
    assert all(s is not None and s >= 0 and a and v == "1" and o == "console" for s, a, v, o, _ in stored)
    audit = console.rows(
        "SELECT a.model_hidden, q.stratum FROM annotations a JOIN queue_items q USING (item_id)"
    )
    assert {(stratum == "audit", hidden) for hidden, stratum in audit} == {(True, True), (False, False)}


def test_nothing_is_chosen_beforehand_and_the_model_can_be_hidden(
    console: Console, visit: Callable[..., Any]
) -> None:
    page = visit("bob", "/annotate")
    item_of(page)
    assert page.locator(".choose .label.pressed, .choose .label[aria-pressed=true]").count() == 0
    assert page.evaluate(
        "document.activeElement === document.body || !document.activeElement.closest('.label')"
    )
    assert page.locator(".choose .share").first.inner_text().endswith("%")
    page.keyboard.press("h")
    page.wait_for_selector("#annotate.no-model")
    assert page.locator(".choose .share").first.inner_text() == ""
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("1")  # no answer while the keys are shown
    page.keyboard.press("Escape")
    assert console.rows("SELECT count(*) FROM annotations") == [(0,)]


def test_undo_brings_the_window_back_ten_times(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("anna", "/annotate")
    item, seen = item_of(page), []
    for _ in range(12):
        seen.append(item)
        item = press(page, "1", item)
    settled(page, 12)
    for step in range(10):
        item = press(page, "z", item)
        assert item == seen[11 - step]
    page.keyboard.press("z")
    page.wait_for_function("() => document.querySelector('.toast').textContent.includes('Nothing')")
    assert len(console.rows(_IN_FORCE)) == 2
    assert console.rows("SELECT count(*) FROM queue_items WHERE closed_at IS NOT NULL") == [(2,)]
    press(page, "2", item)
    settled(page, 3)
    assert console.rows("SELECT label FROM annotations_in_force WHERE item_id = %s", (int(item),))


def test_skip_unsure_flag_leave_the_window_to_others(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("bob", "/annotate")
    first = item_of(page)
    second = press(page, "s", first)
    third = press(page, "u", second)
    fourth = press(page, "f", third)
    press(page, "1", fourth)
    settled(page, 1)
    assert [row[2] for row in console.rows(_IN_FORCE)] == ["skip", "unsure", "flag", "label"]
    assert console.rows("SELECT count(*) FROM queue_items WHERE closed_at IS NOT NULL") == [(1,)]
    page.goto(f"{console.address}/annotate")
    assert item_of(page) not in {first, second, third, fourth}
    page.close()
    other = visit("cleo", "/annotate")
    assert item_of(other) == first


def test_another_label_can_be_typed(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("anna", "/annotate")
    item = item_of(page)
    page.keyboard.press("o")
    page.wait_for_selector("#other[open]")
    page.fill("#other-label", "  Riding a  Bicycle ")
    page.keyboard.press("Enter")
    item_of(page, item)
    settled(page, 1)
    assert console.rows(_IN_FORCE)[0][3] == "riding a bicycle"
    page.reload()
    assert page.locator('.choose .label[data-label="riding a bicycle"]').count() == 1


def test_two_annotators_at_once_never_share_a_window(console: Console, visit: Callable[..., Any]) -> None:
    pages = {name: visit(name, "/annotate") for name in ("bob", "cleo")}
    shown: dict[str, list[str]] = {name: [item_of(page)] for name, page in pages.items()}
    for _ in range(8):
        for name, page in pages.items():
            shown[name].append(press(page, "1", shown[name][-1]))
    for page in pages.values():
        settled(page, 8)
    assert not set(shown["bob"]) & set(shown["cleo"])
    assert console.rows("SELECT count(*), count(DISTINCT item_id) FROM annotations") == [(16, 16)]


def test_similar_windows_are_labelled_together(console: Console, visit: Callable[..., Any]) -> None:
    page = visit("anna", "/annotate")
    item = item_of(page)
    for _ in range(10):
        page.keyboard.press("b")
        page.wait_for_function(
            "() => document.querySelector('#bulk').open || document.querySelector('.toast').textContent"
        )
        if page.locator("#bulk[open]").count():
            break
        item = press(page, "s", item)
    tiles = page.locator("#bulk-tiles .tile")
    assert tiles.count() >= 1
    wanted = {int(tile.get_attribute("data-id")) for tile in tiles.all()}
    for tile in tiles.all():
        if tile.get_attribute("aria-pressed") == "false":
            tile.click()
    left_out = wanted.pop() if len(wanted) > 1 else None
    if left_out is not None:
        page.click(f'#bulk-tiles .tile[data-id="{left_out}"]')
    page.keyboard.press("2")
    item_of(page, item)
    settled(page, len(wanted) + 1)
    label = page.get_attribute(".choose .label[data-number='2']", "data-label")
    stored = {row[0]: row[3] for row in console.rows(_IN_FORCE) if row[2] == "label"}
    assert stored == dict.fromkeys(wanted | {int(item)}, label)
    devices = console.rows("SELECT DISTINCT device_id FROM annotations WHERE answer = 'label'")
    assert len(devices) == 1
    page.keyboard.press("z")  # one step takes all of it back
    settled(page, 0)
    assert not [row for row in console.rows(_IN_FORCE) if row[2] == "label"]


def test_a_phone_can_label(console: Console, browser: Any, visit: Callable[..., Any]) -> None:
    page = visit("bob", "/annotate")
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    item = item_of(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".choose .label[data-label]").nth(1).click()
    item_of(page, item)
    settled(page, 1)


def test_the_next_window_is_there_at_once(console: Console, visit: Callable[..., Any]) -> None:
    """The next item is held by the page before it is asked for: no request stands between a key and it."""
    page = visit("anna", "/annotate")
    item = item_of(page)
    page.wait_for_function(
        "async () => (await (await fetch('/annotate/next?besides=')).json()).progress !== undefined"
    )
    held = console.rows(
        "SELECT count(*) FROM leases WHERE annotator = 'anna' AND expires_at > clock_timestamp()"
    )
    assert held[0][0] >= 2
    page.route("**/annotate/next**", lambda route: route.abort())
    page.route("**/annotate/answer", lambda route: route.abort())
    press(page, "1", item)
