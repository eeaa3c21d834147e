"""The page People: an admin adds a participant, gives them a watch and withdraws them; annotators see pseudonyms."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console_process import Console

pytestmark = pytest.mark.integration


def taken(page: Any, name: str) -> None:
    """Pictures in four forms, where a folder for them is given."""
    if folder := os.environ.get("PICTURES_OF_PEOPLE"):
        for width, height in ((1280, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(300)
                page.screenshot(path=str(Path(folder) / f"{name}-{width}-{theme}.png"), full_page=True)
        page.set_viewport_size({"width": 1280, "height": 800})


def test_people(console: Console, visit: Callable[..., Any]) -> None:
    console.rows("TRUNCATE participants CASCADE")
    watch = console.rows("SELECT min(device_id) FROM predictions")[0][0]
    page = visit("anna", "/people")
    page.wait_for_selector("text=No participants yet")
    taken(page, "empty")
    page.get_by_label("Pseudonym", exact=True).fill("p-017")
    page.get_by_label("Age", exact=True).fill("41")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Added p-017.")
    page.get_by_label("Pseudonym", exact=True).fill("p 018")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_selector("text=is no participant")
    taken(page, "list")
    page.get_by_role("link", name="p-017").click()
    page.get_by_label("Watch", exact=True).fill(watch)
    page.get_by_label("From").fill("2026-03-29T03:30")
    page.get_by_role("button", name="Assign").click()
    page.wait_for_selector(f"text=p-017 wears {watch}.")
    stored = console.rows("SELECT participant, device_id, worn_from::text, worn_to FROM participant_devices")
    # the hour after the clocks went forward
    assert stored == [("p-017", watch, "2026-03-29 01:30:00+00", None)]
    taken(page, "one")
    seen = visit("bob", f"/watch?device={watch}")
    assert seen.wait_for_selector("section.panel:has-text('Wearer')").inner_text().lower().split() == [
        "wearer",
        "p-017",
    ]
    refused = visit("bob", "/people")
    refused.wait_for_selector("text=Only an admin may see this")
    page.get_by_role("button", name="Withdraw").click()
    page.locator(".q-dialog").get_by_role("button", name="Withdraw").click()
    page.wait_for_selector("text=has withdrawn")
    assert console.rows("SELECT withdrawn_at IS NOT NULL FROM participants") == [(True,)]
    assert page.get_by_role("button", name="Assign").count() == 0
    taken(page, "withdrawn")
    console.rows("TRUNCATE participants CASCADE")
