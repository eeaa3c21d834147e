"""The annotation queue of a running job that is killed and replayed: nothing is queued twice."""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from ledger import everything_read, reading, rows, stored, until

from activitymodule.kafka.clients import producer
from activitymodule.learning.policy import Rules, audit_draw
from activitymodule.store.connection import connect
from activitymodule.store.queue_views import explain, stats
from activitymodule.windows.assembling import assemble
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.windows.features import features
from activitymodule.windows.packing import RECORD

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def send(settings, first_s: int, windows: int, devices: int = 6) -> None:
    """Send complete windows of some watches, one second of readings a message."""
    with producer(settings) as client:
        for second in range(windows * 10):
            for device in range(devices):
                name = f"watch-{device}"
                stamps = [(first_s + second) * 1000 + 100 * k for k in range(10)]
                batch = [reading(name, stamp, phase=float(device)) for stamp in stamps]
                for one in batch:  # no window resembles another of its watch
                    one["user_acceleration_x"] *= 1 + (second // 10) * 7 % 11
                    one["user_acceleration_z"] += 0.3 * one["rotation_rate_x"] * ((second // 10) % 5)
                client.send(settings.kafka.topic, json.dumps(batch).encode(), key=name.encode())


ITEMS = """
    select device_id, (extract(epoch from window_start) * 1000000)::bigint, stratum, propensity, readings,
           features, features_version, decision, required_labels, probabilities, model_version, doubts
    from queue_items
"""


def assert_items_hold_their_windows(settings, items, version: str) -> None:
    """An item has everything that its window was scored with."""
    starts = np.array([item[1] for item in items])
    whole = [np.frombuffer(bytes(item[4]), RECORD) for item in items]
    assert all(len(one) == 100 and np.all(np.diff(one["stamp_us"]) > 0) for one in whole)
    panes = pa.array([[bytes(item[4])] for item in items], pa.list_(pa.binary()))
    again = features(assemble(starts, panes, settings.windows), settings.windows)
    np.testing.assert_array_equal(again, np.array([item[5] for item in items], np.float32))
    assert {item[6] for item in items} == {FEATURES_VERSION}
    assert {item[10] for item in items} == {version}
    assert any(item[11]["disagreement"] is not None for item in items)
    assert all(item[11]["novelty"] is not None for item in items)
    assert {item[8] for item in items} == {1, 2}


def assert_audit_share(settings, items) -> None:
    """The audit share is the windows whose draw is below the recorded rate, as far as its budget went."""
    (salt, lost), (rate,) = (
        rows(settings, "select salt, audit_lost from queue_budget")[0],
        rows(settings, "select rate from audit_periods order by from_at limit 1")[0],
    )
    audits = {(item[0], item[1]) for item in items if item[2] == "audit"}
    windows = {(device, start * 1_000_000) for device, start in stored(settings)}
    drawn = {key for key in windows if audit_draw(*key, salt) < rate}
    assert audits <= drawn
    assert len(drawn) == len(audits) + lost
    assert all(item[3] == rate for item in items if item[2] == "audit")


def assert_cooldown(items) -> None:
    """No other item of a watch is near one that was selected, the audit share aside."""
    audits = {(item[0], item[1]) for item in items if item[2] == "audit"}
    names, starts = [item[0] for item in items], [item[1] for item in items]
    for name, start, stratum in zip(names, starts, (item[2] for item in items), strict=True):
        if stratum == "cold":
            near = [
                s for n, s in zip(names, starts, strict=True) if n == name and 0 < abs(s - start) < 60_000_000
            ]
            assert not [s for s in near if (name, s) not in audits], "the cooldown holds"


def assert_verbs(settings, activity) -> None:
    """`activity queue` shows the items."""
    device, start = rows(
        settings, "select device_id, window_start from queue_items where stratum = 'cold' limit 1"
    )[0]
    for arguments, word in (
        (("list",), device),
        (("list", "--stratum", "audit", "--json"), '"stratum": "audit"'),
        (("stats",), "audit rate"),
        (("stats", "--json"), '"audit_lost"'),
        (("explain", device, start.isoformat()), "Selected at random, spread over people"),
        (("expire",), "nothing to expire"),
    ):
        shown = activity(*arguments)
        assert shown.returncode == 0, shown.stderr
        assert word in shown.stdout + shown.stderr
    unknown = activity("explain", device, "yesterday")
    assert unknown.returncode != 0
    assert "is no time" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_windows_are_queued_once_whatever_happens_to_the_job(
    fresh_settings, champion, job, one_after_the_other, environment_of, verbs
):
    queue = fresh_settings.queue.model_copy(
        update={"items_per_hour": 12000.0, "burst": 60, "cooldown_minutes": 1.0, "overlap_share": 0.3}
    )
    settings = fresh_settings.model_copy(update={"queue": queue})
    first = int(time.time()) // 10 * 10 - 1200
    send(settings, first, 40)
    began = time.monotonic()
    scorer = one_after_the_other(settings, "score", "--once")
    assert scorer.returncode == 0, scorer.stderr
    assert "queue" not in scorer.stderr
    items = rows(settings, ITEMS)
    assert 10 < len(items) <= 60 + 12_000 * (time.monotonic() - began) / 3600
    strata = {item[2] for item in items}
    assert strata == {"audit", "cold"}
    assert_items_hold_their_windows(settings, items, champion.version)
    assert_audit_share(settings, items)
    assert_cooldown(items)

    # the whole topic again from its start: the same windows, the same audit share, nothing twice
    before = {(item[0], item[1]) for item in items}
    rerun = one_after_the_other(settings, "score", "--once", "--set-checkpoint-aside", "--forget-offsets")
    assert rerun.returncode == 0, rerun.stderr
    after = rows(
        settings, "select device_id, (extract(epoch from window_start) * 1000000)::bigint from queue_items"
    )
    assert len(after) == len(set(after))
    assert before <= set(after)
    hours = (time.monotonic() - began) / 3600
    assert len(after) <= 60 + 12_000 * hours, "the budget holds over both runs"

    # killed while it scores
    live = job(settings, "score")
    send(settings, first + 400, 20)
    until(lambda: len(stored(settings)) > 6 * 40, "new windows")
    live.kill()
    send(settings, first + 600, 20)
    resumed = one_after_the_other(settings, "score", "--once")
    assert resumed.returncode == 0, resumed.stderr
    assert everything_read(settings)
    with connect(settings) as connection:
        found = stats(connection, Rules.of(settings))
        total = sum(counts.last_hour for counts in found.by_stratum.values())
        assert found.waiting == total
        assert 0 <= (found.audit_tokens or 0) <= 12
        assert 0 <= (found.chosen_tokens or 0) <= 48
        explained = explain(
            connection, *rows(settings, "select device_id, window_start from queue_items limit 1")[0]
        )
    assert explained.queued
    assert explained.state == "waiting"
    assert rows(settings, "select count(*) from predictions where activity is null")[0][0] == 0
    assert_verbs(settings, partial(verbs.run, environment_of(settings), "queue"))


def test_windows_unlike_the_past_of_their_watch_are_queued(
    fresh_settings, champion, one_after_the_other, environment_of, verbs
):
    queue = fresh_settings.queue.model_copy(
        update={
            "doubt": "disagreement",
            "cold_labels": 0,
            "items_per_hour": 12000.0,
            "burst": 60,
            "cooldown_minutes": 0.0,
            # no other window near one of the audit share is selected, and which are drawn depends on the time
            "audit_share": 0.001,
        }
    )
    settings = fresh_settings.model_copy(update={"queue": queue})
    first = int(time.time()) // 10 * 10 - 1200
    for begin, windows in ((first, 12), (first + 120, 3)):
        send(settings, begin, windows)
        scorer = one_after_the_other(settings, "score", "--once")
        assert scorer.returncode == 0, scorer.stderr
        assert "queue" not in scorer.stderr
    chosen = rows(
        settings,
        "select device_id, window_start, reason, doubt, (doubts->>'disagreement')::real, "
        "extract(epoch from window_start) >= %s from queue_items where stratum = 'doubt'",
        first + 120,
    )
    assert {item[2] for item in chosen} == {"disagreement"}
    # what is known of a watch's past is known of the windows that came when there was one
    later = [item for item in chosen if item[5]]
    assert later
    for device, start, _, value, among, _ in later:
        assert 0 <= value == among <= 1, (device, start)
    assert all(item[3] == item[4] for item in chosen)
    device, start, _, value, _, _ = later[0]
    shown = verbs.run(environment_of(settings), "queue", "explain", device, start.isoformat())
    assert shown.returncode == 0, shown.stderr
    assert "Selected for its doubt: disagreement " in shown.stdout
    assert "nan" not in shown.stdout.lower()
