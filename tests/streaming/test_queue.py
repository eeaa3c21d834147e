"""Marking windows of a batch, and the driver's side on a real store."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.pipeline import Pipeline

from activitymodule.errors import ConfigError
from activitymodule.learning import doubt
from activitymodule.learning.policy import Rules, audit_draw
from activitymodule.models.activity import TreesAndLinear
from activitymodule.models.bundle import Scores, ScoringModel
from activitymodule.models.export import Card
from activitymodule.settings import Settings, load
from activitymodule.store.batches import BatchRecord
from activitymodule.store.connection import connect
from activitymodule.store.queries import fetch_all
from activitymodule.store.queue_views import list_items
from activitymodule.streaming.queue.marking import Marker
from activitymodule.streaming.queue.marks import Marking, Marks, Scored, together
from activitymodule.streaming.queue.selection import QueueSelector
from activitymodule.windows.assembling import assemble
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION
from activitymodule.windows.features import features
from activitymodule.windows.packing import CHANNELS, RECORD

LABELS = ("jogging", "sitting", "walking")
T0 = 1_790_000_000_000_000
AUDIT_ONLY = Marking(rate=0.3, salt="s", measure="margin", power=0, least_key=None)
EVERYTHING = Marking(rate=1e-12, salt="s", measure="margin", power=3, least_key=float("-inf"), keep=5)


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, len(FEATURE_NAMES))).astype(np.float32)
    fitted = TreesAndLinear(rounds=2).fit(X, np.array(LABELS)[np.arange(120) % 3])
    card = Card("activity", LABELS, tuple(FEATURE_NAMES), FEATURES_VERSION, 10, 10, 0.1, 0.8)
    return ScoringModel(Pipeline([("model", fitted)]), card, "7")


def windows(
    n: int, model: ScoringModel, config: Settings, *, readings: int = 100, watches: int = 10, first: int = 0
) -> Scored:
    """n windows as the worker has them after scoring, of readings that differ from window to window."""
    rng = np.random.default_rng(first)
    start = T0 + 10_000_000 * (first + np.arange(n) // watches)
    panes = []
    for k in range(n):
        records = np.zeros(readings, RECORD)
        records["stamp_us"] = start[k] + 100_000 * np.arange(readings)
        records["values"] = rng.normal(size=(readings, len(CHANNELS))) * rng.uniform(0.05, 2)
        # twice, and out of order: what is queued has each reading once
        panes.append(
            [records[50:].tobytes(), records[:60].tobytes()] if readings == 100 else [records.tobytes()]
        )
    packed = pa.array(panes, pa.list_(pa.binary()))
    assembled = assemble(start, packed, config.windows)
    rows = np.flatnonzero(assembled.coverage >= config.windows.least_coverage)
    computed = features(assembled.take(rows), config.windows)
    probabilities = rng.dirichlet(np.full(3, 0.7), len(rows)).astype(np.float32)
    kcal = rng.uniform(1, 9, len(rows)).astype(np.float32)
    scores = Scores(probabilities, probabilities > 0.2, kcal, rng.uniform(size=len(rows)).astype(np.float32))
    names = pa.array([f"watch-{first}-{k % watches}" for k in range(n)])
    return Scored(names, start, packed, assembled, rows, computed, scores, np.full(len(rows), np.nan))


def mark(scored: Scored, marking: Marking, model: ScoringModel, config: Settings) -> Marks:
    return Marker(marking, model, config).mark(scored)


def test_the_audit_marks_by_the_draw_alone(model: ScoringModel) -> None:
    config = load({})
    scored = windows(60, model, config)
    found = mark(scored, AUDIT_ONLY, model, config)
    assert found.complete == 60
    assert found.marked is not None
    marked = found.windows()
    names, starts = scored.device_id.to_pylist(), scored.window_start_us.tolist()
    expected = {(d, us) for d, us in zip(names, starts, strict=True) if audit_draw(d, us, "s") < 0.3}
    assert {(one.device_id, one.window_start_us) for one in marked} == expected
    assert 5 < len(expected) < 40
    assert all(one.key is None for one in marked)


def test_a_marked_window_carries_all_that_is_labelled_and_learnt_from(model: ScoringModel) -> None:
    config = load({})
    scored = windows(20, model, config)
    found = mark(scored, EVERYTHING, model, config)
    assert found.marked is not None
    marked = found.windows()
    assert len(marked) == 5
    keys = sorted(one.key for one in marked)
    every = mark(scored, Marking(1e-12, "s", "margin", 3, float("-inf"), 99), model, config).windows()
    assert keys == sorted(one.key for one in every)[-5:]
    assert found.weight == pytest.approx(sum(one.weight for one in every))
    for one in marked:
        records = np.frombuffer(one.readings, RECORD)
        assert len(records) == 100
        assert np.all(np.diff(records["stamp_us"]) == 100_000)
        again = features(
            assemble(
                np.array([one.window_start_us]),
                pa.array([[one.readings]], pa.list_(pa.binary())),
                config.windows,
            ),
            config.windows,
        )
        np.testing.assert_array_equal(again[0], one.features)
        assert one.activity == LABELS[int(one.probabilities.argmax())]
        assert np.isfinite(one.doubts["novelty"])
        assert np.isnan(one.doubts["disagreement"])


def doubting(name: str) -> Settings:
    config = load({})
    return config.model_copy(update={"queue": config.queue.model_copy(update={"doubt": name})})


def test_a_new_reason_for_doubt_is_one_file(model: ScoringModel, tmp_path: Path) -> None:
    """It can be set, decides what is marked, and its number travels with every marked window."""
    path = tmp_path / "prefers_sitting.py"
    path.write_text(
        "from activitymodule.learning.doubt.reason import Need, reason\n\n"
        "@reason(Need.PROBABILITIES, Need.FAMILIARITY)\n"
        "def prefers_sitting(probabilities, familiarity):\n"
        '    """How probable sitting is."""\n'
        "    return probabilities[:, 1]\n"
    )
    spec = importlib.util.spec_from_file_location("prefers_sitting", path)
    assert spec is not None
    assert spec.loader is not None
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        config = doubting("prefers_sitting")
        rules = Rules.of(config)
        marking = Marking(1e-12, "s", rules.measure, power=50, least_key=float("-inf"), keep=3)
        found = mark(windows(30, model, config), marking, model, config)
        assert found.marked is not None
        for one in found.windows():
            assert one.doubts["prefers_sitting"] == pytest.approx(float(one.probabilities[1]))
            assert one.activity == "sitting"
    finally:
        doubt.REASONS.pop("prefers_sitting", None)


def test_a_misspelt_reason_is_refused_before_anything_is_scored() -> None:
    with pytest.raises(ConfigError) as caught:
        QueueSelector(doubting("margn"))
    assert "margin" in str(caught.value)


def test_only_complete_windows_are_marked(model: ScoringModel) -> None:
    config = load({})
    assert (
        mark(windows(20, model, config, readings=95), EVERYTHING, model, config).complete == 0
    )  # its end is to come
    assert mark(windows(20, model, config, readings=60), EVERYTHING, model, config).complete == 0
    assert mark(windows(20, model, config, readings=20), EVERYTHING, model, config).complete == 0


def test_windows_below_the_least_key_are_not_sent(model: ScoringModel) -> None:
    config = load({})
    high = Marking(1e-12, "s", "margin", 3, least_key=1e9)
    found = mark(windows(30, model, config), high, model, config)
    assert found.complete == 30
    assert found.marked is None
    assert together([found, found]).complete == 60


def test_a_failure_of_the_marking_loses_nothing(
    model: ScoringModel, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load({})
    broken = Marking(0.5, "s", "no such measure", 3, float("-inf"))
    found = Marker(broken, model, config).mark_safely(windows(5, model, config))
    assert (found.complete, found.marked) == (0, None)
    assert "could not be marked" in capsys.readouterr().err


# ---- on a real store


class Stream:
    """Batches one after another, ten seconds apart by the store's clock of the records; as the scorer calls."""

    def __init__(self, settings: Settings, model: ScoringModel, **options: Any) -> None:
        self.settings, self.model = settings, model
        self.selector = QueueSelector(settings, **options)
        self.connection = connect(settings)
        with self.connection.cursor() as cursor:
            # every run of the tests draws the same audit sample
            cursor.execute("ALTER TABLE queue_budget ALTER COLUMN salt SET DEFAULT 'tests'")
        self.connection.commit()
        self.at = datetime.now(UTC)
        self.number = 0

    def batch(self, scored: Scored, *, replay: bool = False, finished: bool = False) -> int:
        if not replay:
            self.number += 1
            self.at += timedelta(seconds=10)
        record = BatchRecord(
            "q", self.number, "t", {}, "7", None, self.at, self.at if finished else None, replay
        )
        marking = self.selector.marking(self.connection, record)
        self.connection.commit()
        before = self.selector.queued
        marks = [mark(scored, marking, self.model, self.settings)] if marking else []
        job = self.selector.collect(record, marks, self.model)
        if job is not None:
            job(self.connection)
        self.connection.commit()
        return self.selector.queued - before

    def late(self, scored: Scored) -> None:
        """A round of late windows, as backfill.py calls."""
        selector = self.selector.for_late()
        record = BatchRecord("", -1, "t", {}, "7", None, self.at, None, False)
        marking = selector.marking(self.connection, record)
        self.connection.commit()
        assert marking is not None
        job = selector.collect(record, [mark(scored, marking, self.model, self.settings)], self.model)
        if job is not None:
            job(self.connection)
        self.connection.commit()

    def items(self) -> list[Any]:
        found = list_items(self.connection, closed=True, limit=10_000)
        self.connection.commit()
        return found


