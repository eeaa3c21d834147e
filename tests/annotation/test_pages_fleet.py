"""What the pages of the stream are made of: charts, payloads, figures. The pages themselves run in a browser."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.store.live import Pulse
from activitymodule.store.views import Latency
from annotation import charts
from annotation.feed import BUCKET_SECONDS, MINUTES, Snapshot, ago
from annotation.model_versions import Metrics, verdict_rows
from annotation.pages.dead_letters import payload_html
from annotation.pages.live import figures_of, latency_html, state_html

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVIL = '"><script>alert(1)</script>'


def parsed(markup: str) -> ET.Element:
    """Well-formed, whatever was put into it."""
    return ET.fromstring(f"<div>{markup}</div>")


@given(
    payload=st.one_of(
        st.none(), st.binary(max_size=400), st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace"))
    )
)
@settings(max_examples=100, deadline=None)
def test_no_payload_gets_markup_into_the_page(payload: bytes | None):
    found = parsed(payload_html(payload))
    assert {element.tag for element in found.iter()} <= {"div", "p", "pre"}


def test_text_is_shown_as_text_bytes_as_hexadecimal_and_long_ones_are_cut():
    assert "&lt;script&gt;" in payload_html(EVIL.encode())
    assert "ff 00" in payload_html(b"\xff\x00A")
    long = payload_html(b"a" * 5000)
    assert "more characters" in long
    assert len(long) < 2000
    assert "more bytes" in payload_html(b"\xff" * 5000)


@pytest.mark.parametrize("n", [0, 1, 60])
def test_charts_are_well_formed_and_stay_inside(n: int):
    times = [AT + timedelta(seconds=30 * i) for i in range(n)]
    values = {EVIL: [float(i % 5) for i in range(n)], "walking": [3.0] * n}
    for markup in (
        charts.stacked(times, values, {EVIL: "#000000", "walking": "#111111"}, title=EVIL),
        charts.lines(times, [(EVIL, [None if i % 3 else 1.0 * i for i in range(n)], "#000000")], title=EVIL),
        charts.timeline([(0, 30, "#000000", EVIL)] if n else [], AT, AT + timedelta(hours=1), title=EVIL),
        charts.two_histograms([0.1] * n, [0.2] * n, title=EVIL, low="< 1", high="> 2"),
        charts.reliability([(0.5, 0.4, 10)] * n, title=EVIL),
        charts.confusion([EVIL, "b"], [[n, 1], [0, 0]], title=EVIL),
        charts.legend({EVIL: "#000000"}, {EVIL: "1"}),
    ):
        root = parsed(markup)
        assert "script" not in {element.tag for element in root.iter()}
        for bar in root.iter("rect"):
            assert float(bar.get("height", 0)) >= 0


@given(st.floats(1e-9, 1e9))
def test_scales_end_at_round_numbers_not_far_above(most: float):
    assert most <= charts.nice(most) * (1 + 1e-9)
    assert charts.nice(most) <= most * 10


def test_the_chart_leaves_out_the_stretch_that_still_fills():
    buckets = Snapshot(AT + timedelta(seconds=17)).buckets()
    assert len(buckets) == MINUTES * 60 // BUCKET_SECONDS
    assert buckets[-1] == int(AT.timestamp()) - BUCKET_SECONDS


def test_spans_are_said_in_words():
    assert [ago(s) for s in (None, 3, 240, 7200, 432_000)] == ["-", "3 s", "4 min", "2 h", "5 days"]


def pulse(**changed: Any) -> Pulse:
    """A stream of ten watches that is scored live."""
    values: dict[str, Any] = dict.fromkeys(Pulse.__dataclass_fields__)
    values |= {
        "at": AT,
        "watches": {"walking": 10},
        "windows": 600,
        "readings": 6000,
        "seconds": 60.0,
        "live_p50_seconds": 0.6,
        "live_p95_seconds": 1.2,
        "backlog_windows": 0,
        "model_version": "3",
        "batch_started_at": AT - timedelta(seconds=2),
        "recent": (),
    }
    return Pulse(**values | changed)


def latency_figure(now: Pulse) -> tuple[str, str]:
    return next((value, more) for name, value, more in figures_of(Snapshot(AT, now)) if name == "Latency")


def test_latency_is_of_windows_scored_live_and_a_backlog_is_named():
    live = pulse(latency_p50_seconds=90.0, backlog_windows=500)
    assert latency_figure(live) == ("600 ms", "median; 95th percentile 1.2 s")
    assert "Live." in state_html(Snapshot(AT, live))

    behind = pulse(backlog_windows=4321, behind_seconds=150.0, live_p50_seconds=None, live_p95_seconds=None)
    assert latency_figure(behind)[0] == "-"
    state = state_html(Snapshot(AT, behind))
    assert "Catching up" in state
    assert "2 min behind" in state
    assert "4,321 windows" in state
    assert "svg" not in latency_html(Snapshot(AT, behind))
    bucket = Snapshot(AT).buckets()[-1]
    assert "svg" in latency_html(Snapshot(AT, live, latency={bucket: Latency(0.6, 1.2, 100)}))


def test_a_verdict_of_any_shape_becomes_rows():
    rows = verdict_rows({"says": EVIL, "figures": {"f1": 0.91234, "by_label": {"a": [1, 2]}}, "none": None})
    assert rows == [
        ["says", "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"],
        ["figures f1", "0.9123"],
        ["figures by label a", "1, 2"],
    ]
    assert len(verdict_rows({str(i): i for i in range(500)})) == 60


def test_metrics_of_older_models_lack_some_figures():
    assert Metrics.model_validate({"macro_f1": 0.9}).reliability == []
    point = {"confidence": 0.9, "accuracy": 0.8, "windows": 3}
    (read,) = Metrics.model_validate({"reliability": [point], "unknown": 1}).reliability
    assert read.model_dump() == point
