"""`activity demo-loop`: run the closed loop: stream, queue, labels, retraining, promotion.

A fleet streams, windows are queued, a simulated annotator labels them, a challenger is trained, the gate judges it,
and the running scorer takes it up. What it was worth is measured on people neither model has seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.settings import Settings, build, environment_of, project_root, resolve, reveal, settings

if TYPE_CHECKING:
    import numpy as np

    from activitymodule.learning.gate import Candidate

SECTION = "Demos"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """A run of the loop. The first champion learns from `base_people`; the fleet, and the people it is judged on at the
    end, are others (other seeds). speed : of the fleet, real time being 1; labels to wait for: teaching, audit"""

    base_people: int = 3
    base_minutes: int = 10
    base_seed: int = 3
    watches: int = 40
    speed: float = 10.0
    fleet_seed: int = 12
    teaching: int = 250
    audit: int = 300
    error_rate: float = 0.02
    at_most_seconds: float = 600.0
    unseen_people: int = 30
    unseen_minutes: int = 20
    unseen_seed: int = 99


@dataclass(frozen=True)
class Measured:
    """One model on people nobody has seen: macro-F1 with its 95 % interval over people, and F1 by activity."""

    version: str
    macro_f1: float
    low: float
    high: float
    per_label: dict[str, float]


@dataclass(frozen=True)
class Loop:
    """What came of a run."""

    plan: Plan
    people: int
    windows: int
    before: Measured
    after: Measured
    gain: float
    gain_low: float
    gain_high: float
    teaching: int
    audit: int
    wrong: int
    state: str
    says: str
    run_id: str
    promoted_seconds: float | None  # from the promotion to the first row of the new version
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


def loop_settings(config: Settings, plan: Plan) -> Settings:
    """The same services with a database, topics, models and folders of the loop's own, so that nothing of the user's is
    touched; and a queue that asks as much in minutes as people would be asked in days."""
    tree, folder = reveal(config), f"{config.local.folder}/loop"
    asked = plan.teaching + plan.audit
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
    tree["queue"] |= queue_of(plan, asked)
    return build(tree)


def queue_of(plan: Plan, asked: int) -> dict[str, Any]:
    """Settings of a queue whose budget is so many items in two minutes; to find that many windows unlike what their
    people were asked before, the policy takes some six minutes for 250 labels of 40 watches."""
    return {
        "enabled": True,
        "items_per_hour": 3600.0 * asked / 120.0,
        "burst": max(20, asked // 5),
        "audit_share": plan.audit / asked,
        "cooldown_minutes": 1.0,
        "cold_labels": min(100, plan.teaching // 2),
        "overlap_share": 0.0,
    }


def begin_anew(config: Settings) -> None:
    """An empty database, empty topics, no checkpoints: each run of the loop begins at its beginning."""
    import contextlib
    import shutil

    from psycopg2 import sql

    from activitymodule.embedded.postgres import Postgres
    from activitymodule.kafka import topics
    from activitymodule.store.migrate import upgrade

    if not config.store.database.endswith("_loop"):
        raise ActivityError("only the loop's own database is begun anew")
    with contextlib.closing(Postgres(config).connect()) as connection, connection.cursor() as cursor:
        name = sql.Identifier(config.store.database)
        cursor.execute(sql.SQL("drop database if exists {} with (force)").format(name))
    Postgres(config).settle()
    upgrade(config)
    there = set(topics.names(config)) & {config.kafka.topic, config.kafka.truth_topic}
    if there:
        topics.delete(config, sorted(there))
        deadline = time.monotonic() + 30
        while set(topics.names(config)) & there and time.monotonic() < deadline:
            time.sleep(0.2)
    topics.create(config)
    for folder in (config.spark.checkpoints, config.archive.folder, config.lake.folder):
        shutil.rmtree(resolve(folder), ignore_errors=True)


def first_champion(config: Settings, plan: Plan) -> str:
    """A champion that learnt from very few people; its version."""
    from activitymodule.workflows.training import Request, train

    request = Request(
        what="activity",
        data="synthetic",
        devices=plan.base_people,
        minutes=plan.base_minutes,
        seed=plan.base_seed,
        folds=2,
        promote=True,
    )
    version = train(request, config)[0].version
    assert version is not None
    return version


def _job(config: Settings, arguments: list[str], log: Path) -> Any:
    from activitymodule.embedded.processes import clean_environment
    from activitymodule.workflows.background import running

    return running(arguments, log, clean_environment(environment_of(config)))


def run_loop(config: Settings, plan: Plan, *, say: Callable[[str], None], logs: Path) -> Loop:
    """The loop, on services that run and a store that is empty. Raises ActivityError where it gets stuck."""
    from activitymodule.store.connection import session
    from activitymodule.store.labels import label_counts
    from activitymodule.windows.catalogue import FEATURES_VERSION
    from activitymodule.workflows.labelling import run_oracle
    from activitymodule.workflows.retraining.request import new_run_id
    from activitymodule.workflows.retraining.results import Options
    from activitymodule.workflows.retraining.run import run_all

    begin = time.monotonic()
    first = first_champion(config, plan)
    say(f"version {first} learnt from {plan.base_people} people and serves")
    fleet = ["generate", "--devices", str(plan.watches), "--speed", f"{plan.speed:g}"]
    fleet += ["--seed", str(plan.fleet_seed)]
    with (
        _job(config, ["score"], logs / "loop-score.log") as scorer,
        _job(config, fleet, logs / "loop-generate.log") as watches,
    ):
        deadline, said, wrong = time.monotonic() + plan.at_most_seconds, 0.0, 0
        while True:
            done = run_oracle(
                config, error_rate=plan.error_rate, seconds=5, seed=int(time.monotonic()), annotators=1
            )
            wrong += done.wrong
            with session(config, read_only=True) as connection:
                counts = label_counts(connection, FEATURES_VERSION, None)
            if time.monotonic() - said > 15:
                said = time.monotonic()
                says = f"{counts.audit} audit labels of {counts.audit_people} people"
                say(f"{counts.teaching} labels to learn from, {says}")
            if counts.teaching >= plan.teaching and counts.audit >= plan.audit:
                break
            for job in (scorer, watches):
                if job.exit_code is not None:
                    raise ServiceUnavailableError(f"a job ended on its own; see {job.log}")
            if time.monotonic() > deadline:
                raise ActivityError(
                    f"after {plan.at_most_seconds:.0f} s there are only {counts.teaching} labels to learn from and "
                    f"{counts.audit} audit labels; see {scorer.log}"
                )
        run_id = new_run_id()
        report = run_all(config, run_id, Options(force=True), say=lambda step, text: say(f"{step}: {text}"))
        steps = report.steps
        assert steps.snapshot is not None
        assert steps.evaluate is not None
        assert report.challenger is not None
        swapped = time.monotonic()
        waited = None
        if report.state == "promoted":
            _until_served(config, report.challenger)
            waited = time.monotonic() - swapped
            say(f"the running stream scores by version {report.challenger}, {waited:.1f} s later")
    before, after, gain, people, windows = measure(config, plan, (first, report.challenger))
    return Loop(
        plan=plan,
        people=people,
        windows=windows,
        before=before,
        after=after,
        gain=gain[0],
        gain_low=gain[1],
        gain_high=gain[2],
        teaching=steps.snapshot.labels,
        audit=steps.evaluate.audit_labels,
        wrong=wrong,
        state=report.state,
        says=report.summary or "",
        run_id=run_id,
        promoted_seconds=waited,
        seconds=time.monotonic() - begin,
    )


def _until_served(config: Settings, version: str, timeout: float = 60.0) -> None:
    from activitymodule.store.connection import session

    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with session(config, read_only=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM predictions WHERE model_version = %s LIMIT 1", (version,))
            if cursor.fetchone():
                return
        time.sleep(_POLL_SECONDS / 4)
    raise ActivityError(f"version {version} was promoted, but the stream does not score by it")


def measure(
    config: Settings, plan: Plan, versions: tuple[str, str]
) -> tuple[Measured, Measured, tuple[float, float, float], int, int]:
    """Both versions on synthesised people of another seed: before, after, the gain with its 95 % bounds, how many
    people and windows."""
    import numpy as np

    from activitymodule.learning.gate import Audit, compare, macro_f1_interval
    from activitymodule.learning.training_set import only_known
    from activitymodule.workflows.retraining.judging import examine_version
    from activitymodule.workflows.training_data import load_windows

    (windows,) = load_windows(
        "synthetic",
        config,
        devices=plan.unseen_people,
        minutes=plan.unseen_minutes,
        seed=plan.unseen_seed,
    )
    windows = only_known(windows)
    audit = Audit(
        label=windows.activity,
        person=windows.person,
        features=windows.features,
        propensity=np.ones(len(windows)),
    )
    sides = [examine_version(config, version, windows.features) for version in versions]
    measured = []
    for side in sides:
        value, low, high = macro_f1_interval(side, audit, config.learning.bootstrap)
        measured.append(Measured(side.version, value, low, high, _f1_by_label(side, windows.activity)))
    change = compare(sides[0], sides[1], audit, config.learning).macro_f1
    gain = (change.value, change.low, change.high)
    return measured[0], measured[1], gain, len(np.unique(windows.person)), len(windows)


def _f1_by_label(side: Candidate, truth: np.ndarray) -> dict[str, float]:
    """F1 of each activity of the truth."""
    import numpy as np

    from activitymodule.models.evaluation.scores import label_scores, truth_by_predicted

    assert side.probabilities is not None
    predicted = np.array(side.labels)[side.probabilities.argmax(1)]
    table = truth_by_predicted(truth, predicted)
    scores = label_scores(table.counts, table.labels)
    return {label: one.f1 for label, one in scores.items() if one.windows}


def draw(found: Loop, path: Path) -> None:
    """Before and after, on people neither model has seen, as an SVG."""
    from matplotlib.figure import Figure

    dark, light = "#1f4e79", "#9db8d2"
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.2))
    for k, (one, colour) in enumerate(((found.before, light), (found.after, dark))):
        left.errorbar(
            k, one.macro_f1, [[one.macro_f1 - one.low], [one.high - one.macro_f1]],
            fmt="o", color=colour, capsize=5, markersize=8, linewidth=2,
        )  # fmt: skip
        left.annotate(f"{one.macro_f1:.2f}", (k, one.macro_f1), (10, -3), textcoords="offset points")
    left.set_xlim(-0.5, 1.7)
    left.set_ylim(0, 1)
    left.set_xticks(
        (0, 1), (f"version {found.before.version}\nbefore", f"version {found.after.version}\nafter")
    )
    left.set_title("macro-F1, 95 % over people", fontsize=10)
    labels = sorted(found.after.per_label, key=lambda label: found.after.per_label[label])
    for k, label in enumerate(labels):
        values = found.before.per_label[label], found.after.per_label[label]
        right.plot(values, (k, k), color=light, linewidth=2, zorder=1)
        right.scatter(values[0], k, color=light, zorder=2, s=50)
        right.scatter(values[1], k, color=dark, zorder=2, s=50)
    right.set_yticks(range(len(labels)), labels)
    right.set_xlim(0, 1)
    right.set_title("F1 of each activity", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x" if axes is right else "y", color="#e6e6e6")
        axes.set_axisbelow(True)
    figure.suptitle(
        f"{found.teaching} labels taught, {found.audit} judged; "
        f"measured on {found.people} people neither model has seen",
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


@app.command(epilog="Example: activity demo-loop --figure docs/figures/closed-loop.svg")
def demo_loop(
    watches: int = typer.Option(Plan.watches, min=5, help="Watches in the fleet."),
    speed: float = typer.Option(Plan.speed, min=1, help="Of the fleet; 1: real time."),
    teaching: int = typer.Option(Plan.teaching, min=20, help="Labels to learn from."),
    audit: int = typer.Option(Plan.audit, min=20, help="Labels that judge."),
    error_rate: float = typer.Option(Plan.error_rate, min=0, max=1, help="Share of wrong labels."),
    seconds: float = typer.Option(Plan.at_most_seconds, min=30, help="Give up after so many seconds."),
    figure: Path = typer.Option(None, help="Draw the result here, too."),
    keep: bool = typer.Option(False, help="Leave the embedded stack running at the end."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """The closed loop: a weak champion, a stream, labels of a simulated annotator, retraining, gate, promotion.

    It uses a database, topics, models and folders of its own; what you have is not touched. About five minutes.
    """
    from activitymodule.embedded.stack import Stack

    plan = Plan(
        watches=watches,
        speed=speed,
        teaching=teaching,
        audit=audit,
        error_rate=error_rate,
        at_most_seconds=seconds,
    )
    config = settings()
    stack = Stack(config)
    was_running = stack.status().running

    def say(sentence: str) -> None:
        typer.echo(f"    {sentence}", err=True)

    own = loop_settings(config, plan)
    try:
        stack.up(say=say)
        begin_anew(own)
        found = run_loop(own, plan, say=say, logs=resolve(config.local.folder) / "logs")
    finally:
        if not keep and not was_running:
            stack.down(say)
    for path in filter(None, (project_root() / "reports" / "closed-loop.svg", figure)):
        draw(found, path)
        say(f"drawn: {path}")
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1))
        return
    typer.echo(f"{found.state}: {found.says}")
    for one in (found.before, found.after):
        typer.echo(
            f"version {one.version}: macro-F1 {one.macro_f1:.3f} ({one.low:.3f} to {one.high:.3f}, 95 % of people "
            f"resampled) on {found.people} people nobody has seen"
        )
    typer.echo(f"gain {found.gain:+.3f} ({found.gain_low:+.3f} to {found.gain_high:+.3f})")
