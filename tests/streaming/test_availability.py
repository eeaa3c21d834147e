"""Outages of a service."""

from __future__ import annotations

import pytest

from activitymodule.streaming.availability import Availability


def test_an_outage_and_its_end_are_logged_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    there = [True, False, False, False, True, True]
    service = Availability("Kafka", lambda: there.pop(0))
    assert [service.check() for _ in range(6)] == [True, False, False, False, True, True]
    logged = capsys.readouterr().err.splitlines()
    assert len(logged) == 2
    assert "does not answer" in logged[0]
    assert "is back" in logged[1]
