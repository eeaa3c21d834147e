"""Says when enough new gold labels came: an event of the asset `new_labels`, which sets off the retraining.

The same event can be made from elsewhere: `activitymodule.orchestration.client.announce_labels`, or
`POST /api/v2/assets/events`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, DeltaTriggerTimetable, Param, dag, task

from activitymodule.settings import load

log = logging.getLogger(__name__)

SETTINGS = load()
LABELS = Asset(name="new_labels", uri="activity://gold-labels/new", group="activity")


@dag(
    dag_id="watch_labels",
    schedule=DeltaTriggerTimetable(timedelta(minutes=SETTINGS.airflow.labels_minutes)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    params={
        "min_labels": Param(
            SETTINGS.learning.min_labels,
            type="integer",
            minimum=1,
            title="New labels needed",
            description="So many gold labels must have come since the last retraining.",
        ),
        "pause_minutes": Param(
            60,
            type="number",
            minimum=0,
            title="Pause (minutes)",
            description="Nothing is announced so soon after the last retraining began, however it ended.",
        ),
    },
    tags=["activity", "learning"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0},
)
def watch_labels() -> None:
    @task.short_circuit
    def enough(params: Any = None) -> int:
        """How many new labels there are, where they are enough; else the run ends here."""
        from activitymodule.jobs import airflow_tasks

        return airflow_tasks.labels_waiting(SETTINGS, params["min_labels"], params["pause_minutes"])

    @task(outlets=[LABELS])
    def announce(labels: int, outlet_events: Any = None) -> int:
        """The event."""
        outlet_events[LABELS].extra = {"labels": labels}
        return labels

    announce(enough())


watch_labels()
