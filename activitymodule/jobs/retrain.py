"""`activity retrain`: retrain the classifier on new labels; promote it if it is significantly better.

Seven steps, each a function that may be run again without harm and gives a dict that JSON can hold: check,
snapshot, train, evaluate, gate, promote, report. The command runs them one after another; Airflow runs each as
a task. What passes between them is in the store (retrain_runs) and in the lake.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ActivityError, ConfigError, DataError, ModelError, RefusedError
from activitymodule.settings import Settings, settings
from activitymodule.store.connection import Connection

if TYPE_CHECKING:
    from activitymodule.learning.gate import Audit
    from activitymodule.learning.training_set import GoldWindows, TrainingSet
    from activitymodule.models.dataset import TrainingWindows
    from activitymodule.registry.versions import ModelVersion
    from activitymodule.store.retraining import Run

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Retrain the classifier on what people labelled; promote it only if it is honestly better.",
    epilog="Examples: activity retrain   |   activity retrain --force --dry-run   |   activity retrain history",
)

STEPS = ("check", "snapshot", "train", "evaluate", "gate", "promote", "report")
RUN_TAG = "retrain_run"
AIRFLOW = "airflow: "  # how `started_by` begins where a DAG began the run
# A run whose steps are tasks of their own holds the lock only while one of them works. So long after its last sign
# of life it counts as dead.
STEPS_APART_SECONDS = 3600.0
DRIFT_SHARE = 0.2  # of learning.min_labels that will do where drift recommends a retraining
_PROGRESS = {"check": 0.02, "snapshot": 0.05, "train": 0.1, "evaluate": 0.85, "gate": 0.92, "promote": 0.97}


def new_run_id() -> str:
    """The moment and a little chance: sorts by time, never meets another."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@contextmanager
def _step(config: Settings, run_id: str, step: str) -> Iterator[Run]:
    """Hold the lock for a step, and say that it is under way."""
    from activitymodule.store.connection import session
    from activitymodule.store.locks import retrain_lease
    from activitymodule.store.retraining import get_run, note

    with retrain_lease(config, run_id):
        with session(config) as connection:
            note(connection, run_id, step=step, progress=_PROGRESS.get(step))
            run = get_run(connection, run_id)
        if run.state == "failed":
            raise RefusedError(
                f"the retraining {run_id} has failed ({run.summary}); begin it again by its check"
            )
        try:
            yield run
        except BaseException as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            _note(config, run_id, summary=f"{step}: {said}"[:500])
            raise


def _note(config: Settings, run_id: str, **values: Any) -> None:
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import note

    with session(config) as connection:
        note(connection, run_id, **values)


def _remember(config: Settings, run_id: str, step: str, gave: dict[str, Any], **made: str) -> dict[str, Any]:
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import remember, set_made

    with session(config) as connection:
        if made:
            set_made(connection, run_id, **made)
        remember(connection, run_id, step, gave)
    return gave


def _needs(run: Run, step: str) -> dict[str, Any]:
    gave = run.result(step)
    if gave is None:
        raise RefusedError(f"the retraining {run.run_id} has not done its step {step} yet; do that first")
    return gave


# ---- the steps ---------------------------------------------------------------------------------------------


