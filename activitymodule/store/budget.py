"""The queue's budget and the audit rate: token buckets and periods, kept in the store.

Both are written in the transaction that queues the items, so that neither a crash nor a replay spends anything twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from activitymodule.learning.policy import AuditPeriod, Budget, Rules
from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_one, fetch_row
from activitymodule.store.times import AS_TIME, AS_US

_BUDGET = f"""
INSERT INTO queue_budget AS b (audit, chosen, as_of) VALUES (%s, %s, clock_timestamp())
ON CONFLICT ("only") DO UPDATE SET audit_lost = b.audit_lost
RETURNING salt, audit, chosen, {AS_US.format("as_of")}, {AS_US.format("clock_timestamp()")}
"""
_SPEND = f"""
UPDATE queue_budget SET audit = greatest(%s, 0), chosen = greatest(%s, 0), as_of = {AS_TIME.format("%s")},
    audit_drawn = audit_drawn + %s, audit_lost = audit_lost + %s
"""


@dataclass(frozen=True)
class Account:
    """The budget as it is now, by the store's clock, and the installation's salt."""

    budget: Budget
    salt: str
    now_us: int


def open_account(connection: Connection, rules: Rules) -> Account:
    """The budget, refilled to now and locked until the transaction ends; a full one the first time."""
    full = Budget.full(rules, 0)
    salt, audit, chosen, as_of, now = fetch_one(connection, _BUDGET, (full.audit, full.chosen))
    return Account(Budget(audit, chosen, as_of).at(now, rules), salt, now)


def spend(connection: Connection, budget: Budget, *, audit_drawn: int = 0, audit_lost: int = 0) -> None:
    """Write back what is left of an account."""
    execute(connection, _SPEND, (budget.audit, budget.chosen, budget.as_of_us, audit_drawn, audit_lost))


_LAST_PERIOD = f"""
SELECT {AS_US.format("from_at")}, {AS_US.format("until_at")}, rate, windows_per_hour, why
FROM audit_periods WHERE from_at <= {AS_TIME.format("%s")} ORDER BY from_at DESC LIMIT 1
"""
_CUT = f"""
UPDATE audit_periods SET until_at = {AS_TIME.format("%(at)s")}
WHERE from_at < {AS_TIME.format("%(at)s")} AND until_at > {AS_TIME.format("%(at)s")}
"""
_ADD_PERIOD = f"""
INSERT INTO audit_periods (from_at, until_at, rate, windows_per_hour, why)
VALUES ({AS_TIME.format("%s")}, {AS_TIME.format("%s")}, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def audit_period(connection: Connection, at_us: int) -> AuditPeriod | None:
    """The last period that began by then; it may be over. None where none has begun."""
    row = fetch_row(connection, _LAST_PERIOD, (at_us,))
    return None if row is None else AuditPeriod(int(row[0]), int(row[1]), *row[2:])


def add_audit_period(connection: Connection, period: AuditPeriod) -> None:
    """Record a period before the first window is drawn by it; the previous one ends where it begins."""
    execute(connection, _CUT, {"at": period.from_us})
    values = (period.from_us, period.until_us, period.rate, period.windows_per_hour, period.why)
    execute(connection, _ADD_PERIOD, values)
