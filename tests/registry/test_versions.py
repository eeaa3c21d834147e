"""Versions and aliases on a real MLflow server, and errors without one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from activitymodule import settings as config
from activitymodule.errors import ModelError, ServiceUnavailableError
from activitymodule.registry.lineage import fingerprint, write_lineage
from activitymodule.registry.versions import (
    ModelVersion,
    cache_folder,
    champion,
    fetch,
    get,
    register,
    set_champion,
    versions,
)

CONTENT = b"stands for a model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model.skops").write_bytes(CONTENT)
    (folder / "model.json").write_text("{}")
    (folder / "metrics.json").write_text('{"macro_f1": 0.9}')
    write_lineage(
        folder,
        data={"source": "toy", "sha256": "0" * 64},
        config={"seed": 1},
        model_sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    return folder


@pytest.fixture
def away() -> config.Settings:
    return config.build({"registry": {"uri": "http://127.0.0.1:9"}})


def test_a_registry_that_does_not_answer(away, folder):
    for request in (
        lambda: champion(away, "m"),
        lambda: versions(away, "m"),
        lambda: fetch(away, ModelVersion("m", "1")),
        lambda: register(away, "m", folder, {}),
    ):
        with pytest.raises(ServiceUnavailableError):
            request()


def test_looking_for_the_champion_imports_no_mlflow(away):
    code = (
        "import sys; from activitymodule.registry.versions import champion, fetch; "
        "from activitymodule.models.bundle import load_bundle; print('mlflow' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "False"


def test_lineage_is_complete(folder):
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["model"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert lineage["config"]["sha256"] == fingerprint({"seed": 1}) != fingerprint({"seed": 2})
    assert set(lineage) >= {"data", "code", "features_version", "libraries", "trained_at", "parents"}
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


@pytest.mark.integration
def test_aliases(fresh_settings, folder):
    name = fresh_settings.registry.classifier
    assert champion(fresh_settings, name) is None
    assert versions(fresh_settings, name) == []

    first = register(fresh_settings, name, folder, {"macro_f1": 0.9}, tags={"data": "toy"})
    assert (first.name, first.version, first.tags["data"]) == (name, "1", "toy")
    assert champion(fresh_settings, name) is None  # registered is not serving

    set_champion(fresh_settings, first)
    assert champion(fresh_settings, name) == get(fresh_settings, name, "1")
    second = register(fresh_settings, name, folder, {"macro_f1": 0.91})
    set_champion(fresh_settings, second, before="1")
    assert champion(fresh_settings, name).version == "2"
    assert {v.version: v.aliases for v in versions(fresh_settings, name)} == {
        "2": ("champion",),
        "1": ("previous",),
    }
    set_champion(fresh_settings, first)
    assert {v.version: v.aliases for v in versions(fresh_settings, name)} == {"2": (), "1": ("champion",)}
    with pytest.raises(ModelError):
        set_champion(fresh_settings, ModelVersion(name, "99"))
    assert champion(fresh_settings, name).version == "1"


@pytest.mark.integration
def test_artifacts_are_downloaded_once_and_checked(fresh_settings, folder):
    name = fresh_settings.registry.classifier
    version = register(fresh_settings, name, folder, {})
    found = fetch(fresh_settings, ModelVersion(name, version.version))
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {
        p.name: p.read_bytes() for p in folder.iterdir()
    }
    stamp = found.stat().st_mtime_ns
    assert fetch(fresh_settings, version) == found
    assert found.stat().st_mtime_ns == stamp
    assert cache_folder(fresh_settings) in found.parents
    assert [p.name for p in found.parent.iterdir()] == [found.name]  # no partial download is left

    # a downloaded version serves on when the registry does not answer
    gone = fresh_settings.model_copy(update={"registry": config.Registry(uri="http://127.0.0.1:9")})
    assert fetch(gone, version) == found


@pytest.mark.integration
def test_parallel_downloads(fresh_settings, folder):
    version = register(fresh_settings, fresh_settings.registry.classifier, folder, {})
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(fresh_settings, version))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert (found[0] / "model.skops").read_bytes() == CONTENT


@pytest.mark.integration
def test_a_changed_file_is_refused(fresh_settings, folder):
    (folder / "model.skops").write_bytes(b"another model")
    version = register(fresh_settings, fresh_settings.registry.classifier, folder, {})
    with pytest.raises(ModelError):
        fetch(fresh_settings, version)
    assert not any(p.is_dir() for p in (cache_folder(fresh_settings) / version.name).iterdir())


def test_a_model_is_registered_with_all_its_files(away, folder):
    (folder / "lineage.json").unlink()
    with pytest.raises(ModelError):
        register(away, "m", folder, {})
