"""What the diagnosis finds in a store."""

from __future__ import annotations

import pytest
from own_settings import replaced
from prediction_rows import LABELS, make_prediction_rows

from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions
from activitymodule.workflows.diagnosis import open_windows


@pytest.fixture
def with_topics() -> bool:
    return False


@pytest.mark.integration
def test_more_watches_than_java_has_memory_for_are_found(fresh_settings: Settings) -> None:
    assert list(open_windows(fresh_settings)) == []
    with session(fresh_settings) as connection:
        record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="f")
        write_predictions(connection, make_prediction_rows(300, 1))
    assert list(open_windows(fresh_settings)) == []
    small = replaced(fresh_settings, spark={"driver_memory": "40m"})
    (found,) = open_windows(small)
    assert found.state == "note"
    for part in ("300 watches", "spark.driver_memory 40m", "spark.state_store", "windows.watermark_minutes"):
        assert part in found.result
    assert list(open_windows(replaced(small, spark={"state_store": "rocksdb"}))) == []
