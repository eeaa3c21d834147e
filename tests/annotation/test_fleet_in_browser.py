"""The Live and Watch pages in the browser, with a fleet of a thousand watches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from console_process import Console
from pages import complaints, fits_a_phone

from activitymodule.models.export import CARD_FILE
from activitymodule.store.connection import session
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, write_predictions

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running_console(fleet_console: Console) -> Console:
    """The console whose pages `visit` opens."""
    return fleet_console


WATCHES = 1000
WINDOWS = 7  # of each watch, one after the other


def names(n: int = WATCHES) -> list[str]:
    return [f"watch-{number:05d}" for number in range(1, n + 1)]


def write_fleet(console: Console, trained: Path) -> int:
    """Windows of a thousand watches up to now, one after the other, with the labels of the trained model: sure ones,
    doubtful ones, and some without an activity. How many."""
    labels = tuple(json.loads((trained / "activity" / CARD_FILE).read_text())["labels"])
    random = np.random.default_rng(4)
    devices = np.repeat(names(), WINDOWS)
    n, k = len(devices), len(labels)
    last = int(time.time()) // 10 * 10 - 20
    starts = np.tile(last - 10 * np.arange(WINDOWS), WATCHES).astype(np.int64) * 1_000_000
    # a watch does one thing for all of its windows
    doing = np.repeat(random.choice(k, WATCHES, p=random.dirichlet(np.full(k, 8.0))), WINDOWS)
    sure = random.beta(8, 2, n).astype(np.float32)
    probabilities = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    probabilities[np.arange(n), doing] = sure
    gone = random.random(n) < 0.02
    probabilities[gone] = np.nan
    rows = PredictionRows(
        device_id=pa.array(devices.tolist()),
        window_start_us=starts,
        window_seconds=10,
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        in_set=np.nan_to_num(probabilities) >= 0.1,
        kcal_per_min=np.where(gone, np.nan, random.uniform(1.2, 9.0, n)).astype(np.float32),
        coverage=np.where(gone, 0.3, 1.0).astype(np.float32),
        readings_used=np.where(gone, 30, 100).astype(np.int32),
        duplicates=np.zeros(n, np.int32),
        reason=["low coverage" if one else None for one in gone],
        model_version="1",
        energy_version="1",
        last_reading_us=starts + 9_900_000,
        received_us=np.full(n, time.time_ns() // 1000 - 400_000),
        batch_id=1,
    )
    with session(console.settings) as connection:
        record_model_version(
            connection,
            name=console.settings.registry.classifier,
            version="1",
            labels=labels,
            feature_version=None,
        )
        return write_predictions(connection, rows)


def page_through(page: Any, predictions: Any) -> None:
    """The predictions of ten watches: every window once, over three pages, and back."""
    prefix = "watch-0042"
    assert sum(name.startswith(prefix) for name in names()) == 10
    field = predictions.get_by_label("Watch begins with")
    field.fill(prefix)
    field.press("Enter")
    holds = """([prefix, besides]) => { const all = [...document.querySelectorAll('section.panel tbody tr')]
        .filter(x => x.children.length === 11).map(x => x.innerText);
        return all.length && all.every(x => x.includes(prefix)) && all[0] !== besides ? all : null; }"""

    def shown(besides: str = "") -> list[str]:
        return list(page.wait_for_function(holds, arg=[prefix, besides]).json_value())

    newest = shown()
    seen = [newest]
    older = predictions.get_by_role("button", name="Older", exact=True)
    newer = predictions.get_by_role("button", name="Newer", exact=True)
    assert newer.is_disabled()
    while older.is_enabled():
        older.click()
        seen.append(shown(seen[-1][0]))
    assert [len(one) for one in seen] == [25, 25, 10 * WINDOWS - 50]
    assert len({tuple(line.split("\t")[:2]) for one in seen for line in one}) == 10 * WINDOWS
    newer.click()
    assert shown(seen[-1][0]) == seen[1]
    newer.click()
    assert shown(seen[1][0]) == newest


def filter_rows(page: Any, predictions: Any, label: str) -> None:
    """By confidence, then by activity."""
    predictions.get_by_text("Confidence under 60%").click()
    page.wait_for_function(
        """() => { const all = [...document.querySelectorAll('section.panel tbody tr')]
            .filter(x => x.children.length === 11).map(x => parseInt(x.children[4].innerText));
            return all.length === 25 && all.every(x => x <= 60); }"""
    )
    predictions.get_by_text("Confidence under 60%").click()
    predictions.get_by_label("Activity", exact=True).click()
    page.locator(".q-menu .q-item", has_text=label).click()
    page.wait_for_function(
        """label => { const all = [...document.querySelectorAll('section.panel tbody tr')]
            .filter(x => x.children.length === 11).map(x => x.children[3].innerText);
            return all.length > 0 && all.every(x => x === label); }""",
        arg=label,
    )


def test_a_thousand_watches_live_and_one_of_them(
    running_console: Console, trained: Path, visit: Callable[..., Any]
) -> None:
    console = running_console
    page = visit("bob", "/live")
    errors = complaints(page)
    page.get_by_text("No predictions yet").first.wait_for()
    assert write_fleet(console, trained) == WATCHES * WINDOWS
    # what is new comes without a reload
    page.locator(".stat", has_text="Watches").get_by_text("1,000", exact=True).wait_for()
    chart = page.locator("section.panel", has=page.get_by_role("heading", name="Activities of the fleet"))
    chart.locator("svg path[fill] title").first.wait_for(state="attached")
    page.reload()
    predictions = page.locator("section.panel", has=page.get_by_role("heading", name="Predictions"))
    lines = predictions.locator("tbody tr")
    lines.nth(24).wait_for()
    assert lines.count() == 25

    page_through(page, predictions)
    predictions.get_by_label("Watch begins with").fill("")
    predictions.get_by_label("Watch begins with").press("Enter")
    rare = console.rows(
        "SELECT activity FROM predictions WHERE activity IS NOT NULL GROUP BY 1 ORDER BY count(*)"
    )
    filter_rows(page, predictions, rare[0][0])
    fits_a_phone(page)

    page.goto(f"{console.address}/watch")
    page.get_by_role("link", name="watch-00001").click()
    page.wait_for_url("**/watch?device=watch-00001")
    page.locator(".stat", has_text="In the last hour").get_by_text(f"{WINDOWS} windows").wait_for()
    page.get_by_text("The message archive has no heart rate of this watch").wait_for()
    fits_a_phone(page)
    page.goto(f"{console.address}/watch?device=%3Cscript%3Ewindow.owned=1%3C/script%3E")
    page.get_by_text("No window of this watch is stored").wait_for()
    assert page.evaluate("window.owned") is None
    assert errors == []
