"""What the live pages show of the past comes in parts, and is whole then."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from prediction_rows import LABELS, make_prediction_rows

from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queries import execute
from activitymodule.store.views import activity_counts, live_latency
from annotation.feed import BUCKET_SECONDS, MINUTES, Snapshot, look_again


@pytest.fixture
def with_topics() -> bool:
    return False


@pytest.mark.integration
def test_the_past_comes_in_parts_and_is_whole_then(fresh_settings: Settings) -> None:
    now = int(time.time()) // 10 * 10
    with session(fresh_settings) as connection:
        record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="f")
        write_predictions(connection, make_prediction_rows(2, 150, start_us=(now - 1500) * 1_000_000))
        execute(connection, "UPDATE predictions SET processed_at = received_at + interval '1 second'")
    snapshot = Snapshot(datetime.now(UTC))
    sizes = []
    with session(fresh_settings, read_only=True) as connection:
        for _ in range(MINUTES):
            snapshot = look_again(connection, fresh_settings, snapshot)
            sizes.append(len(snapshot.counts))
        since = snapshot.buckets()[0]
        whole = activity_counts(connection, since, BUCKET_SECONDS)
        assert 0 < sizes[0] <= 120 / BUCKET_SECONDS + 1  # of two minutes, for the page to be there soon
        assert {b: n for b, n in snapshot.counts.items() if b >= since} == whole
        assert {b: v for b, v in snapshot.latency.items() if b >= since} == live_latency(
            connection, since, BUCKET_SECONDS, fresh_settings.windows.length_seconds
        )
        # after a pause it begins anew
        before = datetime.fromtimestamp(now - 600, UTC)
        again = look_again(
            connection, fresh_settings, Snapshot(before, counts={now - 610: {}}, known_since=0)
        )
    assert len(again.counts) == sizes[0]
    assert again.known_since > 0
