"""Views of a warehouse. Their text is what PostgreSQL, Redshift and BigQuery read alike: no dialect is translated.

So they have no FILTER, no `::`, no quotation marks, no ROUND of doubles and no mean of whole numbers (Redshift's is a
whole one).
"""

from __future__ import annotations

from collections.abc import Sequence

from activitymodule.days.columns import WORN_MINUTES
from activitymodule.settings import Settings
from activitymodule.workflows.cloud.warehouse.contents import CONTENTS
from activitymodule.workflows.cloud.warehouse.targets import target_of

# {at} is what a table's name begins with
VIEWS = {
    "daily_by_person": f"""
SELECT participant, source, COUNT(*) AS days, MIN(date) AS first_date, MAX(date) AS last_date,
  SUM(CASE WHEN wear_minutes >= {WORN_MINUTES:g} THEN 1 ELSE 0 END) AS worn_days, AVG(wear_minutes) AS wear_minutes,
  AVG(active_minutes) AS active_minutes, AVG(steps) AS steps, AVG(kcal) AS kcal,
  AVG(heart_resting) AS heart_resting
FROM {{at}}daily
GROUP BY participant, source""",
    "predictions_by_day": """
SELECT CAST(window_start AS DATE) AS day, model_version, COALESCE(smoothed_activity, activity) AS activity,
  COUNT(*) AS windows, COUNT(DISTINCT device_id) AS watches, AVG(confidence) AS confidence,
  AVG(kcal_per_min) AS kcal_per_min
FROM {at}predictions
GROUP BY CAST(window_start AS DATE), model_version, COALESCE(smoothed_activity, activity)""",
    "label_agreement": """
SELECT p.model_version, s.stratum, g.label, COUNT(*) AS labels,
  SUM(CASE WHEN p.activity = g.label THEN 1 ELSE 0 END) AS agreeing,
  AVG(CASE WHEN p.activity = g.label THEN 1.0 ELSE 0.0 END) AS agreement
FROM {at}gold_labels AS g
JOIN {at}predictions AS p ON p.device_id = g.device_id AND p.window_start = g.window_start
LEFT JOIN (
  SELECT device_id, window_start, MAX(stratum) AS stratum FROM {at}annotations GROUP BY device_id, window_start
) AS s ON s.device_id = g.device_id AND s.window_start = g.window_start
WHERE g.label IS NOT NULL AND p.activity IS NOT NULL
GROUP BY p.model_version, s.stratum, g.label""",
    "model_use": """
SELECT m.name, m.version, m.created_at, m.data, m.serves, p.windows, p.first_window, p.last_window
FROM {at}model_versions AS m
LEFT JOIN (
  SELECT model_version, COUNT(*) AS windows, MIN(window_start) AS first_window, MAX(window_start) AS last_window
  FROM {at}predictions GROUP BY model_version
) AS p ON p.model_version = m.version AND m.feature_version IS NOT NULL""",
}
"""Name -> query. label_agreement: gold labels beside what the windows were predicted with; only those of the stratum
`audit` are a random sample. model_use: versions and the windows that a classifier has scored."""


def queries(prefix: str = "") -> dict[str, str]:
    """The queries of the views, by their names. prefix : of the names of tables"""
    return {name: query.replace("{at}", prefix).strip() for name, query in VIEWS.items()}


def make(config: Settings) -> Sequence[str]:
    """Make the views, or replace them; their names. Tables that are not there are made first.

    Raises ConfigError where no warehouse is set, StoreError where it refuses a view.
    """
    target = target_of(config)
    target.make([one.table for one in CONTENTS.values()])
    for name, query in queries(target.prefix).items():
        target.make_view(name, query)
    return tuple(VIEWS)
