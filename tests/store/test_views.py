"""What the console's pages read: windows scored live and those of a backlog, predictions page by page, one watch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from queued import label as label_item
from queued import make_item, rows

from activitymodule.store import participants, views
from activitymodule.store.audit import HELD_BACK
from activitymodule.store.live import take_pulse, watches_at_last, watches_since
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.queue import put

pytestmark = pytest.mark.integration


def change(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    connection.commit()


def test_windows_of_a_backlog_are_told_apart_from_those_scored_live(
    connection: Any, make_rows: Callable[..., PredictionRows]
) -> None:
    write_predictions(connection, make_rows(4, 5, unscored=0))
    # after a start: everything waited for more than a minute, some windows have too few readings
    change(
        connection, "UPDATE predictions SET processed_at = now(), received_at = now() - interval '90 seconds'"
    )
    change(connection, "UPDATE predictions SET coverage = 0.1 WHERE device_id = 'watch-1'")
    since = int(datetime.now(UTC).timestamp()) - 600
    pulse = take_pulse(connection, "t", recent=50, least_coverage=0.5)
    assert pulse.behind_seconds == pytest.approx(90, abs=1)
    assert pulse.backlog_windows == 20
    assert pulse.live_p50_seconds is None
    assert pulse.latency_p50_seconds == pytest.approx(90, abs=1)
    assert views.live_latency(connection, since, 30, 10) == {}
    assert len(pulse.recent) == 15
    assert "watch-1" not in {one.device_id for one in pulse.recent}
    assert len(take_pulse(connection, "t", recent=50).recent) == 20

    # later two watches are scored live: the rows of the backlog are older
    change(
        connection,
        """UPDATE predictions SET processed_at = now() - interval '30 seconds', received_at = now() - interval
           '120 seconds' WHERE device_id < 'watch-2'""",
    )
    change(
        connection,
        """UPDATE predictions SET processed_at = now(), received_at = now() - interval '2 seconds', coverage = 1
           WHERE device_id >= 'watch-2'""",
    )
    pulse = take_pulse(connection, "t", recent=50)
    assert pulse.behind_seconds is None
    assert 0 < pulse.backlog_windows < 20
    assert pulse.live_p50_seconds == pytest.approx(2, abs=0.5)
    assert pulse.live_p95_seconds == pytest.approx(2, abs=0.5)
    (latency,) = views.live_latency(connection, since, 30, 10).values()
    assert latency.windows == 20 - pulse.backlog_windows
    assert latency.p95 == pytest.approx(2, abs=0.5)


def test_predictions_come_page_by_page_and_by_filter(
    connection: Any, make_rows: Callable[..., PredictionRows]
) -> None:
    write_predictions(connection, make_rows(4, 5))
    connection.commit()
    whole = views.list_predictions(connection, views.Filter(), limit=100)
    assert len(whole) == 20
    assert [one.place for one in whole] == sorted((one.place for one in whole), reverse=True)
    seen: list[views.Prediction] = []
    before = None
    while page := views.list_predictions(connection, views.Filter(), before=before, limit=6):
        seen += page
        before = page[-1].place
    assert seen == whole
    name = whole[0].device_id
    by_name = views.list_predictions(connection, views.Filter(device_prefix=name), limit=100)
    assert {one.device_id for one in by_name} == {name}
    assert views.list_predictions(connection, views.Filter(device_prefix="watch%"), limit=100) == []
    without = views.list_predictions(connection, views.Filter(activity="none"), limit=100)
    assert without == [one for one in whole if one.activity is None]
    uncertain = views.list_predictions(connection, views.Filter(uncertain=True), limit=100)
    assert uncertain == [
        one for one in whole if one.confidence is not None and one.confidence < views.UNCERTAIN_BELOW
    ]
    assert views.newest_labels(connection) == list(make_rows(1, 1).labels)


def test_of_an_audit_window_nothing_is_shown_before_its_label(
    opened: Any, make_rows: Callable[..., PredictionRows]
) -> None:
    given = make_rows(2, 6, unscored=0)
    write_predictions(opened, given)
    change(opened, "UPDATE predictions SET confidence = 0.3, processed_at = now()")
    start = int(given.window_start_us[2])
    put(
        opened,
        [
            make_item(
                0,
                device_id=given.device_id[2].as_py(),
                # half a window later: both windows that share readings with it are hidden
                window_start_us=start + 5_000_000,
                window_end_us=start + 15_000_000,
                stratum="audit",
            )
        ],
    )
    opened.commit()
    device = given.device_id[2].as_py()

    def shown() -> list[tuple[int, int, int, int, int, int]]:
        """Rows that say something of the model, of each view."""
        every = views.list_predictions(opened, views.Filter(), limit=100)
        pulse = take_pulse(opened, "t", recent=50).recent
        watch = views.last_hour_of(opened, device)
        for one in [*every, *pulse, *watch]:
            if one.reason == HELD_BACK:
                assert (one.activity, one.smoothed_activity, one.confidence, one.kcal_per_min) == (None,) * 4
        label = every[0].activity or every[-1].activity or ""
        said = [one for one in every if one.activity == label]
        return [
            (
                sum(one.activity is not None for one in every),
                sum(one.activity is not None for one in pulse),
                sum(one.activity is not None for one in watch),
                len(views.list_predictions(opened, views.Filter(activity=label), limit=100)) - len(said),
                len(views.list_predictions(opened, views.Filter(activity="none"), limit=100)),
                len(views.list_predictions(opened, views.Filter(uncertain=True), limit=100)),
            )
        ]

    assert shown() == [(10, 10, 4, 0, 0, 10)]
    since = datetime.fromtimestamp(start / 1e6 - 3600, UTC)
    assert all(
        bout.bout_end.timestamp() * 1e6 <= start + 5_000_000
        or bout.bout_start.timestamp() * 1e6 >= start + 15_000_000
        for bout in views.bouts_of(opened, device, since)
    )
    label_item(opened, rows(opened, "SELECT item_id FROM queue_items")[0][0], "anna")
    opened.commit()
    assert shown() == [(12, 12, 6, 0, 0, 12)]


def test_one_watch_and_the_overview(connection: Any, make_rows: Callable[..., PredictionRows]) -> None:
    assert views.last_hour_of(connection, "watch-00000") == []
    assert views.recent_watches(connection) == []
    assert watches_at_last(connection) == 0
    empty = views.overview(connection, "m", "anna")
    assert (empty.trained_version, empty.serving_version, empty.newest_at, empty.queued) == (
        "1",
        None,
        None,
        0,
    )
    rows = make_rows(2, 5)
    write_predictions(connection, rows)
    connection.commit()
    devices = sorted(set(rows.device_id.to_pylist()))
    assert views.recent_watches(connection) == devices
    windows = views.last_hour_of(connection, devices[0])
    assert len(windows) == 5
    # another watch ended a window earlier, and one a day before
    write_predictions(connection, make_rows(1, 4, device="early-"))
    write_predictions(connection, make_rows(1, 1, device="before-", first=-8640))
    assert watches_at_last(connection) == 3
    second = timedelta(seconds=1)
    starts = [windows[k].window_start - second for k in (0, 4)]
    assert [watches_since(connection, at) for at in (*starts, starts[1] + 2 * second)] == [3, 2, 0]
    assert watches_since(connection, starts[0] - timedelta(days=2)) == 4
    change(connection, "DELETE FROM predictions WHERE device_id NOT LIKE 'watch-%'")
    assert [one.window_start for one in windows] == sorted(one.window_start for one in windows)
    for bout in views.bouts_of(connection, devices[0], windows[0].window_start):
        assert bout.bout_start < bout.bout_end
    assert participants.worn_now_by(connection, devices[0]) is None
    assert views.overview(connection, "m", "anna").newest_at is not None
    counts = views.activity_counts(connection, 0, 30)
    middle = sorted(counts)[1]
    older, newer = (
        views.activity_counts(connection, 0, 30, middle),
        views.activity_counts(connection, middle, 30),
    )
    assert {**older, **newer} == counts
    assert max(older) < middle <= min(newer)
    assert sum(n for one in counts.values() for n in one.values()) == sum(
        one.activity is not None for one in views.list_predictions(connection, views.Filter(), limit=100)
    )
    assert views.dead_letters_last_hour(connection) == 0
