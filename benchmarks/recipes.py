"""Recipes of the classifier on other watches: `python benchmarks/recipes.py --train wisdm:PATH --set TITLE=PATH ...`.

For each recipe (copies, how many windows, share of the trees): the accuracy on held-out people of the training as they
were recorded, with and without the profile of their watch, and as simulated watches without a profile would have
recorded them (copies that no recipe learns from). These are there to choose by. Then, of a model of all people, the
accuracy on prepared recordings of other watches, as benchmarks/cross_device.py takes them. What is not in --folder yet
is computed, so a run that was ended goes on. JSON on stdout; with --document, the table between the marks of that file
is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from cross_device import windows_of_set
from sklearn.pipeline import Pipeline
from summaries import Json, write_between

from activitymodule.models.activity import feature_names
from activitymodule.models.contract import probabilities_of
from activitymodule.models.dataset import TrainingWindows, thinned, windows_of_readings
from activitymodule.models.evaluation.held_out import person_folds
from activitymodule.models.families import classifier_of
from activitymodule.models.training import columns_of, with_copies
from activitymodule.settings import Augmentation, RunCopy, Settings, load
from activitymodule.windows.frame import in_known_frame
from activitymodule.workflows.training_data import load_readings, load_windows

MARKS = ("<!-- recipes: made by benchmarks/recipes.py -->", "<!-- end of recipes -->")
FOLDS = 3
NAMES = feature_names()
SIMULATED = {
    "slower, smaller": (
        RunCopy(tempo=0.7, size=0.6),
        RunCopy(tempo=0.9, size=0.9),
        RunCopy(tempo=1.25, size=1.2),
        RunCopy(tempo=0.6, size=0.4),
    ),
    "x and y exchanged": (RunCopy(swapped=True), RunCopy(tempo=0.8, size=0.8, swapped=True)),
}
"""Watches and people that are simulated: the same runs at other tempos and sizes, and with x and y exchanged."""


@dataclass(frozen=True)
class Recipe:
    """A way to train: copies, the most windows, and parameters of the family that differ from the shipped ones."""

    augmentation: Augmentation
    parameters: Mapping[str, object] = field(default_factory=dict)

    def fitted(self, data: TrainingWindows, config: Settings, seed: int) -> Pipeline:
        """A classifier of these windows."""
        models = config.models.model_copy(update={"augmentation": self.augmentation})
        weight = with_copies(data, None, config.model_copy(update={"models": models}))
        weighted = {} if weight is None else {"model__sample_weight": weight}
        pipeline = classifier_of(config.models.classifier, NAMES, seed)
        pipeline.set_params(**{f"model__{name}": value for name, value in self.parameters.items()})
        return pipeline.fit(columns_of(data.features, NAMES), data.activity, **weighted)


def recipes(shipped: Augmentation) -> dict[str, Recipe]:
    """The shipped recipe, and those it is compared with."""

    def changed(**settings: object) -> Augmentation:
        return shipped.model_copy(update=settings)

    slow, swapped = RunCopy(tempo=0.6, size=0.5), RunCopy(swapped=True)
    return {
        "as shipped": Recipe(shipped),
        "without copies": Recipe(changed(copies=())),
        "at most 12,000 windows": Recipe(changed(most_windows=12_000)),
        "and a copy at tempo .6, size .5": Recipe(changed(copies=(*shipped.copies, slow))),
        "and a copy with x and y exchanged": Recipe(changed(copies=(*shipped.copies, swapped))),
        "linear and network alike": Recipe(shipped, {"linear_share": 0.375}),
        "trees weigh .4": Recipe(shipped, {"tree_share": 0.4, "linear_share": 0.4}),
    }


class Study:
    """What every recipe is measured on. known : recorded windows; simulated : kind -> copies of them; others : title ->
    profile ("no", "yes") -> windows"""

    def __init__(self, train_on: str, sets: list[str]) -> None:
        self.config = load({})
        (known,) = load_windows(train_on, self.config)
        self._readings = load_readings(train_on, self.config, np.unique(known.person).tolist())
        self.known = self.windows(())
        self.simulated = {
            kind: [(copied := self.windows((one,))).take(copied.copied) for one in copies]
            for kind, copies in SIMULATED.items()
        }
        self.others = dict(windows_of_set(one, self.config) for one in sets)

    def windows(self, copies: tuple[RunCopy, ...]) -> TrainingWindows:
        """Of all people of the training, with these copies."""
        setting = Augmentation(copies=copies)
        return windows_of_readings(self._readings, self.config.windows, augmentation=setting)

    def measured(self, recipe: Recipe, seed: int) -> Json:
        """The accuracy on each."""
        data = thinned(self.windows(recipe.augmentation.copies), recipe.augmentation.most_windows)
        watches = {"recorded": [self.known], "recorded, no profile": [_bare(self.known)]}
        watches |= {kind: [_bare(one) for one in copies] for kind, copies in self.simulated.items()}
        right: dict[str, list[np.ndarray]] = {kind: [] for kind in watches}
        for _, test in person_folds(self.known.person, FOLDS):
            people = np.unique(self.known.person[test])
            pipeline = recipe.fitted(data.take(~np.isin(data.person, people)), self.config, seed)
            for kind, of_kind in watches.items():
                right[kind] += [_right(pipeline, one.take(np.isin(one.person, people))) for one in of_kind]
        whole = recipe.fitted(data, self.config, seed)
        row: Json = {kind: float(np.concatenate(parts).mean()) for kind, parts in right.items()}
        for title, profiles in self.others.items():
            for profile, windows in profiles.items():
                name = title if profile == "yes" else f"{title}, no profile"
                row[name] = float(_right(whole, windows).mean())
        return row


def _bare(windows: TrainingWindows) -> TrainingWindows:
    return replace(windows, device_model=np.full(len(windows), ""))


def _right(pipeline: Pipeline, data: TrainingWindows) -> np.ndarray:
    """Whether the most probable activity of each window is the true one."""
    known = in_known_frame(data.device_model.tolist())
    answers = probabilities_of(pipeline, columns_of(data.features, NAMES), known)
    return np.asarray(pipeline.classes_[answers.argmax(1)] == data.activity)


def document(figures: Json) -> str:
    """The figures as Markdown."""
    names = list(next(iter(figures["recipes"].values())))
    lines = [
        f"Trained on {figures['data']}, seed {figures['seed']}; accuracy. As recorded and simulated: people of {FOLDS} "
        "folds who were held out.",
        "",
        "| " + " | ".join(["recipe", *names]) + " |",
        "|" + "---|" * (1 + len(names)),
    ]
    for title, row in figures["recipes"].items():
        cells = [f"{row[name]:.3f}" if name.startswith("recorded") else f"{row[name]:.2f}" for name in names]
        lines.append("| " + " | ".join([title, *cells]) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", required=True, help="SOURCE:PATH of labelled recordings")
    parser.add_argument(
        "--set", action="append", default=[], help="TITLE=PATH[=REGEX] of prepared recordings"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the figures of each recipe are kept"
    )
    parser.add_argument("--document", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    study, found = None, {}
    for k, (title, recipe) in enumerate(recipes(load({}).models.augmentation).items()):
        place = given.folder / f"{k}.json"
        if not place.is_file():
            study = study or Study(given.train, given.set)
            place.write_text(json.dumps(study.measured(recipe, given.seed)), encoding="utf-8")
            print(title, place.read_text(encoding="utf-8"), file=sys.stderr, flush=True)
        found[title] = json.loads(place.read_text(encoding="utf-8"))
    figures = {"data": Path(given.train.rpartition(":")[2]).name, "seed": given.seed, "recipes": found}
    if given.document:
        write_between(given.document, MARKS, document(figures))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
