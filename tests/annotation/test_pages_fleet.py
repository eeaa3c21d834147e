"""What the pages of the stream are made of: charts, payloads, figures. The pages themselves run in a browser."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import charts
from annotation.feed import BUCKET_SECONDS, MINUTES, Snapshot, ago
from annotation.pages.dead_letters import payload_html
from annotation.pages.models import reliability_points, verdict_rows

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


def test_a_verdict_of_any_shape_becomes_rows():
    rows = verdict_rows({"says": EVIL, "figures": {"f1": 0.91234, "by_label": {"a": [1, 2]}}, "none": None})
    assert rows == [
        ["says", "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"],
        ["figures f1", "0.9123"],
        ["figures by label a", "1, 2"],
    ]
    assert len(verdict_rows({str(i): i for i in range(500)})) == 60


def test_models_of_before_have_no_reliability_curve():
    assert reliability_points({}) == []
    assert reliability_points({"reliability": [{"confidence": 0.9, "accuracy": 0.8, "windows": 3}]}) == [
        (0.9, 0.8, 3)
    ]
