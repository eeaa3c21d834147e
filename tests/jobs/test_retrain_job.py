"""`activity retrain` on the embedded stack, from labels in the store to an alias that moved, or did not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from activitymodule.errors import DataError, ModelError, RefusedError
from activitymodule.jobs import models as models_job
from activitymodule.jobs import retrain as job
from activitymodule.models.dataset import TrainingWindows, windows_of_readings
from activitymodule.registry import versions as registry
from activitymodule.registry.versions import champion, get, register, set_champion
from activitymodule.settings import Settings
from activitymodule.store.connection import connect, session
from activitymodule.store.locks import retrain_lease
from activitymodule.store.promotions import promotions, record_promotion
from activitymodule.store.retraining import find_run, judged_before, runs
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.catalogue import FEATURES_VERSION

pytestmark = pytest.mark.integration

BASE = {"devices": 3, "minutes": 10, "seed": 3}  # too few people for a good model
_QUEUE = """
INSERT INTO queue_items (device_id, window_start, window_end, stratum, reason, propensity, readings, features,
    features_version, activity, probabilities, conformal_set, model_version, expires_at)
VALUES (%s, to_timestamp(%s), to_timestamp(%s), %s, 'test', %s, '', %s, %s, 'sitting', '{1}', '{sitting}', '1',
    now() + interval '1 day')
"""
_ANSWER = """
INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, origin)
VALUES (%s, to_timestamp(%s), to_timestamp(%s), 'ann', 'label', %s, 'oracle')
"""


@cache
def fleet() -> TrainingWindows:
    """Windows of 40 people the base does not know, with their true activity."""
    made = training_readings(40, 12, 2)
    from activitymodule import settings

    windows = windows_of_readings(made.readings, settings.Windows(), made.people)
    return windows.take(np.flatnonzero(windows.activity != ""))


def label_some(
    settings: Settings, teaching: int, audit: int, *, seed: int = 0, first_second: int = 0
) -> None:
    """Put windows of the fleet into the queue and answer them with the truth; windows lie far apart in time."""
    source, dice = fleet(), np.random.default_rng(seed)
    rows = dice.choice(len(source), teaching + audit, replace=False)
    connection = connect(settings)
    with connection, connection.cursor() as cursor:
        for k, row in enumerate(rows):
            start = 1_700_000_000 + first_second + 100 * k
            stratum = "audit" if k < audit else "doubt"
            device = str(source.person[row])
            cursor.execute(
                _QUEUE,
                (device, start, start + 10, stratum, 0.1, source.features[row].tolist(), FEATURES_VERSION),
            )
            cursor.execute(_ANSWER, (device, start, start + 10, str(source.activity[row])))
    connection.close()


@pytest.fixture(scope="module")
def weak(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a classifier that learnt from very few people."""
    from activitymodule.workflows.training import Request, train

    folder = tmp_path_factory.mktemp("weak")
    train(Request(what="activity", data="synthetic", folds=2, folder=folder, **BASE), stack_settings)
    return folder / "activity"


@pytest.fixture
def serving(fresh_settings: Settings, weak: Any) -> registry.ModelVersion:
    version = register(fresh_settings, fresh_settings.registry.classifier, weak, {})
    set_champion(fresh_settings, version)
    return version


def state_of(settings: Settings, run_id: str) -> Any:
    with session(settings, read_only=True) as connection:
        return find_run(connection, run_id)


