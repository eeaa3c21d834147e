"""Model files: the same numbers give the same bytes, in whatever order memory was given out."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import skops.io

from activitymodule.models import export
from activitymodule.models.canonical import canonical, content_sha256
from activitymodule.models.training import ActivityTraining


def test_bytes_depend_on_the_content_alone(trained: ActivityTraining) -> None:
    assert trained.pipeline is not None
    plain = skops.io.dumps(trained.pipeline, compression=zipfile.ZIP_DEFLATED)
    kept = [object() for _ in range(1000)]  # other addresses in memory
    again = skops.io.dumps(export.load(plain, "it"))
    assert kept
    assert plain != again
    assert canonical(plain) == canonical(again) == export.dump(trained.pipeline)
    assert canonical(canonical(plain)) == canonical(plain)
    assert content_sha256(plain) == content_sha256(again) == content_sha256(canonical(plain))


def test_one_number_is_another_file(trained: ActivityTraining) -> None:
    content = export.dump(trained.pipeline)
    X = np.random.default_rng(0).normal(size=(5, trained.pipeline["model"].n_features_in_)).astype(np.float32)
    loaded = export.load(content, "it")
    export.check(loaded)
    np.testing.assert_array_equal(loaded.predict_proba(X), trained.pipeline.predict_proba(X))
    loaded["model"].intercepts_[0] = np.nextafter(loaded["model"].intercepts_[0], 9)
    assert content_sha256(export.dump(loaded)) != content_sha256(content)


def test_parts_have_no_address_and_no_time(trained: ActivityTraining) -> None:
    with zipfile.ZipFile(io.BytesIO(export.dump(trained.pipeline))) as file:
        entries = file.infolist()
    parts = [f"{k + 1}.npy" for k in range(len(entries) - 1)]
    assert [entry.filename for entry in entries] == [*parts, "schema.json"]
    assert {entry.date_time[0] for entry in entries} == {1980}