def check(
    config: Settings,
    run_id: str,
    *,
    min_labels: int | None = None,
    force: bool = False,
    why: str = "",
    started_by: str = "",
    require_approval: bool = False,
    dry_run: bool = False,
    seed: int = 1,
    whole: bool = False,
) -> dict[str, Any]:
    """Begin a run: is it worth while? Enough new labels, drift, or because somebody says so (`force`).

    Gives `needed`, `says`, `labels` and the counts behind them. whole : all steps run in this process, so that
    without it the run is dead. Other runs that died are marked failed. Raises
    RefusedError where another run is under way, ModelError without a champion.
    """
    from activitymodule.learning.gate import has_judged, spent_alpha
    from activitymodule.registry.versions import champion
    from activitymodule.store.connection import session
    from activitymodule.store.labels import label_counts
    from activitymodule.store.locks import retrain_lease
    from activitymodule.store.retraining import begin_run, finish_run, judged_before, learnt_until, note, who
    from activitymodule.windows.catalogue import FEATURES_VERSION

    least = config.learning.min_labels if min_labels is None else min_labels
    asked = {
        "min_labels": least,
        "force": force,
        "dry_run": dry_run,
        "seed": seed,
        "require_approval": require_approval,
    }
    with retrain_lease(config, run_id):
        _settle_others(config, run_id)
        with session(config) as connection:
            run = begin_run(
                connection,
                run_id,
                started_by=started_by or who(),
                why=why or ("asked for" if force else "new labels"),
                options=asked,
                whole=whole,
            )
            if run.state == "promoted":
                return run.result("check") or {"needed": False, "says": run.summary, "labels": 0}
            note(connection, run_id, step="check", progress=_PROGRESS["check"])
        serving = champion(config, config.registry.classifier)
        with session(config) as connection:
            if serving is None:
                says = f"{config.registry.classifier} has no champion yet; `activity train` makes the first"
                finish_run(connection, run_id, "failed", says)
                connection.commit()
                raise ModelError(says)
            since = learnt_until(connection, run_id)
            counts = label_counts(connection, FEATURES_VERSION, since)
            drift = _drift_recommends(config)
            needed, says = _worth_while(config, counts, least, force, drift)
            before = judged_before(
                connection, run_id, name=config.registry.classifier, features_version=FEATURES_VERSION
            )
            if needed and before:
                alpha = spent_alpha(config.learning.alpha, before)
                says += f"; {has_judged(before)}, so the gate asks for more (alpha {alpha:.2g})"
            if not needed:
                finish_run(connection, run_id, "unneeded", says)
        gave = {
            "needed": needed,
            "says": says,
            "labels": counts.new,
            "labels_in_all": counts.teaching,
            "audit_labels": counts.audit,
            "audit_people": counts.audit_people,
            "judged_before": before,
            "disputed": counts.disputed,
            "without_features": counts.without_features,
            "other_features": counts.other_features,
            "drift": drift,
            "champion": serving.version,
        }
        return _remember(config, run_id, "check", gave)


def _worth_while(
    config: Settings, counts: Any, least: int, force: bool, drift: str | None
) -> tuple[bool, str]:
    learning = config.learning
    has = f"{counts.new} new labels, {counts.audit} audit labels of {counts.audit_people} people"
    if force:
        return True, f"asked for: {has}"
    if counts.teaching == 0:
        return False, f"there is nothing to learn from yet: {has}"
    if counts.audit < learning.least_audit_labels or counts.audit_people < learning.least_audit_people:
        return (
            False,
            f"{has}: a challenger could not be judged, which takes {learning.least_audit_labels} audit labels of "
            f"{learning.least_audit_people} people",
        )
    # with drift fewer will do, but not none: each try on the same labels is another chance to be let in by luck
    enough = max(1, round(least * DRIFT_SHARE)) if drift else least
    if counts.new < enough:
        return False, f"{has}: {enough} new ones make a retraining worth while"
    return True, f"{has}; {drift}" if drift else has


def _drift_recommends(config: Settings) -> str | None:
    """What the watch on drift says, where it recommends a retraining; a watch that fails recommends nothing."""
    from activitymodule.monitoring.report import drift_report
    from activitymodule.store.connection import session

    if not config.monitoring.enabled:
        return None
    try:
        with session(config, read_only=True) as connection:
            found = drift_report(config, connection)
    except ActivityError:
        return None
    return found.summary if found.retrain_recommended else None


def _settle_others(config: Settings, run_id: str) -> None:
    """Runs that say they run while we hold the lock: one whose steps are apart may be between two of them; any
    other is dead, and is marked so, or promoted where it got that far."""
    from activitymodule.registry.versions import champion
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import idle_seconds, others_running

    with session(config, read_only=True) as connection:
        others = others_running(connection, run_id)
    for other in others:
        idle = idle_seconds(other)
        if not other.parameters.get("whole") and idle < STEPS_APART_SECONDS:
            raise RefusedError(
                f"the retraining {other.run_id}, begun by {other.started_by}, is under way (at {other.step}, last "
                f"seen {idle:.0f} s ago); wait for it, or end it with `activity retrain abandon {other.run_id}`"
            )
        serving = champion(config, config.registry.classifier)
        if other.step == "promote" and serving is not None and serving.version == other.challenger:
            # it died between moving the alias and writing it down
            with session(config) as connection:
                verdict = other.result("gate") or {}
                _write_promotion(connection, config, other, other.started_by, verdict.get("says", ""))
            continue
        said = f" ({other.summary})" if other.summary else ""
        fail(config, other.run_id, f"its process ended at {other.step}{said}")


