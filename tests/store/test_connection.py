"""Connections, and their errors in one sentence."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from activitymodule import settings as config
from activitymodule.embedded.processes import any_free_port
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.store.connection import connect, explained
from activitymodule.store.health import why_not_connected

integration = pytest.mark.integration


def changed(settings, **keys):
    return settings.model_copy(update={"store": settings.store.model_copy(update=keys)})


def test_no_answer_is_one_sentence():
    away = changed(config.build({}), port=any_free_port())
    assert why_not_connected(away)
    with pytest.raises(
        ServiceUnavailableError, match=f"127.0.0.1:{away.store.port} does not answer.*activity up"
    ):
        connect(away)


@integration
def test_reasons_of_a_refused_connection(fresh_settings):
    with pytest.raises(ConfigError, match="ACTIVITY_STORE__PASSWORD"):
        connect(changed(fresh_settings, password=SecretStr("wrong")))
    with pytest.raises(ConfigError, match="ACTIVITY_STORE__PASSWORD"):
        connect(changed(fresh_settings, password=None))
    with pytest.raises(ServiceUnavailableError, match="no database nix"):
        connect(changed(fresh_settings, database="nix"))


@integration
def test_a_broken_connection_is_one_sentence(fresh_settings, connection):
    other = connect(fresh_settings)
    with connection.cursor() as cursor:
        # and waits until it is gone
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", (other.info.backend_pid,))
    with pytest.raises(ServiceUnavailableError, match="broke"), explained(fresh_settings):
        other.cursor().execute("SELECT 1")
