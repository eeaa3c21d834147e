"""When a retraining begins, and why not: on the store, and the rule alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from own_settings import serve

from activitymodule.errors import DataError, RefusedError
from activitymodule.registry.versions import register
from activitymodule.settings import Settings
from activitymodule.store.labels import LabelCounts
from activitymodule.workflows.retraining import ending, steps
from activitymodule.workflows.retraining.checking import new_labels, retrained_within, worthwhile
from activitymodule.workflows.retraining.results import Options, Reason
from activitymodule.workflows.retraining.run import report, run_all

FORCED = Options(force=True)


@pytest.mark.integration
def test_reasons_not_to_begin(fresh_settings, weak_model, label_some):
    settings = fresh_settings

    def reason(run_id: str, options: Options | None = None) -> Reason:
        found = run_all(settings, run_id, options)
        assert found.state == "unneeded", found.summary
        assert found.summary == found.steps.check.summary
        return found.steps.check.reason

    assert reason("none") == reason("none-forced", FORCED) == Reason.NO_CHAMPION
    serve(settings, register(settings, settings.registry.classifier, weak_model, {}))
    assert reason("empty") == reason("empty-forced", FORCED) == Reason.NOTHING_TO_LEARN
    label_some(teaching=10, audit=10)
    assert reason("unjudged") == Reason.NOT_ENOUGH_AUDIT
    label_some(teaching=0, audit=80, seed=1, first_second=500_000)
    few = steps.check(settings, "few", Options(min_labels=50))
    assert (few.needed, few.reason) == (False, Reason.NOT_ENOUGH_LABELS)
    assert new_labels(settings, 50, pause_minutes=0) == new_labels(settings, 5) == 0
    assert not retrained_within(settings, 1)
    assert steps.check(settings, "enough", Options(min_labels=5)).needed
    assert retrained_within(settings, 1)
    with pytest.raises(RefusedError):  # another one is under way
        steps.check(settings, "other", FORCED)
    with pytest.raises(RefusedError):  # its snapshot is missing
        steps.train(settings, "enough", seed=1)
    with pytest.raises(DataError):
        report(settings, "nowhere")
    ending.fail(settings, "enough", "enough of it")
    with pytest.raises(RefusedError):  # a run that has failed begins with its check
        steps.snapshot(settings, "enough")
    assert steps.check(settings, "other", FORCED).needed


@pytest.mark.integration
def test_labels_that_may_not_teach_are_a_reason_too(fresh_settings, serving, one_watch):
    """All labels are of the audit share, or beside it: a forced run has nothing to learn, and its check ends it."""
    one_watch(["audit", "doubt", "doubt", "audit"])
    found = run_all(fresh_settings, "forced", FORCED)
    assert (found.state, found.steps.check.reason) == ("unneeded", Reason.NOTHING_TO_LEARN)
    assert found.steps.check.labels == 2
    assert found.steps.snapshot is None


def counts(new: int, audit: int = 60, people: int = 5, teaching: int | None = None) -> LabelCounts:
    taught = new if teaching is None else teaching
    return LabelCounts(taught, new, audit, people, 0, 0, 0, datetime.now(UTC))


@pytest.mark.parametrize(
    ("numbers", "force", "drift", "needed", "reason"),
    [
        (counts(50), False, None, True, Reason.ENOUGH_LABELS),
        (counts(49), False, None, False, Reason.NOT_ENOUGH_LABELS),
        (counts(49), True, None, True, Reason.FORCED),
        (counts(10), False, "drift", True, Reason.DRIFT),
        (counts(9), False, "drift", False, Reason.NOT_ENOUGH_LABELS),
        (counts(0, teaching=5), False, "drift", False, Reason.NOT_ENOUGH_LABELS),
        (counts(50, audit=59), False, None, False, Reason.NOT_ENOUGH_AUDIT),
        (counts(50, people=4), False, None, False, Reason.NOT_ENOUGH_AUDIT),
        (counts(50, people=4), True, None, True, Reason.FORCED),
        (counts(0), True, None, False, Reason.NOTHING_TO_LEARN),
    ],
)
def test_the_rule(numbers: LabelCounts, force: bool, drift: str | None, needed: bool, reason: Reason) -> None:
    found = worthwhile(Settings(), numbers, 50, force=force, drift=drift)
    assert (found.needed, found.reason) == (needed, reason)
