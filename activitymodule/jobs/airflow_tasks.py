"""What the DAGs do beyond the verbs: each a function of settings and plain values, safe to repeat."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from activitymodule.settings import Settings, project_root


def turn_away(settings: Settings, run_id: str, by_whom: str) -> dict[str, Any]:
    """End a retraining that waits for approval with no: the challenger is turned away. One that waits no more stays
    as it is. Gives `state`, `says` and `version`."""
    from activitymodule.registry.versions import drop_challenger
    from activitymodule.store.connection import session
    from activitymodule.store.locks import retrain_lease
    from activitymodule.store.promotions import record_promotion
    from activitymodule.store.retraining import finish_run, get_run

    name = settings.registry.classifier
    with retrain_lease(settings, run_id), session(settings) as connection:
        run = get_run(connection, run_id)
        verdict = run.result("gate") or {}
        if run.state != "waiting" or run.challenger is None:
            return {"state": run.state, "says": run.summary, "version": run.challenger}
        why = f"not approved ({by_whom}); the gate had said: {verdict.get('says')}"
        record_promotion(
            connection,
            name=name,
            version=run.challenger,
            before=verdict.get("champion"),
            act="rejected",
            by_whom=by_whom,
            why=why,
            run_id=run_id,
            verdict=verdict,
        )
        # before it is committed: a task that dies here is done again, whole
        drop_challenger(settings, name, run.challenger)
        finish_run(connection, run_id, "rejected", why)
    return {"state": "rejected", "says": why, "version": run.challenger}


# ---- new labels


def labels_waiting(settings: Settings, min_labels: int, pause_minutes: float = 60) -> int:
    """How many new gold labels make a retraining worth while now; 0 where they do not.

    The rule is that of the retraining's own check. Nothing is announced while one is under way, within
    `pause_minutes` of the last one, or when no label came since the last one began.
    """
    from activitymodule.jobs.retrain import _worth_while
    from activitymodule.store.connection import session
    from activitymodule.store.labels import label_counts
    from activitymodule.store.retraining import learnt_until, runs
    from activitymodule.windows.catalogue import FEATURES_VERSION

    with session(settings, read_only=True) as connection:
        counts = label_counts(connection, FEATURES_VERSION, learnt_until(connection, ""))
        last = next(iter(runs(connection, 1)), None)
    if last is not None:
        if last.state in ("running", "waiting"):
            return 0
        if counts.newest is None or counts.newest <= last.started_at:
            return 0
        if datetime.now(UTC) - last.started_at < timedelta(minutes=pause_minutes):
            return 0
    needed, _ = _worth_while(settings, counts, min_labels, False, None)
    return int(counts.new) if needed else 0


# ---- drift


def reports_folder() -> Path:
    return project_root() / "reports" / "drift"


def look_at_drift(settings: Settings, folder: Path | None = None) -> dict[str, Any]:
    """Compare what was scored lately with the champion's baseline, open and end alarms, and keep a report.

    folder : where drift-TIME.json and latest.json go; reports older than monitoring.keep_days are removed. Gives
    `retrain` (recommended), `says`, `path`.
    """
    from activitymodule.jobs.output import jsonable
    from activitymodule.monitoring.report import drift_report
    from activitymodule.store.connection import session

    folder = folder or reports_folder()
    with session(settings) as connection:
        found = drift_report(settings, connection, record=True)
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    text = (
        json.dumps(jsonable({"made_at": now, **found.limited(40).model_dump(mode="json")}), indent=1) + "\n"
    )
    path = folder / f"drift-{now:%Y%m%dT%H%M%SZ}.json"
    for target in (path, folder / "latest.json"):
        part = target.with_name(f".{target.name}.part")
        part.write_text(text)
        part.replace(target)
    for old in folder.glob("drift-*.json"):
        if time.time() - old.stat().st_mtime > settings.monitoring.keep_days * 86_400:
            old.unlink(missing_ok=True)
    return {"retrain": found.retrain_recommended, "says": found.summary, "path": str(path)}


def retrained_within(settings: Settings, hours: float) -> bool:
    """Whether a retraining that was worth while began within so many hours, or is under way."""
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import runs

    since = datetime.now(UTC) - timedelta(hours=hours)
    with session(settings, read_only=True) as connection:
        return any(
            run.state in ("running", "waiting") or (run.state != "unneeded" and run.started_at > since)
            for run in runs(connection, 50)
        )
