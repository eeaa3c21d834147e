"""Names that the DAG files, the client and the workflows share. Imports nothing heavy: this is read every minute."""

import hashlib
from typing import Any

XCom = dict[str, Any]
"""What Airflow keeps of a task: the result of a workflow as JSON."""

RETRAIN = "retrain_activity_model"
"""The DAG that the console's button and new labels trigger."""
WATCH_LABELS = "watch_labels"
DRIFT_REPORT = "drift_report"
REFRESH_STATISTICS = "refresh_statistics"
RETENTION = "retention"
ASSIGN_PERSONAS = "assign_personas"
BUILD_DAYS = "build_days"
PREPROCESS_ON_EMR = "preprocess_on_emr"
LOAD_WAREHOUSE = "load_warehouse"

LABELS = "new_labels"
"""The asset whose events mean that there are enough new gold labels."""
LABELS_URI = "activity://gold-labels/new"

STARTED_BY = "airflow: "
"""How `started_by` of a retraining begins where a DAG began it."""
APPROVAL = "approval"
"""The task of the retraining that waits for a person."""


def token_of(dag_id: str, run_id: str) -> str:
    """A name for what one run of a DAG starts elsewhere: the same when its task is tried again."""
    return hashlib.sha256(f"{dag_id} {run_id}".encode()).hexdigest()[:32]
