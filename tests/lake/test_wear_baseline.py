"""The MLlib baseline: its numbers answer as MLlib does, and its files are read by Spark again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from activitymodule.lake import wear_baseline
from activitymodule.models import export
from activitymodule.settings import Settings, build
from activitymodule.streaming.session import spark_session


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("baseline")
    return build(
        {
            "local": {"folder": str(folder)},
            "lake": {"folder": str(folder / "lake")},
            "spark": {"driver_memory": "1g"},
        }
    )


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Iterator[SparkSession]:
    session = spark_session(settings, "tests")
    yield session
    session.stop()


def test_numbers_and_files_of_the_baseline_answer_as_mllib(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    dice = np.random.default_rng(0)
    X = dice.normal(size=(400, 4)) * [1, 10, 0.1, 1]
    stops = X[:, 0] + X[:, 1] / 10 + dice.normal(0, 0.5, 400) > 1
    X[dice.random(400) < 0.2, 1] = np.nan
    X[:, 2], X[:, 3] = np.nan, 7.0  # nobody has it; the same for everybody
    fitted = wear_baseline.fit_baseline(spark, X, stops, ("a", "b.c", "d e", "f"))
    answers = fitted.pipeline.predict_proba(X)[:, 1]
    np.testing.assert_allclose(answers, wear_baseline.probabilities(spark, fitted.mllib, X), atol=1e-6)
    assert np.mean((answers > 0.5) == stops) > 0.8
    again = export.load(export.dump(fitted.pipeline), "the baseline")
    export.check(again)
    np.testing.assert_array_equal(again.predict_proba(X)[:, 1], answers)

    wear_baseline.write(tmp_path, wear_baseline.saved(settings.lake.folder, fitted.mllib))
    folder = wear_baseline.unpack(tmp_path, tmp_path / "unpacked")
    kept = PipelineModel.load(str(folder))
    np.testing.assert_allclose(wear_baseline.probabilities(spark, kept, X), answers, atol=1e-6)
