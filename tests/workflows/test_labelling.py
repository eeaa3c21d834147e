"""The simulated annotator on the real broker and store: it answers the truth, with the given error rate."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from filled_queue import Scored, fill, true_label

from activitymodule.kafka.clients import producer
from activitymodule.kafka.truth import parse_spans
from activitymodule.settings import Settings
from activitymodule.store.connection import connect
from activitymodule.workflows.labelling import Truth, run_oracle


def send_truth(settings: Settings, made: Scored) -> None:
    """A span for each window, as the fleet sends them."""
    with producer(settings) as out:
        for device, start, activity in zip(
            made.windows.device_id.to_pylist(), made.windows.window_start_us.tolist(), made.truth, strict=True
        ):
            begin, end = (
                datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in (start, start + 10_000_000)
            )
            span = {
                "device_id": device,
                "start": begin,
                "end": end,
                "activity": activity,
                "kcal_per_min": 2.0,
            }
            out.send(settings.kafka.truth_topic, json.dumps(span).encode(), key=device.encode())
        out.flush()


@pytest.mark.integration
def test_the_oracle_says_the_truth_and_errs_as_told(fresh_settings: Settings) -> None:
    connection = connect(fresh_settings)
    made = fill(connection, fresh_settings, items=50)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queue_items SET required_labels = 2 WHERE item_id % 10 = 0")
    connection.commit()
    send_truth(fresh_settings, made)
    first = run_oracle(fresh_settings, items=20)
    assert (first.items, first.labels, first.wrong) == (20, 20, 0)
    rest = run_oracle(fresh_settings, error_rate=1.0)
    assert rest.items == rest.labels == 35, "fifty items, five of them twice"
    assert rest.wrong == rest.labels
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, window_start, label, annotator, origin FROM annotations ORDER BY annotation_id"
        )
        answers = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM queue_items WHERE closed_at IS NULL")
        assert cursor.fetchone() == (0,)
    connection.close()
    assert {row[3] for row in answers} == {"oracle-1", "oracle-2"}
    assert {row[4] for row in answers} == {"oracle"}
    right = [label == true_label(made, device, start) for device, start, label, _, _ in answers]
    assert right == [True] * 20 + [False] * 35


def test_a_window_has_a_true_label_where_nine_tenths_are_one_activity() -> None:
    truth = Truth()

    def span(start: int, end: int, activity: str) -> bytes:
        at = [datetime.fromtimestamp(second, UTC).isoformat() for second in (start, end)]
        return json.dumps({"device_id": "w", "start": at[0], "end": at[1], "activity": activity}).encode()

    # the first was sent twice: a restarted fleet sends it again
    truth.learn(parse_spans([span(0, 19, "walking"), span(0, 19, "walking"), span(19, 40, "sitting")]))
    assert truth.label("w", 0, 10_000_000) == "walking"
    assert truth.label("w", 10_000_000, 20_000_000) == "walking"
    assert truth.label("w", 12_000_000, 22_000_000) is None
    assert truth.label("w", 35_000_000, 45_000_000) is None
    assert truth.label("v", 0, 10_000_000) is None
    assert [truth.reaches("w", end) for end in (30_000_000, 40_000_000)] == [True, False]
    assert not truth.reaches("v", 0)
