"""An evaluation needs a truth of the watches and the time that are asked about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from activitymodule.errors import DataError
from activitymodule.kafka.truth import Truth
from activitymodule.models.evaluation.against_truth import SPAN_SCHEMA
from activitymodule.settings import load
from activitymodule.workflows import evaluation

SPANS = pa.Table.from_pylist(
    [{"device_id": "watch-1", "start_us": 0, "end_us": 10_000_000, "activity": "walking"}], schema=SPAN_SCHEMA
)


@pytest.mark.parametrize(
    ("truth", "options"),
    [
        (SPANS.slice(0, 0), {}),
        (SPANS, {"device": "watch-2"}),
        (SPANS, {"since": datetime(2026, 1, 1, tzinfo=UTC)}),
    ],
)
def test_without_a_truth_there_is_nothing_to_compare(
    monkeypatch: pytest.MonkeyPatch, truth: pa.Table, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(evaluation, "read_truth", lambda config: Truth(truth, {}))
    with pytest.raises(DataError):
        evaluation.evaluate(load({}), **options)
