"""A whole run in one process, and the report of a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import session
from activitymodule.store.locks import retrain_lease
from activitymodule.workflows.retraining import steps
from activitymodule.workflows.retraining.ending import fail
from activitymodule.workflows.retraining.results import Options, Report, Steps

Say = Callable[[str, str], None]


def _silent(step: str, text: str) -> None:
    """Shows nothing."""


def run_all(
    config: Settings,
    run_id: str,
    options: Options | None = None,
    *,
    why: str = "",
    started_by: str = "",
    say: Say = _silent,
) -> Report:
    """Every step in turn, under one lock. A run that fails is marked so. say : takes a step and a line about it

    Raises RefusedError where another run is under way, and what the steps raise.
    """
    with retrain_lease(config, run_id):
        begun = False
        try:
            say("check", "counts the labels")
            checked = steps.check(config, run_id, options, why=why, started_by=started_by, whole=True)
            begun = True
            say("check", checked.summary)
            if checked.needed:
                for step, line in _after_check(config, run_id, snapshot=not (options and options.challenger)):
                    say(step, line)
        except BaseException as error:
            if begun:
                known = isinstance(error, ActivityError)
                with contextlib.suppress(ActivityError):  # the next run marks this one as failed
                    fail(config, run_id, str(error) if known else f"{type(error).__name__}: {error}")
            raise
    return report(config, run_id)


def _after_check(config: Settings, run_id: str, *, snapshot: bool) -> Iterator[tuple[str, str]]:
    """The other steps, with lines about what each did. snapshot : whether a challenger is to be trained on one"""
    if snapshot:
        taken = steps.snapshot(config, run_id)
        yield (
            "snapshot",
            f"{taken.windows:,} windows of {taken.people} people, {taken.labels} labels among them "
            f"({taken.snapshot_id[:12]})",
        )
        for reason, count in taken.left_out.items():
            yield "snapshot", f"left out: {count} labels, {reason}"
    begin = time.monotonic()
    made = steps.train(config, run_id)
    yield "train", f"version {made.challenger}, in {time.monotonic() - begin:.0f} s"
    evaluated = steps.evaluate(config, run_id)
    yield "evaluate", f"{evaluated.audit_labels} audit labels of {evaluated.audit_people} people"
    for check in steps.gate(config, run_id).checks:
        yield "gate", f"{'yes' if check.passed else 'NO '}  {check.message}"
    done = steps.promote(config, run_id)
    yield "promote", f"{done.state}: {done.summary}"


def report(config: Settings, run_id: str) -> Report:
    """Everything that is known of a run. run_id : or the beginning of it. Raises DataError where there is none."""
    with session(config, read_only=True) as connection:
        return report_of(store.get_run(connection, run_id))


def history(config: Settings, limit: int = 20) -> list[Report]:
    """Reports of the newest runs, newest first."""
    with session(config, read_only=True) as connection:
        return [report_of(run) for run in store.runs(connection, limit)]


def report_of(run: store.Run) -> Report:
    """A run of the store with its options and results validated."""
    return Report(
        run_id=run.run_id,
        state=run.state,
        summary=run.summary,
        started_at=run.started_at,
        finished_at=run.finished_at,
        started_by=run.started_by,
        why=run.why,
        step=run.step,
        progress=run.progress,
        snapshot_id=run.snapshot_id,
        challenger=run.challenger,
        options=Options.model_validate(run.options),
        steps=Steps.model_validate(run.parameters.get("steps") or {}),
    )
