"""Windows of the stream into the queue: workers mark, the driver picks within the batch's transaction.

A worker marks a window that is complete where its audit draw is below the period's rate, and, while the driver is
collecting, the few with the greatest keys of weighted sampling. Only these travel to the driver, with readings and
features. The driver collects for the length of a window, so that every watch has shown one, then chooses as many as
the budget has. While the budget is empty workers mark for the audit alone, and a batch without marks costs the
driver nothing.

Nothing is queued twice: a batch that had ended when it is run again marks nothing; one that had not had queued
nothing, for items are written in the transaction that ends it; and the store takes each window once. That transaction
runs beside the next batch (streaming/smoother), so the stream does not wait for the queue.
"""

from __future__ import annotations

import heapq
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from activitymodule.learning import doubt, policy
from activitymodule.learning.doubt import Need
from activitymodule.learning.doubt.energy import expected_kcal
from activitymodule.learning.doubt.reason import needing
from activitymodule.learning.draws import draws
from activitymodule.learning.policy import AUDIT, AuditPeriod, Budget, Candidate, Past, Rules
from activitymodule.models.bundle import Scores, ScoringModel
from activitymodule.models.smoothing import forward_filter
from activitymodule.settings import Settings
from activitymodule.store import budget as store_budget
from activitymodule.store import queue
from activitymodule.store.batches import BatchRecord
from activitymodule.store.connection import Connection
from activitymodule.store.queue import QueueItem
from activitymodule.streaming.waiting import say
from activitymodule.windows.assembling import WindowBatch, complete, distinct_readings
from activitymodule.windows.catalogue import FEATURES_VERSION

_POOL = 96  # windows collected for one choice
_ENOUGH = 500  # complete windows that are enough to choose from, however short the time
_LAST_ITEMS = 1000  # that a new one must not resemble
_LABELS_SECONDS = 30.0  # how long the count of labels is believed
_EXPIRE_SECONDS = 600.0
_SAY_SECONDS = 60.0  # between two complaints


@dataclass(frozen=True)
class Marking:
    """What a worker needs to mark the windows of one batch.

    rate, salt : of the audit; bar : the least key worth sending, None while nothing is collected; keep : windows
    sent at the most for their key; power : how much doubt counts, 0 for nothing yet
    """

    rate: float
    salt: str
    measure: str
    power: float
    bar: float | None
    keep: int = 96


@dataclass(frozen=True)
class Marked:
    """A window that may be queued, as it travels from a worker to the driver."""

    device_id: str
    window_start_us: int
    audit_draw: float | None  # where it is drawn for the audit
    key: float | None  # where it may be chosen
    weight: float
    doubts: dict[str, float]
    readings: bytes
    features: np.ndarray
    activity: str
    probabilities: np.ndarray
    conformal_set: tuple[str, ...]
    kcal_per_min: float
    model_version: str
    energy_version: str | None


@dataclass(frozen=True)
class Marks:
    """What one task has to say: complete windows, the sum of their weights, and the marked ones (pickled; both ends
    are one job of ours)."""

    complete: int = 0
    weight: float = 0.0
    marked: bytes | None = None


@dataclass(frozen=True)
class Scored:
    """A batch of windows as the worker has just scored it; rows : places of those that were scored, and arrays of
    that many rows."""

    device_id: pa.Array
    window_start_us: np.ndarray
    panes: pa.ListArray
    assembled: WindowBatch
    rows: np.ndarray
    features: np.ndarray
    scores: Scores
    weight_kg: np.ndarray


# ---- worker ------------------------------------------------------------------------------------------------------


def complete_windows(scored: Scored, settings: Settings) -> np.ndarray:
    """Which of the scored rows may be queued, as places in scored.rows: enough readings, the end reached, and an
    activity."""
    rows, held = scored.rows, scored.assembled
    whole = complete(
        scored.window_start_us[rows], held.newest_us[rows], held.coverage[rows], settings.windows
    )
    return np.flatnonzero(whole & np.isfinite(scored.scores.probabilities).all(1))