def test_from_labels_to_a_better_champion_and_back(fresh_settings, serving, environment_of):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=200, audit=250)

    said: list[tuple[str, str]] = []
    report = job.run_all(settings, "run-1", say=lambda step, text: said.append((step, text)))
    assert report["state"] == "promoted", report["summary"]
    steps = report["parameters"]["steps"]
    assert steps["check"]["labels"] == 200
    assert steps["check"]["audit_labels"] == 250
    assert steps["snapshot"]["labels"] <= 200
    assert steps["snapshot"]["left_out"]["audit share: judges, never teaches"] == 250
    assert steps["snapshot"]["base"]["same"], "made again bit by bit"
    figures = steps["gate"]["figures"]["macro_f1"]
    assert figures["challenger"] > figures["champion"] + 0.05
    assert figures["low"] > 0
    assert {step for step, _ in said} == {"check", "snapshot", "train", "evaluate", "gate", "promote"}

    now = champion(settings, name)
    assert now.version == report["challenger"] != serving.version
    assert registry.challenger(settings, name) is None
    assert registry.previous(settings, name).version == serving.version
    tags = get(settings, name, now.version).tags
    assert tags["verdict"] == "promote"
    assert tags["snapshot"] == report["snapshot_id"]
    folder = registry.fetch(settings, get(settings, name, now.version))
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["data"]["snapshot"] == report["snapshot_id"]
    assert lineage["parents"] == {"champion": serving.version}
    assert (folder / "drift.npz").is_file()

    # a step done again changes nothing
    assert job.promote(settings, "run-1", dry_run=False)["state"] == "promoted"
    assert job.train(settings, "run-1", seed=1)["challenger"] == now.version
    with session(settings, read_only=True) as connection:
        acts = promotions(connection, name=name)
    assert [(one.act, one.version, one.before) for one in acts] == [
        ("promoted", now.version, serving.version)
    ]
    assert acts[0].verdict["figures"]["macro_f1"]["low"] > 0

    # nothing new since: not worth while; with force, from the same labels and on the base kept in the lake
    again = job.run_all(settings, "run-2")
    assert again["state"] == "unneeded"
    assert "0 new labels" in again["summary"]
    forced = job.run_all(settings, "run-3", force=True)
    assert forced["state"] == "rejected", forced["summary"]
    assert champion(settings, name).version == now.version
    assert "kept in the lake" in forced["parameters"]["steps"]["snapshot"]["base"]["says"]
    assert forced["snapshot_id"] == report["snapshot_id"]
    assert not forced["parameters"]["steps"]["snapshot"]["written"]

    # the command line tells the same
    def activity(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "activitymodule", *arguments],
            env=environment_of(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    listed = json.loads(activity("retrain", "history", "--json"))
    assert [(one["run_id"], one["state"]) for one in listed] == [
        ("run-3", "rejected"), ("run-2", "unneeded"), ("run-1", "promoted"),
    ]  # fmt: skip
    assert "macro-F1" in activity("retrain", "show", "run-1")
    activity("models", "rollback", "--why", "for the test")
    assert champion(settings, name).version == serving.version
    acts = json.loads(activity("models", "history", "--json"))
    assert [one["act"] for one in acts] == ["rolled back", "rejected", "promoted"]
    assert acts[0]["why"] == "for the test"
    assert acts[0]["by_whom"]


def test_approval_dry_run_and_a_champion_that_changed(fresh_settings, serving):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=200, audit=250)
    dry = job.run_all(settings, "dry", dry_run=True)
    assert dry["state"] == "unneeded"
    assert dry["summary"].startswith("dry run, nothing was moved: ")
    assert champion(settings, name).version == serving.version
    with session(settings, read_only=True) as connection:
        assert promotions(connection, name=name) == []

    waits = job.run_all(settings, "waits", require_approval=True)
    assert waits["state"] == "waiting"
    assert champion(settings, name).version == serving.version
    other = register(settings, name, registry.fetch(settings, get(settings, name, serving.version)), {})
    models_job.promote_by_hand(settings, "activity", other.version, by_whom="ann", why="meanwhile")
    with pytest.raises(RefusedError, match="is champion now"):
        job.approve(settings, "waits", by_whom="bob")
    assert champion(settings, name).version == other.version
    models_job.roll_back(settings, "activity", by_whom="ann", why="no good")
    done = job.approve(settings, "waits", by_whom="bob")
    assert done["state"] == "promoted"
    assert champion(settings, name).version == waits["challenger"]
    with session(settings, read_only=True) as connection:
        assert [(one.act, one.by_whom) for one in promotions(connection, name=name)] == [
            ("promoted", "bob"), ("rolled back", "ann"), ("promoted by hand", "ann"),
        ]  # fmt: skip
    with pytest.raises(RefusedError, match="does not wait"):
        job.approve(settings, "waits", by_whom="bob")


def test_the_same_audit_labels_ask_for_more_each_time(fresh_settings, serving):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=20, audit=120)

    def judged(run_id: str, **more: Any) -> int:
        with session(settings, read_only=True) as connection:
            return judged_before(connection, run_id, name=name, features_version=FEATURES_VERSION, **more)

    first = job.run_all(settings, "first", force=True, dry_run=True)["parameters"]["steps"]
    assert (first["check"]["judged_before"], first["gate"]["figures"]["judged_before"]) == (0, 0)
    assert first["gate"]["figures"]["alpha"] == 0.025
    # the same labels and the same seed would make the same challenger: that is no second try
    same = {"snapshot_id": first["snapshot"]["snapshot_id"], "seed": 1}
    assert judged("next", **same) == 0
    assert judged("next", **{**same, "seed": 2}) == 1

    second = job.run_all(settings, "second", force=True, dry_run=True, seed=2)["parameters"]["steps"]
    said = "most of these audit labels have judged once before"
    assert said in second["check"]["says"]
    assert second["gate"]["figures"]["alpha"] == 0.025 / 4
    assert said in next(one["says"] for one in second["gate"]["checks"] if one["name"] == "better")
    assert judged("next") == 2
    # a step done again is no new try, and finds the same
    assert job.gate(settings, "second")["figures"] == second["gate"]["figures"]
    assert judged("next") == 2

    # a champion promoted by hand was let in by no gate; one that the gate let in begins anew
    with session(settings) as connection:
        for act, then in (("promoted by hand", 2), ("rejected", 2), ("promoted", 0)):
            record_promotion(
                connection, name=name, version="1", before=None, act=act, by_whom="ann", why="a test"
            )
            connection.commit()
            assert judged("next") == then, act


