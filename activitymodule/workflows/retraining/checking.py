"""The check: is a retraining worthwhile? And what the DAGs ask before they begin one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from activitymodule.errors import ActivityError, ModelError
from activitymodule.learning.gate import adjusted_alpha, same_labels_note
from activitymodule.learning.gold import for_training, known_or_enough
from activitymodule.models.export import CARD_FILE, Card
from activitymodule.monitoring.report import drift_report
from activitymodule.registry.versions import ModelVersion, fetch
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings
from activitymodule.store import labels
from activitymodule.store import retraining as store
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.locks import retrain_lease
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows.retraining import ending, record
from activitymodule.workflows.retraining.gold import gold_windows
from activitymodule.workflows.retraining.results import CheckResult, Options, Reason
from activitymodule.workflows.retraining.spans import SpanWindows, span_windows

DRIFT_SHARE = 0.2
"""Share of learning.min_labels that is enough where drift recommends a retraining."""


def check(
    config: Settings,
    run_id: str,
    options: Options | None = None,
    *,
    why: str = "",
    started_by: str = "",
    whole: bool = False,
) -> CheckResult:
    """Begin a run: are there enough new labels, or drift, or is it forced?

    A run that is not needed ends here with the reason, also a forced one without a champion or without a label that
    a challenger may learn from. whole : all steps run in this process, so that the run is dead where it holds no
    lock. Other runs that died are marked as failed. Raises RefusedError where another run is under way.
    """
    options = options or Options()
    least = config.learning.min_labels if options.min_labels is None else options.min_labels
    with retrain_lease(config, run_id):
        ending.settle_others(config, run_id)
        with session(config) as connection:
            run = store.begin_run(
                connection,
                run_id,
                started_by=started_by or store.who(),
                why=why or ("forced" if options.force else "new labels"),
                options=options.model_copy(update={"min_labels": least}).model_dump(mode="json"),
                whole=whole,
            )
            if run.state == "promoted":
                done = record.saved(run, "check", CheckResult)
                return done or CheckResult(needed=False, summary=run.summary or "", reason=Reason.ENDED)
            store.note(connection, run_id, step="check", progress=record.PROGRESS["check"])
        result = _assess(config, run_id, least, options)
        if not result.needed:
            transact(
                config,
                lambda connection: store.finish_run(connection, run_id, "unneeded", result.summary),
            )
        return record.save(config, run_id, "check", result)


def _assess(config: Settings, run_id: str, least: int, options: Options) -> CheckResult:
    name = config.registry.classifier
    serving = serving_version(config, name)
    drift = _drift_recommends(config)
    with session(config, read_only=True) as connection:
        counts, spans = _counts(config, connection, run_id)
        before = store.judged_before(connection, run_id, name=name, features_version=FEATURES_VERSION)
        if serving is None:
            summary = f"{name} has no champion yet; `activity train` makes the first"
            decision = Decision(False, Reason.NO_CHAMPION, summary)
        elif options.challenger is not None:
            decision = _judged(config, counts, options.challenger)
        elif not counts.teaching or not _may_teach(config, connection, spans, serving):
            decision = _nothing_to_learn(counts)
        else:
            decision = worthwhile(config, counts, least, force=options.force, drift=drift)
    summary = decision.summary
    if decision.needed and before:
        alpha = adjusted_alpha(config.learning.alpha, before)
        summary += f"; {same_labels_note(before)}, so the gate asks for more (alpha {alpha:.2g})"
    return CheckResult(
        needed=decision.needed,
        summary=summary,
        reason=decision.reason,
        champion=serving.version if serving else None,
        labels=counts.new,
        labels_in_all=counts.teaching,
        spans=counts.spans,
        audit_labels=counts.audit,
        audit_people=counts.audit_people,
        verdicts_on_same_labels=before,
        disputed=counts.disputed,
        without_features=counts.without_features,
        other_features=counts.other_features,
        drift=drift,
    )


def _counts(config: Settings, connection: Connection, run_id: str) -> tuple[labels.LabelCounts, SpanWindows]:
    """The gold labels since the last retraining, with what windows under spans are worth among those that teach."""
    since = store.learnt_until(connection, run_id)
    counts, spans = labels.label_counts(connection, FEATURES_VERSION, since), span_windows(config, connection)
    worth = spans.worth()
    counts = replace(
        counts,
        teaching=counts.teaching + worth,
        new=counts.new + spans.worth(since),
        newest=max(filter(None, (counts.newest, spans.newest)), default=None),
        spans=worth,
    )
    return counts, spans


@dataclass(frozen=True)
class Decision:
    """Whether a retraining is worthwhile, and why."""

    needed: bool
    reason: Reason
    summary: str


def _numbers(counts: labels.LabelCounts) -> str:
    spans = f" (spans are worth {counts.spans} in all)" if counts.spans else ""
    return f"{counts.new} new labels{spans}, {counts.audit} audit labels of {counts.audit_people} people"


def _nothing_to_learn(counts: labels.LabelCounts) -> Decision:
    return Decision(
        False,
        Reason.NOTHING_TO_LEARN,
        f"there is no label that a challenger may learn from: {_numbers(counts)} (audit labels, labels beside "
        "them and too few labels of a new activity are left out)",
    )


def _audit_lacks(config: Settings, counts: labels.LabelCounts) -> Decision | None:
    learning = config.learning
    if counts.audit >= learning.least_audit_labels and counts.audit_people >= learning.least_audit_people:
        return None
    return Decision(
        False,
        Reason.NOT_ENOUGH_AUDIT,
        f"{_numbers(counts)}: the evaluation of a challenger needs {learning.least_audit_labels} audit labels of "
        f"{learning.least_audit_people} people",
    )


def _judged(config: Settings, counts: labels.LabelCounts, challenger: str) -> Decision:
    """Of a run that judges a registered version: it needs audit labels, and none to learn from."""
    judged = Decision(True, Reason.FORCED, f"version {challenger} is judged: {_numbers(counts)}")
    return _audit_lacks(config, counts) or judged


def worthwhile(
    config: Settings, counts: labels.LabelCounts, least: int, *, force: bool = False, drift: str | None = None
) -> Decision:
    """The rule: labels to learn from, audit labels enough to evaluate a challenger, and `least` new labels (a fifth
    of it where drift recommends a retraining), or `force`."""
    numbers = _numbers(counts)
    if counts.teaching == 0:
        return _nothing_to_learn(counts)
    if force:
        return Decision(True, Reason.FORCED, f"forced: {numbers}")
    if (lacking := _audit_lacks(config, counts)) is not None:
        return lacking
    # with drift fewer are enough, but not none: each try on the same labels may promote by chance
    enough = max(1, round(least * DRIFT_SHARE)) if drift else least
    if counts.new < enough:
        return Decision(False, Reason.NOT_ENOUGH_LABELS, f"{numbers}: a retraining needs {enough} new labels")
    if drift:
        return Decision(True, Reason.DRIFT, f"{numbers}; {drift}")
    return Decision(True, Reason.ENOUGH_LABELS, numbers)


def _may_teach(config: Settings, connection: Connection, spans: SpanWindows, serving: ModelVersion) -> bool:
    """Whether the training set would take one of the gold labels, or windows under spans, at least."""
    rows = labels.gold_rows(connection, FEATURES_VERSION, features=False)
    gold = gold_windows(rows) + spans.gold if rows else spans.gold
    gold = gold.take(for_training(gold))
    if not len(gold):
        return False
    try:
        folder = fetch(config, serving)
    except ModelError:  # the evaluation reports it, with the figures of the challenger
        return True
    known = Card.from_json((folder / CARD_FILE).read_text(encoding="utf-8")).labels
    return bool(known_or_enough(gold, known)[0].any())


def _drift_recommends(config: Settings) -> str | None:
    """The summary of drift monitoring where it recommends a retraining; where it fails it recommends nothing."""
    if not config.monitoring.enabled:
        return None
    try:
        with session(config, read_only=True) as connection:
            report = drift_report(config, connection)
    except ActivityError:
        return None
    return report.summary if report.retrain_recommended else None


def new_labels(config: Settings, min_labels: int, pause_minutes: float = 60) -> int:
    """How many new gold labels make a retraining worthwhile now; 0 where they do not.

    The rule is the check's. 0 while a retraining is under way, within `pause_minutes` of the start of the last one,
    and where no label was given since.
    """
    with session(config, read_only=True) as connection:
        counts, _ = _counts(config, connection, "")
        latest = store.runs(connection, 50)
    if any(run.state in ("running", "waiting") for run in latest[:1]):
        return 0
    # a run that judged a registered version learnt from no label
    last = next((run for run in latest if not run.options.get("challenger")), None)
    if last is not None:
        if counts.newest is None or counts.newest <= last.started_at:
            return 0
        if datetime.now(UTC) - last.started_at < timedelta(minutes=pause_minutes):
            return 0
    return counts.new if worthwhile(config, counts, min_labels).needed else 0


def retrained_within(config: Settings, hours: float) -> bool:
    """Whether a retraining that was needed began within so many hours, or is under way."""
    since = datetime.now(UTC) - timedelta(hours=hours)
    with session(config, read_only=True) as connection:
        return any(
            run.state in ("running", "waiting") or (run.state != "unneeded" and run.started_at > since)
            for run in store.runs(connection, 50)
        )
