"""Preparation refuses a wrong source or path before Spark starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from activitymodule.errors import ActivityError, ConfigError
from activitymodule.settings import load
from activitymodule.workflows import preparing


@pytest.fixture(autouse=True)
def _no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "spark_session", lambda *_: pytest.fail("Spark was started"))


def test_an_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        preparing.prepare(load({}), "wisdom", tmp_path)


def test_a_path_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(ActivityError):
        preparing.prepare(load({}), "wisdm", tmp_path / "nowhere")
