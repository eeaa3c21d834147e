"""Figures of the models: `python benchmarks/models.py --data wisdm:PATH [--document docs/models.md]`.

Judges the classifier on real people for several seeds, the regressor on synthesised ones, and times the scoring of
windows on one core. JSON on stdout; with --document, the
figures between the marks of that file are written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cross_device import AFTER
from summaries import Json, write_between

from activitymodule import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

MARKS = ("<!-- figures: made by benchmarks/models.py -->", "<!-- end of figures -->")


def judged(data: str, seeds: list[int], trained: Path | None) -> Json:
    """Reports of the classifier on real people, one a seed, and of the regressor on synthesised people.

    trained : folder of benchmarks/cross_device.py, whose reports are taken where it has the seed
    """
    from activitymodule.workflows.training import Request, train

    config = settings.load({})
    reports = []
    for seed in seeds:
        kept = trained and trained / f"{AFTER} {seed}" / "activity" / "metrics.json"
        if kept and kept.is_file():
            reports.append(json.loads(kept.read_text(encoding="utf-8")))
            continue
        request = Request(what="activity", data=data, seed=seed, mirrored=True, evaluate_only=True)
        reports.append(train(request, config)[0].metrics.as_json())
        print(f"seed {seed}: macro-F1 {reports[-1]['macro_f1']:.4f}", file=sys.stderr)
    synthetic = train(Request(what="both", evaluate_only=True), config)
    return {
        "data": Path(data.rpartition(":")[2]).name,
        "seeds": seeds,
        "activity": reports,
        "synthetic": {outcome.kind: outcome.metrics.as_json() for outcome in synthetic},
    }


def timed(windows: int) -> Json:
    """Median milliseconds of processor time for batches of windows, windows/s of a large one, sizes of files."""
    import numpy as np

    from activitymodule.models.bundle import BundleBytes, load_bundle
    from activitymodule.workflows.training import Request, load_windows, train

    config = settings.load({})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train(Request(devices=20, minutes=20, folds=2, folder=folder), config)
        model = load_bundle(
            BundleBytes.read(folder / "activity", folder / "energy", version="1", energy_version="1")
        )
        sizes = {kind: (folder / kind / "model.skops").stat().st_size for kind in ("activity", "energy")}
    (data,) = load_windows("synthetic", config, devices=20, minutes=20, seed=2)
    rows = np.resize(np.arange(len(data)), windows)

    def median_ms(n: int, times: int) -> float:
        X, people = data.features[rows[:n]], data.people.take(rows[:n])
        taken = []
        for _ in range(times):
            # the processor's time: scoring is one thread, and the machine may have other work
            start = time.process_time()
            model.score(X, people)
            taken.append(1000 * (time.process_time() - start))
        return statistics.median(taken)

    small = {n: median_ms(n, 25) for n in (1, 10, 100, 1000)}
    large = median_ms(windows, 5)
    return {
        "milliseconds_for": small,
        "windows_a_second": windows / large * 1000,
        "megabytes": {kind: size / 1e6 for kind, size in sizes.items()},
    }


def document(figures: Json) -> str:
    """The figures as Markdown."""
    runs = figures["activity"]
    first = runs[0]

    def over_seeds(key: str) -> str:
        values = [run[key] for run in runs if run[key] is not None]
        if not values:
            return "not measured"
        if min(values) == max(values):
            return f"{values[0]:.3f}"
        return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    people = first["macro_f1_over_people"]
    over = f"Means over {len(runs)} seeds, the least and the greatest in brackets."
    over = over if len(runs) > 1 else "One seed."
    lines = [
        f"Real people: {first['people']} of WISDM, {first['windows']} windows of 10 s at 10 Hz, {first['folds']} folds "
        f"of whole people. {over}",
        "",
        "| figure | held out |",
        "|---|---|",
        f"| accuracy | {over_seeds('accuracy')} |",
        f"| macro-F1 | {over_seeds('macro_f1')} |",
        f"| macro-F1, watches on the other wrist | {over_seeds('mirrored_macro_f1')} |",
        f"| macro-F1, smoothed over six windows | {over_seeds('smoothed_macro_f1')} |",
        f"| expected calibration error | {over_seeds('ece')} |",
        f"| conformal coverage (promised: {1 - first['conformal_alpha']:.2f}) | {over_seeds('conformal_coverage')} |",
        f"| activities in a conformal set | {over_seeds('conformal_set_size')} |",
        f"| share of empty sets | {over_seeds('conformal_empty')} |",
        "",
        f"Spread over people (seed {figures['seeds'][0]}): a person's own macro-F1 is {people['mean']:.3f} on average, "
        f"standard deviation {people['sd']:.3f}; resampling people, the macro-F1 lies in {people['low']:.3f} to "
        f"{people['high']:.3f} (95 %).",
        "",
        "| activity | precision | recall | F1 | windows |",
        "|---|---|---|---|---|",
    ]
    for label, f in first["per_label"].items():
        lines.append(
            f"| {label} | {f['precision']:.3f} | {f['recall']:.3f} | {f['f1']:.3f} | {f['windows']} |"
        )
    activity, energy = figures["synthetic"]["activity"], figures["synthetic"]["energy"]
    spread = energy["mae_over_people"]
    lines += [
        "",
        f"Synthesised people (what `activity train` learns from by default): {activity['people']} people, "
        f"{activity['windows']} windows, {activity['folds']} folds. Some share a profile, so these "
        "figures flatter; they say that training works, not how good it is on you.",
        "",
        "| figure | held out |",
        "|---|---|",
        f"| activity: accuracy, macro-F1 | {activity['accuracy']:.3f}, {activity['macro_f1']:.3f} |",
        f"| energy: mean absolute error | {energy['mae']:.3f} kcal/min (people resampled, 95 %: {spread['low']:.3f} to "
        f"{spread['high']:.3f}) |",
        f"| energy: root mean square error | {energy['rmse']:.3f} kcal/min |",
        f"| energy: R2 | {energy['r2']:.3f} |",
        f"| energy: mean relative error | {energy['mape']:.1%} |",
        "",
    ]
    speed = figures.get("speed")
    if speed:
        milliseconds = ", ".join(f"{ms:.1f} ms for {n}" for n, ms in speed["milliseconds_for"].items())
        lines += [
            f"Scoring windows, both models, processor time of one thread: {milliseconds}; "
            f"{speed['windows_a_second']:,.0f} windows/s in large batches. Files: classifier "
            f"{speed['megabytes']['activity']:.1f} MB, regressor {speed['megabytes']['energy']:.1f} MB.",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", help="SOURCE:PATH of labelled recordings of real people; without: only speed"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--trained", type=Path, help="folder of cross_device.py: what it trained is not again"
    )
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--document", type=Path)
    arguments = parser.parse_args()
    figures: Json = {}
    if arguments.data:
        figures |= judged(arguments.data, list(range(1, arguments.seeds + 1)), arguments.trained)
    figures["speed"] = timed(arguments.windows)
    if arguments.document and arguments.data:
        write_between(arguments.document, MARKS, document(figures))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