def mark(
    scored: Scored,
    marking: Marking,
    model: ScoringModel,
    settings: Settings,
    connection: Connection | None = None,
) -> Marks:
    """Mark what may be queued of one batch of windows. connection : to the store, for the measure that looks at
    the past of a watch."""
    complete = complete_windows(scored, settings)
    if not len(complete):
        return Marks()
    device = scored.device_id.take(pa.array(scored.rows[complete])).to_pylist()
    start = scored.window_start_us[scored.rows[complete]].tolist()
    drawn = np.array([policy.audit_draw(d, us, marking.salt) for d, us in zip(device, start, strict=True)])
    audit = drawn < marking.rate
    keys = np.full(len(complete), -np.inf)
    weights = np.zeros(len(complete))
    best: list[int] = []
    if marking.bar is not None:
        values = np.ones(len(complete))
        if marking.power:
            evidence = _evidence(scored, complete, device, start, marking, model, settings, connection)
            values = doubt.required(marking.measure)(evidence)
        weights = policy.weights(values, marking.power)
        keys = np.array(
            [
                policy.key(d, us, w, marking.salt)
                for d, us, w in zip(device, start, weights.tolist(), strict=True)
            ]
        )
        best = _best(keys, marking)
    places = sorted(set(np.flatnonzero(audit).tolist()) | set(best))
    if not places:
        return Marks(len(complete), float(weights.sum()))
    sent = _packed(scored, complete, places, device, start, marking, model, settings, connection)
    chosen = set(best)
    marked = [
        replace(
            one,
            audit_draw=float(drawn[place]) if audit[place] else None,
            key=float(keys[place]) if place in chosen else None,
            weight=float(weights[place]),
        )
        for place, one in zip(places, sent, strict=True)
    ]
    return Marks(len(complete), float(weights.sum()), pickle.dumps(marked, pickle.HIGHEST_PROTOCOL))


def mark_safely(
    scored: Scored, marking: Marking, model: ScoringModel, settings: Settings, connection: Connection
) -> Marks:
    """`mark`, but whatever goes wrong there loses no prediction: it is said, and nothing is marked."""
    asks = False
    try:
        asks = Need.PAST in doubt.required(marking.measure).needs
        if asks:
            _execute(connection, "SAVEPOINT marking")
        return mark(scored, marking, model, settings, connection)
    except Exception as error:
        if asks and not connection.closed:
            _execute(connection, "ROLLBACK TO SAVEPOINT marking")
        say(f"windows could not be marked for the queue: {_sentence(error)}")
        return Marks()


def _best(keys: np.ndarray, marking: Marking) -> list[int]:
    """Places of the greatest keys over the bar, at most `keep`."""
    over = np.flatnonzero(keys > marking.bar)
    return over[np.argsort(-keys[over], kind="stable")][: marking.keep].tolist()


def _evidence(
    scored: Scored,
    places: np.ndarray,
    device: Sequence[str],
    start: Sequence[int],
    marking: Marking,
    model: ScoringModel,
    settings: Settings,
    connection: Connection,
    everything: bool = False,
) -> doubt.Evidence:
    """What is known of some of the scored windows: what the measure needs, or everything that costs no query."""
    scores = scored.scores
    probabilities = scores.probabilities[places]
    label = probabilities.argmax(1)
    needs = doubt.required(marking.measure).needs
    standard = past = expected = None
    if everything or Need.STANDARD_SCORES in needs:
        standard = model.standardised(scored.features[places])
    if everything or Need.EXPECTED_KCAL in needs:
        expected = expected_kcal(model.labels, scored.weight_kg[places], label)
    if Need.PAST in needs and connection is not None:
        past = past_beliefs(connection, device, start, settings, len(model.labels), model.version)
    return doubt.Evidence(
        probabilities=probabilities,
        in_set=scores.in_set[places],
        drawn=draws(device, start),
        standard=standard,
        past=past,
        kcal_per_min=scores.kcal_per_min[places],
        expected=expected,
    )


def past_beliefs(
    connection: Connection,
    device: Sequence[str],
    start: Sequence[int],
    settings: Settings,
    labels: int,
    version: str,
) -> np.ndarray:
    """What the windows before each of these say of it, float64 (n, labels): the smoothed past, gone on by one window;
    NaN where nothing is stored of them."""
    scoring = settings.scoring
    past = queue.past_probabilities(
        connection,
        device,
        start,
        windows=scoring.smoothing_windows,
        window_us=settings.windows.length_seconds * 1_000_000,
        labels=labels,
        version=version,
    )
    none = np.isnan(past).all((1, 2))
    belief = forward_filter(
        np.concatenate([past, np.full((len(past), 1, labels), np.nan)], 1), scoring.smoothing_stay
    )
    belief[none] = np.nan
    return belief