def snapshot(config: Settings, run_id: str) -> dict[str, Any]:
    """Put together what the challenger learns from, and keep it in the lake under the SHA-256 of its content.

    Done again it gives the labels that were taken the first time.
    """
    from activitymodule.lake.snapshots import write_snapshot
    from activitymodule.store.connection import session
    from activitymodule.store.labels import gold_rows
    from activitymodule.store.promotions import SnapshotRow, put_snapshot
    from activitymodule.windows.catalogue import FEATURES_VERSION

    with _step(config, run_id, "snapshot") as run:
        done = run.result("snapshot")
        if done is not None:
            return done
        serving = _needs(run, "check")["champion"]
        base, described = base_of(config, serving)
        with session(config, read_only=True) as connection:
            rows = gold_rows(connection, FEATURES_VERSION)
        training = _assemble(config, base, rows)
        stored = write_snapshot(config, training)
        detail = {
            "left_out": training.left_out,
            "labels_added": list(training.labels_added),
            "spread": training.spread,
            "base": described,
            "features_version": FEATURES_VERSION,
        }
        with session(config) as connection:
            put_snapshot(
                connection,
                SnapshotRow(
                    snapshot_id=stored.snapshot_id,
                    base=described["says"],
                    windows=len(training.base) + len(training.taught),
                    labels=training.labels,
                    people=training.people,
                    place=stored.place,
                    detail=detail,
                ),
            )
        gave = {
            "snapshot_id": stored.snapshot_id,
            "place": stored.place,
            "written": stored.written,
            "windows": len(training.base) + len(training.taught),
            "labels": training.labels,
            "people": training.people,
            "newest_label": max((row.labelled_at for row in rows), default=None),
            **detail,
        }
        gave = json.loads(json.dumps(gave, default=str))
        return _remember(config, run_id, "snapshot", gave, snapshot_id=stored.snapshot_id)


def gold_windows(rows: list[Any]) -> GoldWindows:
    """Rows of the store as arrays."""
    import numpy as np

    from activitymodule.learning.training_set import GoldWindows

    if not rows:
        return GoldWindows.none()
    return GoldWindows(
        device_id=np.array([row.device_id for row in rows], str),
        window_us=np.array([row.window_us for row in rows], np.int64),
        label=np.array([row.label for row in rows], str),
        stratum=np.array([row.stratum for row in rows], str),
        propensity=np.array([row.propensity for row in rows], np.float64),
        features=np.array([row.features for row in rows], np.float32),
    )


def _assemble(config: Settings, base: TrainingWindows, rows: list[Any]) -> TrainingSet:
    from activitymodule.learning.training_set import for_training, training_set

    gold, learning, around = gold_windows(rows), config.learning, None
    if learning.spread_windows and len(gold):
        from activitymodule.lake.neighbours import neighbours

        own = gold.take(for_training(gold))
        wanted = zip(own.device_id.tolist(), own.window_us.tolist(), strict=True)
        around = neighbours(config, wanted, learning.spread_windows)
    return training_set(
        base,
        gold,
        label_weight=learning.label_weight,
        neighbours=around,
        spread_windows=learning.spread_windows,
        spread_weight=learning.spread_weight,
        slide_us=config.windows.slide_seconds * 1_000_000,
    )


def base_of(config: Settings, version: str) -> tuple[TrainingWindows, dict[str, Any]]:
    """What the champion learnt from besides labels, or what learning.base names; and how it was found.

    Raises DataError where the champion learnt from files that its lineage cannot lead to (a registry holds no
    folders of a machine): learning.base then has to.
    """
    from activitymodule.lake.snapshots import read_base
    from activitymodule.learning.training_set import only_known
    from activitymodule.models.export import LINEAGE_FILE
    from activitymodule.registry.versions import ModelVersion, fetch
    from activitymodule.workflows.requests import TrainingRequest
    from activitymodule.workflows.training_data import load_windows

    named = config.learning.base
    described: dict[str, Any] = {"setting": named}
    made = {"devices": TrainingRequest.devices, "minutes": TrainingRequest.minutes, "seed": 1}
    expected: str | None = None
    source = named
    if named == "champion":
        folder = fetch(config, ModelVersion(config.registry.classifier, version))
        lineage = json.loads((folder / LINEAGE_FILE).read_text())
        data = lineage["data"].get("base") or lineage["data"]
        expected, source = data.get("sha256"), data["source"]
        kept = read_base(config, expected) if expected else None
        if kept is not None:
            described |= {**data, "says": f"{source}, as version {version} learnt from it (kept in the lake)"}
            return only_known(kept), described
        if source != "synthetic":
            raise DataError(
                f"version {version} learnt from {source}, and a registry keeps no folders; say where it lies by "
                "learning.base (as in `activity train --data`)"
            )
        made = {key: int(data.get(key, value)) for key, value in made.items()}
    (windows,) = load_windows(
        source, config, devices=made["devices"], minutes=made["minutes"], seed=made["seed"]
    )
    base = only_known(windows)
    found = base.sha256()
    described |= {"source": _public(source), "sha256": found, "same": expected in (None, found)}
    if source == "synthetic":
        described |= made
    described["says"] = _public(source) + (
        "" if expected in (None, found) else f", though not bit by bit what version {version} learnt from"
    )
    return base, described


