"""Fixtures of the DAGs' tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_settings import serve
from trials import Trial, environment, replaced

from activitymodule.embedded.airflow_configuration import write_configuration
from activitymodule.embedded.airflow_process import migrate
from activitymodule.registry.versions import ModelVersion, register
from activitymodule.settings import Settings


@pytest.fixture
def airflow_settings(fresh_settings: Settings, tmp_path: Path) -> Settings:
    """Settings with an Airflow of this test's own folder and password; no process of it runs."""
    from activitymodule.embedded.processes import any_free_port

    return replaced(
        fresh_settings,
        airflow={
            "uri": f"http://127.0.0.1:{any_free_port()}",
            "password": secrets.token_urlsafe(12),
            "folder": str(tmp_path / "airflow"),
        },
    )


@pytest.fixture(scope="session")
def airflow_tables(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Airflow's tables in its database, of which the stack has one."""
    settings = replaced(
        stack.settings,
        airflow={"password": secrets.token_urlsafe(12), "folder": str(tmp_path_factory.mktemp("airflow"))},
    )
    write_configuration(settings)
    migrate(settings, environment(settings))


@pytest.fixture
def try_dag(airflow_tables: None, airflow_settings: Settings, tmp_path: Path) -> Callable[..., Trial]:
    """A function: DAG, logical date, Params, perhaps runs before -> its trial. Airflow's tables are there."""
    write_configuration(airflow_settings)
    numbers = iter(range(100))

    def begin(
        dag: str,
        at: str,
        settings: Settings | None = None,
        before: tuple[tuple[str, dict[str, Any]], ...] = (),
        **conf: Any,
    ) -> Trial:
        log = tmp_path / f"trial-{next(numbers)}.log"
        return Trial(settings or airflow_settings, dag, [*before, (at, conf)], log)

    return begin


@pytest.fixture
def weak_champion(fresh_settings: Settings, weak_model: Path) -> ModelVersion:
    version = register(fresh_settings, fresh_settings.registry.classifier, weak_model, {})
    serve(fresh_settings, version)
    return version
