"""`activity statistics`: from prepared Parquet to statistics, a comparison and its picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known_recordings import sitter, walker
from typer.testing import CliRunner

from activitymodule.errors import ConfigError
from activitymodule.jobs.statistics import app
from activitymodule.statistics.recordings import Recording
from activitymodule.statistics.reference import ReferenceStatistics

START_US = 1_700_000_000_000_000
PEOPLE = [f"p{n}" for n in range(8)]


def readings(recording: Recording, start_us: int) -> pa.Table:
    n = len(recording.acceleration)
    zero = np.zeros(n, np.float32)
    user = recording.acceleration - np.array([0, 0, -1], np.float32)
    return pa.table(
        {
            "device_id": pa.array(["w-" + recording.person] * n),
            "stamp": pa.array(start_us + np.arange(n) * 100_000, pa.timestamp("us", tz="UTC")),
            "pitch": zero,
            "roll": zero,
            **{f"user_acceleration_{axis}": user[:, i] for i, axis in enumerate("xyz")},
            "activity": pa.array([recording.activity] * n),
            "person": pa.array([recording.person] * n),
        }
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "people.parquet"
    tables = []
    for n, person in enumerate(PEOPLE):
        tables.append(readings(walker(person, 0.8 + 0.03 * n, 60, seed=n), START_US))
        tables.append(readings(sitter(person, 60, seed=n), START_US + 600_000_000))
    pq.write_table(pa.concat_tables(tables), path)
    return path


@pytest.fixture(scope="module")
def measured(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured") / "people.parquet"
    done = CliRunner().invoke(
        app, ["measure", str(prepared), "--out", str(out), "--licence", "ours", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.strip().splitlines()[-1])["profiles"] == 16
    return out


def test_measure_writes_statistics_and_their_origin(measured: Path) -> None:
    reference = ReferenceStatistics.load(measured)
    assert reference.people == tuple(PEOPLE)
    assert reference.origin.licence == "ours"
    assert reference.origin.name == "people"
    stride = {p.person: p.stride_hz for p in reference.profiles if p.activity == "walking"}
    assert [stride[p] for p in PEOPLE] == pytest.approx([0.8 + 0.03 * n for n in range(8)], abs=0.01)


def test_compare_prints_figures_and_draws(prepared: Path, measured: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        [
            "compare",
            str(prepared),
            f"reference:{measured}",
            *("--seeds", "1", "--json", str(tmp_path / "f.json"), "--figure", str(tmp_path / "f.png")),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "TSTR / TRTR, people left out" in done.stdout
    document = json.loads((tmp_path / "f.json").read_text())
    assert document["synthetic"] == "reference:people"
    assert str(measured.parent) not in json.dumps(document)
    assert sorted(p for fold in document["details"]["folds"] for p in fold) == PEOPLE
    ratio = next(line for line in document["summary"] if line["name"].startswith("TSTR / TRTR"))
    assert ratio["value"]["mean"] > 0.9
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_impossible_arguments_are_refused(prepared: Path, measured: Path, tmp_path: Path) -> None:
    def error(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        assert isinstance(done.exception, ConfigError), done.output
        return str(done.exception)

    assert "must end with .parquet" in error("measure", str(prepared), "--out", str(tmp_path / "x.csv"))
    assert "there are no recordings nowhere" in error("measure", "nowhere")
    assert "shipped are" in error("compare", str(prepared), "reference:nobody")
    assert "are not in reference:wisdm" in error("compare", str(prepared), "reference:wisdm")