@pytest.fixture
def stream_of(fresh_settings: Settings, model: ScoringModel) -> Callable[..., Stream]:
    def make(queue: dict[str, Any] | None = None, **options: Any) -> Stream:
        settings = fresh_settings.model_copy(
            update={"queue": fresh_settings.queue.model_copy(update=queue or {})}
        )
        return Stream(settings, model, **options)

    return make


@pytest.mark.integration
def test_the_budget_holds_and_nothing_is_queued_twice(stream_of: Callable[..., Stream]) -> None:
    stream = stream_of({"cold_labels": 0, "audit_share": 0.25}, eager=True)
    config = stream.settings
    load = [windows(300, stream.model, config, watches=100, first=1000 * k) for k in range(4)]
    for scored in load:
        stream.batch(scored)
    items = stream.items()
    by_stratum = {s: sum(item.stratum == s for item in items) for s in ("audit", "doubt")}
    # 1,200 windows are drawn at 15 / 36,000 while nothing is known of the flow: none or few
    assert by_stratum["doubt"] == 15
    assert by_stratum["audit"] <= 5
    # the same batches again, as after a crash before the checkpoint was written, by a new job
    again = stream_of({"cold_labels": 0, "audit_share": 0.25}, eager=True)
    for scored in load:
        again.batch(scored)
    assert len(again.items()) == len(items)
    # and with a new hour's budget: other windows, none of these twice
    with again.connection.cursor() as cursor:
        cursor.execute("UPDATE queue_budget SET as_of = as_of - interval '2 hours'")
    again.connection.commit()
    third = stream_of({"cold_labels": 0, "audit_share": 0.25}, eager=True)
    third.batch(load[0])
    found = third.items()
    keys = [(item.device_id, item.window_start) for item in found]
    assert len(keys) == len(set(keys)) == len(items) + 15


