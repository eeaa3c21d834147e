"""The promotion: act on the verdict of the gate, at once or after a person's approval."""

from __future__ import annotations

from activitymodule.errors import RefusedError
from activitymodule.orchestration.names import RETRAIN, STARTED_BY
from activitymodule.registry.versions import ModelVersion, drop_challenger
from activitymodule.serving.checking import checked
from activitymodule.serving.record import move_aliases, promoted, serving
from activitymodule.settings import Settings
from activitymodule.store import retraining as store
from activitymodule.store.connection import Connection, patiently, session, transact
from activitymodule.store.locks import retrain_lease
from activitymodule.store.promotions import record_promotion
from activitymodule.workflows.retraining.record import required, saved, working
from activitymodule.workflows.retraining.results import GateResult, Options, PromotionResult, State


def promote(
    config: Settings, run_id: str, *, dry_run: bool | None = None, approved_by: str | None = None
) -> PromotionResult:
    """Record the challenger as champion and move the aliases to it, or reject it.

    Where approval is required the run waits until `approved_by` names a person. The champion must still be the one
    the challenger was compared with. The alias moves while the entry of the record is written and not yet committed:
    a process that dies in between leaves either the old champion, or the new one and a run that is finished by
    repeating this step (or by the next run's check). dry_run : the run's option where None
    """
    with working(config, run_id, "promote") as run:
        if run.state in ("promoted", "rejected", "unneeded"):
            return _as_it_is(run)
        verdict, options = required(run, "gate", GateResult), Options.model_validate(run.options)
        dry = options.dry_run if dry_run is None else dry_run
        if verdict.verdict != "promote":
            return _reject(config, run, verdict, dry)
        if dry:
            return _finish(config, run, "unneeded", f"dry run, nothing was moved: {verdict.summary}")
        if options.require_approval and not approved_by:
            summary = f"waits for approval: {verdict.summary}; approve it with `{approval_command(run)}`"
            return _finish(config, run, "waiting", summary)
        return _promote(config, run, verdict, approved_by or run.started_by)


def approval_command(run: store.Run) -> str:
    """The command that approves a run which waits; one that Airflow began is approved in Airflow."""
    if by_airflow(run):
        return f"activity airflow answer {RETRAIN} {run.run_id}"
    return f"activity retrain approve {run.run_id}"


def by_airflow(run: store.Run) -> bool:
    """Whether a DAG began the run."""
    return run.started_by.startswith(STARTED_BY)


def _as_it_is(run: store.Run) -> PromotionResult:
    return PromotionResult(state=run.state, summary=run.summary, version=run.challenger)


def _finish(config: Settings, run: store.Run, state: State, summary: str) -> PromotionResult:
    patiently(
        lambda: transact(config, lambda connection: store.finish_run(connection, run.run_id, state, summary))
    )
    return PromotionResult(state=state, summary=summary, version=run.challenger)


def _reject(config: Settings, run: store.Run, verdict: GateResult, dry: bool) -> PromotionResult:
    drop_challenger(config, config.registry.classifier, verdict.challenger)
    if dry:
        return _finish(config, run, "unneeded", f"dry run: {verdict.summary}")
    patiently(
        lambda: transact(
            config,
            lambda connection: record(connection, config, run, "rejected", run.started_by, verdict.summary),
        )
    )
    return PromotionResult(state="rejected", summary=verdict.summary, version=verdict.challenger)


def reject(config: Settings, run_id: str, by_whom: str) -> PromotionResult:
    """End a run that waits for approval: the challenger is rejected. One that waits no more stays as it is."""
    with retrain_lease(config, run_id), session(config) as connection:
        run = store.get_run(connection, run_id)
        if run.state != "waiting" or run.challenger is None:
            return _as_it_is(run)
        verdict = saved(run, "gate", GateResult)
        why = f"not approved ({by_whom})" + (f"; the gate: {verdict.summary}" if verdict else "")
        record(connection, config, run, "rejected", by_whom, why)
        # before the commit: where this process dies here, all of it is done again
        drop_challenger(config, config.registry.classifier, run.challenger)
    return PromotionResult(state="rejected", summary=why, version=run.challenger)


def _promote(config: Settings, run: store.Run, verdict: GateResult, by_whom: str) -> PromotionResult:
    name = config.registry.classifier
    serves = serving(config, name)
    now = serves.version if serves else None
    if now not in (verdict.champion, verdict.challenger):
        raise RefusedError(
            f"version {verdict.challenger} was compared with version {verdict.champion}, but version {now} is "
            "champion now; retrain to compare it anew"
        )
    # the files that the gate judged, and no others
    challenger = checked(config, ModelVersion(name, verdict.challenger), sha256=verdict.sha256 or None)
    with session(config) as connection:
        record(connection, config, run, "promoted", by_whom, verdict.summary, sha256=challenger.sha256)
        move_aliases(config, promoted(connection, config, name))
    drop_challenger(config, name, verdict.challenger)
    return PromotionResult(state="promoted", summary=verdict.summary, version=verdict.challenger)


def record(
    connection: Connection,
    config: Settings,
    run: store.Run,
    act: State,
    by_whom: str,
    why: str,
    *,
    sha256: str | None = None,
) -> None:
    """Write the entry of the promotions' record, and end the run. sha256 : of the files of a version that serves now"""
    verdict = saved(run, "gate", GateResult)
    version = run.challenger or (verdict.challenger if verdict else None)
    assert version is not None, "a run that ends so has a challenger"
    record_promotion(
        connection,
        name=config.registry.classifier,
        version=version,
        before=verdict.champion if verdict else None,
        act=act,
        by_whom=by_whom,
        why=why,
        run_id=run.run_id,
        verdict=verdict.model_dump(mode="json") if verdict else {},
        sha256=sha256,
    )
    store.finish_run(connection, run.run_id, act, why)
