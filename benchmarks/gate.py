"""How often the gate promotes a challenger, by its true difference; the table of docs/retraining.md.

python benchmarks/gate.py --trials 1000
python benchmarks/gate.py --trials 400 --tries 20     # challengers that are no better, on the same labels
"""

from __future__ import annotations

import argparse
import json

from activitymodule.learning.gate_simulation import promoted_by_retries, rates, verdicts
from activitymodule.settings import Learning

SIZES = ((5, 60), (8, 100), (12, 150), (20, 200), (40, 400), (60, 600), (100, 1000))
GAINS = (0.0, 0.03, 0.05, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--tries", type=int, help="Promoted after so many tries on the same audit labels.")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.tries:
        tried = {
            adjusted: promoted_by_retries(
                given.trials, 40, 400, Learning(), tries=given.tries, adjust=adjusted
            )
            for adjusted in (False, True)
        }
        for j in range(given.tries):
            print(f"| {j + 1} | {tried[False][j]:.1%} | {tried[True][j]:.1%} |")
        return
    limits, rows = Learning(), []
    for people, labels in SIZES:
        row: dict[str, float] = {"people": people, "labels": labels}
        for gain in GAINS:
            shares = rates(verdicts(given.trials, people, labels, limits, gain=gain))
            if not gain:
                row |= {f"equal_{name}": share for name, share in shares.items()}
            row[f"gain_{gain:g}"] = shares["promoted"]
        rows.append(row)
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        "| people | audit labels | equal: F1 higher | equal: percentiles | equal: promoted | +.03 | +.05 | +.10 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        shown = [row[name] for name in ("equal_higher", "equal_percentile", "equal_promoted")]
        shown += [row[f"gain_{gain:g}"] for gain in GAINS[1:]]
        print(
            f"| {row['people']} | {row['labels']} | " + " | ".join(f"{share:.1%}" for share in shown) + " |"
        )


if __name__ == "__main__":
    main()