@pytest.mark.integration
def test_a_batch_that_had_ended_marks_nothing(stream_of: Callable[..., Stream]) -> None:
    stream = stream_of(eager=True)
    scored = windows(100, stream.model, stream.settings, watches=50)
    assert stream.batch(scored, finished=True) == 0
    assert stream.items() == []
    assert stream.batch(scored) > 0


@pytest.mark.integration
def test_items_are_chosen_from_a_whole_window_of_time(stream_of: Callable[..., Stream]) -> None:
    stream = stream_of()
    assert stream.batch(windows(50, stream.model, stream.settings, first=0)) == 0  # collecting
    assert stream.batch(windows(50, stream.model, stream.settings, first=100)) == 16
    devices = {item.device_id for item in stream.items() if item.stratum == "cold"}
    assert len(devices) == 16, "spread over people"
    assert stream.batch(windows(50, stream.model, stream.settings, first=200)) == 0, "the budget is spent"


@pytest.mark.integration
def test_a_failure_of_the_queue_is_logged_and_the_batch_continues(
    stream_of: Callable[..., Stream], capsys: pytest.CaptureFixture[str]
) -> None:
    stream = stream_of(eager=True)
    with stream.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE queue_items ADD CONSTRAINT never CHECK (device_id = 'nobody')")
        cursor.execute("CREATE TABLE of_the_batch (n integer)")
    stream.connection.commit()
    scored = windows(100, stream.model, stream.settings, watches=50)
    record = BatchRecord("q", 1, "t", {}, "7", None, datetime.now(UTC), None, False)
    marking = stream.selector.marking(stream.connection, record)
    stream.connection.commit()
    assert marking is not None
    job = stream.selector.collect(
        record, [mark(scored, marking, stream.model, stream.settings)], stream.model
    )
    assert job is not None
    with stream.connection.cursor() as cursor:
        cursor.execute("INSERT INTO of_the_batch VALUES (1)")
        job(stream.connection)
        stream.connection.commit()
        cursor.execute("SELECT count(*) FROM of_the_batch")
        assert cursor.fetchone()[0] == 1
        cursor.execute("SELECT count(*) FROM queue_items")
        assert cursor.fetchone()[0] == 0
        assert "nothing was queued" in capsys.readouterr().err
        cursor.execute("ALTER TABLE queue_items DROP CONSTRAINT never")
    stream.connection.commit()
    # a batch beside the choice is not collected from; and the budget was not spent by what failed
    assert [stream.batch(scored), stream.batch(scored)] == [0, 16]