def _public(source: str) -> str:
    from activitymodule.workflows.training_data import public_name

    return public_name(source)


def train(config: Settings, run_id: str, *, seed: int | None = None) -> dict[str, Any]:
    """Train the challenger by the champion's recipe and register it under the alias `challenger`.

    A challenger this run has registered already is taken as it is. Gives `challenger`, its version.
    """
    from activitymodule.lake.snapshots import read_snapshot
    from activitymodule.learning.challenger import families_of, headline, train_challenger
    from activitymodule.models.export import CARD_FILE, Card
    from activitymodule.registry.versions import (
        ModelVersion,
        fetch,
        set_challenger,
        versions,
    )

    with _step(config, run_id, "train") as run:
        name, serving = config.registry.classifier, _needs(run, "check")["champion"]
        taken = _needs(run, "snapshot")
        known = [v for v in versions(config, name) if v.tags.get(RUN_TAG) == run_id]
        done = run.result("train")
        if done is not None and any(v.version == done["challenger"] for v in known):
            return done
        used_seed = run.options.get("seed", 1) if seed is None else seed
        if known:
            # it died between registering and writing that down
            made = known[0]
            gave: dict[str, Any] = {"challenger": made.version, "seed": used_seed, "metrics": {}}
        else:
            training = read_snapshot(config, taken["snapshot_id"])
            folder = fetch(config, ModelVersion(name, serving))
            card = Card.from_json((folder / CARD_FILE).read_text())
            trained = train_challenger(
                training,
                config,
                families=families_of(card.feature_names),
                seed=used_seed,
                progress=_progress_of(config, run_id),
            )
            made = _register(config, run_id, trained, training, taken, serving, used_seed)
            gave = {"challenger": made.version, "seed": used_seed, "metrics": headline(trained)}
        set_challenger(config, made)
        return _remember(config, run_id, "train", gave, challenger=made.version)


def _progress_of(config: Settings, run_id: str) -> Callable[[int, int], None]:
    """Tell the store how far training is, from its share of the whole run."""
    first, last = _PROGRESS["train"], _PROGRESS["evaluate"]

    def said(done: int, of: int) -> None:
        share = first + (last - first) * done / max(of + 1, 1)
        _note(config, run_id, progress=share, summary=f"people held out in turn: {done} of {of}")

    return said


def _register(
    config: Settings,
    run_id: str,
    trained: Any,
    training: TrainingSet,
    taken: dict[str, Any],
    serving: str,
    seed: int,
) -> ModelVersion:
    from activitymodule.learning.challenger import headline, parameters, write_challenger
    from activitymodule.registry.lineage import write_lineage
    from activitymodule.registry.versions import register

    name, windows = config.registry.classifier, training.windows
    base = {key: value for key, value in taken["base"].items() if key not in ("says", "setting", "same")}
    with tempfile.TemporaryDirectory(prefix="activity-challenger-") as temporary:
        folder = Path(temporary)
        sha256 = write_challenger(folder, trained, training, config)
        write_lineage(
            folder,
            data={
                "source": f"{taken['base']['source']} and {training.labels} labels",
                "sha256": windows.sha256(),
                "windows": len(windows),
                "people": training.people,
                "snapshot": taken["snapshot_id"],
                "labels": training.labels,
                "spread": training.spread,
                "base": {**base, "sha256": training.base.sha256()},
            },
            config={
                "windows": config.windows.model_dump(),
                "models": config.models.model_dump(),
                "learning": config.learning.model_dump(exclude={"base"}),
                "seed": seed,
                "folds": trained.report.folds,
                "parameters": parameters(trained),
            },
            model_sha256=sha256,
            parents={"champion": serving},
        )
        return register(
            config,
            name,
            folder,
            headline(trained),
            parameters={"snapshot": taken["snapshot_id"], "labels": training.labels, "seed": seed},
            tags={
                "kind": "activity",
                "data": f"{taken['base']['source']} and {training.labels} labels",
                "snapshot": taken["snapshot_id"],
                "against": serving,
                RUN_TAG: run_id,
            },
        )


def audit_of(rows: list[Any]) -> Audit:
    """The windows that judge: labels of the audit share alone."""
    import numpy as np

    from activitymodule.learning.gate import Audit
    from activitymodule.learning.training_set import AUDIT
    from activitymodule.windows.catalogue import FEATURE_NAMES

    own = [row for row in rows if row.stratum == AUDIT]
    features = np.array([row.features for row in own], np.float32).reshape(len(own), len(FEATURE_NAMES))
    return Audit(
        label=np.array([row.label for row in own], str),
        person=np.array([row.device_id for row in own], str),
        features=features,
        propensity=np.array([row.propensity for row in own], np.float64),
    )


