"""Honest on other watches: `python benchmarks/device_calibration.py --train wisdm:PATH --set TITLE=PATH ...`.

Trains on recordings of one watch, as shipped, and scores prepared recordings of others (`--set TITLE=PATH`, as
benchmarks/cross_device.py takes them; their own device model is stated): before any of their labels, without and with
the wide sets of a device model that is named and not known, and after 20, 50 and 100 labels drawn at random, over
--draws draws. Figures after labels are of the windows that were not labelled; 100 labels of a set of fewer than 125
windows are 80 % of it. JSON on stdout; with --document, the table between the marks of that file is written anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from cross_device import windows_of_set
from summaries import Json, write_between

from activitymodule.models.activity import feature_names
from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.models.calibration import UNFAMILIAR, conformal_sets
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.evaluation.held_out import person_folds
from activitymodule.models.familiarity import familiarity_of
from activitymodule.models.recalibration import powered, recalibrate
from activitymodule.models.training import columns_of
from activitymodule.settings import Settings, load
from activitymodule.workflows.training import Request, train
from activitymodule.workflows.training_data import load_windows

MARKS = (
    "<!-- device calibration: made by benchmarks/device_calibration.py -->",
    "<!-- end of device calibration -->",
)
LABELS = (20, 50, 100)
FOLDS = 5
MOST = 0.8  # of a set that is labelled


def measured(train_on: str, sets: list[str], draws: int, folder: Path | None, folds: int) -> Json:
    """Figures of every set, before labels and after."""
    config = load({})
    with tempfile.TemporaryDirectory() as temporary:
        made = folder or Path(temporary)
        if not (made / "activity" / "model.skops").is_file():
            train(Request(what="activity", data=train_on, seed=1, folds=folds, folder=made), config)
        model = load_bundle(BundleBytes.read(made / "activity", version="1"))
    rows: list[Json] = []
    for described in sets:
        title, profiles = windows_of_set(described, config)
        for profile, data in profiles.items():
            rows += [{"set": title, "profile": profile} | row for row in _of_set(model, data, draws, config)]
            print(f"{title}, profile {profile}: {len(data)} windows", file=sys.stderr)
    data = Path(train_on.rpartition(":")[2]).name
    return {"data": data, "draws": draws, "rows": rows, "held_out": _held_out(train_on, config)}


def _held_out(train_on: str, config: Settings) -> Json:
    """The share of windows that are unfamiliar to a training without their person: mean over people, standard error."""
    (data,) = load_windows(train_on, config)
    names, shares = feature_names(), list[float]()
    X = columns_of(data.features, names)
    for learn, test in person_folds(data.person, FOLDS):
        familiarity, _ = familiarity_of(X[learn], data.person[learn], names)
        unfamiliar, person = familiarity(X[test]) < UNFAMILIAR, data.person[test]
        shares += [float(unfamiliar[person == one].mean()) for one in np.unique(person)]
    error = float(np.std(shares, ddof=1) / np.sqrt(len(shares)))
    return {"people": len(shares), "unfamiliar": float(np.mean(shares)), "error": error}


def _of_set(model: ScoringModel, data: TrainingWindows, draws: int, config: Settings) -> list[Json]:
    place = {label: k for k, label in enumerate(model.labels)}
    truth = np.array([place[label] for label in data.activity.tolist()])
    every = np.arange(len(truth))

    def figures(p: np.ndarray, sets: np.ndarray, some: np.ndarray) -> Json:
        return {
            "accuracy": float((p.argmax(1) == truth)[some].mean()),
            "confidence": float(p[some].max(1).mean()),
            "coverage": float(sets[some, truth[some]].mean()),
            "set_size": float(sets[some].sum(1).mean()),
        }

    watches = [one or "a watch" for one in data.device_model.tolist()]
    alone = model.score(data.features, device_models=watches, calibrations=None)
    named = model.score(data.features, device_models=watches)
    unfamiliar = float((alone.familiarity < UNFAMILIAR).mean())
    about = {"windows": len(truth), "unfamiliar": unfamiliar}
    rows: list[Json] = [
        {"when": "no label, sets not widened", **about, **figures(alone.probabilities, alone.in_set, every)},
        {"when": "no label", **about, **figures(named.probabilities, named.in_set, every)},
    ]
    for labels in LABELS:
        count = min(labels, int(MOST * len(truth)))
        found = []
        for seed in range(draws):
            order = np.random.default_rng(seed).permutation(len(truth))
            asked, rest = order[:count], order[count:]
            learnt = recalibrate(
                alone.probabilities[asked],
                truth[asked],
                np.ones(count),
                alpha=config.models.conformal_alpha,
            )
            p = powered(alone.probabilities, learnt.power)
            found.append(figures(p, conformal_sets(p, learnt.quantile), rest))
        means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        spread = {f"{name}_sd": float(np.std([one[name] for one in found])) for name in found[0]}
        rows.append({"when": f"{count} labels", **about, **means, **spread})
    return rows


def document(figures: Json) -> str:
    """The figures as Markdown."""
    held_out = figures["held_out"]
    lines = [
        f"Trained on {figures['data']}. After labels: means over {figures['draws']} draws of the labels, of the "
        "windows that were not labelled; the standard deviation over draws in brackets. Of the windows of "
        f"{held_out['people']} people whom the training had not seen ({FOLDS} folds), {held_out['unfamiliar']:.1%} ± "
        f"{held_out['error']:.1%} are unfamiliar (mean and standard error over people).",
        "",
        "| set | profile | unfamiliar | labels | accuracy | confidence | coverage | activities in a set |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["rows"]:
        cells = " | ".join(
            f"{row[name]:.2f}" + (f" ({row[f'{name}_sd']:.2f})" if f"{name}_sd" in row else "")
            for name in ("accuracy", "confidence", "coverage", "set_size")
        )
        about = f"{row['set']} ({row['windows']} windows) | {row['profile']} | {row['unfamiliar']:.0%}"
        lines.append(f"| {about} | {row['when']} | {cells} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", required=True, help="SOURCE:PATH or Parquet of labelled recordings")
    parser.add_argument("--set", action="append", default=[], help="TITLE=PATH of prepared recordings")
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--folds", type=int, default=10, help="of the training")
    parser.add_argument("--folder", type=Path, help="keep the model there, and take the one that is there")
    parser.add_argument("--document", type=Path)
    arguments = parser.parse_args()
    figures = measured(arguments.train, arguments.set, arguments.draws, arguments.folder, arguments.folds)
    if arguments.document:
        write_between(arguments.document, MARKS, document(figures))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
