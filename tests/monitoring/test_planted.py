"""A shift that is planted into counts made from a baseline is found; a baseline that cannot tell is noticed."""

from __future__ import annotations

import pytest
from drift_judges import Judge

from activitymodule.errors import NotEnoughDataError
from activitymodule.monitoring.planted import expected_totals, find_planted_shift, shifted
from activitymodule.monitoring.report import compare
from activitymodule.settings import Monitoring

CONFIG = Monitoring()


def test_windows_as_the_baseline_expects_trip_nothing_and_the_planted_shift_is_found(judge: Judge):
    moved, hits = find_planted_shift(judge.baseline, CONFIG)
    assert moved == hits > 50
    totals = expected_totals(judge.baseline)
    assert compare(judge.baseline, totals, 50, CONFIG).tripped == ()
    planted, places = shifted(totals, judge.baseline)
    over = {one.name for one in compare(judge.baseline, planted, 50, CONFIG).features if one.over}
    assert over == {judge.baseline.feature_names[place] for place in places}


def test_thresholds_that_hide_a_shift_are_noticed(judge: Judge):
    with pytest.raises(NotEnoughDataError):
        find_planted_shift(judge.baseline, Monitoring(z_score=1e6, psi=1e6))