def test_new_audit_labels_begin_anew(fresh_settings, serving):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=20, audit=70)
    job.run_all(settings, "first", force=True, dry_run=True)
    label_some(settings, teaching=0, audit=70, seed=1, first_second=500_000)
    with session(settings, read_only=True) as connection:
        known = {"name": name, "features_version": FEATURES_VERSION}
        assert judged_before(connection, "next", **known) == 1
    label_some(settings, teaching=0, audit=5, seed=2, first_second=900_000)
    with session(settings, read_only=True) as connection:
        assert judged_before(connection, "next", **known) == 0


def test_reasons_not_to_begin(fresh_settings, weak):
    settings = fresh_settings
    with pytest.raises(ModelError, match="no champion"):
        job.run_all(settings, "none")
    set_champion(settings, register(settings, settings.registry.classifier, weak, {}))
    assert "nothing to learn from" in job.run_all(settings, "empty")["summary"]
    label_some(settings, teaching=10, audit=10)
    assert "could not be judged" in job.run_all(settings, "unjudged")["summary"]
    label_some(settings, teaching=0, audit=80, seed=1, first_second=500_000)
    few = job.check(settings, "few", min_labels=50)
    assert not few["needed"]
    assert job.check(settings, "enough", min_labels=5)["needed"]
    with pytest.raises(RefusedError, match="is under way"):
        job.check(settings, "other", force=True)
    with pytest.raises(RefusedError, match="has not done its step snapshot"):
        job.train(settings, "enough", seed=1)
    with pytest.raises(DataError, match="no retraining nowhere"):
        job.report(settings, "nowhere")
    job.fail(settings, "enough", "enough of it")
    assert job.check(settings, "other", force=True)["needed"]


