"""The baseline of wear retention: logistic regression by Spark's MLlib, trained on the cluster and kept twice.

As MLlib saves it, which any Spark reads again, and as numbers (behaviour/linear), which need no Spark.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from pyarrow import fs
from pyspark.ml import Estimator, PipelineModel, Transformer
from pyspark.ml import Pipeline as SparkPipeline
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.feature import Imputer, ImputerModel, StandardScaler, StandardScalerModel, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col
from sklearn.pipeline import Pipeline

from activitymodule.behaviour.linear import LinearClassifier
from activitymodule.lake.folder import remove_folder

FILE = "mllib.zip"
"""The model as MLlib saves it: unpack it, then `PipelineModel.load(folder)`."""
_LABEL = "stops"
_PENALTY = 0.01


@dataclass(frozen=True)
class Baseline:
    """The fitted model: as a pipeline of numbers, and as MLlib's."""

    pipeline: Pipeline
    mllib: PipelineModel


def fit_baseline(spark: SparkSession, X: np.ndarray, stops: np.ndarray, columns: Sequence[str]) -> Baseline:
    """Fit to X (n, n_columns), NaN where missing, and stops bool (n,): medians, standard deviations, logistic
    regression with a ridge penalty.

    A column that nobody has is 0 for everybody.
    """
    there = ~np.isnan(X).all(0)
    names = [
        f"c{k}" for k in range(len(columns))
    ]  # a column's own name may have characters that Spark parses
    frame = _frame(spark, np.where(there, X, 0.0), names, stops)
    filled = [f"{name}_filled" for name in names]
    stages: list[Estimator[Any] | Transformer] = [
        Imputer(inputCols=names, outputCols=filled, strategy="median", relativeError=0.001),
        VectorAssembler(inputCols=filled, outputCol="columns"),
        StandardScaler(inputCol="columns", outputCol="features", withStd=True, withMean=False),
        LogisticRegression(labelCol=_LABEL, regParam=_PENALTY, standardization=False, maxIter=200),
    ]
    model = SparkPipeline(stages=stages).fit(frame)
    imputer, _, scaler, logistic = model.stages
    assert isinstance(imputer, ImputerModel)
    assert isinstance(scaler, StandardScalerModel)
    assert isinstance(logistic, LogisticRegressionModel)
    surrogate = imputer.surrogateDF.first()
    assert surrogate is not None
    scales: np.ndarray = np.array(scaler.std.toArray(), np.float64)
    coefficients: np.ndarray = np.array(logistic.coefficients.toArray(), np.float64)
    # MLlib gives 0 for a column that is the same for everybody
    linear = LinearClassifier(
        np.array([surrogate[name] for name in names], np.float64),
        np.where(scales > 0, scales, 1.0),
        np.where(scales > 0, coefficients, 0.0),
        float(logistic.intercept),
    )
    pipeline = Pipeline([("model", linear)]).fit(X, stops)
    return Baseline(pipeline, model)


def probabilities(spark: SparkSession, model: PipelineModel, X: np.ndarray) -> np.ndarray:
    """What MLlib itself answers, (n,): the probability of stopping."""
    names = [f"c{k}" for k in range(X.shape[1])]
    there = ~np.isnan(X).all(0)
    frame = _frame(spark, np.where(there, X, 0.0), names, np.zeros(len(X), bool), order=True)
    asked = model.transform(frame).select("row", vector_to_array(col("probability"))[1].alias("p")).collect()
    return np.array([row["p"] for row in sorted(asked, key=lambda row: row["row"])])


def saved(folder: str, model: PipelineModel) -> bytes:
    """MLlib's model as one file, saved and packed. folder : a path or address where all of the cluster can write"""
    address = f"{folder}/models/wear-baseline-{uuid4().hex}"
    model.write().overwrite().save(address)
    files, base = fs.FileSystem.from_uri(address)
    with tempfile.TemporaryDirectory() as local:
        whole = Path(local) / "mllib"
        whole.mkdir()
        fs.copy_files(base, str(whole), source_filesystem=files)
        packed = _packed(whole)
    remove_folder(files, base)
    return packed


def write(folder: Path, packed: bytes) -> None:
    """Put MLlib's model beside the others of a version."""
    (folder / FILE).write_bytes(packed)


def unpack(folder: Path, into: Path) -> Path:
    """MLlib's model of a version's folder, unpacked; for `PipelineModel.load`."""
    shutil.unpack_archive(folder / FILE, into, "zip")
    return into


def _packed(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
    return out.getvalue()


def _frame(
    spark: SparkSession, X: np.ndarray, names: Sequence[str], stops: np.ndarray, *, order: bool = False
) -> DataFrame:
    frame = pd.DataFrame(X, columns=list(names))
    frame[_LABEL] = stops.astype(float)
    if order:
        frame["row"] = np.arange(len(frame))
    return spark.createDataFrame(frame)
