"""`activity watch` on real services and without any, and the view of a given moment."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from rich.console import Console

from activitymodule import settings as config
from activitymodule.embedded.processes import any_free_port
from activitymodule.jobs import watch, watch_view
from activitymodule.models.evaluation.against_truth import Evaluation, Score
from activitymodule.store.live import Pulse, Recent
from activitymodule.workflows.live import Snapshot


def long_enough(show, *words):
    """What is shown in some seconds: so many that it has the words, however busy the machine is."""
    for seconds in ("2", "12", "40"):
        shown = show("--seconds", seconds)
        if all(word in shown for word in words):
            break
    return shown


@pytest.mark.integration
def test_watch_in_a_pipe(run, scored):
    shown = long_enough(partial(run, watch, "--json-lines"), '"accuracy"', '"lag": 2')
    last = json.loads(shown.splitlines()[-1])
    assert last["pulse"]["watches"] == {"sitting": 1, "walking": 1}
    assert last["lag"] == 2
    assert last["dead_letters"] == 0
    assert last["agreement"]["raw"]["accuracy"] == 0.9
    assert last["pulse"]["model_version"] == "4"
    words = "2 watches: sitting 1, walking 1", "raw 90.0%"
    printed = long_enough(partial(run, watch), *words)
    assert all(word in printed for word in words)


def test_watch_goes_on_without_any_service(environment_of, verbs):
    away = config.build(
        {
            "store": {"port": any_free_port()},
            "kafka": {"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
        }
    )

    def show(*arguments):
        ended = verbs.run(environment_of(away), "watch", *arguments)
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout

    store = f"PostgreSQL at 127.0.0.1:{away.store.port} does not answer"
    shown = long_enough(show, store, "Kafka at")
    assert store in shown
    assert "Kafka at" in shown


def moment(labels=("walking", "sitting", "a label with a rather long name"), trouble=None, pulse=True):
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    recent = tuple(
        Recent(
            "watch-with-a-long-name-\x1b[31m",
            now - timedelta(seconds=i),
            labels[i % len(labels)] if i % 4 else None,
            0.75 if i % 4 else None,
            labels[0],
            3.0 if i % 4 else None,
            1,
            None if i % 4 else "too few readings",
            0.25,
            now,
        )
        for i in range(40)
    )
    beat = Pulse(
        now, {labels[0]: 18, labels[-1]: 3, "": 2}, 300, 30_000, 59.0, 0.24, 0.3, 0.24, 0.3, 0, None, 3.4, 12, "m",
        "3", labels, "2", 12, now, 0.2, {0: 10}, recent,
    )  # fmt: skip
    one = Score(100, 0.9, 0.8, (), (), ())
    found = Evaluation(110, 5, 5, 105, 0.95, one, one, 100, 0.4, 3.0, 3.1)
    return Snapshot(
        "ticker-watch-data",
        beat if pulse else None,
        42,
        7,
        found,
        trouble,
        "Kafka is away" if trouble else None,
    )


@pytest.mark.parametrize("width", [30, 40, 60, 80, 92, 110, 200])
@pytest.mark.parametrize("height", [16, 24, 50])
def test_the_view_fits_into_any_terminal(width, height):
    for snapshot in (moment(), moment(trouble="PostgreSQL is away"), moment(pulse=False, trouble="away")):
        console = Console(
            width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None
        )
        console.print(watch_view.render(snapshot, width, height))
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        # where there is room for the figures at all, the last predictions never push anything out of sight
        if height >= 50 or width >= 92:
            assert len(lines) <= max(height, 16)
        assert "\x1b[31m" not in console.file.getvalue()


def test_the_view_shows_what_it_knows():
    console = Console(width=110, height=34, file=io.StringIO(), color_system=None)
    console.print(watch_view.render(moment(), 110, 34))
    seen = console.file.getvalue()
    for text in (
        "23 watches now",
        "walking",
        "0.24 s / 0.30 s",
        "42",
        "7 (+12/min)",
        "v3, energy v2",
        "90.0% of 100",
    ):
        assert text in seen
    assert "23 watches: walking 18" in watch_view.line(moment())
    assert "without a device profile" not in seen + watch_view.line(moment())
    assert json.loads(watch._json_line(moment()))["windows_per_second"] == pytest.approx(5.085)


def test_watches_without_a_device_profile_are_marked():
    from dataclasses import replace

    pulse = moment().pulse
    recent = (
        replace(pulse.recent[1], device_id="known", device_model="fitbit-sense"),
        replace(pulse.recent[1], device_id="named", device_model="of my own making"),
        replace(pulse.recent[1], device_id="bare"),
    )
    seen = io.StringIO()
    marked = replace(moment(), pulse=replace(pulse, without_profile=22, recent=recent))
    Console(width=110, height=34, file=seen, color_system=None).print(watch_view.render(marked, 110, 34))
    assert "22 without a device profile (*)" in seen.getvalue()
    assert ("known *" in seen.getvalue(), "named *" in seen.getvalue(), "bare *" in seen.getvalue()) == (
        False,
        True,
        True,
    )
    assert "(22 without a device profile)" in watch_view.line(marked)


def test_a_scorer_that_catches_up_shows_how_far_it_is_behind():
    from dataclasses import replace

    behind = replace(moment(), pulse=replace(moment().pulse, behind_seconds=90.0, live_p50_seconds=None))
    console = Console(width=110, height=34, file=io.StringIO(), color_system=None)
    console.print(watch_view.render(behind, 110, 34))
    seen = console.file.getvalue()
    assert "catching up" in seen
    assert "90.00 s behind" in seen
    assert "90.00 s behind" in watch_view.line(behind)


def test_the_view_without_a_watch():
    from dataclasses import replace

    quiet = replace(
        moment(), pulse=replace(moment().pulse, watches={}, windows=0, recent=(), labels=(), batch_id=None)
    )
    console = Console(width=100, file=io.StringIO())
    console.print(watch_view.render(quiet, 100, 30))
    assert "no watch in the last minute" in console.file.getvalue()
    assert "none in the last minute" in watch_view.line(quiet)
