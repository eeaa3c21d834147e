"""The gate: may a challenger replace the champion? Arrays in, a verdict with every figure out.

Only audit labels are used: of windows drawn at random, which no model has learnt from. The challenger must be
significantly better over *people*: windows of one person are near-duplicates, and a test over windows, or none
at all, promotes an equal model far too often (docs/retraining.md has the figures). Besides, it must load and
answer, know every label the champion knows, lose no activity, harm no device model, stay calibrated, and be small
and quick enough.
"""

from activitymodule.learning.gate.bootstrap import adjusted_alpha
from activitymodule.learning.gate.comparison import compare, macro_f1_interval, macro_f1_of
from activitymodule.learning.gate.examination import examine
from activitymodule.learning.gate.judge import judge
from activitymodule.learning.gate.subjects import Audit, Candidate
from activitymodule.learning.gate.verdict import (
    Check,
    ComparedFigures,
    Figures,
    LabelChange,
    SliceChange,
    Verdict,
    same_labels_note,
)

__all__ = [
    "Audit",
    "Candidate",
    "Check",
    "ComparedFigures",
    "Figures",
    "LabelChange",
    "SliceChange",
    "Verdict",
    "adjusted_alpha",
    "compare",
    "examine",
    "judge",
    "macro_f1_interval",
    "macro_f1_of",
    "same_labels_note",
]
