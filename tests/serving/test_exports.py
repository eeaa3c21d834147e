"""Which export serves: on a real registry and store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_settings import replaced, serve
from verbs import Verbs

from activitymodule.errors import ModelRefusedError, NotFoundError
from activitymodule.models.bundle import PersonColumns
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.onnx.parity import INT8, ONNX
from activitymodule.registry.versions import DIGEST, cache_folder, get, register, registered_digest
from activitymodule.settings import Settings, location
from activitymodule.store.connection import session
from activitymodule.store.model_exports import ModelExport, exports_of, record_export
from activitymodule.streaming.champion import Champion, ChampionWatch
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.model_operations import exporting

pytest.importorskip("onnx", reason="needs the packages of activitymodule[onnx]")
pytestmark = pytest.mark.integration


@pytest.fixture
def settings(fresh_settings: Settings) -> Settings:
    """Settings by which ONNX Runtime scores what it may."""
    return replaced(fresh_settings, scoring={"engine": "onnx"})


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> TrainingWindows:
    """What exports are compared on, in the place of synthesised people, which take seconds."""
    n, dice = 60, np.random.default_rng(0)
    made = TrainingWindows(
        features=dice.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
        activity=np.full(n, "walking"),
        person=np.full(n, "p"),
        run=np.zeros(n, int),
        kcal_per_min=np.ones(n, np.float32),
        people=PersonColumns.unknown(n),
    )
    monkeypatch.setattr(exporting, "held_out", lambda config, request: made)
    return made


@pytest.fixture
def export(settings: Settings, windows: TrainingWindows) -> Callable[[str, str], ModelExport]:
    return lambda kind, form: exporting.export(settings, kind, "1", form).export


def engines(watch: ChampionWatch) -> dict[str, str]:
    found = watch.refresh()
    assert found is not None
    return found.model.engines


def test_an_export_is_taken_up_and_left_as_the_store_says(
    settings: Settings,
    champion: object,
    windows: TrainingWindows,
    export: Callable[[str, str], ModelExport],
    capfd: pytest.CaptureFixture[str],
) -> None:
    changes = list[Champion]()
    watch = ChampionWatch(settings, changes.append)
    assert engines(watch) == {"activity": "sklearn", "energy": "sklearn"}
    assert "activity models export 1" in capfd.readouterr().err
    plain = changes[-1].model.score(windows.features)
    name = settings.registry.classifier
    before = registered_digest(settings, get(settings, name, "1"))
    row = export("activity", ONNX)
    assert row.failure is None
    assert row.largest < 1e-5
    assert engines(watch) == {"activity": "onnx", "energy": "sklearn"}
    export("energy", ONNX)
    # a version stays what it was registered and promoted as
    assert registered_digest(settings, get(settings, name, "1")) == before
    assert engines(watch) == {"activity": "onnx", "energy": "onnx"}
    assert len({one.bundle.key for one in changes}) == 3
    by_onnx = changes[-1].model.score(windows.features)
    np.testing.assert_allclose(by_onnx.probabilities, plain.probabilities, atol=1e-5)
    # what the comparison marks serves no longer
    with session(settings) as connection:
        record_export(connection, name, "1", replace(row, failure="an answer differs"))
    assert engines(watch) == {"activity": "sklearn", "energy": "onnx"}
    assert "an answer differs" in capfd.readouterr().err
    (again,) = exporting.compare_exports(settings, "activity", "1")
    assert again.export.failure is None
    assert engines(watch) == {"activity": "onnx", "energy": "onnx"}
    # and whoever wants scikit-learn has it
    other = replaced(settings, scoring={"engine": "sklearn"})
    assert engines(ChampionWatch(other, changes.append)) == {"activity": "sklearn", "energy": "sklearn"}


def test_a_file_that_was_replaced_does_not_serve(
    settings: Settings,
    champion: object,
    export: Callable[[str, str], ModelExport],
    capfd: pytest.CaptureFixture[str],
) -> None:
    export("activity", ONNX)
    export("activity", INT8)
    (path,) = (
        file
        for file in Path(location(settings.local.artifacts)).rglob("artifacts/model.onnx")
        if get(settings, settings.registry.classifier, "1").run_id in str(file)
    )
    path.write_bytes(path.read_bytes() + b" ")
    shutil.rmtree(cache_folder(settings) / settings.registry.classifier)
    assert engines(ChampionWatch(settings, lambda _: None))["activity"] == "sklearn"
    assert "SHA-256" in capfd.readouterr().err
    with pytest.raises(ModelRefusedError):
        exporting.compare_exports(settings, "activity", "1")


def test_a_new_version_is_exported_before_it_serves(
    settings: Settings, trained: Path, windows: TrainingWindows
) -> None:
    name = settings.registry.classifier
    version = register(settings, name, trained / "activity", {})
    with pytest.raises(NotFoundError):
        exporting.compare_exports(settings, "activity", version.version)
    made = exporting.export_new(settings, "activity", version, trained / "activity", windows, "toys")
    assert made is not None
    assert (made.file, made.export.data, made.export.windows) == ("model.onnx", "toys", len(windows))
    with session(settings, read_only=True) as connection:
        assert exports_of(connection, name, version.version)[ONNX].sha256 == made.export.sha256
    serve(settings, version, sha256=version.tags[DIGEST])
    assert engines(ChampionWatch(settings, lambda _: None))["activity"] == "onnx"
    other = replaced(settings, scoring={"engine": "sklearn"})
    assert exporting.export_new(other, "activity", version, trained / "activity", windows, "toys") is None


def test_the_verbs_end_with_the_code_of_what_is_wrong(
    settings: Settings,
    champion: object,
    environment_of: Callable[[Settings], dict[str, str]],
    verbs: Verbs,
) -> None:
    environment, name = environment_of(settings), settings.registry.classifier
    none = verbs.run(environment, "models", "parity", "1")
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    assert verbs.run(environment, "models", "bench", "1", "--batch", "0").returncode == 2
    made = verbs.run(environment, "models", "export", "1", "--json")
    assert made.returncode == 0, made.stderr
    (row,) = json.loads(made.stdout)
    assert row["export"]["largest"] < 1e-5
    trees = verbs.run(environment, "models", "export", "1", "--kind", "energy", "--format", "onnx-int8")
    assert (trees.returncode, trees.stderr.count("\n")) == (6, 1)
    shown = verbs.run(environment, "models", "show", "1")
    assert row["export"]["sha256"][:12] in shown.stdout
    with session(settings, read_only=True) as connection:
        assert exports_of(connection, name, "1")[ONNX].failure is None
