"""Evaluation and gate: both models on the audit windows, and the verdict on the challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np

from activitymodule.errors import ModelError
from activitymodule.lake.snapshots import read_evaluation, write_evaluation
from activitymodule.learning.gate import Audit, Candidate, examine, judge
from activitymodule.learning.strata import AUDIT
from activitymodule.models.evaluation.slices import Slicing
from activitymodule.registry.versions import ModelVersion, keep_json, tag
from activitymodule.serving.checking import checked
from activitymodule.settings import Settings
from activitymodule.store import labels
from activitymodule.store import retraining as store
from activitymodule.store.connection import session
from activitymodule.store.slices import groups_for
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION
from activitymodule.workflows.model_operations.release import check_version, with_release
from activitymodule.workflows.retraining.gold import audit_of
from activitymodule.workflows.retraining.record import required, save, working
from activitymodule.workflows.retraining.results import (
    CheckResult,
    EvaluationResult,
    GateResult,
    Side,
    TrainingResult,
)

_SLICES = "slices: "  # begins the names of arrays that hold the group of each window


def evaluate(config: Settings, run_id: str) -> EvaluationResult:
    """Load champion and challenger as the scorer loads them, and score the audit windows with both."""
    with working(config, run_id, "evaluate") as run:
        serving = str(required(run, "check", CheckResult).champion)
        made = required(run, "train", TrainingResult).challenger
        with session(config, read_only=True) as connection:
            rows = labels.gold_rows(connection, FEATURES_VERSION)
            groups = groups_for(connection, [row.device_id for row in rows])
        audit = audit_of(rows, groups)
        champion, challenger = (
            examine_version(config, version, audit.features, audit.device_models)
            for version in (serving, made)
        )
        arrays = {"label": audit.label, "person": audit.person, "propensity": audit.propensity}
        arrays |= {f"{_SLICES}{one.kind}": one.name for one in audit.slicings}
        for side, candidate in (("champion", champion), ("challenger", challenger)):
            if candidate.probabilities is not None:
                arrays[f"{side}_probabilities"] = candidate.probabilities
        result = EvaluationResult(
            champion=_side(champion),
            challenger=_side(challenger),
            audit_labels=len(audit),
            audit_people=len(np.unique(audit.person)),
            audit_until=max((row.labelled_at for row in rows if row.stratum == AUDIT), default=None),
            place=write_evaluation(config, run_id, arrays),
        )
        return save(config, run_id, "evaluate", result)


def examine_version(
    config: Settings, version: str, features: np.ndarray, device_models: Sequence[str] | None
) -> Candidate:
    """One version of the classifier on `features` (n, len(FEATURE_NAMES)) of watches of these models (n,), or the
    reason why it does not serve."""
    try:
        # its size is a check of the gate
        found = checked(config, ModelVersion(config.registry.classifier, version), max_megabytes=float("inf"))
    except ModelError as error:
        return Candidate(version, refusal=str(error))
    limit = config.models.max_megabytes
    candidate = examine(
        found.stored, features, config.windows, max_megabytes=limit, device_models=device_models
    )
    return replace(candidate, sha256=found.sha256)


def _side(candidate: Candidate) -> Side:
    values = {one.name: getattr(candidate, one.name) for one in fields(candidate)}
    return Side(**{name: value for name, value in values.items() if name in Side.model_fields})


def _candidate(side: Side, probabilities: np.ndarray | None) -> Candidate:
    return Candidate(**side.model_dump(), probabilities=probabilities)


def gate(config: Settings, run_id: str) -> GateResult:
    """The verdict on the challenger, kept with the run and on the model version; no alias moves yet."""
    with working(config, run_id, "gate") as run:
        champion, challenger, audit = _evaluated(config, run)
        trained = required(run, "train", TrainingResult)
        seed = trained.seed
        with session(config, read_only=True) as connection:
            before = store.judged_before(
                connection,
                run_id,
                name=config.registry.classifier,
                features_version=FEATURES_VERSION,
                learnt=run.snapshot_id or f"version {trained.challenger}",
                seed=seed,
                family=trained.family,
            )
        verdict = judge(
            champion, challenger, audit, config.learning, seed=seed, verdicts_on_same_labels=before
        )
        version = ModelVersion(config.registry.classifier, challenger.version)
        verdict = with_release(verdict, check_version(config, "activity", version))
        content = verdict.model_dump(mode="json")
        word = "promote" if verdict.promote else "reject"
        tag(config, version, {"verdict": word, "verdict_summary": verdict.summary})
        keep_json(config, version, "verdict.json", {"run": run_id, **content})
        result = GateResult(
            at=datetime.now(UTC),
            verdict=word,
            summary=verdict.summary,
            champion=champion.version,
            challenger=challenger.version,
            sha256=challenger.sha256,
            figures=verdict.figures,
            checks=verdict.checks,
        )
        return save(config, run_id, "gate", result)


def _evaluated(config: Settings, run: store.Run) -> tuple[Candidate, Candidate, Audit]:
    result, arrays = required(run, "evaluate", EvaluationResult), read_evaluation(config, run.run_id)
    audit = Audit(
        label=arrays["label"],
        person=arrays["person"],
        features=np.empty((len(arrays["label"]), len(FEATURE_NAMES)), np.float32),
        propensity=arrays["propensity"],
        slicings=tuple(
            Slicing(name.removeprefix(_SLICES), of)
            for name, of in sorted(arrays.items())
            if name.startswith(_SLICES)
        ),
    )
    return (
        _candidate(result.champion, arrays.get("champion_probabilities")),
        _candidate(result.challenger, arrays.get("challenger_probabilities")),
        audit,
    )
