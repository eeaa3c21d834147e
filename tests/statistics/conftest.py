"""Profiles of recordings with known answers."""

from __future__ import annotations

import pytest
from known_recordings import sitter, walker

from activitymodule.statistics.measure import measure_profile
from activitymodule.statistics.profile import Profile


@pytest.fixture(scope="session")
def walking_profile() -> Profile:
    return measure_profile(walker("a", 0.9))


@pytest.fixture(scope="session")
def sitting_profile() -> Profile:
    return measure_profile(sitter("a"))
