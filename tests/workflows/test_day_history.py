"""Histories beside the days of real people: the same dates, and days that cannot easily be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from activitymodule.statistics.day_fidelity import measures
from activitymodule.workflows.day_history import compare_with


@pytest.mark.soak
def test_synthesised_days_are_like_those_of_real_people(data_folder: Path) -> None:
    archive = data_folder / "fitbit_daily.tar.gz"
    if not archive.is_file():
        pytest.skip(f"there is no {archive}")
    found = compare_with(archive, "fitbit-daily", seeds=4)
    for made in found.synthetic:
        pairs = zip([*found.real.tuned, *found.real.reported], [*made.tuned, *made.reported], strict=True)
        assert all(np.array_equal(one.day, other.day) for one, other in pairs)
    line = {one.name: one for one in found.comparison.measures}
    assert line["C2ST AUC, days within people"].reported.mean < 0.75
    assert line["KS, days within people, steps"].reported.mean < 0.12
    assert line["ACF error, 1 to 14 days, steps"].reported.mean < 0.12
    assert line["weekday error, steps"].reported.mean < 0.1
    # the halves are those of the page, whatever the mapping sets before a name
    assert measures.means(found.real.tuned, "steps").mean() == pytest.approx(7799, abs=1)