def _packed(
    scored: Scored,
    complete: np.ndarray,
    places: list[int],
    device: Sequence[str],
    start: Sequence[int],
    marking: Marking,
    model: ScoringModel,
    settings: Settings,
    connection: Connection,
) -> list[Marked]:
    """The windows at some places of `complete`, with all that an item of the queue holds."""
    some = complete[places]
    rows = scored.rows[some]
    devices, starts = [device[p] for p in places], [start[p] for p in places]
    records, window, _ = distinct_readings(
        scored.window_start_us[rows], scored.panes.take(pa.array(rows)), settings.windows
    )
    ends = np.searchsorted(window, np.arange(len(rows) + 1))
    evidence = _evidence(scored, some, devices, starts, marking, model, settings, connection, everything=True)
    doubts = doubt.all_doubts(evidence)
    return [
        Marked(
            device_id=devices[k],
            window_start_us=starts[k],
            audit_draw=None,
            key=None,
            weight=0.0,
            doubts={name: float(value[k]) for name, value in doubts.items()},
            readings=records[ends[k] : ends[k + 1]].tobytes(),
            features=scored.features[some[k]],
            activity=model.labels[int(evidence.probabilities[k].argmax())],
            probabilities=evidence.probabilities[k],
            conformal_set=tuple(
                name for name, there in zip(model.labels, evidence.in_set[k], strict=True) if there
            ),
            kcal_per_min=float(scored.scores.kcal_per_min[some[k]]),
            model_version=model.version,
            energy_version=model.energy_version or None,
        )
        for k in range(len(places))
    ]


def together(marks: Sequence[Marks]) -> Marks:
    """Marks of several Arrow batches of one task as one."""
    held = [one.marked for one in marks if one.marked is not None]
    windows = [window for content in held for window in pickle.loads(content)]
    return Marks(
        sum(one.complete for one in marks),
        float(sum(one.weight for one in marks)),  # of none: still a double
        held[0] if len(held) == 1 else pickle.dumps(windows, pickle.HIGHEST_PROTOCOL) if held else None,
    )


# ---- driver ------------------------------------------------------------------------------------------------------


class _Turn:
    """The queue's part of somebody else's transaction: what goes wrong in it is undone, and nothing else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = False

    def connection(self) -> Any:
        """The connection; from the first call on there is something to go back to."""
        if not self._begun:
            _execute(self._connection, "SAVEPOINT queueing")
            self._begun = True
        return self._connection

    def undo(self, error: Exception) -> None:
        """Go back; where the connection broke, that is the batch's own matter, which fails and is run again."""
        if self._connection.closed:
            raise error
        if self._begun:
            _execute(self._connection, "ROLLBACK TO SAVEPOINT queueing")


