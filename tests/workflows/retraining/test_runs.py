"""Retraining on running services, from labels in the store to an alias that moved, or did not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from activitymodule.errors import RefusedError
from activitymodule.registry import versions as registry
from activitymodule.registry.versions import champion, get
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, session
from activitymodule.store.promotions import Promotion, promotions, record_promotion
from activitymodule.store.retraining import find_run, judged_before, runs
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows import promotion
from activitymodule.workflows.retraining import promoting, steps
from activitymodule.workflows.retraining.approval import abandon, approve
from activitymodule.workflows.retraining.promoting import reject
from activitymodule.workflows.retraining.results import Options, Reason
from activitymodule.workflows.retraining.run import run_all

pytestmark = pytest.mark.integration

DRY = Options(force=True, dry_run=True)


def decisions(connection: Connection, name: str) -> list[Promotion]:
    """The record of promotions, newest first, without that of the fixture's champion."""
    return [one for one in promotions(connection, name=name) if one.by_whom != "a test"]


def state_of(settings: Settings, run_id: str) -> Any:
    with session(settings, read_only=True) as connection:
        return find_run(connection, run_id)


def assert_verbs_show_the_same(settings, activity: Callable[..., str], before: str) -> None:
    """The verbs list the three runs, and roll back to the version `before`."""

    listed = json.loads(activity("retrain", "history", "--json"))
    assert [(one["run_id"], one["state"]) for one in listed] == [
        ("run-3", "rejected"), ("run-2", "unneeded"), ("run-1", "promoted"),
    ]  # fmt: skip
    assert "macro-F1" in activity("retrain", "show", "run-1")
    activity("models", "rollback", "--why", "for the test")
    assert champion(settings, settings.registry.classifier).version == before
    acts = [one for one in json.loads(activity("models", "history", "--json")) if one["by_whom"] != "a test"]
    assert [one["act"] for one in acts] == ["rolled back", "rejected", "promoted"]
    assert acts[0]["why"] == "for the test"
    assert acts[0]["by_whom"]


def test_from_labels_to_a_better_champion_and_back(
    fresh_settings, serving, label_some, environment_of, verbs
):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=200, audit=250)

    lines: list[tuple[str, str]] = []
    report = run_all(settings, "run-1", say=lambda step, text: lines.append((step, text)))
    assert report.state == "promoted", report.summary
    done = report.steps
    assert (done.check.labels, done.check.audit_labels, done.check.reason) == (200, 250, Reason.ENOUGH_LABELS)
    assert done.snapshot.labels <= 200
    assert 250 in done.snapshot.left_out.values(), "the audit share evaluates, it never teaches"
    assert done.snapshot.base.same, "made again bit by bit"
    figures = done.gate.figures.macro_f1
    assert figures.challenger > figures.champion + 0.05
    assert figures.low > 0
    assert {step for step, _ in lines} == {"check", "snapshot", "train", "evaluate", "gate", "promote"}

    now = champion(settings, name)
    assert now.version == report.challenger != serving.version
    assert registry.challenger(settings, name) is None
    assert registry.previous(settings, name).version == serving.version
    tags = get(settings, name, now.version).tags
    assert tags["verdict"] == "promote"
    assert tags["snapshot"] == report.snapshot_id
    folder = registry.fetch(settings, get(settings, name, now.version))
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["data"]["snapshot"] == report.snapshot_id
    assert lineage["data"]["base"]["seed"] == 3
    assert lineage["parents"] == {"champion": serving.version}
    assert (folder / "drift.npz").is_file()

    # a repeated step changes nothing
    assert steps.promote(settings, "run-1", dry_run=False).state == "promoted"
    assert steps.train(settings, "run-1", seed=1).challenger == now.version
    with session(settings, read_only=True) as connection:
        acts = decisions(connection, name)
    assert [(one.act, one.version, one.before) for one in acts] == [
        ("promoted", now.version, serving.version)
    ]
    assert acts[0].verdict["figures"]["macro_f1"]["low"] > 0

    # no new label since: not needed; forced, it trains on the same labels and on the base kept in the lake
    again = run_all(settings, "run-2")
    assert (again.state, again.steps.check.reason) == ("unneeded", Reason.NOT_ENOUGH_LABELS)
    assert again.steps.check.labels == 0
    forced = run_all(settings, "run-3", Options(force=True))
    assert forced.state == "rejected", forced.summary
    assert champion(settings, name).version == now.version
    assert forced.steps.snapshot.base.same is None, "read from the lake, not made again"
    assert forced.snapshot_id == report.snapshot_id
    assert not forced.steps.snapshot.written

    def activity(*arguments: str) -> str:
        ended = verbs.run(environment_of(settings), *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert_verbs_show_the_same(settings, activity, serving.version)


def test_approval_and_a_champion_that_changed(fresh_settings, serving, label_some):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=200, audit=250)
    waits = run_all(settings, "waits", Options(require_approval=True))
    assert waits.state == "waiting"
    assert champion(settings, name).version == serving.version
    other = registry.register(
        settings, name, registry.fetch(settings, get(settings, name, serving.version)), {}
    )
    promotion.promote_by_hand(settings, "activity", other.version, by_whom="ann", why="meanwhile")
    with pytest.raises(RefusedError):
        approve(settings, "waits", by_whom="bob")
    assert champion(settings, name).version == other.version
    promotion.roll_back(settings, "activity", by_whom="ann", why="no good")
    done = approve(settings, "waits", by_whom="bob")
    assert done.state == "promoted"
    assert champion(settings, name).version == waits.challenger
    with session(settings, read_only=True) as connection:
        assert [(one.act, one.by_whom) for one in decisions(connection, name)] == [
            ("promoted", "bob"), ("rolled back", "ann"), ("promoted by hand", "ann"),
        ]  # fmt: skip
    with pytest.raises(RefusedError):
        approve(settings, "waits", by_whom="bob")


