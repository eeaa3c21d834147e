"""Families and thresholds on held-out people: `python benchmarks/model_comparison.py --data wisdm:PATH`.

Compares the textbook classifiers with the recipe that ships (as `activity models compare`), and chooses the thresholds
of that recipe (as `activity train`). JSON on stdout; with --document the two tables between the marks of that file are
written anew, with --figure the picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from summaries import write_between

from activitymodule.models.comparison import Comparison
from activitymodule.models.thresholds import Thresholds, read_thresholds
from activitymodule.settings import load
from activitymodule.workflows.model_operations.comparing import FIGURE_FILE, compare
from activitymodule.workflows.model_operations.requests import ComparisonRequest
from activitymodule.workflows.training import Request, train

FAMILIES = (
    "<!-- model comparison: made by benchmarks/model_comparison.py -->",
    "<!-- end of model comparison -->",
)
THRESHOLDS = ("<!-- thresholds: made by benchmarks/model_comparison.py -->", "<!-- end of thresholds -->")


def families_table(found: Comparison, data: str, shipped: str) -> str:
    """The comparison as Markdown."""
    lines = [
        f"On {data}: {found.windows:,} windows of {found.people} people, {found.copies:,} copies, {found.folds} folds. "
        f"`{shipped}` is the recipe that ships.",
        "",
        "| family | macro-F1 (95 %) | of a person (sd) | behind | p | accuracy | precision | recall | ROC-AUC | "
        "calibration error: as trained, calibrated | fit s | windows/s | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found.families:
        over = one.macro_f1_over_people
        behind = "" if one.behind is None else f"{one.behind:.3f}"
        p = "" if one.p_value is None else f"{one.p_value:.2g}"
        lines.append(
            f"| `{one.family}` | {one.macro_f1:.3f} ({over.low:.3f} to {over.high:.3f}) | "
            f"{over.mean:.3f} ({over.sd:.3f}) | {behind} | {p} | "
            f"{one.accuracy:.3f} | {one.precision:.3f} | {one.recall:.3f} | {one.roc_auc:.3f} | "
            f"{one.ece:.3f}, {one.ece_calibrated:.3f} | {one.fit_seconds:.1f} | {one.windows_per_second:,.0f} | "
            f"{one.megabytes:.2f} |"
        )
    return "\n".join([*lines, ""])


def thresholds_table(found: Thresholds, data: str) -> str:
    """The thresholds as Markdown."""
    right = "" if found.precision is None else f", {found.precision:.1%} of these rightly"
    lines = [
        f"On {data}, target precision {found.target_precision:g}: {found.decided:.1%} of the windows of {found.people} "
        f"held-out people are decided{right}; mean recall {found.recall:.3f}.",
        "",
        "| activity | least confidence | precision (95 %) | recall (95 %) | precision, chosen on others | decided | "
        "windows |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, one in found.activities.items():
        if one.confidence is None or one.precision_interval is None or one.recall_interval is None:
            lines.append(f"| {label} | none is precise enough | | | | 0 | {one.windows} |")
            continue
        said, there, others = one.precision_interval, one.recall_interval, one.precision_on_others
        lines.append(
            f"| {label} | {one.confidence:.3f} | {one.precision:.3f} ({said.low:.3f} to {said.high:.3f}) | "
            f"{one.recall:.3f} ({there.low:.3f} to {there.high:.3f}) | "
            f"{'' if others is None else f'{others:.3f}'} | {one.decided} | {one.windows} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="SOURCE:PATH or Parquet of labelled recordings")
    parser.add_argument("--folds", type=int, default=ComparisonRequest.folds)
    parser.add_argument("--document", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    config = load({})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        request = ComparisonRequest(data=arguments.data, folds=arguments.folds, record=False, folder=folder)
        compared = compare(request, config)
        if arguments.figure:
            shutil.copyfile(folder / FIGURE_FILE, arguments.figure)
        train(Request(what="activity", data=arguments.data, folds=arguments.folds, folder=folder), config)
        thresholds = read_thresholds(folder / "activity")
    assert thresholds is not None
    if arguments.document:
        table = families_table(compared.comparison, compared.data, compared.shipped)
        write_between(arguments.document, FAMILIES, table)
        write_between(arguments.document, THRESHOLDS, thresholds_table(thresholds, compared.data))
    print(
        json.dumps({"comparison": compared.comparison.as_json(), "thresholds": asdict(thresholds)}, indent=1)
    )


if __name__ == "__main__":
    main()
