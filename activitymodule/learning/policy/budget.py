"""Rules and budget of the annotation queue: two token buckets, one for the audit share, one for all else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from activitymodule.learning.doubt import required
from activitymodule.settings import Settings

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Rules:
    """The settings of the queue as the policy needs them; salt : of the installation, so that no two draw the same."""

    items_per_hour: float
    burst: int
    cooldown_us: int
    cold_labels: int
    audit_share: float
    overlap_share: float
    measure: str
    window_us: int = 10_000_000
    salt: str = ""

    @classmethod
    def of(cls, config: Settings, salt: str = "") -> Rules:
        """The rules of the settings. Raises ConfigError where `queue.doubt` is no reason for doubt."""
        queue = config.queue
        return cls(
            items_per_hour=queue.items_per_hour,
            burst=queue.burst,
            cooldown_us=int(queue.cooldown_minutes * 60e6),
            cold_labels=queue.cold_labels,
            audit_share=queue.audit_share,
            overlap_share=queue.overlap_share,
            measure=required(queue.doubt).name,
            window_us=config.windows.length_seconds * 1_000_000,
            salt=salt,
        )

    @property
    def audit_per_hour(self) -> float:
        """Audit items an hour."""
        return self.items_per_hour * self.audit_share

    @property
    def chosen_per_hour(self) -> float:
        """Items an hour that are chosen by doubt."""
        return self.items_per_hour - self.audit_per_hour

    @property
    def audit_burst(self) -> float:
        """At least one item: a smaller bucket would never hold a whole token."""
        return max(1.0, self.burst * self.audit_share)

    @property
    def chosen_burst(self) -> float:
        """At least one item, as `audit_burst`."""
        return max(1.0, self.burst - self.audit_burst)


@dataclass(frozen=True)
class Budget:
    """Items that may be queued now; it does not change while the clock goes back."""

    audit: float
    chosen: float
    as_of_us: int

    @classmethod
    def full(cls, rules: Rules, now_us: int) -> Budget:
        """A budget with the whole burst."""
        return cls(rules.audit_burst, rules.chosen_burst, now_us)

    def at(self, now_us: int, rules: Rules) -> Budget:
        """The same later: refilled by the hour's rate up to the burst."""
        hours = max(now_us - self.as_of_us, 0) / HOUR_US
        return Budget(
            min(self.audit + hours * rules.audit_per_hour, rules.audit_burst),
            min(self.chosen + hours * rules.chosen_per_hour, rules.chosen_burst),
            max(now_us, self.as_of_us),
        )

    def less(self, *, audit: int = 0, chosen: int = 0) -> Budget:
        """After so many items, at most as many as there are."""
        return replace(self, audit=self.audit - audit, chosen=self.chosen - chosen)