_WORDS_OF_0_1_0 = {
    "summary": "says",
    "message": "says",
    "verdicts_on_same_labels": "judged_before",
    "options": "asked",
}
_NEW_IN_THIS_VERSION = ("reason",)


def as_0_1_0_stored_it(value: Any) -> Any:
    """Parameters of a run with the names of the version before."""
    if isinstance(value, dict):
        return {
            _WORDS_OF_0_1_0.get(key, key): as_0_1_0_stored_it(one)
            for key, one in value.items()
            if key not in _NEW_IN_THIS_VERSION
        }
    return [as_0_1_0_stored_it(one) for one in value] if isinstance(value, list) else value


def test_runs_of_the_version_before_that_wait_are_approved_or_rejected(fresh_settings, serving, label_some):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=200, audit=250)
    for run_id, seed in (("no", 2), ("yes", 1)):
        assert (
            run_all(settings, run_id, Options(force=True, require_approval=True, seed=seed)).state
            == "waiting"
        )
        stored = json.dumps(as_0_1_0_stored_it(state_of(settings, run_id).parameters))
        assert '"says"' in stored
        assert '"summary"' not in stored
        with session(settings) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE retrain_runs SET parameters = %s WHERE run_id = %s", (stored, run_id))
    no = reject(settings, "no", "ann")
    assert (no.state, no.version) == ("rejected", state_of(settings, "no").challenger)
    assert "ann" in no.summary
    assert champion(settings, name).version == serving.version
    assert approve(settings, "yes", by_whom="bob").state == "promoted"
    assert champion(settings, name).version == state_of(settings, "yes").challenger
    with session(settings, read_only=True) as connection:
        acts = decisions(connection, name)
    assert [(one.act, one.by_whom) for one in acts] == [("promoted", "bob"), ("rejected", "ann")]
    assert acts[0].verdict["summary"].startswith("version ")