def evaluate(config: Settings, run_id: str) -> dict[str, Any]:
    """Load champion and challenger as the scorer would, and let both answer for the audit windows."""
    import numpy as np

    from activitymodule.lake.snapshots import write_evaluation
    from activitymodule.learning.gate import Candidate
    from activitymodule.learning.training_set import AUDIT
    from activitymodule.store.connection import session
    from activitymodule.store.labels import gold_rows
    from activitymodule.windows.catalogue import FEATURES_VERSION

    with _step(config, run_id, "evaluate") as run:
        serving, made = _needs(run, "check")["champion"], _needs(run, "train")["challenger"]
        with session(config, read_only=True) as connection:
            rows = gold_rows(connection, FEATURES_VERSION)
        audit = audit_of(rows)
        until = max((row.labelled_at for row in rows if row.stratum == AUDIT), default=None)
        arrays: dict[str, np.ndarray] = {
            "label": audit.label,
            "person": audit.person,
            "propensity": audit.propensity,
        }
        gave: dict[str, Any] = {
            "audit_labels": len(audit),
            "audit_people": len(np.unique(audit.person)),
            "audit_until": str(until) if until else None,
        }
        for side, version in (("champion", serving), ("challenger", made)):
            found: Candidate = _examine(config, version, audit.features)
            if found.probabilities is not None:
                arrays[f"{side}_probabilities"] = found.probabilities
            gave[side] = {
                key: value for key, value in asdict(found).items() if key not in ("probabilities", "labels")
            }
            gave[side]["labels"] = list(found.labels)
        gave["place"] = write_evaluation(config, run_id, arrays)
        return _remember(config, run_id, "evaluate", gave)


def _examine(config: Settings, version: str, features: Any) -> Any:
    from activitymodule.learning.gate import Candidate, examine
    from activitymodule.models.bundle import ModelBytes
    from activitymodule.registry.versions import ModelVersion, fetch

    limit = config.models.max_megabytes
    try:
        folder = fetch(config, ModelVersion(config.registry.classifier, version))
        # its size is the gate's to judge
        stored = ModelBytes.read(folder, version, max_megabytes=float("inf"))
    except ModelError as error:
        return Candidate(version, refusal=str(error))
    return examine(stored, features, config.windows, max_megabytes=limit)


def gate(config: Settings, run_id: str) -> dict[str, Any]:
    """The verdict on the challenger, kept with the run and on the model version; nothing is moved yet.

    Gives `verdict` (promote or reject), `says`, `figures` and `checks`.
    """
    from activitymodule.learning.gate import judge
    from activitymodule.registry.versions import ModelVersion, keep_json, tag
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import judged_before
    from activitymodule.windows.catalogue import FEATURES_VERSION

    with _step(config, run_id, "gate") as run:
        champion, challenger, audit = _evaluated(config, run)
        seed = int(_needs(run, "train").get("seed", 0))
        with session(config, read_only=True) as connection:
            before = judged_before(
                connection,
                run_id,
                name=config.registry.classifier,
                features_version=FEATURES_VERSION,
                snapshot_id=run.snapshot_id,
                seed=seed,
            )
        verdict = judge(champion, challenger, audit, config.learning, seed=seed, judged_before=before)
        content = json.loads(json.dumps(verdict.as_json(), default=float))
        version = ModelVersion(config.registry.classifier, challenger.version)
        word = "promote" if verdict.promote else "reject"
        tag(config, version, {"verdict": word, "verdict_says": verdict.says})
        keep_json(config, version, "verdict.json", {"run": run_id, **content})
        gave = {
            "at": datetime.now(UTC).isoformat(),
            "verdict": word,
            "says": verdict.says,
            "figures": content["figures"],
            "checks": content["checks"],
            "champion": champion.version,
            "challenger": challenger.version,
        }
        return _remember(config, run_id, "gate", gave)


def _evaluated(config: Settings, run: Run) -> tuple[Any, Any, Audit]:
    import numpy as np

    from activitymodule.lake.snapshots import read_evaluation
    from activitymodule.learning.gate import Audit, Candidate
    from activitymodule.windows.catalogue import FEATURE_NAMES

    gave, arrays = _needs(run, "evaluate"), read_evaluation(config, run.run_id)
    sides = []
    for side in ("champion", "challenger"):
        values = {**gave[side], "labels": tuple(gave[side]["labels"])}
        sides.append(Candidate(**values, probabilities=arrays.get(f"{side}_probabilities")))
    n = len(arrays["label"])
    audit = Audit(
        label=arrays["label"],
        person=arrays["person"],
        features=np.empty((n, len(FEATURE_NAMES)), np.float32),
        propensity=arrays["propensity"],
    )
    return sides[0], sides[1], audit


