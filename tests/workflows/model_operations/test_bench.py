"""The benchmark of engines, of a folder as training writes it: each in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from activitymodule.errors import DataError
from activitymodule.files import with_block
from activitymodule.settings import Settings
from activitymodule.workflows.model_operations import bench_document
from activitymodule.workflows.model_operations.bench import ENGINES, BenchReport, bench
from activitymodule.workflows.requests import BenchRequest, HeldOut

pytest.importorskip("onnx", reason="needs the packages of activitymodule[onnx]")
pytestmark = pytest.mark.e2e  # trains, and starts processes


def test_all_engines_are_measured_on_the_same_windows(
    trained: Path, stack_settings: Settings, tmp_path: Path
) -> None:
    request = BenchRequest(runs=2, batches=(1, 40), windows=HeldOut(devices=2, minutes=5))
    report = bench(stack_settings, str(trained), request)
    assert tuple(one.engine for one in report.engines) == ENGINES
    for one in report.engines:
        assert [(speed.windows, speed.calls) for speed in one.speeds] == [(1, 80), (40, 80)]
        assert all(0 < speed.p50 <= speed.p95 <= speed.p99 for speed in one.speeds)
        assert one.peak_megabytes > 50
        assert one.answers.accuracy > 0.5
    sklearn, onnx, int8 = (one.answers for one in report.engines)
    assert sklearn.largest == 0
    assert onnx.largest < 1e-5
    assert 1e-5 < int8.largest < 0.04
    assert (sklearn.windows, sklearn.accuracy) == (onnx.windows, onnx.accuracy)
    assert set(report.front()) <= set(ENGINES)
    _is_shown(report, tmp_path)


def _is_shown(report: BenchReport, folder: Path) -> None:
    text = bench_document.text(report)
    assert text.count("| onnx-int8 |") == 3
    bench_document.trade_off_figure(report, folder / "figure.png")
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    before = "<!-- bench: made by me -->\nold\n<!-- end of bench -->\nafter"
    shown = with_block(before, "bench", text, made_by="me", document="a page")
    assert "old" not in shown
    assert shown.endswith("after")
    with pytest.raises(DataError):
        with_block(before, "another", text, made_by="me", document="a page")
    # what is worse in everything is not on the front
    worse = replace(report.engines[0], engine="worse", peak_megabytes=1e6, speeds=report.engines[0].speeds)
    assert "worse" not in replace(report, engines=(*report.engines, worse)).front()
