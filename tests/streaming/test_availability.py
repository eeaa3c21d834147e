"""Outages of a service."""

from __future__ import annotations

import pytest

from activitymodule.streaming.availability import Availability


def test_an_outage_and_its_end_are_logged_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    trouble = [None, "Kafka does not answer", "Kafka does not answer", "Kafka does not answer", None, None]
    service = Availability("Kafka", lambda: trouble.pop(0))
    assert [service.check() for _ in range(6)] == [True, False, False, False, True, True]
    logged = capsys.readouterr().err.splitlines()
    assert len(logged) == 2
    assert "does not answer" in logged[0]
    assert "is back" in logged[1]


def test_a_service_that_answers_and_refuses_the_work_is_back_once_work_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []
    store = Availability(
        "PostgreSQL", lambda: asked.append("quick"), thorough=lambda: asked.append("thorough")
    )
    store.report("PostgreSQL has no space left on its disk")
    assert store.wait(lambda: False, 0.01)
    store.report("PostgreSQL has no space left on its disk")
    assert asked[-1] == "thorough"
    assert store.check()
    assert len(capsys.readouterr().err.splitlines()) == 1, "a probe is no work"
    store.work_done()
    store.work_done()
    assert "is back" in capsys.readouterr().err
    assert store.check()
    assert asked[-1] == "quick"