def promote(
    config: Settings, run_id: str, *, dry_run: bool | None = None, approved_by: str | None = None
) -> dict[str, Any]:
    """Act on the verdict: move the alias, or turn the challenger away. Gives `state`, `says` and `version`.

    Where approval was asked for, the run waits until `approved_by` names somebody. The champion must still be
    the one the verdict was made against. The alias moves at one instant, while the entry of the record is written
    and not yet committed: a process that dies in between leaves either the old champion, or the new one and a run
    that is finished by doing this step again (or by the next run's check).
    """
    with _step(config, run_id, "promote") as run:
        if run.state in ("promoted", "rejected", "unneeded"):
            return _ended(run)
        verdict = _needs(run, "gate")
        dry = bool(run.options.get("dry_run")) if dry_run is None else dry_run
        if verdict["verdict"] != "promote":
            return _turn_away(config, run, verdict, dry)
        if dry:
            return _end(config, run, "unneeded", f"dry run, nothing was moved: {verdict['says']}")
        if run.options.get("require_approval") and not approved_by:
            says = f"waits for a person: {verdict['says']}; let it in with `{_approval_of(run)}`"
            return _end(config, run, "waiting", says)
        return _let_in(config, run, verdict, approved_by)


def _approval_of(run: Run) -> str:
    """The command by which a run that waits is let in; one that Airflow began waits in Airflow."""
    from activitymodule.orchestration.names import RETRAIN

    by_airflow = run.started_by.startswith(AIRFLOW)
    return (
        f"activity airflow answer {RETRAIN} {run.run_id}"
        if by_airflow
        else f"activity retrain approve {run.run_id}"
    )


def _not_while_airflow_waits(config: Settings, run: Run, option: str = "") -> None:
    """Raises RefusedError for a run that waits in Airflow: decided here it would go on to wait there, for days, and
    hold back the next. Where Airflow is away it may be decided here."""
    from activitymodule.orchestration.client import healthy, run_of
    from activitymodule.orchestration.names import RETRAIN

    if run.state != "waiting" or not run.started_by.startswith(AIRFLOW) or not healthy(config):
        return
    try:
        over = run_of(config, RETRAIN, run.run_id).over
    except ConfigError:  # it is another Airflow's, or was cleaned away there
        return
    if not over:
        raise RefusedError(
            f"the retraining {run.run_id} waits in Airflow; `{_approval_of(run)}{option}` answers it"
        )


def _ended(run: Run) -> dict[str, Any]:
    return {"state": run.state, "says": run.summary, "version": run.challenger}


def _end(config: Settings, run: Run, state: str, says: str) -> dict[str, Any]:
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import finish_run

    with session(config) as connection:
        finish_run(connection, run.run_id, state, says)
    return {"state": state, "says": says, "version": run.challenger}


def _turn_away(config: Settings, run: Run, verdict: dict[str, Any], dry: bool) -> dict[str, Any]:
    from activitymodule.registry.versions import drop_challenger
    from activitymodule.store.connection import session
    from activitymodule.store.promotions import record_promotion
    from activitymodule.store.retraining import finish_run

    name = config.registry.classifier
    drop_challenger(config, name, verdict["challenger"])
    if dry:
        return _end(config, run, "unneeded", f"dry run: {verdict['says']}")
    with session(config) as connection:
        record_promotion(
            connection,
            name=name,
            version=verdict["challenger"],
            before=verdict["champion"],
            act="rejected",
            by_whom=run.started_by,
            why=verdict["says"],
            run_id=run.run_id,
            verdict=verdict,
        )
        finish_run(connection, run.run_id, "rejected", verdict["says"])
    return {"state": "rejected", "says": verdict["says"], "version": verdict["challenger"]}


def _let_in(config: Settings, run: Run, verdict: dict[str, Any], approved_by: str | None) -> dict[str, Any]:
    from activitymodule.registry.versions import ModelVersion, champion, drop_challenger, set_champion
    from activitymodule.store.connection import session

    name = config.registry.classifier
    serving = champion(config, name)
    now = serving.version if serving else None
    if now not in (verdict["champion"], verdict["challenger"]):
        raise RefusedError(
            f"version {verdict['challenger']} was judged against version {verdict['champion']}, but version {now} "
            "is champion now; retrain to judge it anew"
        )
    with session(config) as connection:
        _write_promotion(connection, config, run, approved_by or run.started_by, verdict["says"])
        if now != verdict["challenger"]:
            set_champion(config, ModelVersion(name, verdict["challenger"]))
    drop_challenger(config, name, verdict["challenger"])
    return {"state": "promoted", "says": verdict["says"], "version": verdict["challenger"]}