def test_the_same_audit_labels_need_a_smaller_alpha_each_time(fresh_settings, serving, label_some):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=20, audit=120)

    def verdicts(run_id: str, **more: Any) -> int:
        with session(settings, read_only=True) as connection:
            return judged_before(connection, run_id, name=name, features_version=FEATURES_VERSION, **more)

    first = run_all(settings, "first", DRY).steps
    assert first.check.verdicts_on_same_labels == 0
    assert first.gate.figures.alpha == 0.025
    # the same labels and the same seed would make the same challenger: that is no second try
    same = {"learnt": first.snapshot.snapshot_id, "seed": 1}
    assert verdicts("next", **same) == 0
    assert verdicts("next", **{**same, "seed": 2}) == 1

    second = run_all(settings, "second", DRY.model_copy(update={"seed": 2})).steps
    assert second.check.verdicts_on_same_labels == 1
    assert second.gate.figures.alpha == 0.025 / 4
    better = next(one for one in second.gate.checks if one.name == "better")
    assert better.figures["alpha"] == 0.025 / 4
    assert verdicts("next") == 2
    # a repeated step is no new try, and has the same result
    assert steps.gate(settings, "second").figures == second.gate.figures
    assert verdicts("next") == 2

    # a promotion by hand passed no gate; one by the gate starts the count again
    with session(settings) as connection:
        for act, then in (("promoted by hand", 2), ("rejected", 2), ("promoted", 0)):
            record_promotion(
                connection, name=name, version="1", before=None, act=act, by_whom="ann", why="a test"
            )
            count = judged_before(connection, "next", name=name, features_version=FEATURES_VERSION)
            assert count == then, act
        connection.rollback()
    # so do new audit labels, once they are most of them
    label_some(teaching=0, audit=120, seed=1, first_second=500_000)
    assert verdicts("next") == 2
    label_some(teaching=0, audit=5, seed=2, first_second=900_000)
    assert verdicts("next") == 0


def test_one_at_a_time_a_killed_run_is_noticed_and_a_dry_run_promotes_nothing(
    fresh_settings, serving, label_some, environment_of
):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=200, audit=250)

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
    deadline = time.monotonic() + 240
    found: Any = None
    while time.monotonic() < deadline:
        with session(settings, read_only=True) as connection:
            found = next(iter(runs(connection)), None)
        if found is not None and found.step == "train":
            break
        time.sleep(0.05)
    assert found is not None
    assert found.step == "train"
    os.killpg(first.pid, signal.SIGSTOP)  # it holds the lock for as long as the second one takes to start
    second = start("--force")
    output = second.communicate(timeout=240)[0]
    assert second.returncode == RefusedError.exit_code, output
    assert found.run_id in output
    assert "Traceback" not in output
    with pytest.raises(RefusedError):
        abandon(settings, found.run_id, by_whom="ann")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert champion(settings, name).version == serving.version, "nothing is half promoted"

    dry = run_all(settings, "dry", Options(dry_run=True))
    assert (dry.state, dry.steps.gate.verdict) == ("unneeded", "promote")
    assert champion(settings, name).version == serving.version
    with session(settings, read_only=True) as connection:
        assert decisions(connection, name) == []
    dead = state_of(settings, found.run_id)
    assert (dead.state, dead.step) == ("failed", "train")


def test_killed_between_the_alias_and_its_record(fresh_settings, serving, label_some, monkeypatch):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    label_some(teaching=200, audit=250)
    assert run_all(settings, "approved", Options(require_approval=True)).state == "waiting"

    class Killed(BaseException):
        """The process ends here."""

    move = promoting.move_aliases

    def move_and_die(*arguments: Any) -> None:
        move(*arguments)
        raise Killed

    monkeypatch.setattr(promoting, "move_aliases", move_and_die)
    with pytest.raises(Killed):
        approve(settings, "approved", by_whom="ann")
    monkeypatch.undo()
    with session(settings, read_only=True) as connection:
        assert decisions(connection, name) == []
    assert state_of(settings, "approved").state == "waiting"
    assert approve(settings, "approved", by_whom="ann").state == "promoted"
    with session(settings, read_only=True) as connection:
        (only,) = decisions(connection, name)
    assert (only.before, only.act) == (serving.version, "promoted")
    assert registry.previous(settings, name).version == serving.version
