"""The audit share: a random sample of all windows at a known rate, whose labels alone evaluate models."""

from __future__ import annotations

from dataclasses import dataclass

from activitymodule.learning.draws import draw
from activitymodule.learning.policy.budget import HOUR_US, Rules
from activitymodule.learning.strata import AUDIT

_FIRST_PERIOD_US = 60_000_000
_GUESSED_WATCHES = 100  # until windows were counted
_FAR_OFF = 4.0  # a flow that is so many times the assumed one, or less than this part, ends a period early
_ENOUGH_WINDOWS = 500  # ... once so many were expected or seen
_SETTLED = 2.0  # the next period is twice as long only where the flow was within this factor


@dataclass(frozen=True)
class AuditPeriod:
    """How long the audit draws at one rate, and from what flow (windows an hour) the rate was made."""

    from_us: int
    until_us: int
    rate: float
    windows_per_hour: float
    why: str

    def covers(self, us: int) -> bool:
        """Whether a time (UTC microseconds) is in the period."""
        return self.from_us <= us < self.until_us


def first_period(now_us: int, rules: Rules, windows_per_hour: float | None = None) -> AuditPeriod:
    """A short first period on the last known flow, or on a guess."""
    why = "the flow known from before"
    if windows_per_hour is None:
        windows_per_hour = _GUESSED_WATCHES * HOUR_US / rules.window_us
        why = f"a guess: {_GUESSED_WATCHES} watches"
    return _period(now_us, _FIRST_PERIOD_US, windows_per_hour, rules, why)


def next_period(
    before: AuditPeriod, seen: int, since_us: int, now_us: int, rules: Rules
) -> AuditPeriod | None:
    """The period that follows, or None while the one before goes on.

    seen : windows that could have been drawn since since_us, which is when the period began or, after a restart,
    when counting began. A period ends at its time, or earlier where the flow
    is far from what was assumed; whichever windows were drawn has no say in it, so propensities stay exact.
    Periods begin with a minute and double up to an hour while the flow is steady.
    """
    elapsed = now_us - max(since_us, before.from_us)
    if elapsed <= 0:
        return None
    expected = before.windows_per_hour * elapsed / HOUR_US
    far_off = (seen > _FAR_OFF * expected and seen >= _ENOUGH_WINDOWS) or (
        seen * _FAR_OFF < expected and expected >= _ENOUGH_WINDOWS
    )
    if now_us < before.until_us and not far_off:
        return None
    if not seen:  # silence is no estimate of the flow to come
        length = before.until_us - before.from_us
        return _period(now_us, length, before.windows_per_hour, rules, "the flow before the silence")
    flow = seen * HOUR_US / elapsed
    steady = not far_off and expected / _SETTLED <= seen <= expected * _SETTLED
    length = min(2 * (before.until_us - before.from_us), HOUR_US) if steady else _FIRST_PERIOD_US
    return _period(now_us, length, flow, rules, f"the flow of the {elapsed / 60e6:.1f} minutes before")


def _period(now_us: int, length_us: int, windows_per_hour: float, rules: Rules, why: str) -> AuditPeriod:
    rate = min(rules.audit_per_hour / max(windows_per_hour, 1e-9), 1.0)
    return AuditPeriod(now_us, now_us + length_us, rate, windows_per_hour, why)


def audit_draw(device_id: str, window_start_us: int, salt: str) -> float:
    """The draw that alone decides about the audit; [0, 1)."""
    return draw(device_id, window_start_us, AUDIT, salt)


def required_labels(device_id: str, window_start_us: int, rules: Rules) -> int:
    """How many annotators must label a window: two for the overlap, by a draw of its own."""
    return 2 if draw(device_id, window_start_us, "overlap", rules.salt) < rules.overlap_share else 1
