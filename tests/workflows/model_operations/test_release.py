"""The release check of real versions: every condition, what it blocks, and what is kept of one that was overridden."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from own_settings import register_champion, replaced
from verbs import Verbs

from activitymodule.errors import ReleaseBlockedError
from activitymodule.learning.gate.verdict import Check, Figures, Verdict
from activitymodule.registry.versions import ModelVersion, register
from activitymodule.serving.record import serving
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.model_exports import ModelExport, record_export
from activitymodule.workflows import promotion
from activitymodule.workflows.model_operations import release_checks
from activitymodule.workflows.model_operations.release import (
    ReleaseReport,
    check_release,
    require_release,
    with_release,
)

GOOD = Check(name="schema", passed=True, message="303 features")
BAD = Check(name="drift", passed=False, message="it has no drift baseline")


def report(*checks: Check) -> ReleaseReport:
    return ReleaseReport(name="m", version="3", passed=all(one.passed for one in checks), checks=checks)


def test_a_failed_condition_needs_a_reason_which_the_record_gets():
    assert require_release(report(GOOD), "") == ""
    for no_reason in ("", "  "):
        with pytest.raises(ReleaseBlockedError, match="drift: it has no drift baseline"):
            require_release(report(GOOD, BAD), no_reason)
    told = require_release(report(GOOD, BAD), "the old one is worse")
    assert "drift: it has no drift baseline" in told
    assert told.endswith("because the old one is worse")


def test_the_gate_rejects_what_may_not_be_released():
    figures = Figures(labels=100, people=10)
    good = Verdict(
        promote=True, summary="better", champion="2", challenger="3", figures=figures,
        checks=(Check(name="size", passed=True, message="1 MB"),),
    )  # fmt: skip
    passed = with_release(good, report(GOOD, Check(name="size", passed=False, message="of the gate's own")))
    assert passed.promote
    assert [one.name for one in passed.checks] == ["size", "schema"]
    rejected = with_release(good, report(GOOD, BAD))
    assert not rejected.promote
    assert "it has no drift baseline" in rejected.summary
    worse = good.model_copy(update={"promote": False, "summary": "not better"})
    assert with_release(worse, report(BAD)).summary == "not better"


@pytest.mark.integration
def test_every_condition_of_a_version_that_serves_and_of_one_that_must_not(
    fresh_settings: Settings,
    trained: Path,
    tmp_path: Path,
    verbs: Verbs,
    environment_of: Callable[[Settings], dict[str, str]],
):
    settings, name = fresh_settings, fresh_settings.registry.classifier
    register_champion(settings, trained)
    passed = check_release(settings)
    assert passed.passed, passed.failed()
    assert [one.name for one in passed.checks][:4] == ["loads", "schema", "size", "lineage"]
    assert {"parity", "thresholds", "drift", "speed", "queue"} <= {one.name for one in passed.checks}
    assert check_release(settings, "energy").passed

    folder = shutil.copytree(trained / "activity", tmp_path / "worse")
    (folder / "drift.npz").unlink()
    described = yaml.safe_load((folder / "MLmodel").read_text())
    units = described["metadata"]["units"]
    units[next(iter(units))] = "furlongs"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    lineage = json.loads((folder / "lineage.json").read_text())
    lineage["config"]["values"]["seed"] = "another"
    (folder / "lineage.json").write_text(json.dumps(lineage))
    worse: ModelVersion = register(settings, name, folder, {})
    failed = check_release(settings, version="latest")
    assert failed.version == worse.version
    assert [one.name for one in failed.failed()] == ["schema", "lineage", "drift"]

    other = ModelExport(
        "onnx-int8", "0" * 64, "", "synthetic", 100, 0.2, 0.1, 0.9, "an answer differs by 0.2"
    )
    export = replace(other, format="onnx", failure=None)
    for one, holds in ((export, True), (replace(export, failure="an answer differs by 0.1"), False)):
        with session(settings) as connection:
            for row in (one, other):
                record_export(connection, name, worse.version, row)
        subject = release_checks.Subject.of(replaced(settings, scoring={"engine": "onnx"}), "activity", worse)
        found = release_checks.parity(subject)
        assert found.passed is holds
        assert "onnx-int8 failed the comparison" in found.message
    with session(settings) as connection:
        record_export(connection, name, worse.version, export)

    environment = environment_of(settings)
    ended = verbs.run(environment, "release", "check", worse.version, "--json")
    assert ended.returncode == 5
    assert json.loads(ended.stdout)["passed"] is False
    assert verbs.run(environment, "release", "check").returncode == 0

    with pytest.raises(ReleaseBlockedError):
        promotion.promote_by_hand(settings, "activity", worse.version, by_whom="ann", why="new watch")
    now = serving(settings, name)
    assert now is not None
    assert now.version != worse.version
    promotion.promote_by_hand(
        settings, "activity", worse.version, by_whom="ann", why="new watch", because="the old one is worse"
    )
    kept = promotion.history(settings, "activity", 1)[0]
    assert (kept.version, kept.act) == (worse.version, "promoted by hand")
    assert kept.why.startswith("new watch; in spite of the release check (")
    assert kept.why.endswith("because the old one is worse")
    assert ReleaseReport.model_validate(kept.verdict["release"]).failed() == failed.failed()
