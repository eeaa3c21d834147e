"""The closed loop on this machine, from a champion trained on too few people to a better one.

A fleet, or recorded people (workflows/closed_loop_people), stream, windows are queued, a simulated annotator labels
them, a challenger is trained and evaluated by the gate, and the running scorer takes it up. Both versions are then
evaluated on people neither model has seen.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import clean_environment
from activitymodule.embedded.stack import Stack
from activitymodule.errors import ActivityError, RefusedError, ServiceUnavailableError
from activitymodule.kafka import topics
from activitymodule.learning.gate import Audit, Candidate, compare, macro_f1_interval
from activitymodule.learning.training_set import only_known
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.evaluation.against_truth import score
from activitymodule.settings import Settings, build, environment_of, resolve, reveal
from activitymodule.store.connection import session
from activitymodule.store.evaluation import has_predictions_of
from activitymodule.store.labels import label_counts
from activitymodule.store.migrate import upgrade
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows import closed_loop_people as people
from activitymodule.workflows import training
from activitymodule.workflows.annotating import annotator
from activitymodule.workflows.background import Job, running
from activitymodule.workflows.labelling import OracleCount, run_oracle
from activitymodule.workflows.requests import LoopPlan, TrainingRequest
from activitymodule.workflows.retraining.judging import examine_version
from activitymodule.workflows.retraining.request import new_run_id
from activitymodule.workflows.retraining.results import Options
from activitymodule.workflows.retraining.run import run_all
from activitymodule.workflows.training_data import load_windows

Plan = LoopPlan
Say = Callable[[str], None]

_REPORT_SECONDS = 15.0
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Measured:
    """One version on people it has not seen: macro-F1 with its 95 % interval over people, F1 by activity, accuracy."""

    version: str
    macro_f1: float
    low: float
    high: float
    per_label: dict[str, float]
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """The first and the retrained version on the same people, and the gain in macro-F1 with its 95 % bounds."""

    people: int
    windows: int
    before: Measured
    after: Measured
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Loop(Comparison):
    """The result of a run. teaching, audit : labels that trained and evaluated; wrong : of all labels; state, summary :
    of the retraining; promoted_seconds : from the promotion to the first row of the new version; recorded : what there
    is besides where recorded people stream"""

    plan: Plan
    teaching: int
    audit: int
    wrong: int
    state: str
    summary: str
    run_id: str
    promoted_seconds: float | None
    seconds: float
    recorded: people.Recorded | None = None


def run(config: Settings, plan: Plan, *, say: Say, keep: bool = False) -> Loop:
    """The loop on the embedded stack, which is started where it does not run, and stopped again unless `keep`.

    It has a database, topics, models and folders of its own. Raises ActivityError where it does not get on.
    """
    stack = Stack(config)
    was_running = stack.status().running
    own = loop_settings(config, plan)
    try:
        stack.up(say=say)
        start_afresh(own)
        return run_loop(own, plan, say=say, logs=resolve(config.local.folder) / "logs")
    finally:
        if not keep and not was_running:
            stack.down(say)


def loop_settings(config: Settings, plan: Plan) -> Settings:
    """The same services with a database, topics, models and folders of the loop's own, so that nothing of the user's is
    touched; and a queue that selects in minutes as many windows as it otherwise would in days."""
    tree, folder = reveal(config), f"{config.local.folder}/loop"
    tree["store"]["database"] = f"{config.store.database}_loop"
    tree["kafka"] |= {
        "topic": f"{config.kafka.topic}-loop",
        "truth_topic": f"{config.kafka.truth_topic}-loop",
    }
    tree["registry"] |= {
        "classifier": f"{config.registry.classifier}-loop",
        "regressor": f"{config.registry.regressor}-loop",
    }
    tree["spark"]["checkpoints"] = f"{folder}/checkpoints"
    tree["archive"]["folder"] = f"{folder}/archive"
    tree["lake"]["folder"] = f"{folder}/lake"
    tree["queue"] |= queue_of(plan)
    tree["events"]["enabled"] = False
    if plan.people is not None:
        people.change_settings(tree, plan.people)
    return build(tree)


def queue_of(plan: Plan) -> dict[str, object]:
    """Settings of a queue whose budget allows all labels within two minutes. To find that many windows that differ from
    what was queued of their people before, the policy takes some six minutes for 250 labels of 40 watches."""
    labels = plan.teaching + plan.audit
    return {
        "enabled": True,
        "items_per_hour": 3600.0 * labels / 120.0,
        "burst": max(20, labels // 5),
        "audit_share": plan.audit / labels,
        "cooldown_minutes": 1.0,
        "cold_labels": min(100, plan.teaching // 2),
        "overlap_share": 0.0,
    }


def start_afresh(config: Settings) -> None:
    """An empty database, empty topics, no checkpoints: each run of the loop begins at its beginning.

    Raises RefusedError for a database that is not the loop's own.
    """
    if not config.store.database.endswith("_loop"):
        raise RefusedError("only the loop's own database is emptied")
    postgres = Postgres(config)
    postgres.drop_database()
    postgres.settle()
    upgrade(config)
    old = set(topics.names(config)) & {config.kafka.topic, config.kafka.truth_topic}
    if old:
        topics.delete(config, sorted(old))
        deadline = time.monotonic() + 30
        while set(topics.names(config)) & old and time.monotonic() < deadline:
            time.sleep(0.2)
    topics.create(config)
    for folder in (config.spark.checkpoints, config.archive.folder, config.lake.folder):
        shutil.rmtree(resolve(folder), ignore_errors=True)


def run_loop(config: Settings, plan: Plan, *, say: Say, logs: Path) -> Loop:
    """The loop, on services that run and a store that is empty. Raises ActivityError where it does not get on."""
    begin = time.monotonic()
    recorded = people.Split.of(config, plan.people) if plan.people is not None else None
    first = _first_champion(config, plan)
    say(f"version {first} is champion")
    environment = clean_environment(environment_of(config))
    with (
        running(["score"], logs / "loop-score.log", environment) as scorer,
        running(_watches(plan, recorded), logs / "loop-watches.log", environment) as watches,
        _annotator(config, plan, logs) as label,
    ):
        wrong = _label(config, plan, (scorer, watches), label, say)
        report = run_all(
            config, new_run_id(), Options(force=True), say=lambda step, text: say(f"{step}: {text}")
        )
        promoted, waited = time.monotonic(), None
        steps = report.steps
        if report.challenger is None or steps.snapshot is None or steps.evaluate is None:
            raise ActivityError(f"the retraining ended without a challenger: {report.summary}")
        if report.state == "promoted":
            _until_served(config, report.challenger)
            waited = time.monotonic() - promoted
            say(f"the running stream scores by version {report.challenger} after {waited:.1f} s")
        watches.end()
        served = None if recorded is None else people.served(config, plan, recorded, say)
    comparison = measure(config, _unseen(config, plan, recorded), (first, report.challenger))
    return Loop(
        **vars(comparison),
        plan=plan,
        teaching=steps.snapshot.labels,
        audit=steps.evaluate.audit_labels,
        wrong=wrong,
        state=report.state,
        summary=report.summary or "",
        run_id=report.run_id,
        promoted_seconds=waited,
        seconds=time.monotonic() - begin,
        recorded=None if recorded is None else people.recorded(config, plan, recorded, served, say),
    )


def _first_champion(config: Settings, plan: Plan) -> str:
    """The version of a champion that was trained on very few people."""
    request = (
        people.champion_of(plan.people)
        if plan.people is not None
        else TrainingRequest(
            what="activity",
            data="synthetic",
            devices=plan.base_people,
            minutes=plan.base_minutes,
            seed=plan.base_seed,
            folds=2,
            promote=True,
        )
    )
    version = training.train(request, config)[0].version
    assert version is not None
    return version


def _watches(plan: Plan, split: people.Split | None) -> list[str]:
    """The verb that streams."""
    if plan.people is not None and split is not None:
        return people.replay_of(plan, split.asked, passes=plan.people.passes)
    fleet = ["generate", "--devices", str(plan.watches), "--speed", f"{plan.speed:g}"]
    return [*fleet, "--seed", str(plan.fleet_seed)]


@contextmanager
def _annotator(config: Settings, plan: Plan, logs: Path) -> Iterator[Callable[[float], OracleCount]]:
    """What labels for so many seconds: at a console where people are recorded, else in the store."""
    if plan.people is not None:
        with annotator(config, logs, plan.error_rate) as one:
            yield one.label
        return
    yield lambda seconds: run_oracle(
        config, error_rate=plan.error_rate, seconds=seconds, seed=int(time.monotonic()), annotators=1
    )


def _label(
    config: Settings, plan: Plan, jobs: tuple[Job, Job], label: Callable[[float], OracleCount], say: Say
) -> int:
    """Label until the plan's labels are there; the number of wrong ones."""
    deadline, reported, wrong = time.monotonic() + plan.at_most_seconds, 0.0, 0
    while True:
        wrong += label(5).wrong
        with session(config, read_only=True) as connection:
            counts = label_counts(connection, FEATURES_VERSION, None)
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            say(
                f"{counts.teaching} training labels, {counts.audit} audit labels of {counts.audit_people} people"
            )
        if counts.teaching >= plan.teaching and counts.audit >= plan.audit:
            return wrong
        for job in jobs:
            if job.exit_code is not None:
                raise ServiceUnavailableError(f"a job ended on its own: {job.last_line()}")
        if time.monotonic() > deadline:
            raise ActivityError(
                f"after {plan.at_most_seconds:.0f} s there are only {counts.teaching} training labels and "
                f"{counts.audit} audit labels; see {jobs[0].log}"
            )