def test_one_at_a_time_and_a_killed_run_is_noticed(fresh_settings, serving, environment_of):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=120, audit=100)

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "activitymodule", "retrain", *arguments],
            env=environment_of(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    first = start()
    deadline = time.monotonic() + 60
    found: Any = None
    while time.monotonic() < deadline:
        with session(settings, read_only=True) as connection:
            found = next(iter(runs(connection)), None)
        if found is not None and found.step == "train":
            break
        time.sleep(0.05)
    assert found is not None
    assert found.step == "train"
    os.killpg(first.pid, signal.SIGSTOP)  # it is to be at it for as long as the second one needs to come up
    second = start("--force")
    said = second.communicate(timeout=60)[0]
    assert second.returncode == 5, said
    assert found.run_id in said
    assert "Traceback" not in said
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert champion(settings, name).version == serving.version, "nothing half promoted"

    report = job.run_all(settings, "after", dry_run=True)
    assert report["state"] == "unneeded"
    dead = state_of(settings, found.run_id)
    assert dead.state == "failed"
    assert "its process ended at " in dead.summary


def test_killed_between_the_alias_and_its_record(fresh_settings, serving, monkeypatch):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(settings, teaching=200, audit=250)
    assert job.run_all(settings, "approved", require_approval=True)["state"] == "waiting"

    class Killed(BaseException):
        """The process ends here."""

    move = registry.set_champion

    def move_and_die(*arguments: Any) -> None:
        move(*arguments)
        raise Killed

    monkeypatch.setattr(registry, "set_champion", move_and_die)
    with pytest.raises(Killed):
        job.approve(settings, "approved", by_whom="ann")
    monkeypatch.undo()
    with session(settings, read_only=True) as connection:
        assert promotions(connection, name=name) == []
    assert state_of(settings, "approved").state == "waiting"
    assert job.approve(settings, "approved", by_whom="ann")["state"] == "promoted"
    with session(settings, read_only=True) as connection:
        (only,) = promotions(connection, name=name)
    assert (only.before, only.act) == (serving.version, "promoted")
    assert registry.previous(settings, name).version == serving.version


def test_the_lock_is_for_others_and_not_for_oneself(fresh_settings):
    settings = fresh_settings
    with retrain_lease(settings, "a"):
        with retrain_lease(settings, "a"):
            pass
        caught: list[BaseException] = []

        def other() -> None:
            try:
                with retrain_lease(settings, "b", patience_seconds=0.2):
                    pass
            except RefusedError as error:
                caught.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert "retrain a" in str(caught[0])
    with retrain_lease(settings, "b", patience_seconds=0.2):
        pass


def test_spreading_reads_the_archive(fresh_settings, serving, tmp_path):
    """Neighbours come from archived messages, by the same features as the stream's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from activitymodule.lake.neighbours import neighbours
    from activitymodule.streaming.archive import archive_path
    from activitymodule.windows.assembling import assemble
    from activitymodule.windows.features import features
    from activitymodule.windows.panes import windows_of

    settings = fresh_settings
    begin = 1_767_254_400
    made = training_readings(1, 5, 4, start=begin)
    device = made.readings.column("device_id")[0].as_py()
    messages = []
    columns = [name for name in made.readings.column_names if name not in ("activity", "kcal_per_min")]
    for row in made.readings.select(columns).slice(0, 900).to_pylist():
        stamp = row.pop("stamp").isoformat(timespec="milliseconds")
        value = {key: one for key, one in row.items() if one is not None} | {"stamp": stamp}
        messages.append(json.dumps(value).encode())
    n = len(messages)
    table = pa.table(
        {
            "key": pa.array([device.encode()] * n, pa.binary()),
            "value": pa.array(messages, pa.binary()),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([(begin + 100) * 1_000_000] * n, pa.timestamp("us", "UTC")),
            "timestampType": pa.array([1] * n, pa.int32()),
        }
    )
    from pathlib import Path

    folder = Path(archive_path(settings)) / "date=2026-01-01"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-0.parquet")
    pq.write_table(table, folder / "part-1.parquet")  # the same messages, archived twice

    labelled = (begin + 40) * 1_000_000
    found = neighbours(settings, [(device, labelled), ("nobody", labelled)], 3)
    assert set(found) == {(device, labelled)}
    around = found[device, labelled]
    assert ((around.window_us - labelled) // 10_000_000).tolist() == [-3, -2, -1, 1, 2, 3]
    assert around.whole.all()
    expected = windows_of(made.readings.slice(0, 900), settings.windows)
    whole = features(assemble(expected.window_start_us, expected.panes, settings.windows), settings.windows)
    place = {int(us): k for k, us in enumerate(expected.window_start_us)}
    assert np.allclose(
        around.features,
        whole[[place[int(us)] for us in around.window_us]],
        rtol=1e-4,
        atol=1e-4,
        equal_nan=True,
    )
    assert neighbours(replace_archive(settings, tmp_path / "none"), [(device, labelled)], 3) == {}


def replace_archive(settings: Settings, folder: Any) -> Settings:
    archive = settings.archive.model_copy(update={"folder": str(folder)})
    return settings.model_copy(update={"archive": archive})


def test_snapshots_are_known_by_their_content(fresh_settings, tmp_path):
    from pathlib import Path

    from activitymodule.lake.snapshots import read_base, read_snapshot, write_snapshot
    from activitymodule.learning.training_set import training_set

    settings = fresh_settings
    label_some(settings, teaching=40, audit=5)
    from activitymodule.store.labels import gold_rows

    with session(settings, read_only=True) as connection:
        rows = gold_rows(connection, FEATURES_VERSION)
    made = training_set(fleet().take(np.arange(100)), job.gold_windows(rows))
    first = write_snapshot(settings, made)
    again = write_snapshot(settings, replace(made, left_out={}))
    assert first.written
    assert not again.written
    assert again.snapshot_id == first.snapshot_id
    back = read_snapshot(settings, first.snapshot_id)
    assert back.sha256() == made.sha256()
    assert np.array_equal(back.windows.features, made.windows.features, equal_nan=True)
    assert np.array_equal(back.weights, made.weights)
    assert read_base(settings, made.base.sha256()).sha256() == made.base.sha256()
    assert read_base(settings, "0" * 64) is None
    folder = Path(settings.lake.folder) / "training"
    spoilt = json.loads((folder / f"snapshot-{first.snapshot_id}.json").read_text())
    spoilt["taught"] = spoilt["base"]
    (folder / f"snapshot-{first.snapshot_id}.json").write_text(json.dumps(spoilt))
    with pytest.raises(DataError, match="is not what it was"):
        read_snapshot(settings, first.snapshot_id)
