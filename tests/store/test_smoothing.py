"""The smoothed activity in SQL is the numpy forward filter, whatever the order it is computed in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from activitymodule.models.smoothing import forward_filter
from activitymodule.settings import Scoring
from activitymodule.store.batches import begin_batch, mark_written
from activitymodule.store.models import record_model_version
from activitymodule.store.prediction_days import make_days
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queries import fetch_value
from activitymodule.store.smoothing import refresh_smoothed, refresh_smoothed_windows, refresh_unfinished

pytestmark = pytest.mark.integration
SCORING = Scoring()

ARRAYS = (
    "window_start_us",
    "probabilities",
    "in_set",
    "kcal_per_min",
    "coverage",
    "readings_used",
    "duplicates",
    "last_reading_us",
    "received_us",
)


def smoothed(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, (extract(epoch from window_start) * 1000000)::bigint, smoothed_activity, "
            "smoothed_confidence FROM predictions ORDER BY 1, 2"
        )
        return {(row[0], row[1]): row[2:] for row in cursor.fetchall()}


def expected(all_rows, windows=6, stay=0.8):
    """From the rows by numpy: (device, start) -> (activity, confidence)."""
    evidence = {}
    for rows in all_rows:
        for i in range(len(rows)):
            key = (rows.device_id[i].as_py(), int(rows.window_start_us[i]))
            evidence[key] = rows.probabilities[i]
    answer = {}
    labels = all_rows[0].labels
    nothing = np.full(len(labels), np.nan)
    for (device, start), own in evidence.items():
        if np.isnan(own).all():
            answer[device, start] = (None, None)
            continue
        history = [evidence.get((device, start - back * 10_000_000), nothing) for back in range(windows)][
            ::-1
        ]
        belief = forward_filter(np.array(history)[None], stay)[0]
        answer[device, start] = (labels[belief.argmax()], belief.max())
    return answer


def assert_same(found, expected):
    assert set(found) == set(expected)
    for key, (activity, confidence) in expected.items():
        assert found[key][0] == activity, key
        if activity is not None:
            assert found[key][1] == pytest.approx(confidence, abs=2e-6)


def test_smoothing_equals_the_forward_filter(connection, make_rows):
    batches = [make_rows(4, 30), make_rows(4, 6, first=32, seed=1), make_rows(2, 3, first=60, seed=2)]
    for number, rows in enumerate(batches):
        write_predictions(connection, replace(rows, batch_id=number))
        refresh_smoothed(connection, batch_id=number, scoring=SCORING)
    assert_same(smoothed(connection), expected(batches))


def test_other_settings(connection, make_rows):
    rows = make_rows(2, 20)
    write_predictions(connection, rows)
    refresh_smoothed(connection, batch_id=1, scoring=Scoring(smoothing_windows=12, smoothing_stay=0.95))
    assert_same(smoothed(connection), expected([rows], 12, 0.95))
    refresh_smoothed(connection, batch_id=1, scoring=Scoring(smoothing_windows=1))
    assert_same(smoothed(connection), expected([rows], 1))


def test_smoothing_is_idempotent_and_independent_of_the_order_of_batches(connection, make_rows):
    whole = make_rows(3, 24)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(whole))
    for number, share in enumerate(np.array_split(order, 8)):
        part = replace(
            whole,
            batch_id=number,
            device_id=whole.device_id.take(share.tolist()),
            reason=[whole.reason[i] for i in share],
            **{name: getattr(whole, name)[share] for name in ARRAYS},
        )
        write_predictions(connection, part)
        refresh_smoothed(connection, batch_id=number, scoring=SCORING)
    assert_same(smoothed(connection), expected([whole]))
    for number in range(8):
        assert refresh_smoothed(connection, batch_id=number, scoring=SCORING) == 0


def test_a_replaced_window_changes_later_ones(connection, make_rows):
    rows = make_rows(1, 10, unscored=0)
    write_predictions(connection, rows)
    refresh_smoothed(connection, batch_id=1, scoring=SCORING)
    late = make_rows(1, 1, first=2, unscored=0, seed=3, readings=120, batch_id=2)
    write_predictions(connection, late)
    before = smoothed(connection)
    refresh_smoothed_windows(connection, ["watch-0"], late.window_start_us, SCORING)
    after = smoothed(connection)
    assert_same(after, expected([rows, late]))
    moved = [start for (_, start), value in after.items() if before["watch-0", start] != value]
    assert moved
    assert all(0 <= start - late.window_start_us[0] <= 50_000_000 for start in moved)


def test_a_day_that_has_just_begun_has_statistics(connection, make_rows):
    rows = make_rows(4, 30)
    day = datetime.fromtimestamp(rows.window_start_us[0] / 1e6, UTC).date()
    make_days(connection, day, day)
    write_predictions(connection, rows)
    name = f"predictions_{day:%Y%m%d}"
    known = "SELECT reltuples FROM pg_class WHERE relname = %s"
    assert fetch_value(connection, known, (name,)) <= 0
    refresh_smoothed(connection, batch_id=1, scoring=SCORING)
    in_day = "SELECT count(*) FROM " + name
    assert fetch_value(connection, known, (name,)) == fetch_value(connection, in_day) > 0


def test_versions_with_other_labels_are_no_evidence(connection, make_rows):
    others = ("swim", "row", "ski", "fly", "dive", "run")
    record_model_version(connection, name="m", version="2", labels=others, feature_version="f")
    # the same labels by another version are
    record_model_version(
        connection, name="m", version="3", labels=make_rows(1, 1).labels, feature_version="f"
    )
    old = make_rows(1, 4, unscored=0)
    same = make_rows(1, 4, first=4, unscored=0, seed=1, version="3")
    new = make_rows(1, 4, first=8, unscored=0, seed=2, version="2", labels=others)
    for rows in (old, same, new):
        write_predictions(connection, rows)
    refresh_smoothed(connection, batch_id=1, scoring=SCORING)
    assert_same(smoothed(connection), {**expected([old, same]), **expected([new])})


def test_overlapping_windows_look_back_by_their_own_length(connection, make_rows):
    rows = make_rows(1, 12, unscored=0)
    between = make_rows(1, 12, unscored=0, seed=1)
    between = replace(between, window_start_us=between.window_start_us + 5_000_000)
    for part in (rows, between):
        write_predictions(connection, part)
    refresh_smoothed(connection, batch_id=1, scoring=SCORING)
    assert_same(smoothed(connection), expected([rows, between]))


def test_two_labels_and_long_histories_stay_finite(connection):
    with connection.cursor() as cursor:
        evidence = np.tile([1.0, 0.0], (60, 1))
        evidence[::2] = [0.0, 1.0]
        cursor.execute(
            "SELECT forward_filter(%s::real[], %s, %s)", (evidence.tolist(), list(range(59, -1, -1)), 0.8)
        )
        assert cursor.fetchone()[0] == pytest.approx(forward_filter(evidence[None], 0.8)[0], rel=1e-9)
        cursor.execute("SELECT forward_filter(%s::real[], %s, %s)", ([[0.3], [0.9]], [1, 0], 0.8))
        assert cursor.fetchone()[0] == [1.0]


def test_windows_of_a_killed_scorer_are_smoothed_by_the_next(connection, make_rows):
    rows = make_rows(2, 8)
    begin_batch(
        connection,
        query_id="q",
        batch_id=1,
        topic="t",
        offsets={0: (0, 9)},
        model_version="1",
        energy_version=None,
    )
    write_predictions(connection, rows)
    assert Counter(value[0] for value in smoothed(connection).values()) == {None: 16}
    assert refresh_unfinished(connection, "t", SCORING) > 0
    assert_same(smoothed(connection), expected([rows]))
    unfinished = "SELECT count(*) FROM batches WHERE finished_at IS NULL"
    assert fetch_value(connection, unfinished) == 1, "it was killed before all rows were written"
    mark_written(connection, query_id="q", batch_id=1)
    refresh_unfinished(connection, "t", SCORING)
    assert fetch_value(connection, unfinished) == 0
    assert refresh_unfinished(connection, "t", SCORING) == 0
