"""Which windows are queued for annotation: budgets, the audit share, cold start, doubt with diversity.

Pure functions of their arguments: no clock, no store, no chance but draws that belong to a window
(`draws.draw`), so a replay decides the same. Every decision comes with a dict that explains it.

- Budget: two token buckets, one for the audit share and one for all else; neither takes from the other.
- Audit share: a window is drawn where its draw is below the rate of the period. Nothing else about the window
  counts, so the rate is the exact propensity.
- Chosen windows: drawn with chances in proportion to doubt x spread (Efraimidis and Spirakis 2006,
  Inf. Process. Lett. 97, by exponential keys), at least a cooldown apart of each person and unlike the person's
  earlier items. While labels are few, typicality counts in the place of doubt.
"""

from activitymodule.learning.policy.audit import (
    AuditPeriod,
    audit_draw,
    first_period,
    next_period,
    required_labels,
)
from activitymodule.learning.policy.budget import HOUR_US, Budget, Rules
from activitymodule.learning.policy.choice import (
    MOST_POWER,
    NEAR,
    Candidate,
    Choice,
    Past,
    choose,
    doubt_power,
    key,
    limited,
    weights,
)

__all__ = [
    "HOUR_US",
    "MOST_POWER",
    "NEAR",
    "AuditPeriod",
    "Budget",
    "Candidate",
    "Choice",
    "Past",
    "Rules",
    "audit_draw",
    "choose",
    "doubt_power",
    "first_period",
    "key",
    "limited",
    "next_period",
    "required_labels",
    "weights",
]
