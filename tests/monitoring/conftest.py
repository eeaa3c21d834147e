"""Fixtures of the tests of drift; drift_judges has what they are made of."""

import pytest
from drift_judges import fleet, fleet_readings, judge, people

__all__ = ["fleet", "fleet_readings", "judge", "people"]


@pytest.fixture
def with_topics() -> bool:
    """No test here sends or reads messages."""
    return False