@pytest.mark.integration
def test_late_windows_are_candidates_of_the_next_selection(stream_of: Callable[..., Stream]) -> None:
    """Within the stream's budget, also where it was spent when they were scored."""
    stream = stream_of()
    empty = windows(0, stream.model, stream.settings)
    stream.batch(windows(50, stream.model, stream.settings, first=0))
    assert stream.batch(windows(50, stream.model, stream.settings, first=100)) == 16
    late = windows(60, stream.model, stream.settings, watches=60, first=200)
    for _ in range(2):  # the second time as after a kill
        stream.late(late)
    assert [stream.batch(empty) for _ in range(3)] == [0, 0, 0], "the budget is spent"
    stream.at += timedelta(minutes=10)
    with stream.connection.cursor() as cursor:
        cursor.execute("UPDATE queue_budget SET as_of = as_of - interval '10 minutes'")
    stream.connection.commit()
    stream.selector.forget()
    assert stream.batch(empty) == 0, "it collects"
    assert stream.batch(empty) == 8
    of_late = [item for item in stream.items() if item.device_id.startswith("watch-200-")]
    assert len(of_late) == 8
    assert {item.stratum for item in of_late} == {"cold"}
    stream.late(late)
    assert len(stream.items()) == 24


@pytest.mark.integration
def test_the_audit_of_late_windows_is_drawn_at_the_rate_of_the_time(stream_of: Callable[..., Stream]) -> None:
    """Each round queues its own, once, and none makes a period that the stream does not know of."""
    stream = stream_of({"items_per_hour": 2000.0, "burst": 2000})
    stream.batch(windows(20, stream.model, stream.settings, first=0))
    period = "SELECT count(*), max(rate) FROM audit_periods"
    (before,) = fetch_all(stream.connection, period)
    late = windows(900, stream.model, stream.settings, watches=100, first=500)
    stream.late(late)
    stream.late(late)  # as after a kill
    items = [item for item in stream.items() if item.device_id.startswith("watch-500-")]
    places = zip(late.device_id.to_pylist(), late.window_start_us.tolist(), strict=True)
    drawn = {(device, us) for device, us in places if audit_draw(device, us, "tests") < before[1]}
    assert {(one.device_id, round(one.window_start.timestamp() * 1e6)) for one in items} == drawn
    assert len(drawn) > 3
    assert {item.stratum for item in items} == {"audit"}
    assert [item.propensity for item in items] == pytest.approx([before[1]] * len(items))
    assert fetch_all(stream.connection, period) == [before]


@pytest.mark.integration
def test_the_audit_rate_counts_late_windows(stream_of: Callable[..., Stream]) -> None:
    stream = stream_of()
    stream.selector.late_per_hour = 12_000
    for k in range(8):  # 50 windows in 10 s: 18,000 an hour
        stream.batch(windows(50, stream.model, stream.settings, watches=50, first=100 * k))
    (flow,) = fetch_all(
        stream.connection, "SELECT windows_per_hour FROM audit_periods ORDER BY from_at DESC LIMIT 1"
    )[0]
    assert flow == pytest.approx(30_000, rel=0.02)


@pytest.mark.integration
def test_a_run_that_ends_selects_late_windows_at_once(stream_of: Callable[..., Stream]) -> None:
    stream = stream_of(eager=True)
    stream.late(windows(60, stream.model, stream.settings, watches=60))
    assert len(stream.items()) == 16
