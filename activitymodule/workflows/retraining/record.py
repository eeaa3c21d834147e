"""A run in the store while its steps work: the lock, the progress, the results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from activitymodule.errors import ActivityError, RefusedError
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import Connection, patiently, transact
from activitymodule.store.locks import retrain_lease
from activitymodule.workflows.retraining.results import Result

R = TypeVar("R", bound=Result)

PROGRESS = {"check": 0.02, "snapshot": 0.05, "train": 0.1, "evaluate": 0.85, "gate": 0.92, "promote": 0.97}
"""Share of a run that is done when a step begins."""


@contextmanager
def working(config: Settings, run_id: str, step: str) -> Iterator[store.Run]:
    """Hold the lock for a step and record that it is under way; yields the run.

    Raises RefusedError where the run has failed, or another one holds the lock.
    """
    with retrain_lease(config, run_id):

        def begin(connection: Connection) -> store.Run:
            store.note(connection, run_id, step=step, progress=PROGRESS[step])
            return store.get_run(connection, run_id)

        run = transact(config, begin)
        if run.state == "failed":
            raise RefusedError(
                f"the retraining {run_id} has failed ({run.summary}); begin it again with its check"
            )
        try:
            yield run
        except BaseException as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            with contextlib.suppress(ActivityError):  # without a store the error itself has the reason
                note(config, run_id, f"{step}: {message}"[:500])
            raise


def note(config: Settings, run_id: str, summary: str, progress: float | None = None) -> None:
    """Record how far a run is."""
    transact(config, lambda connection: store.note(connection, run_id, summary=summary, progress=progress))


def save(
    config: Settings,
    run_id: str,
    step: str,
    result: R,
    *,
    snapshot_id: str | None = None,
    challenger: str | None = None,
) -> R:
    """Keep the result of a step, and the names of what it made; returns the result.

    Waits for a store that is away: a step may have worked for an hour.
    """

    def transaction(connection: Connection) -> None:
        if snapshot_id or challenger:
            store.set_made(connection, run_id, snapshot_id=snapshot_id, challenger=challenger)
        store.remember(connection, run_id, step, result.model_dump(mode="json"))

    patiently(lambda: transact(config, transaction))
    return result


def saved(run: store.Run, step: str, kind: type[R]) -> R | None:
    """The result of a step; None where it is not done."""
    content = run.result(step)
    return None if content is None else kind.model_validate(content)


def required(run: store.Run, step: str, kind: type[R]) -> R:
    """The result of a step that must be done. Raises RefusedError where it is not."""
    result = saved(run, step, kind)
    if result is None:
        raise RefusedError(f"the retraining {run.run_id} has not done its step {step} yet; do that first")
    return result
