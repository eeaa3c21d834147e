"""Items of the annotation queue, made from marked windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from activitymodule.learning import doubt, policy
from activitymodule.learning.doubt import Need
from activitymodule.learning.doubt.reason import needing
from activitymodule.learning.draws import draws
from activitymodule.learning.policy import AuditPeriod, Budget, Choice, Rules
from activitymodule.learning.strata import AUDIT
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.queue import QueueItem
from activitymodule.streaming.queue.marks import Marked
from activitymodule.streaming.queue.past import past_probabilities
from activitymodule.streaming.queue.pool import Pool
from activitymodule.windows.catalogue import FEATURES_VERSION


def audit_item(
    window: Marked, period: AuditPeriod, budget: Budget, rules: Rules, config: Settings
) -> QueueItem:
    """An item of the random sample that evaluates models."""
    return _item(
        window,
        rules,
        config,
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


def selected_item(
    window: Marked, choice: Choice, pool: Pool, selected: int, budget: Budget, rules: Rules, config: Settings
) -> QueueItem:
    """An item that was selected from the pool, as one of `selected`."""
    share = window.weight / pool.weight if pool.weight > 0 else 1.0
    return _item(
        window,
        rules,
        config,
        stratum=choice.stratum,
        reason=choice.reason,
        propensity=min(max(selected * share, 1e-9), 1.0),
        decision={**choice.decision, "budget": budget.chosen, "windows_seen": pool.complete},
    )


def _item(
    window: Marked,
    rules: Rules,
    config: Settings,
    *,
    stratum: str,
    reason: str,
    propensity: float,
    decision: dict[str, Any],
) -> QueueItem:
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
        required_labels=policy.required_labels(window.device_id, window.window_start_us, rules),
        readings=window.readings,
        features=window.features,
        features_version=FEATURES_VERSION,
        activity=window.activity,
        probabilities=window.probabilities,
        conformal_set=window.conformal_set,
        kcal_per_min=window.kcal_per_min,
        model_version=window.model_version,
        energy_version=window.energy_version,
        expire_hours=config.queue.expire_hours,
        person=window.person,
    )


def fill_past_doubts(
    connection: Connection, items: list[QueueItem], model: ScoringModel, config: Settings
) -> None:
    """Compute the doubts that need the past of a watch, which costs a query, for the few windows that are queued."""
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
        past=past_probabilities(connection, device, start, config, model),
        kcal_per_min=np.array([item.kcal_per_min for item in some]),
    )
    for one in reasons:
        for place, value in zip(lacking, one(evidence).tolist(), strict=True):
            items[place].doubts[one.name] = value
            if items[place].reason == one.name:
                # marked in the batch that also brought its past
                items[place] = replace(items[place], doubt=value)