def _write_promotion(connection: Connection, config: Settings, run: Run, by_whom: str, why: str) -> None:
    from activitymodule.store.promotions import record_promotion
    from activitymodule.store.retraining import finish_run

    verdict = run.result("gate") or {}
    record_promotion(
        connection,
        name=config.registry.classifier,
        version=run.challenger or verdict["challenger"],
        before=verdict.get("champion"),
        act="promoted",
        by_whom=by_whom,
        why=why,
        run_id=run.run_id,
        verdict=verdict,
    )
    finish_run(connection, run.run_id, "promoted", why)


def report(config: Settings, run_id: str) -> dict[str, Any]:
    """All that is known of a run."""
    from activitymodule.jobs.output import jsonable
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import get_run

    with session(config, read_only=True) as connection:
        return jsonable(asdict(get_run(connection, run_id)))


def fail(config: Settings, run_id: str, says: str) -> None:
    """Mark a run as failed; a challenger it made wants to serve no longer."""
    from activitymodule.registry.versions import drop_challenger
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import find_run, finish_run

    with session(config) as connection:
        run = find_run(connection, run_id)
        if run is None or run.state not in ("running", "waiting"):
            return
        finish_run(connection, run_id, "failed", says[:500])
    if run.challenger:
        drop_challenger(config, config.registry.classifier, run.challenger)


def approve(config: Settings, run_id: str, *, by_whom: str) -> dict[str, Any]:
    """Let in the challenger of a run that waits for a person."""
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import get_run

    with session(config, read_only=True) as connection:
        run = get_run(connection, run_id)
    if run.state != "waiting":
        raise RefusedError(f"the retraining {run.run_id} does not wait for approval: it is {run.state}")
    return promote(config, run.run_id, dry_run=False, approved_by=by_whom)


def run_all(
    config: Settings,
    run_id: str,
    *,
    say: Callable[[str, str], None] = lambda step, text: None,
    dry_run: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """Every step in turn, under one lock; the report. A run that fails is marked so."""
    from activitymodule.store.locks import retrain_lease

    with retrain_lease(config, run_id):
        begun = False
        try:
            say("check", "are there labels enough?")
            checked = check(config, run_id, dry_run=dry_run, whole=True, **asked)
            begun = True
            say("check", checked["says"])
            if checked["needed"]:
                _after_check(config, run_id, say, dry_run)
        except ActivityError as error:
            if begun:
                fail(config, run_id, str(error))
            raise
        except BaseException as error:
            if begun:
                fail(config, run_id, f"{type(error).__name__}: {error}")
            raise
    return report(config, run_id)


def _after_check(config: Settings, run_id: str, say: Callable[[str, str], None], dry_run: bool) -> None:
    taken = snapshot(config, run_id)
    says = f"{taken['windows']:,} windows of {taken['people']} people, {taken['labels']} labels among them"
    say("snapshot", f"{says} ({taken['snapshot_id'][:12]})")
    for reason, count in taken["left_out"].items():
        say("snapshot", f"left out: {count} labels, {reason}")
    begin = time.monotonic()
    made = train(config, run_id)
    say("train", f"version {made['challenger']}, in {time.monotonic() - begin:.0f} s")
    found = evaluate(config, run_id)
    say("evaluate", f"{found['audit_labels']} audit labels of {found['audit_people']} people")
    verdict = gate(config, run_id)
    for one in verdict["checks"]:
        say("gate", f"{'yes' if one['passed'] else 'NO '}  {one['says']}")
    done = promote(config, run_id, dry_run=dry_run)
    say("promote", f"{done['state']}: {done['says']}")


# ---- the command -------------------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def retrain(
    context: typer.Context,
    force: bool = typer.Option(False, help="Whether or not there are new labels enough."),
    dry_run: bool = typer.Option(False, help="Train and judge, but move nothing."),
    seed: int = typer.Option(1, min=0, help="Same labels, same seed: same model."),
    min_labels: int = typer.Option(
        None, min=1, help="New labels that make it worth while.  [default: learning.min_labels]"
    ),
    require_approval: bool = typer.Option(
        False, help="A better challenger waits for `activity retrain approve RUN`."
    ),
    why: str = typer.Option("", help="Why, for the record."),
    as_json: bool = typer.Option(False, "--json", help="The whole run as JSON on stdout."),
) -> None:
    """Retrain the classifier on what people labelled; promote it only if it is honestly better.

    Ends with 0 whether the challenger was promoted, turned away or not needed, and says which and why.
    """
    if context.invoked_subcommand is not None:
        return

    def say(step: str, text: str) -> None:
        typer.secho(f"{step:<9} ", bold=True, nl=False, err=True)
        typer.echo(text, err=True)

    for other in _waiting(settings()):
        say(
            "note",
            f"the retraining {other.run_id} waits for a person (`{_approval_of(other)}`); once another version is "
            "champion it can be let in no more",
        )
    run = run_all(
        settings(),
        new_run_id(),
        say=say,
        dry_run=dry_run,
        force=force,
        seed=seed,
        min_labels=min_labels,
        require_approval=require_approval,
        why=why,
    )
    if as_json:
        typer.echo(json.dumps(run, indent=1))
    else:
        typer.echo(f"{run['state']}: {run['summary']}")


