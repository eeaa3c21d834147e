"""Runs that ended before their last step: marked as failed, or finished where only the record was missing."""

from __future__ import annotations

from activitymodule.errors import RefusedError
from activitymodule.registry.versions import ModelVersion, champion, drop_challenger
from activitymodule.serving.checking import checked
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import Connection, session, transact
from activitymodule.workflows.retraining.promoting import record
from activitymodule.workflows.retraining.record import saved
from activitymodule.workflows.retraining.results import GateResult

# A run whose steps are tasks of their own holds the lock only while one of them works. After so long without a sign
# of life it counts as dead.
IDLE_SECONDS = 3600.0


def fail(config: Settings, run_id: str, summary: str) -> None:
    """Mark a run as failed, and take the alias `challenger` from what it made; one that has ended stays as it is."""

    def transaction(connection: Connection) -> str | None:
        run = store.find_run(connection, run_id)
        if run is None or run.state not in ("running", "waiting"):
            return None
        store.finish_run(connection, run_id, "failed", summary[:500])
        return run.challenger

    challenger = transact(config, transaction)
    if challenger:
        drop_challenger(config, config.registry.classifier, challenger)


def settle_others(config: Settings, run_id: str) -> None:
    """End other runs whose state is `running`, to be called by the holder of the lock.

    A run whose steps are tasks of their own may be between two of them: RefusedError. Any other is dead: it is marked
    as failed, or as promoted where its challenger serves.
    """
    with session(config, read_only=True) as connection:
        others = store.others_running(connection, run_id)
    for other in others:
        idle = store.idle_seconds(other)
        if not other.parameters.get("whole") and idle < IDLE_SECONDS:
            raise RefusedError(
                f"the retraining {other.run_id}, begun by {other.started_by}, is under way (at {other.step}, last "
                f"seen {idle:.0f} s ago); wait for it, or end it with `activity retrain abandon {other.run_id}`"
            )
        serving = champion(config, config.registry.classifier)
        verdict = saved(other, "gate", GateResult)
        moved = serving is not None and serving.version == other.challenger
        if other.step == "promote" and moved and verdict is not None and verdict.verdict == "promote":
            # it died between moving the alias and committing the record; the files are those that the gate judged
            version = ModelVersion(config.registry.classifier, verdict.challenger)
            sha256 = checked(config, version, sha256=verdict.sha256 or None).sha256
            with session(config) as connection:
                record(
                    connection, config, other, "promoted", other.started_by, verdict.summary, sha256=sha256
                )
            continue
        last = f" ({other.summary})" if other.summary else ""
        fail(config, other.run_id, f"its process ended at {other.step}{last}")
