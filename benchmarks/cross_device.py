"""A classifier on other watches: `python benchmarks/cross_device.py --train wisdm:PATH --set TITLE=PATH ...`.

Trains on recordings of one watch and scores prepared recordings of others, of which no label is used: with the profile
of their `device_model`, and as if the watch were unknown. Two recipes: that of the settings, and one without copies and
without the network. `--set 'TITLE=PATH=REGEX'` takes only people whose name matches; --folder keeps the models, and
takes those that are there. JSON on stdout; with --document, the table between the marks of that file is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from summaries import Json, write_between

from activitymodule import settings
from activitymodule.models.dataset import windows_of_readings
from activitymodule.models.evaluation.held_out import confusions_of_people, over_people
from activitymodule.models.evaluation.scores import accuracy, confusion, macro_f1

os.environ.setdefault("OMP_NUM_THREADS", "1")

MARKS = ("<!-- other watches: made by benchmarks/cross_device.py -->", "<!-- end of other watches -->")
BEFORE, AFTER = "without copies", "as shipped"
FIGURES = ("accuracy", "macro_f1", "confidence", "coverage")


def measured(train_on: str, sets: list[str], seeds: list[int], kept: Path | None) -> Json:
    """Figures by recipe, set and profile, one a seed; of the people of the training, held out, as well."""
    from activitymodule.models.bundle import BundleBytes, load_bundle
    from activitymodule.workflows.training import Request, train

    shipped = settings.load({})
    plain = shipped.models.augmentation.model_copy(update={"copies": ()})
    models = shipped.models.model_copy(update={"classifier": "trees_and_linear", "augmentation": plain})
    recipes = {AFTER: shipped, BEFORE: shipped.model_copy(update={"models": models})}
    others = [windows_of_set(one, shipped) for one in sets]
    rows: list[Json] = []
    for seed in seeds:
        for recipe, config in recipes.items():
            with tempfile.TemporaryDirectory() as temporary:
                folder = (kept or Path(temporary)) / f"{recipe} {seed}"
                if not (folder / "activity" / "metrics.json").is_file():
                    folder.mkdir(parents=True, exist_ok=True)
                    request = Request(
                        what="activity", data=train_on, seed=seed, folder=folder, mirrored=recipe == AFTER
                    )
                    train(request, config)
                model = load_bundle(BundleBytes.read(folder / "activity", version="1"))
                megabytes = (folder / "activity" / "model.skops").stat().st_size / 1e6
                report = json.loads((folder / "activity" / "metrics.json").read_text(encoding="utf-8"))
            confidence = (
                sum(p["confidence"] * p["windows"] for p in report["reliability"]) / report["windows"]
            )
            own = {
                "accuracy": report["accuracy"],
                "macro_f1": report["macro_f1"],
                "confidence": confidence,
                "coverage": report["conformal_coverage"],
                "people_low": report["accuracy_over_people"]["low"],
                "people_high": report["accuracy_over_people"]["high"],
            }
            rows.append(_row(recipe, seed, "held-out people of the training", "yes", report, own))
            for title, profiles in others:
                for profile, data in profiles.items():
                    counts = {"windows": len(data), "people": len(set(data.person.tolist()))}
                    rows.append(
                        _row(
                            recipe,
                            seed,
                            title,
                            profile,
                            counts,
                            _scored(model, data),
                        )
                    )
            print(f"{recipe}, seed {seed}: {megabytes:.1f} MB", file=sys.stderr)
    return {"data": Path(train_on.rpartition(":")[2]).name, "seeds": seeds, "rows": rows}


def _row(recipe: str, seed: int, title: str, profile: str, counts: Json, figures: Json) -> Json:
    row = {"recipe": recipe, "seed": seed, "set": title, "profile": profile}
    return row | {"windows": counts["windows"], "people": counts["people"]} | figures


def windows_of_set(described: str, config):  # type: ignore[no-untyped-def]
    """The title of a set, and its windows with and without the profile of its device model."""
    title, path, *people = described.split("=", 2)
    readings = ds.dataset(path, format="parquet", partitioning="hive").to_table()
    if people:
        chosen = [bool(re.search(people[0], str(name))) for name in readings.column("person").to_pylist()]
        readings = readings.filter(chosen)
    profiles = {"no": readings}
    if "device_model" in readings.column_names:
        profiles = {"no": readings.drop_columns(["device_model"]), "yes": readings}
    return title, {name: windows_of_readings(table, config.windows) for name, table in profiles.items()}


def _scored(model, data) -> Json:  # type: ignore[no-untyped-def]
    """Figures of a model on windows whose activities it knows."""
    place = {label: k for k, label in enumerate(model.labels)}
    truth = np.array([place[label] for label in data.activity.tolist()])
    scores = model.score(data.features, device_models=data.device_model.tolist())
    predicted = scores.probabilities.argmax(1)
    counts = confusion(predicted, truth, len(model.labels))
    people = over_people(confusions_of_people(predicted, truth, data.person, len(counts)), accuracy, seed=0)
    return {
        "people_low": people.low,
        "people_high": people.high,
        "accuracy": float(accuracy(counts)),
        "macro_f1": float(macro_f1(counts)),
        "confidence": float(scores.probabilities.max(1).mean()),
        "coverage": float(scores.in_set[np.arange(len(truth)), truth].mean()),
    }


def document(figures: Json) -> str:
    """The figures as Markdown."""
    rows = figures["rows"]
    seeds = len(figures["seeds"])
    over = f"Means over {seeds} seeds, the least and the greatest in brackets." if seeds > 1 else "One seed."
    lines = [
        f"Trained on {figures['data']}; of the other sets no label is used. {over} The interval is that of the "
        f"accuracy when people are drawn with replacement (seed {figures['seeds'][0]}).",
        "",
        "| set | profile | recipe | accuracy | 95 % over people | macro-F1 | mean confidence | conformal coverage |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, profile, recipe in dict.fromkeys(
        (r["set"], r["profile"], r["recipe"]) for r in _ordered(rows)
    ):
        same = [r for r in rows if (r["set"], r["profile"], r["recipe"]) == (title, profile, recipe)]
        counts = f"{same[0]['windows']} windows of {same[0]['people']} people"
        accuracy, *others = (_over_seeds([r[name] for r in same]) for name in FIGURES)
        people = f"{same[0]['people_low']:.2f} to {same[0]['people_high']:.2f}"
        cells = " | ".join([accuracy, people, *others])
        lines.append(f"| {title} ({counts}) | {profile} | {recipe} | {cells} |")
    return "\n".join([*lines, ""])


def _ordered(rows: list[Json]) -> list[Json]:
    """By set, in the order given, then profile, then recipe."""
    order = list(dict.fromkeys(r["set"] for r in rows))
    return sorted(rows, key=lambda r: (order.index(r["set"]), r["profile"], r["recipe"] == AFTER))


def _over_seeds(values: list[float]) -> str:
    if f"{min(values):.2f}" == f"{max(values):.2f}":
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", required=True, help="SOURCE:PATH or Parquet of labelled recordings")
    parser.add_argument(
        "--set", action="append", default=[], help="TITLE=PATH[=REGEX] of prepared recordings"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the models there, and take those that are there")
    parser.add_argument("--document", type=Path)
    arguments = parser.parse_args()
    figures = measured(arguments.train, arguments.set, list(range(1, arguments.seeds + 1)), arguments.folder)
    if arguments.document:
        write_between(arguments.document, MARKS, document(figures))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
