"""A version trained again from its lineage: identical, or what differs is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.models.export import LINEAGE_FILE
from activitymodule.registry.versions import ModelVersion, register
from activitymodule.settings import Settings, load
from activitymodule.workflows.model_operations.verifying import settings_of, verify


@pytest.mark.e2e
def test_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    began = []
    for name, threads in (("first", "1"), ("second", "2")):
        command = [
            sys.executable,
            "-m",
            "activitymodule",
            "train",
            "both",
            "--devices",
            "3",
            "--minutes",
            "6",
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        options = ["--folds", "2", "--seed", "5", "--folder", str(tmp_path / name), "--json"]
        began.append(subprocess.Popen([*command, *options], env=environment, stdout=subprocess.DEVNULL))
    assert [one.wait(timeout=240) for one in began] == [0, 0]
    made = [
        {
            str(path.relative_to(tmp_path / name)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((tmp_path / name).rglob("*.*"))
            if path.suffix in (".skops", ".json", ".npz") and path.name != LINEAGE_FILE
        }
        for name in ("first", "second")
    ]
    assert {"activity/model.skops", "activity/metrics.json", "energy/model.skops"} <= set(made[0])
    assert made[0] == made[1]


def test_a_version_is_identical_or_what_differs_is_named(
    fresh_settings: Settings, champion: ModelVersion, trained: Path, tmp_path: Path
) -> None:
    found = verify(fresh_settings, "activity", champion.version)
    assert found.identical, found
    assert found.moved is None
    # registered with another seed and library than its lineage says
    folder = tmp_path / "other"
    shutil.copytree(trained / "activity", folder)
    lineage = json.loads((folder / LINEAGE_FILE).read_text())
    lineage["config"]["values"]["seed"] = lineage["data"]["seed"] = 2
    lineage["libraries"]["numpy"] = "1.0"
    (folder / LINEAGE_FILE).write_text(json.dumps(lineage))
    other = register(fresh_settings, fresh_settings.registry.classifier, folder, {})
    found = verify(fresh_settings, "activity", other.version)
    assert not found.identical
    assert "numpy" in {one.what.split()[-1] for one in found.differences}
    assert any(one.what.startswith("training data") for one in found.differences)
    assert found.moved is not None
    assert 0 < found.moved.mean < found.moved.largest <= 1
    # recordings are not in the registry
    lineage["data"]["source"] = lineage["config"]["values"]["request"]["data"] = "wisdm:watch.tar.gz"
    (folder / LINEAGE_FILE).write_text(json.dumps(lineage))
    recorded = register(fresh_settings, fresh_settings.registry.classifier, folder, {})
    with pytest.raises(ConfigError):
        verify(fresh_settings, "activity", recorded.version)


def test_settings_are_those_of_the_lineage() -> None:
    config = load({})
    values = {"models": {"classifier": "decision_tree"}, "scoring": {"smoothing_windows": 3}}
    own = settings_of(config, {"config": {"values": values}})
    assert (own.models.classifier, own.scoring.smoothing_windows) == ("decision_tree", 3)
    assert own.windows == config.windows
    assert settings_of(config, {}) == config
    with pytest.raises(DataError):
        settings_of(config, {"config": {"values": {"models": {"classifyer": "x"}}}})
