"""The steps of a retraining, in their order. Each may be repeated: it finds what it did, and goes on.

check(config, run_id, options) -> CheckResult
snapshot(config, run_id) -> SnapshotResult
train(config, run_id) -> TrainingResult
evaluate(config, run_id) -> EvaluationResult
gate(config, run_id) -> GateResult
promote(config, run_id) -> PromotionResult
"""

from activitymodule.workflows.retraining.checking import check
from activitymodule.workflows.retraining.judging import evaluate, gate
from activitymodule.workflows.retraining.promoting import promote
from activitymodule.workflows.retraining.snapshots import snapshot
from activitymodule.workflows.retraining.training import train

__all__ = ["check", "evaluate", "gate", "promote", "snapshot", "train"]
