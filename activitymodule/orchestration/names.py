"""Names that the DAG files, the client and the workflows share. Imports nothing: the DAG processor reads this often."""

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

LABELS = "new_labels"
"""The asset whose events mean that there are enough new gold labels."""
LABELS_URI = "activity://gold-labels/new"

STARTED_BY = "airflow: "
"""How `started_by` of a retraining begins where a DAG began it."""
APPROVAL = "approval"
"""The task of the retraining that waits for a person."""
