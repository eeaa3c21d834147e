"""Training: windows of any source, models that are the same for the same seed, clear refusals."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule import settings as config
from activitymodule.errors import ConfigError, DataError, ServiceUnavailableError
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.windows.features import FEATURE_NAMES
from activitymodule.workflows import training
from activitymodule.workflows.training import Request, load_windows, train


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepared readings of four people with twelve classes' worth of odd labels, partitioned by person."""
    root = tmp_path_factory.mktemp("prepared")
    dice = np.random.default_rng(0)
    for number in range(4):
        tables = []
        for k, label in enumerate(("eat", "hobby", "housework")):
            n = 600
            stamps = 1_700_000_000_000_000 + k * 100_000_000 + np.arange(n) * 100_000
            wave = (k + 1) * np.sin(np.arange(n) * 0.1 * (k + 1) * 2 * np.pi)
            tables.append(
                pa.table(
                    {
                        "device_id": [f"watch-{number}"] * n,
                        "stamp": pa.array(stamps, pa.timestamp("us", "UTC")),
                        "pitch": pa.array(np.zeros(n, np.float32)),
                        "roll": pa.array(np.zeros(n, np.float32)),
                        **{
                            f"user_acceleration_{axis}": pa.array(
                                (wave / 10 + dice.normal(0, 0.05, n)).astype(np.float32)
                            )
                            for axis in "xyz"
                        },
                        "activity": [label] * n,
                    }
                )
            )
        folder = root / f"person=00{number}" / "date=2023-11-14"
        folder.mkdir(parents=True)
        pq.write_table(pa.concat_tables(tables), folder / "part-0.parquet")
    return root


def test_prepared_recordings_of_any_labels(prepared, tmp_path):
    request = Request(what="activity", data=str(prepared), folds=2, folder=tmp_path)
    outcome = train(request, config.load({}))[0]
    assert outcome.metrics.labels == ("eat", "hobby", "housework")
    assert outcome.metrics.people == 4
    assert outcome.metrics.macro_f1 > 0.9
    made = {p.name for p in (tmp_path / "activity").iterdir()}
    assert made == {
        "model.skops", "model.json", "metrics.json", "lineage.json", "drift.npz", "familiarity.npz", "threshold.json",
        "confusion_matrix.png", "reliability.png", "MLmodel", "input_example.json", "python_env.yaml",
        "requirements.txt",
    }  # fmt: skip
    lineage = json.loads((tmp_path / "activity" / "lineage.json").read_text())
    assert lineage["data"]["source"] == prepared.name  # no folder of this machine
    assert str(tmp_path) not in json.dumps(lineage)


def test_people_of_a_partition_keep_their_names(prepared):
    (windows,) = load_windows(str(prepared), config.load({}))
    assert set(windows.person) == {"000", "001", "002", "003"}


def test_both_wrists_from_one_reading(prepared):
    worn, turned = load_windows(str(prepared), config.load({}), mirrors=((1, 1, 1), (-1, 1, -1)))
    assert np.array_equal(worn.activity, turned.activity)
    assert np.allclose(worn.features[:, :303], turned.features[:, :303], atol=1e-2)


def test_a_table_of_features_teaches_energy(tmp_path):
    dice = np.random.default_rng(1)
    heart = dice.uniform(60, 160, 400)
    table = pa.table(
        {
            "heart_mean": heart,
            "person": [f"p{k % 5}" for k in range(400)],
            "kcal_per_min": heart / 20 + dice.normal(0, 0.1, 400),
        }
    )
    pq.write_table(table, tmp_path / "windows.parquet")
    request = Request(what="energy", data=str(tmp_path / "windows.parquet"), folder=tmp_path, folds=3)
    outcome = train(request, config.load({}))[0]
    assert outcome.metrics.r2 > 0.9
    assert (tmp_path / "energy" / "model.skops").exists()


def test_the_same_seed_makes_the_same_model(tmp_path, prepared):
    hashes = set()
    for name in ("a", "b"):
        train(Request(what="activity", data=str(prepared), folds=2, folder=tmp_path / name), config.load({}))
        model = load_bundle(BundleBytes.read(tmp_path / name / "activity", version="1"))
        probe = np.random.default_rng(0).normal(size=(20, len(FEATURE_NAMES))).astype(np.float32)
        hashes.add(model.score(probe).probabilities.tobytes())
    assert len(hashes) == 1


def test_unusable_data_is_refused(tmp_path, prepared):
    settings = config.load({})
    with pytest.raises(DataError):
        load_windows(str(tmp_path / "nowhere"), settings)
    with pytest.raises(ConfigError, match="wisdm"):
        load_windows("wisdom:somewhere", settings)
    (tmp_path / "not.parquet").write_text("this is no Parquet")
    with pytest.raises(DataError):
        load_windows(str(tmp_path / "not.parquet"), settings)
    with pytest.raises(DataError):
        train(Request(what="energy", data=str(prepared), evaluate_only=True), settings)


def test_a_missing_registry_fails_before_the_training(monkeypatch, prepared):
    monkeypatch.setattr(training, "load_windows", lambda *a, **k: pytest.fail("trained without a registry"))
    settings = config.build({"registry": {"uri": "http://127.0.0.1:9"}})
    with pytest.raises(ServiceUnavailableError):
        train(Request(data=str(prepared)), settings)