def _until_served(config: Settings, version: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with session(config, read_only=True) as connection:
            if has_predictions_of(connection, version):
                return
        time.sleep(_POLL_SECONDS)
    raise ActivityError(f"version {version} was promoted, but the stream does not score by it")


def _unseen(config: Settings, plan: Plan, split: people.Split | None) -> TrainingWindows:
    """Windows of recorded people who were never asked, or of synthesised people of another seed."""
    if plan.people is not None and split is not None:
        return people.windows_of(config, plan.people, split.never)
    (windows,) = load_windows(
        "synthetic",
        config,
        devices=plan.unseen_people,
        minutes=plan.unseen_minutes,
        seed=plan.unseen_seed,
    )
    return only_known(windows)


def measure(config: Settings, windows: TrainingWindows, versions: tuple[str, str]) -> Comparison:
    """Both versions on windows of people whom neither has seen."""
    audit = Audit(
        label=windows.activity,
        person=windows.person,
        features=windows.features,
        propensity=np.ones(len(windows)),
    )
    models = windows.device_model.tolist()
    before, after = (examine_version(config, version, windows.features, models) for version in versions)
    change = compare(before, after, audit, config.learning).macro_f1
    return Comparison(
        people=len(np.unique(windows.person)),
        windows=len(windows),
        before=_measured(config, before, audit),
        after=_measured(config, after, audit),
        gain=change.value,
        gain_low=change.low,
        gain_high=change.high,
    )


def _measured(config: Settings, candidate: Candidate, audit: Audit) -> Measured:
    if candidate.probabilities is None:
        raise ActivityError(f"version {candidate.version} cannot be evaluated: {candidate.refusal}")
    value, low, high = macro_f1_interval(candidate, audit, config.learning.bootstrap)
    predicted = np.array(candidate.labels)[candidate.probabilities.argmax(1)]
    per_label = {one.activity: one.f1 for one in score(audit.label, predicted).classes}
    accuracy = float((predicted == audit.label).mean())
    return Measured(candidate.version, value, low, high, per_label, accuracy)
