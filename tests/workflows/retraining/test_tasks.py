"""The tasks of the DAG without Airflow: Params and answers in, XCom out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from activitymodule.settings import Settings
from activitymodule.workflows.retraining import promoting, steps, tasks
from activitymodule.workflows.retraining.results import CheckResult, Options, PromotionResult, Reason

PARAMS = {
    "min_labels": 50, "force": False, "seed": 3, "dry_run": False, "require_approval": True, "why": None,
}  # fmt: skip


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the check is called with."""
    seen: dict[str, Any] = {}

    def check(config: Settings, run_id: str, options: Options, **more: Any) -> CheckResult:
        seen.update(run_id=run_id, options=options, **more)
        return CheckResult(needed=False, summary="no", reason=Reason.NO_CHAMPION)

    monkeypatch.setattr(steps, "check", check)
    return seen


@pytest.mark.parametrize(
    ("kind", "user", "why", "started_by", "reason"),
    [
        ("scheduled", None, None, "airflow: scheduled", "on schedule"),
        ("asset_triggered", None, None, "airflow: asset_triggered", "enough new labels"),
        ("manual", "bob", None, "airflow: bob", "triggered by hand"),
        ("manual", "bob", " new watches ", "airflow: bob", "new watches"),
    ],
)
def test_the_check_knows_who_and_why(
    checked: dict[str, Any], kind: str, user: str | None, why: str | None, started_by: str, reason: str
) -> None:
    run = SimpleNamespace(run_type=SimpleNamespace(value=kind), triggering_user_name=user)
    kept = tasks.check(Settings(), "run-1", {**PARAMS, "why": why}, run)
    assert (kept["needed"], kept["reason"]) == (False, "no_champion")
    assert (checked["run_id"], checked["started_by"], checked["why"]) == ("run-1", started_by, reason)
    assert checked["options"] == Options(min_labels=50, seed=3, require_approval=True)


@pytest.mark.parametrize(
    ("chosen", "user", "acts"),
    [
        ("Approve", {"name": "bob"}, ("promoted", "airflow: bob")),
        ("Reject", {"name": "bob"}, ("rejected", "airflow: bob")),
        ("Reject", None, ("rejected", "airflow: nobody answered")),
    ],
)
def test_an_answer_settles_the_run(
    monkeypatch: pytest.MonkeyPatch, chosen: str, user: dict[str, str] | None, acts: tuple[str, str]
) -> None:
    def promote(config: Settings, run_id: str, *, dry_run: bool, approved_by: str) -> PromotionResult:
        assert not dry_run
        return PromotionResult(state="promoted", summary=approved_by, version="2")

    def reject(config: Settings, run_id: str, by_whom: str) -> PromotionResult:
        return PromotionResult(state="rejected", summary=by_whom, version="2")

    monkeypatch.setattr(promoting, "promote", promote)
    monkeypatch.setattr(promoting, "reject", reject)
    kept = tasks.settle(Settings(), "run-1", {"chosen_options": [chosen], "responded_by_user": user})
    assert (kept["state"], kept["summary"]) == acts
