"""Posts an event of the asset `new_labels` when there are enough new gold labels; the event triggers the retraining.

The same event can be posted from elsewhere: `activitymodule.orchestration.client.announce_labels`, or
`POST /api/v2/assets/events`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    DeltaTriggerTimetable,
    Param,
    dag,
    task,
)

from activitymodule.orchestration.names import LABELS, LABELS_URI, WATCH_LABELS
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.orchestration.retries import retries
from activitymodule.settings import load

CONFIG = load()
NEW_LABELS = Asset(name=LABELS, uri=LABELS_URI, group="activity")

PARAMS = {
    "min_labels": Param(
        CONFIG.learning.min_labels,
        type="integer",
        minimum=1,
        title="New labels needed",
        description="Gold labels that must be new since the last retraining.",
    ),
    "pause_minutes": Param(
        60,
        type="number",
        minimum=0,
        maximum=60 * 24 * 366,
        title="Pause (minutes)",
        description="No event within so many minutes of the start of the last retraining, however it ended.",
    ),
}


@dag(
    dag_id=WATCH_LABELS,
    schedule=DeltaTriggerTimetable(timedelta(minutes=CONFIG.airflow.labels_minutes)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    params=PARAMS,
    tags=["activity", "learning"],
    doc_md=__doc__,
    default_args=retries(pause=timedelta(seconds=30)),
)
def watch_labels() -> None:
    """The DAG."""

    @task.short_circuit
    def enough(params: Any = None) -> int:
        """How many new labels there are, where they are enough; otherwise the run ends here."""
        refuse_unknown(WATCH_LABELS, params, PARAMS)
        # scikit-learn and PyArrow take seconds, and the DAG processor reads this file every minute
        from activitymodule.workflows.retraining import checking

        return checking.new_labels(CONFIG, params["min_labels"], params["pause_minutes"])

    @task(outlets=[NEW_LABELS])
    def announce(labels: int, outlet_events: Any = None) -> int:
        """The event."""
        outlet_events[NEW_LABELS].extra = {"labels": labels}
        return labels

    announce(enough())


watch_labels()
