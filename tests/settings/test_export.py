"""Settings as values and as environment variables: another process reads the same ones."""

from __future__ import annotations

from typing import Any

import pytest

from activitymodule.settings import Settings, build, environment_of, load, reveal


@pytest.fixture
def own() -> Settings:
    tree: dict[str, Any] = reveal(load({}))
    # characters that a shell, YAML or an address would take for something else
    tree["store"] |= {"password": "%a:@/ #'\"", "admin_password": "null"}
    tree["airflow"] |= {"password": "123", "retrain": None, "drift": None}
    tree["kafka"]["options"] = {"security.protocol": "SSL"}
    return build(tree)


def test_values_make_the_same_settings(own: Settings) -> None:
    values = reveal(own)
    assert values["store"]["password"] == "%a:@/ #'\""
    assert build(values) == own


def test_environment_variables_make_the_same_settings(own: Settings) -> None:
    variables = environment_of(own)
    assert variables["ACTIVITY_AIRFLOW__PASSWORD"] == "123"
    assert load(variables) == own