class QueueKeeper:
    """The driver's side: hands out markings, collects what comes back, picks under the budget.

    `marking` and `collect` are called from the thread of the batches, what `collect` returns from the one that ends
    them, beside the next batch at the latest. Nothing is collected from that next batch where a choice is due, so the
    two threads never touch the pool at once.

    A failure here is said and forgotten: the batch and its predictions go on without the queue. What was collected
    for a choice is in memory alone; a crash loses chances, never items. eager : choose at once from what each batch
    brings, for a run that ends when it has read everything.
    """

    def __init__(self, settings: Settings, *, eager: bool = False) -> None:
        self._settings = settings
        self._eager = eager
        self._rules = Rules.of(settings)
        self._period: AuditPeriod | None = None
        self._counting_since_us = 0
        self._complete_in_period = 0
        self._budget: Budget | None = None
        self._labels: tuple[float, int] = (float("-inf"), 0)
        self._pool: list[tuple[float, int, Marked]] = []  # a heap
        self._arrived = 0
        self._collecting_since_us: int | None = None
        self._complete_in_pool = 0
        self._weight_in_pool = 0.0
        self._past: tuple[str, _Looks | None] | None = None
        self._expired_at = float("-inf")
        self._said_at = float("-inf")
        self._turn = 0
        self._chose_at = -1
        self.queued = 0

    # ---- before a batch

    def marking(self, connection: Connection, record: BatchRecord, model: ScoringModel) -> Marking | None:
        """How the workers are to mark this batch; None: not at all. Within the transaction that begins the batch."""
        if not self._settings.queue.enabled or record.finished_at is not None:
            return None
        turn = _Turn(connection)
        try:
            now_us = _us(record.started_at)
            if self._budget is None:
                account = store_budget.open_account(turn.connection(), self._rules)
                self._rules = replace(self._rules, salt=account.salt)
                self._budget = account.budget
            rate = self._period_of(turn, now_us).rate
            marking = Marking(rate, self._rules.salt, self._rules.measure, power=0.0, bar=None, keep=_POOL)
            if self._choosing() or self._budget.at(now_us, self._rules).chosen < 1:
                return marking
            if self._collecting_since_us is None:
                self._collecting_since_us = now_us
            power = policy.doubt_power(self._labels_so_far(turn), self._rules)
            bar = self._pool[0][0] if len(self._pool) >= _POOL else float("-inf")
            return replace(marking, power=power, bar=bar)
        except Exception as error:
            self._give_up(turn, error)
            return None

    def _period_of(self, turn: _Turn, now_us: int) -> AuditPeriod:
        """The period that a batch begun at this time is drawn by; a new one is recorded before it is used."""
        period = self._period
        if period is None or now_us < period.from_us:
            # just started, or a batch of before: it keeps the rate that it began with
            period = store_budget.audit_period(turn.connection(), now_us)
            if period is not None and period.covers(now_us):
                return self._use(period, now_us)
            period = policy.first_period(now_us, self._rules, period.windows_per_hour if period else None)
        else:
            found = policy.next_period(
                period, self._complete_in_period, self._counting_since_us, now_us, self._rules
            )
            if found is None:
                return period
            period = found
        store_budget.add_audit_period(turn.connection(), period)
        return self._use(period, now_us)

    def _use(self, period: AuditPeriod, now_us: int) -> AuditPeriod:
        self._period = period
        self._counting_since_us = now_us
        self._complete_in_period = 0
        return period

    def _labels_so_far(self, turn: _Turn) -> int:
        at, labels = self._labels
        if time.monotonic() - at > _LABELS_SECONDS:
            labels = queue.labels_so_far(turn.connection())
            self._labels = (time.monotonic(), labels)
        return labels

    def _forget_pool(self) -> None:
        self._pool = []
        self._collecting_since_us = None
        self._complete_in_pool = 0
        self._weight_in_pool = 0.0

    # ---- after a batch

    def collect(
        self, record: BatchRecord, marks: Sequence[Marks], model: ScoringModel
    ) -> Callable[[Any], None] | None:
        """Take what the workers marked. Returns what is still to be done within the transaction that ends the batch
        (call it with that transaction's connection), or None: nothing, as mostly."""
        choosing = self._choosing()
        self._turn += 1
        complete = sum(one.complete for one in marks)
        self._complete_in_period += complete
        held = [one.marked for one in marks if one.marked is not None]
        if not held and not self._pool:
            return None
        marked = [window for content in held for window in pickle.loads(content)]
        audits = [window for window in marked if window.audit_draw is not None]
        due = False
        if self._collecting_since_us is not None and not choosing:
            self._complete_in_pool += complete
            self._weight_in_pool += sum(one.weight for one in marks)
            self._collect(marked)
            waited_us = _us(record.started_at) - self._collecting_since_us
            due = bool(self._pool) and (
                self._eager or self._complete_in_pool >= _ENOUGH or waited_us >= self._rules.window_us
            )
        if not audits and not due:
            return None
        if due:
            self._chose_at = self._turn
        return partial(self._settle, audits, due, model)

    def _choosing(self) -> bool:
        """Whether the last batch left a choice to be made, which may still be going on."""
        return self._chose_at == self._turn

    def _settle(
        self, audits: Sequence[Marked], due: bool, model: ScoringModel, connection: Connection
    ) -> None:
        turn = _Turn(connection)
        try:
            self._queue(turn, audits, due, model)
        except Exception as error:
            self._give_up(turn, error)

    def _collect(self, marked: Sequence[Marked]) -> None:
        """Keep the greatest keys; a window that comes again replaces itself."""
        new = {(window.device_id, window.window_start_us) for window in marked if window.key is not None}
        if not new:
            return
        kept = [one for one in self._pool if (one[2].device_id, one[2].window_start_us) not in new]
        for window in marked:
            if window.key is not None:
                self._arrived += 1  # ties are settled before windows would be compared
                kept.append((window.key, -self._arrived, window))
        self._pool = heapq.nlargest(_POOL, kept)
        heapq.heapify(self._pool)

    def _queue(self, turn: _Turn, audits: Sequence[Marked], due: bool, model: ScoringModel) -> None:
        connection = turn.connection()
        account = store_budget.open_account(connection, self._rules)
        rules, budget = self._rules, account.budget
        pool = [window for _, _, window in self._pool] if due else []
        asked = [*audits, *pool]
        near = queue.items_near(
            connection,
            [window.device_id for window in asked],
            [window.window_start_us for window in asked],
            max(rules.cooldown_us, 1),
        )
        there = set(near)
        items: list[QueueItem] = []
        lost = 0
        for window in sorted(audits, key=lambda one: (one.window_start_us, one.device_id)):
            place = (window.device_id, window.window_start_us)
            if place in there:
                continue
            there.add(place)
            if budget.audit < 1:
                lost += 1
                continue
            items.append(self._audit_item(window, budget))
            near.append(place)
            budget = budget.less(audit=1)
        drawn = len(items)
        pool = [window for window in pool if (window.device_id, window.window_start_us) not in there]
        count = int(budget.chosen)
        if pool and count:
            chosen = self._choose(turn, pool, near, items, count, budget, model)
            budget = budget.less(chosen=len(chosen))
            items.extend(chosen)
        self._fill_past_doubts(connection, items, model)
        new = queue.put(connection, items)
        if new != len(items):
            # somebody else queued one meanwhile; the budget is held, so that can be no scorer of ours
            raise RuntimeError(f"{len(items) - new} of {len(items)} items were in the queue already")
        store_budget.spend(connection, budget, audit_drawn=drawn + lost, audit_lost=lost)
        if time.monotonic() - self._expired_at > _EXPIRE_SECONDS:
            queue.expire(connection)
            self._expired_at = time.monotonic()
        self._budget = budget
        if due:
            self._forget_pool()
        self._remember(items, model)
        self.queued += new

    def _choose(
        self,
        turn: _Turn,
        pool: Sequence[Marked],
        near: Sequence[tuple[str, int]],
        audits: Sequence[QueueItem],
        count: int,
        budget: Budget,
        model: ScoringModel,
    ) -> list[QueueItem]:
        rules, connection = self._rules, turn.connection()
        standard = model.standardised(np.stack([window.features for window in pool]))
        candidates = [
            Candidate(
                device_id=window.device_id,
                window_start_us=window.window_start_us,
                person=window.device_id,
                activity=window.activity,
                doubt=window.doubts[rules.measure],
                standard=None if standard is None else standard[k],
            )
            for k, window in enumerate(pool)
        ]
        before = self._past_of(connection, model, audits)
        past = Past(
            items=near,
            of_person=queue.items_of(connection, [window.device_id for window in pool]),
            of_activity=queue.items_by_activity(connection),
            standard=before[1] if before else None,
            standard_of=before[0] if before else (),
        )
        labels = self._labels_so_far(turn)
        chosen = policy.choose(candidates, past, rules, labels=labels, count=count)
        found = []
        for choice in chosen:
            window = pool[choice.place]
            share = window.weight / self._weight_in_pool if self._weight_in_pool > 0 else 1.0
            found.append(
                self._item(
                    window,
                    stratum=choice.stratum,
                    reason=choice.reason,
                    propensity=min(max(len(chosen) * share, 1e-9), 1.0),
                    decision={
                        **choice.decision,
                        "budget": budget.chosen,
                        "windows_seen": self._complete_in_pool,
                    },
                )
            )
        return found

    def _audit_item(self, window: Marked, budget: Budget) -> QueueItem:
        assert self._period is not None
        period = self._period
        return self._item(
            window,
            stratum=AUDIT,
            reason="random",
            propensity=period.rate,
            decision={
                "stratum": AUDIT,
                "draw": window.audit_draw,
                "rate": period.rate,
                "period_from_us": period.from_us,
                "period_until_us": period.until_us,
                "windows_per_hour": period.windows_per_hour,
                "rate_made_from": period.why,
                "budget": budget.audit,
            },
        )

    def _item(
        self, window: Marked, *, stratum: str, reason: str, propensity: float, decision: dict[str, Any]
    ) -> QueueItem:
        rules = self._rules
        return QueueItem(
            device_id=window.device_id,
            window_start_us=window.window_start_us,
            window_end_us=window.window_start_us + rules.window_us,
            stratum=stratum,
            reason=reason,
            doubt=window.doubts.get(rules.measure if reason == "random" else reason, float("nan")),
            doubts=window.doubts,
            propensity=propensity,
            decision=decision,
            required_labels=policy.wanted(window.device_id, window.window_start_us, rules),
            readings=window.readings,
            features=window.features,
            features_version=FEATURES_VERSION,
            activity=window.activity,
            probabilities=window.probabilities,
            conformal_set=window.conformal_set,
            kcal_per_min=window.kcal_per_min,
            model_version=window.model_version,
            energy_version=window.energy_version,
            expire_hours=self._settings.queue.expire_hours,
        )

    def _fill_past_doubts(self, connection: Connection, items: list[QueueItem], model: ScoringModel) -> None:
        """The doubts that need the past of a watch, which costs a query, for the few windows that are queued."""
        reasons = needing(Need.PAST)
        lacking = [
            place
            for place, item in enumerate(items)
            if item.model_version == model.version
            and any(not np.isfinite(item.doubts[one.name]) for one in reasons)
        ]
        if not lacking:
            return
        some = [items[place] for place in lacking]
        device, start = [item.device_id for item in some], [item.window_start_us for item in some]
        evidence = doubt.Evidence(
            probabilities=np.stack([item.probabilities for item in some]),
            in_set=np.array([[name in item.conformal_set for name in model.labels] for item in some]),
            drawn=draws(device, start),
            standard=model.standardised(np.stack([item.features for item in some])),
            past=past_beliefs(connection, device, start, self._settings, len(model.labels), model.version),
            kcal_per_min=np.array([item.kcal_per_min for item in some]),
        )
        for one in reasons:
            for place, value in zip(lacking, one(evidence).tolist(), strict=True):
                items[place].doubts[one.name] = value
                if items[place].reason == one.name:
                    # marked in the batch that also brought its past
                    items[place] = replace(items[place], doubt=value)

    # ---- what the last items looked like

    def _past_of(
        self, connection: Connection, model: ScoringModel, new: Sequence[QueueItem]
    ) -> _Looks | None:
        """Watches and standard scores of the last items, those about to be queued too; None without."""
        if self._past is None or self._past[0] != model.version:
            devices, stored = queue.last_features(connection, FEATURES_VERSION, _LAST_ITEMS)
            self._past = (model.version, _looks(model, devices, stored))
        return _joined(self._looks_of(new, model), self._past[1])

    def _remember(self, items: Sequence[QueueItem], model: ScoringModel) -> None:
        if self._past is not None and items:
            self._past = (model.version, _joined(self._looks_of(items, model), self._past[1]))

    def _looks_of(self, items: Sequence[QueueItem], model: ScoringModel) -> _Looks | None:
        return _looks(model, [item.device_id for item in items], [item.features for item in items])

    def _give_up(self, turn: _Turn, error: Exception) -> None:
        self._budget = self._period = self._past = None
        self._forget_pool()
        turn.undo(error)
        if time.monotonic() - self._said_at > _SAY_SECONDS:
            self._said_at = time.monotonic()
            say(f"nothing was queued of this batch: {_sentence(error)}; its predictions are there")


def _execute(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


_Looks = tuple[list[str], np.ndarray]  # watches, and the standard scores of a window of each


def _looks(model: ScoringModel, devices: list[str], features: Sequence[np.ndarray]) -> _Looks | None:
    standard = model.standardised(np.stack(features)) if len(features) else None
    return None if standard is None else (devices, policy.limited(standard))


def _joined(one: _Looks | None, other: _Looks | None) -> _Looks | None:
    if one is None or other is None:
        return one or other
    return (one[0] + other[0])[:_LAST_ITEMS], np.concatenate([one[1], other[1]])[:_LAST_ITEMS]


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
