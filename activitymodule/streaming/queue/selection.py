"""The driver's side: hands out markings, collects marked windows, and selects items under the budget."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np

from activitymodule.learning import policy
from activitymodule.learning.policy import AuditPeriod, Budget, Candidate, Past, Rules
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings
from activitymodule.store import budget as budgets
from activitymodule.store import queue
from activitymodule.store.batches import BatchRecord
from activitymodule.store.connection import Connection
from activitymodule.store.labels import claimed_windows
from activitymodule.store.participants import excluded, persons_of
from activitymodule.store.queue import NearItem, QueueItem
from activitymodule.streaming.log import log
from activitymodule.streaming.queue.items import audit_item, fill_past_doubts, selected_item
from activitymodule.streaming.queue.marking import one_line
from activitymodule.streaming.queue.marks import Marked, Marking, Marks
from activitymodule.streaming.queue.pool import Pool
from activitymodule.streaming.queue.recent import RecentItems
from activitymodule.streaming.queue.savepoint import Savepoint

_LABELS_SECONDS = 30.0  # how long the count of labels is kept
_EXPIRE_SECONDS = 600.0
_LOG_SECONDS = 60.0  # between two logged failures

Place = tuple[str, int]
"""Watch and start of a window."""


class QueueSelector:
    """`marking` before a batch, `collect` after it. queued : items so far.

    Both are called from the thread of the batches; what `collect` returns is called from the one that ends them,
    beside the next batch at the latest. Nothing is collected from that next batch where a selection is due, so the
    two threads never touch the pool at once.

    A failure is logged, and the batch and its predictions continue without the queue, unless it passes by waiting: then
    the whole transaction is done again. The pool is in memory alone; a crash loses candidates, never items.

    eager : select at once from each batch, for a run that ends when it has read
    everything. feeds : the selector whose next selection gets the candidates, so that this one queues the audit's
    windows alone. late_per_hour : late windows, which no batch brings, in the flow that audit rates are made from
    """

    def __init__(self, config: Settings, *, eager: bool = False, feeds: QueueSelector | None = None) -> None:
        self._config = config
        self._eager = eager
        self._feeds = feeds
        self._fed = deque[Marks]()
        self.late_per_hour = 0.0
        self._rules = Rules.of(config)
        self._period: AuditPeriod | None = None
        self._counting_since_us = 0
        self._complete_in_period = 0
        self._budget: Budget | None = None
        self._labels: tuple[float, int] = (float("-inf"), 0)
        self._pool = Pool()
        self._recent = RecentItems()
        self._expired_at = float("-inf")
        self._logged_at = float("-inf")
        self._batch = 0
        self._selected_at = -1
        self.queued = 0

    def for_late(self) -> QueueSelector:
        """A selector for one round of late windows, in a thread and transactions of its own.

        It draws at the rate of the current audit period, and lives too short to make a rate from its own windows.
        """
        return QueueSelector(self._config, eager=True, feeds=None if self._eager else self)

    def offer(self, marks: Sequence[Marks]) -> None:
        """Windows for the next selection that no batch of this selector brought; in any thread."""
        self._fed.extend(marks)

    # ---- before a batch

    def marking(self, connection: Connection, record: BatchRecord) -> Marking | None:
        """How the workers are to mark this batch; None: not at all. Within the transaction that begins the batch."""
        if not self._config.queue.enabled or record.finished_at is not None:
            return None
        savepoint = Savepoint(connection, "queueing")
        try:
            now_us = _us(record.started_at)
            if self._budget is None:
                account = budgets.open_account(savepoint.connection(), self._rules)
                self._rules = replace(self._rules, salt=account.salt)
                self._budget = account.budget
            rate = self._period_of(savepoint, now_us).rate
            marking = Marking(rate, self._rules.salt, self._rules.measure, power=0.0, least_key=None)
            if self._feeds is None and (self._selecting() or self._budget.at(now_us, self._rules).chosen < 1):
                return marking
            if self._pool.since_us is None:
                self._pool.since_us = now_us
            power = policy.doubt_power(self._labels_so_far(savepoint), self._rules)
            return replace(marking, power=power, least_key=self._pool.least_key())
        except Exception as error:
            self._give_up(savepoint, error)
            return None

    def _period_of(self, savepoint: Savepoint, now_us: int) -> AuditPeriod:
        """The audit period of a batch that began at this time; a new one is recorded before it is used."""
        period = self._period
        if period is None or now_us < period.from_us:
            # just started, or a batch of before: it keeps the rate with which it began
            period = budgets.audit_period(savepoint.connection(), now_us)
            if period is not None and period.covers(now_us):
                return self._use(period, now_us)
            period = policy.first_period(now_us, self._rules, period.windows_per_hour if period else None)
        else:
            since_us = max(self._counting_since_us, period.from_us)
            seen = self._complete_in_period + round(
                self.late_per_hour * max(now_us - since_us, 0) / policy.HOUR_US
            )
            following = policy.next_period(period, seen, since_us, now_us, self._rules)
            if following is None:
                return period
            period = following
        budgets.add_audit_period(savepoint.connection(), period)
        return self._use(period, now_us)

    def _use(self, period: AuditPeriod, now_us: int) -> AuditPeriod:
        self._period = period
        self._counting_since_us = now_us
        self._complete_in_period = 0
        return period

    def _labels_so_far(self, savepoint: Savepoint) -> int:
        at, labels = self._labels
        if time.monotonic() - at > _LABELS_SECONDS:
            labels = queue.labels_so_far(savepoint.connection())
            self._labels = (time.monotonic(), labels)
        return labels

    # ---- after a batch

    def collect(
        self, record: BatchRecord, marks: Sequence[Marks], model: ScoringModel
    ) -> Callable[[Connection], None] | None:
        """Take what the workers marked. Returns what is still to be done within the transaction that ends the batch
        (call it with that transaction's connection), or None where there is nothing to do, as mostly."""
        selecting = self._selecting()
        self._batch += 1
        self._complete_in_period += sum(one.complete for one in marks)
        marked = [window for one in marks for window in one.windows()]
        if self._feeds is not None:
            self._feeds.offer(marks)
        while self._fed and not selecting:
            fed = self._fed.popleft()
            self._pool.add([fed], fed.windows())
        if not marked and not len(self._pool):
            return None
        audits = [window for window in marked if window.audit_draw is not None]
        due = False
        if self._pool.since_us is not None and not selecting and self._feeds is None:
            self._pool.add(marks, marked)
            due = bool(len(self._pool)) and (
                self._eager or self._pool.is_due(_us(record.started_at), self._rules.window_us)
            )
        if not audits and not due:
            return None
        if due:
            self._selected_at = self._batch
        return partial(self._settle, audits, self._period, due, model)

    def _selecting(self) -> bool:
        """Whether a selection was due after the last batch, which may still be going on."""
        return self._selected_at == self._batch

    def _settle(
        self,
        audits: Sequence[Marked],
        period: AuditPeriod | None,
        due: bool,
        model: ScoringModel,
        connection: Connection,
    ) -> None:
        savepoint = Savepoint(connection, "queueing")
        try:
            self._queue(savepoint, audits, period, due, model)
        except Exception as error:
            self._give_up(savepoint, error)

    def _queue(
        self,
        savepoint: Savepoint,
        audits: Sequence[Marked],
        period: AuditPeriod | None,
        due: bool,
        model: ScoringModel,
    ) -> None:
        """Queue the audit's windows and, where a selection is due, some of the pool; spend the budget.

        period : in which the audit's windows were drawn
        """
        connection = savepoint.connection()
        budget = budgets.open_account(connection, self._rules).budget
        audits = _with_persons(connection, audits)
        pool = _with_persons(connection, self._pool.windows() if due else [])
        near = queue.items_near(
            connection,
            [window.person for window in (*audits, *pool)],
            [window.window_start_us for window in (*audits, *pool)],
            max(self._rules.cooldown_us, 1),
        )
        items, lost = self._audit(audits, period, near, budget)
        drawn = len(items)
        budget = budget.less(audit=drawn)
        queued = {*map(_place, near), *lost}
        pool = [window for window in pool if _place(window) not in queued]
        if pool and budget.chosen >= 1:
            selected = self._select(savepoint, pool, near, items, budget, model)
            budget = budget.less(chosen=len(selected))
            items.extend(selected)
        fill_past_doubts(connection, items, model, self._config)
        new = queue.put(connection, items)
        if new != len(items):
            # somebody else queued one meanwhile; the budget is locked, so that was no scorer
            raise RuntimeError(f"{len(items) - new} of {len(items)} items were in the queue already")
        budgets.spend(connection, budget, audit_drawn=drawn + len(lost), audit_lost=len(lost))
        if time.monotonic() - self._expired_at > _EXPIRE_SECONDS:
            queue.expire(connection)
            self._expired_at = time.monotonic()
        self._budget = budget
        if due:
            self._pool.clear()
        self._recent.add(items, model)
        self.queued += new

    def _audit(
        self, audits: Sequence[Marked], period: AuditPeriod | None, near: list[NearItem], budget: Budget
    ) -> tuple[list[QueueItem], list[Place]]:
        """Items of the audit, which are added to `near`, and the windows that the budget has no room for."""
        queued = set(map(_place, near))
        items: list[QueueItem] = []
        lost: list[Place] = []
        for window in sorted(audits, key=lambda one: (one.window_start_us, one.device_id)):
            place = _place(window)
            if place in queued:
                continue
            queued.add(place)
            if budget.audit < 1:
                lost.append(place)
                continue
            assert period is not None
            items.append(audit_item(window, period, budget, self._rules, self._config))
            near.append(NearItem(*place, window.person))
            budget = budget.less(audit=1)
        return items, lost

    def _select(
        self,
        savepoint: Savepoint,
        pool: Sequence[Marked],
        near: Sequence[NearItem],
        audits: Sequence[QueueItem],
        budget: Budget,
        model: ScoringModel,
    ) -> list[QueueItem]:
        rules, connection = self._rules, savepoint.connection()
        standard = model.standardised(np.stack([window.features for window in pool]))
        candidates = [
            Candidate(
                device_id=window.device_id,
                window_start_us=window.window_start_us,
                person=window.person,
                activity=window.activity,
                doubt=window.doubts[rules.measure],
                standard=None if standard is None else standard[k],
            )
            for k, window in enumerate(pool)
        ]
        recent = self._recent.scores(connection, model, audits)
        claimed = claimed_windows(connection, [window.device_id for window in pool])
        judged = [(device, us) for device, us, audit in claimed if audit]
        judges = persons_of(connection, [device for device, _ in judged], [us for _, us in judged])
        past = Past(
            items=[(item.person, item.window_start_us) for item in near],
            judged=[
                *((person, us) for person, (_, us) in zip(judges, judged, strict=True)),
                *((item.person, item.window_start_us) for item in audits),
            ],
            of_person=queue.items_of(connection, [window.person for window in pool]),
            of_activity=queue.items_by_activity(connection),
            standard=recent[1] if recent else None,
            standard_of=recent[0] if recent else (),
        )
        labels = self._labels_so_far(savepoint)
        chosen = policy.choose(candidates, past, rules, labels=labels, count=int(budget.chosen))
        return [
            selected_item(pool[choice.place], choice, self._pool, len(chosen), budget, rules, self._config)
            for choice in chosen
        ]

    def forget(self) -> None:
        """Ask the store again for budget, period and last items: a transaction that used them was undone."""
        self._budget = self._period = None
        self._recent.clear()

    def _give_up(self, savepoint: Savepoint, error: Exception) -> None:
        savepoint.undo(error)
        self.forget()
        self._pool.clear()
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            log(f"nothing was queued of this batch: {one_line(error)}; its predictions are stored")


def _place(window: Marked | NearItem) -> Place:
    return window.device_id, window.window_start_us


def _with_persons(connection: Connection, windows: Sequence[Marked]) -> list[Marked]:
    """The windows of whom something may be queued, each with who wore the watch."""
    starts = [window.window_start_us for window in windows]
    persons = persons_of(connection, [window.device_id for window in windows], starts)
    shut = excluded(connection)
    return [
        replace(window, person=person)
        for window, person in zip(windows, persons, strict=True)
        if not (shut and shut.covers(window.device_id, window.window_start_us))
    ]


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
