"""Spans in a retraining: windows from the archive, none of the audit share nor with a label of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from archived import archive_readings
from own_settings import replaced

from activitymodule.learning.gold import NEAR_AUDIT
from activitymodule.learning.strata import SPAN
from activitymodule.registry.versions import ModelVersion
from activitymodule.settings import Settings
from activitymodule.store.connection import session, transact
from activitymodule.store.spans import SpanRow, add_span, import_spans, undo_last
from activitymodule.synthesis.history import training_readings
from activitymodule.workflows.retraining.request import new_run_id
from activitymodule.workflows.retraining.results import Options
from activitymodule.workflows.retraining.run import run_all
from activitymodule.workflows.retraining.spans import (
    NO_READINGS,
    OWN_LABEL,
    SpanWindows,
    span_windows,
    with_features,
)

pytestmark = pytest.mark.integration

BEGIN = 1_767_254_400
MINUTE = timedelta(minutes=1)


def under(settings: Settings) -> SpanWindows:
    with session(settings, read_only=True) as connection:
        return span_windows(settings, connection)


def test_windows_under_spans_come_from_the_archive(fresh_settings: Settings) -> None:
    """Five minutes are kept of two watches; a span reaches beyond them."""
    settings, begin = fresh_settings, datetime.fromtimestamp(BEGIN, UTC)
    made = training_readings(2, 5, 4, start=BEGIN)
    archive_readings(settings, made.readings)
    one, other = sorted(set(made.readings.column("device_id").to_pylist()))
    day = [
        SpanRow(one, begin, begin + 7 * MINUTE, "resting", "diary"),
        SpanRow(one, begin + MINUTE, begin + 2 * MINUTE, "stairs", "diary"),
        SpanRow(other, begin + timedelta(seconds=5), begin + timedelta(seconds=44), "stairs", "diary"),
    ]
    transact(settings, lambda connection: import_spans(connection, day, recorded_by="op"))
    found = under(settings)
    gold, left_out = with_features(settings, found)
    assert left_out == {NO_READINGS: 12}
    assert len(found.gold) == 42 + 3
    assert set(gold.stratum) == {SPAN}
    at = (gold.window_us // 1_000_000 - BEGIN) // 10
    stairs = gold.label == "stairs"
    assert sorted(at[stairs & (gold.device_id == one)].tolist()) == [6, 7, 8, 9, 10, 11]
    assert sorted(at[stairs & (gold.device_id == other)].tolist()) == [1, 2, 3]
    assert np.isfinite(gold.features).mean() > 0.8
    assert found.worth() == found.worth(begin) > found.worth(datetime.now(UTC)) == 0
    assert not len(under(replaced(settings, learning={"span_weight": 0})).gold)
    # what was there before an undo, without any of it
    transact(settings, lambda connection: undo_last(connection, "op"))
    assert not len(with_features(settings, under(settings))[0])


def test_a_window_with_a_label_of_its_own_keeps_it(fresh_settings, one_watch) -> None:
    """The audit share is not learnt from, nor what is beside it, whether or not it has its label yet."""
    one_watch(["doubt", *["cold"] * 9, "audit"])
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        # the audit window waits for its label
        cursor.execute("TRUNCATE annotations")
        cursor.execute(
            "INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, origin) "
            "SELECT device_id, window_start, window_end, 'ann', 'label', 'walking', 'oracle' FROM queue_items "
            "WHERE stratum = 'doubt'"
        )
        first = datetime.fromtimestamp(1_700_000_000, UTC)
        span = first - 2 * MINUTE, first + 10 * MINUTE
        add_span(connection, "one", *span, "resting", annotator="ann", origin="console")
    found = under(fresh_settings)
    # the audit window begins 100 s after the first: 6 windows on each side of it, and itself
    assert found.left_out == {OWN_LABEL: 1, NEAR_AUDIT: 13}
    assert len(found.gold) == 72 - 14


def test_a_whole_retraining_from_spans_alone(fresh_settings: Settings, serving: ModelVersion) -> None:
    """There is no other label: a challenger is made, and rejected, because nothing evaluates it."""
    begin = datetime.fromtimestamp(BEGIN, UTC)
    readings = training_readings(2, 5, 4, start=BEGIN).readings
    archive_readings(fresh_settings, readings)
    day = [
        SpanRow(device, begin + low * MINUTE, begin + high * MINUTE, label, "diary")
        for device in set(readings.column("device_id").to_pylist())
        for label, low, high in (("walking", 0, 2), ("sitting", 2, 5))
    ]
    transact(fresh_settings, lambda connection: import_spans(connection, day, recorded_by="op"))
    report = run_all(fresh_settings, new_run_id(), Options(force=True))
    snapshot, gate = report.steps.snapshot, report.steps.gate
    assert snapshot is not None
    assert (snapshot.labels, snapshot.span_windows) == (0, 60)
    assert report.challenger not in (None, serving.version)
    assert gate is not None
    assert report.state == "rejected"
    assert "enough" in [check.name for check in gate.checks if not check.passed]
    assert {"walking", "sitting"} <= set(
        report.steps.evaluate.challenger.labels if report.steps.evaluate else ()
    )
