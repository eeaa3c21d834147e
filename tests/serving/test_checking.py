"""What serves is what was promoted, checked before it is loaded: on a real registry and store."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from own_settings import serve

from activitymodule.errors import ModelError, ModelRefusedError, SignInRefusedError
from activitymodule.registry import client
from activitymodule.registry.versions import (
    ModelVersion,
    cache_folder,
    champion,
    get,
    previous,
    register,
    set_champion,
)
from activitymodule.serving.checking import checked
from activitymodule.serving.record import problems, promoted, repair, serving
from activitymodule.settings import Settings, location
from activitymodule.store.batches import begin_batch
from activitymodule.store.connection import session
from activitymodule.store.model_checks import find_check
from activitymodule.store.queries import execute
from activitymodule.streaming.champion import Champion, ChampionWatch
from activitymodule.workflows import model_versions
from activitymodule.workflows.promotion import promote_by_hand, roll_back

pytestmark = pytest.mark.integration


def nothing(_: Champion) -> None:
    return None


def started(settings: Settings) -> Champion | None:
    """What a scorer that starts now serves."""
    return ChampionWatch(settings, nothing).refresh()


def corrupt(folder: Path, into: Path) -> Path:
    """The model with a column out of range in a tree, registered as a whole, as if training had made it so."""
    shutil.copytree(folder, into)
    out, path = io.BytesIO(), into / "model.skops"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            # as long as before, so that the trees' sizes are right
            new.writestr(name, re.sub(rb"split_feature=\d{3}", b"split_feature=999", old.read(name), count=1))
    path.write_bytes(out.getvalue())
    lineage = json.loads((into / "lineage.json").read_text("utf-8"))
    lineage["model"]["sha256"] = hashlib.sha256(out.getvalue()).hexdigest()
    (into / "lineage.json").write_text(json.dumps(lineage), "utf-8")
    return into


@pytest.fixture
def name(fresh_settings: Settings) -> str:
    return fresh_settings.registry.classifier


@pytest.fixture
def add(fresh_settings: Settings, trained: Path, name: str) -> Callable[[], ModelVersion]:
    """A function that registers the trained classifier once more and has it serve."""

    def added() -> ModelVersion:
        version = register(fresh_settings, name, trained / "activity", {})
        serve(fresh_settings, version)
        return version

    return added


def test_a_corrupt_champion_is_refused_and_the_one_before_it_serves(
    fresh_settings: Settings,
    trained: Path,
    name: str,
    add: Callable[[], ModelVersion],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = fresh_settings
    add()
    bad = register(settings, name, corrupt(trained / "activity", tmp_path / "bad"), {})
    with pytest.raises(ModelRefusedError) as caught:
        promote_by_hand(settings, "activity", bad.version, by_whom="ann", why="")
    assert "column" in str(caught.value)
    now = serving(settings, name)
    assert now is not None
    assert now.version == "1"
    (row,) = [one for one in model_versions.all_versions(settings) if one.version == bad.version]
    assert "column" in (row.refusal or "")
    # however it came to be promoted
    watch = ChampionWatch(settings, nothing)
    assert watch.refresh() is not None
    with session(settings) as connection:
        execute(connection, "DELETE FROM model_checks WHERE version = %s", (bad.version,))
        execute(
            connection,
            "INSERT INTO promotions (name, version, before, act, by_whom, why, sha256) "
            "VALUES (%s, %s, '1', 'promoted', 'ann', '', %s)",
            (name, bad.version, bad.tags["sha256"]),
        )
    for one in (watch.refresh(), watch.refresh(), started(settings), started(settings)):
        assert one is not None
        assert one.classifier.version == "1"
    said = capfd.readouterr().err
    assert said.count("version 1 keeps serving") == 1
    assert "CHAMPION REJECTED: version 2" in said
    with session(settings, read_only=True) as connection:
        (sentence, *_) = [one for one in problems(settings, connection)[name] if "refused" in one]
    assert "column" in sentence


def test_an_alias_moved_elsewhere_serves_nothing_and_is_told(
    fresh_settings: Settings,
    trained: Path,
    name: str,
    add: Callable[[], ModelVersion],
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = fresh_settings
    alone = register(settings, name, trained / "activity", {})
    set_champion(settings, alone)
    assert started(settings) is None
    assert "no promotion of it is recorded" in model_versions.problems_of_serving(settings)[0]
    good = add()
    watch = ChampionWatch(settings, nothing)
    assert model_versions.problems_of_serving(settings) == []
    set_champion(settings, alone)
    for _ in range(12):
        found = watch.refresh()
        assert found is not None
        assert found.classifier.version == good.version
    assert capfd.readouterr().err.count("REGISTRY: the alias champion") == 1
    (sentence,) = model_versions.problems_of_serving(settings)
    assert "activity models repair" in sentence
    assert len(repair(settings)) == 1
    assert champion(settings, name) == get(settings, name, good.version)
    assert repair(settings) == model_versions.problems_of_serving(settings, download=True) == []


def test_files_that_were_replaced_do_not_serve(
    fresh_settings: Settings, name: str, add: Callable[[], ModelVersion]
) -> None:
    settings = fresh_settings
    first, second = add(), add()
    assert started(settings) is not None
    run = Path(location(settings.local.artifacts)).rglob(f"*/{second.run_id}/artifacts/model.json")
    (card,) = run
    # a label's name, which no number of the model tells
    card.write_text(card.read_text("utf-8").replace("walking", "wblking"), "utf-8")
    # a scorer that has the promoted files goes on with them
    kept = started(settings)
    assert kept is not None
    assert kept.classifier.version == second.version
    assert "SHA-256" in model_versions.problems_of_serving(settings, download=True)[0]
    shutil.rmtree(cache_folder(settings) / name)
    without = started(settings)
    assert without is not None
    assert without.classifier.version == first.version
    with pytest.raises(ModelError):
        roll_back(settings, "energy", by_whom="ann", why="")
    with pytest.raises(ModelRefusedError):
        checked(settings, second)


def test_promotions_without_a_sha256_take_the_files_of_now(
    fresh_settings: Settings, name: str, add: Callable[[], ModelVersion], capfd: pytest.CaptureFixture[str]
) -> None:
    settings = fresh_settings
    version = add()
    with session(settings) as connection:
        execute(connection, "UPDATE promotions SET sha256 = NULL")
        execute(connection, "DELETE FROM model_checks")
    assert started(settings) is not None
    assert "its promotion has no SHA-256" in capfd.readouterr().err
    now = serving(settings, name)
    assert now is not None
    assert now.sha256 == version.tags["sha256"]
    assert started(settings) is not None
    assert "no SHA-256" not in capfd.readouterr().err
    # a first champion was not recorded at all: what scored the last batch
    with session(settings) as connection:
        execute(connection, "DELETE FROM promotions")
        assert promoted(connection, settings, name) == []
        begin_batch(
            connection,
            query_id="q",
            batch_id=0,
            topic=settings.kafka.topic,
            offsets={0: (0, 1)},
            model_version=version.version,
            energy_version=None,
        )
    assert started(settings) is not None


def test_rollbacks_lead_further_back(
    fresh_settings: Settings, name: str, add: Callable[[], ModelVersion]
) -> None:
    settings = fresh_settings
    for _ in range(3):
        add()
    served = []
    for _ in range(2):
        served.append(roll_back(settings, "activity", by_whom="ann", why="worse").version)
        now = serving(settings, name)
        assert now is not None
        served.append(now.version)
    assert served == ["2", "2", "1", "1"]
    assert previous(settings, name) is None
    with pytest.raises(ModelError):
        roll_back(settings, "activity", by_whom="ann", why="worse")


def test_without_a_password_the_registry_answers_nothing(
    fresh_settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = fresh_settings.registry
    assert registry.password is not None
    for change in ({"password": None}, {"authentication": False}, {"user": "somebody"}):
        stranger = fresh_settings.model_copy(update={"registry": registry.model_copy(update=change)})
        for request in (
            lambda one=stranger: champion(one, name),
            lambda one=stranger: set_champion(one, ModelVersion(name, "1")),
            lambda one=stranger: client._send(one, "GET", "/api/2.0/mlflow-artifacts/artifacts"),
            lambda one=stranger: client._send(one, "POST", "/graphql", json={"query": "{}"}),
            lambda one=stranger: client._send(one, "GET", "/"),
        ):
            with pytest.raises(SignInRefusedError):
                request()


def test_a_check_is_remembered_by_files(fresh_settings: Settings, name: str, trained: Path) -> None:
    version = register(fresh_settings, name, trained / "activity", {})
    found = checked(fresh_settings, version)
    with session(fresh_settings, read_only=True) as connection:
        execute(connection, "SELECT 1")
        known = find_check(connection, name, version.version, found.sha256, "other libraries")
    assert known is None
    assert checked(fresh_settings, version, sha256=found.sha256) == found
    with pytest.raises(ModelRefusedError):
        checked(fresh_settings, version, sha256="0" * 64)
