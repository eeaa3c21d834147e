"""The pictures of a model for its folder in the registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from activitymodule.models import figures
from activitymodule.models.evaluation.scores import confusion


def test_every_picture_is_a_png(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    truth = dice.integers(0, 3, 200)
    probabilities = dice.dirichlet(np.ones(3), 200)
    counts = confusion(probabilities.argmax(1), truth, 3)
    figures.confusion_figure(counts, ("a", "b", "c"), tmp_path / "confusion.png")
    figures.reliability_figure(probabilities, truth, tmp_path / "reliability.png")
    kcal = dice.uniform(1, 9, 200)
    figures.energy_figure(kcal + dice.normal(0, 1, 200), kcal, tmp_path / "energy.png")
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 3
