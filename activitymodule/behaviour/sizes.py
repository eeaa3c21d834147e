"""The size study: how small a forest of calories can be without losing accuracy.

An unbounded forest as joblib writes it, forests pruned by depth, trees and leaf size, the same compressed, and as
arrays in a skops file, which is what ships. Each file is loaded in a process of its own.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline

from activitymodule.behaviour.forest import ForestRegressor
from activitymodule.behaviour.workouts import SHIPPED, Rows, pipeline_of
from activitymodule.errors import ServiceUnavailableError
from activitymodule.models.export import dump

LIMIT_MEGABYTES = 50.0
LEAST_R2_LOSS = 0.01


COLUMNS = (
    "forest",
    "form",
    "trees",
    "depth",
    "least leaf",
    "nodes",
    "file MB",
    "memory at load MB",
    "load s",
    "R2",
    "RMSE kcal",
)


@dataclass(frozen=True)
class Recipe:
    """A forest of the study. form : `joblib`, `joblib compressed` or `arrays`"""

    name: str
    form: str
    trees: int
    depth: int | None
    least_rows_a_leaf: int


@dataclass(frozen=True)
class SizeRow:
    """A forest: its file, what it takes to load it, and its accuracy on people held out.

    load_megabytes : by how much the greatest memory of the process grew; r2, rmse (kcal) : on people held out
    """

    name: str
    form: str
    trees: int
    depth: int | None
    least_rows_a_leaf: int
    nodes: int
    file_megabytes: float
    load_megabytes: float
    load_seconds: float
    r2: float
    rmse: float
    shipped: bool


@dataclass(frozen=True)
class SizeStudy:
    """All rows; passes : whether what ships is below the limit and within LEAST_R2_LOSS of the unbounded one."""

    data: str
    rows: int
    people: int
    forests: tuple[SizeRow, ...]
    passes: bool

    def table(self) -> list[tuple[object, ...]]:
        """The forests as rows of COLUMNS."""
        return [
            (
                one.name,
                one.form,
                one.trees,
                "none" if one.depth is None else one.depth,
                one.least_rows_a_leaf,
                f"{one.nodes:,}",
                round(one.file_megabytes, 1),
                round(one.load_megabytes, 1),
                round(one.load_seconds, 2),
                f"{one.r2:.4f}",
                round(one.rmse, 1),
            )
            for one in self.forests
        ]


def recipes(unbounded_trees: int) -> tuple[Recipe, ...]:
    """The forests, from the unbounded one to what ships."""
    shipped = SHIPPED["calories", "forest"]
    trees, depth, leaf = (shipped[name] for name in ("trees", "depth", "least_rows_a_leaf"))
    own = int(trees or 0), None if depth is None else int(depth), int(leaf or 1)
    some = own[0]
    return (
        Recipe("unbounded", "joblib", unbounded_trees, None, 1),
        Recipe("fewer trees", "joblib", some, None, 1),
        Recipe("and less deep", "joblib", some, own[1], 1),
        Recipe("and larger leaves", "joblib", *own),
        Recipe("and compressed", "joblib compressed", *own),
        Recipe("shipped: as arrays", "arrays", *own),
        Recipe("too small", "arrays", 10, 6, 20),
    )


def study(
    rows: Rows,
    folder: Path,
    forests: Sequence[Recipe],
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> SizeStudy:
    """Grow, write and measure forests, in `folder`, from which each file goes once it is measured.

    forests : the unbounded one first, and one that ships; a fifth of the people is held out. say : called with the
    name of each forest
    """
    train, test = next(
        GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(rows.X, groups=rows.person)
    )
    encode = pipeline_of(rows, "forest", seed)["encode"].fit(rows.X[train])
    X, y = encode.transform(rows.X[train]), rows.y[train]
    found: list[SizeRow] = []
    unbounded: RandomForestRegressor | None = None
    # forests of one recipe are grown once, whatever they are written as
    for (trees, depth, leaf), same in _by_forest(forests).items():
        say(same[0].name)
        arrays = ForestRegressor(trees, depth, leaf, seed=seed)
        if unbounded is not None and (depth, leaf) == (None, 1) and trees <= len(unbounded.estimators_):
            grown = _first(unbounded, trees)
        else:
            grown = RandomForestRegressor(**arrays.parameters()).fit(X, y)
        unbounded = unbounded or grown
        for recipe in same:
            of_arrays = recipe.form == "arrays"
            model = Pipeline([("encode", encode), ("model", arrays.keep(grown) if of_arrays else grown)])
            found.append(_measured(recipe, model, folder, rows.take(test)))
    whole, ships = found[0], next(row for row in found if row.shipped)
    passes = ships.file_megabytes < LIMIT_MEGABYTES and ships.r2 >= whole.r2 - LEAST_R2_LOSS
    data = "synthetic" if rows.synthetic else "recorded"
    return SizeStudy(data, len(rows), len(np.unique(rows.person)), tuple(found), passes)


def _by_forest(every: Sequence[Recipe]) -> dict[tuple[int, int | None, int], list[Recipe]]:
    found: dict[tuple[int, int | None, int], list[Recipe]] = {}
    for one in every:
        found.setdefault((one.trees, one.depth, one.least_rows_a_leaf), []).append(one)
    return found


def _first(grown: RandomForestRegressor, trees: int) -> RandomForestRegressor:
    """The forest of the first trees: what the same seed grows where so many are asked for."""
    fewer = copy.copy(grown)
    fewer.n_estimators, fewer.estimators_ = trees, grown.estimators_[:trees]
    return fewer


def _measured(recipe: Recipe, model: Pipeline, folder: Path, test: Rows) -> SizeRow:
    """Write, load and try a forest; its file goes."""
    forest = model["model"]
    path = folder / ("forest.skops" if recipe.form == "arrays" else "forest.joblib")
    try:
        if isinstance(forest, ForestRegressor):
            nodes = forest.nodes
            path.write_bytes(dump(model))
        else:
            nodes = sum(int(one.tree_.node_count) for one in forest.estimators_)
            joblib.dump(model, path, compress=3 if "compressed" in recipe.form else 0)
        size = path.stat().st_size / 1e6
        megabytes, seconds = loaded(path)
    finally:
        path.unlink(missing_ok=True)
    predicted = model.predict(test.X)
    return SizeRow(
        **asdict(recipe),
        nodes=nodes,
        file_megabytes=size,
        load_megabytes=megabytes,
        load_seconds=seconds,
        r2=float(r2_score(test.y, predicted)),
        rmse=float(root_mean_squared_error(test.y, predicted)),
        shipped=recipe.name.startswith("shipped"),
    )


def loaded(path: Path) -> tuple[float, float]:
    """Memory (MB) and time (s) of loading a file of this study in a process of its own."""
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    }
    ended = subprocess.run(
        [sys.executable, "-m", "activitymodule.behaviour.loading", str(path)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ServiceUnavailableError(
            f"the process that loads {path.name} ended with {ended.returncode}: {last}"
        )
    answer = json.loads(ended.stdout.splitlines()[-1])
    return float(answer["megabytes"]), float(answer["seconds"])