def _waiting(config: Settings) -> list[Run]:
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import runs

    with session(config, read_only=True) as connection:
        return [run for run in runs(connection) if run.state == "waiting"]


@app.command(epilog="Example: activity retrain history --limit 5 --json")
def history(
    limit: int = typer.Option(20, min=1, help="How many."),
    as_json: bool = typer.Option(False, "--json", help="JSON on stdout."),
) -> None:
    """Retrainings, newest first: who, why, and how each ended."""
    from activitymodule.jobs.output import jsonable, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import runs

    with session(settings(), read_only=True) as connection:
        found = runs(connection, limit)
    if as_json:
        typer.echo(json.dumps([jsonable(asdict(run)) for run in found], indent=1))
        return
    if not found:
        typer.echo("nothing was retrained yet")
        return
    print_table(
        ("run", "began", "by", "why", "state", "challenger", "summary"),
        [
            (run.run_id, run.started_at, run.started_by, run.why, run.state, run.challenger, run.summary)
            for run in found
        ],
    )


@app.command(epilog="Example: activity retrain show 20261120T101500Z-1f3a")
def show(
    run_id: str = typer.Argument(..., help="A run, or the beginning of its name."),
    as_json: bool = typer.Option(False, "--json", help="JSON on stdout."),
) -> None:
    """One retraining: what it learnt from, both models' figures, every check of the gate."""
    content = report(settings(), run_id)
    if as_json:
        typer.echo(json.dumps(content, indent=1))
        return
    steps = content["parameters"].get("steps") or {}
    typer.echo(f"{content['run_id']}  {content['state']}  (by {content['started_by']}: {content['why']})")
    typer.echo(f"  {content['summary'] or ''}")
    if "snapshot" in steps:
        taken = steps["snapshot"]
        typer.echo(
            f"  learnt from {taken['windows']:,} windows, {taken['labels']} labels: {taken['snapshot_id']}"
        )
        typer.echo(f"  base: {taken['base']['says']}")
        for reason, count in taken["left_out"].items():
            typer.echo(f"  left out: {count} labels, {reason}")
    for one in (steps.get("gate") or {}).get("checks", ()):
        typer.echo(f"  {'yes' if one['passed'] else 'NO '}  {one['name']}: {one['says']}")
    per_label = ((steps.get("gate") or {}).get("figures") or {}).get("per_label") or {}
    if per_label:
        from activitymodule.jobs.output import print_table

        print_table(
            ("activity", "audit windows", "people", "recall before", "recall after"),
            [
                (label, one["windows"], one["people"], one["champion"], one["challenger"])
                for label, one in per_label.items()
            ],
        )


@app.command("approve", epilog="Example: activity retrain approve 20261120T101500Z-1f3a")
def approve_run(
    run_id: str = typer.Argument(..., help="A run that waits, or the beginning of its name."),
) -> None:
    """Let in the challenger of a run that waits for a person."""
    from activitymodule.store.connection import session
    from activitymodule.store.retraining import get_run, who

    config = settings()
    with session(config, read_only=True) as connection:
        _not_while_airflow_waits(config, run := get_run(connection, run_id))
    done = approve(config, run.run_id, by_whom=who())
    typer.echo(f"{done['state']}: {done['says']}")


@app.command(epilog="Example: activity retrain abandon 20261120T101500Z-1f3a")
def abandon(run_id: str = typer.Argument(..., help="A run, or the beginning of its name.")) -> None:
    """End a run that waits, or whose process is gone."""
    from activitymodule.store.connection import session
    from activitymodule.store.locks import retrain_lease
    from activitymodule.store.retraining import get_run, who

    config = settings()
    with session(config, read_only=True) as connection:
        run = get_run(connection, run_id)
    if run.state not in ("running", "waiting"):
        raise RefusedError(f"the retraining {run.run_id} has ended already: it is {run.state}")
    _not_while_airflow_waits(config, run, " --reject")
    with retrain_lease(config, run.run_id):
        fail(config, run.run_id, f"abandoned by {who()}")
    typer.echo(f"{run.run_id} was abandoned")
