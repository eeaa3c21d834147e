"""Fixtures of the tests of drift; drift_judges has what they are made of."""

from drift_judges import fleet, fleet_readings, judge, people

__all__ = ["fleet", "fleet_readings", "judge", "people"]
