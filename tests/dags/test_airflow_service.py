"""A real Airflow of the embedded stack: one run, from the REST interface to a new champion; who may ask; what a kill
does."""

from __future__ import annotations

import os
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from labelling import put_gold_labels, runs_in_store
from trials import replaced

from activitymodule.errors import ConfigError, DataError, ServiceUnavailableError
from activitymodule.jobs.airflow import start
from activitymodule.local import airflow
from activitymodule.local.processes import any_free_port, marked, wait_until
from activitymodule.local.stack import Stack
from activitymodule.registry.versions import champion, register, set_champion
from activitymodule.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.usefixtures("embedded")]


@pytest.fixture
def own(stack_settings: Settings, tmp_path: Path) -> Iterator[Stack]:
    """A stack of this test's own with an Airflow in its settings, not started."""
    folder = Path(stack_settings.local.folder).parent / tmp_path.name
    stack = Stack(
        replaced(
            stack_settings,
            local={"folder": str(folder), "artifacts": str(folder / "artifacts")},
            store={"port": any_free_port()},
            kafka={"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
            registry={"uri": f"http://127.0.0.1:{any_free_port()}"},
            lake={"folder": str(folder / "lake")},
            # a percent sign and a colon: what configuration files and addresses stumble over
            airflow={
                "uri": f"http://127.0.0.1:{any_free_port()}",
                "password": f"%{secrets.token_urlsafe(12)}:@/",
                "folder": str(folder / "airflow"),
                "retrain": None,
                "drift": None,
                "statistics": None,
                "labels_minutes": 10_000,
            },
        )
    )
    yield stack
    stack.down()


def test_without_a_password_or_with_a_taken_port_it_says_what_to_do(own: Stack) -> None:
    bare = Stack(replaced(own.settings, airflow={"password": None}))
    with pytest.raises(ConfigError, match=r"airflow.password is missing; run ./init.sh"):
        bare.up(airflow.NAMES, tied=True)
    with pytest.raises(ServiceUnavailableError, match="start it with `activity airflow up`"):
        airflow.trigger(own.settings, airflow.RETRAIN)
    port = airflow.Airflow(own.settings).port
    assert port is not None
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServiceUnavailableError, match=r"port \d+ of Airflow \(airflow.uri\) is taken"),
    ):
        own.up(airflow.NAMES, tied=True)
    assert marked(str(own.folder)) == []


def test_a_run_from_the_rest_interface_to_a_new_champion(own: Stack, weak_model: Path) -> None:
    settings = own.settings
    own.up(["postgres", "mlflow"], tied=True)
    assert {told.name for told in own.status().services} == {"postgres", "kafka", "mlflow"}
    weak = register(settings, settings.registry.classifier, weak_model, {})
    set_champion(settings, weak)
    put_gold_labels(settings, people=40, minutes=12, seed=2, audit=250, taught=250)

    said: list[str] = []
    start(settings, said.append)
    assert airflow.healthy(settings)
    assert airflow.errors(settings) == []
    assert own.status().healthy

    # from this machine only, behind a password, and no secret can be read by others
    ours = {process.pid for process in marked(str(own.folder))}
    listening = [
        one.laddr
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.pid in ours
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    for password in ("admin", "airflow", "x"):
        with pytest.raises(ConfigError, match="does not let admin in"):
            airflow.runs(replaced(settings, airflow={"password": password}), airflow.RETRAIN)
    folder = Path(settings.airflow.folder)
    for name in ("airflow.cfg", "passwords.json", "secrets.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600

    # what it cannot do it says
    with pytest.raises(ConfigError, match="knows nothing of it"):
        airflow.trigger(settings, "no_such_dag")
    with pytest.raises(DataError, match="refuses it"):
        airflow.trigger(settings, airflow.RETRAIN, {"min_labels": 0})

    run_id = airflow.trigger(
        settings, airflow.RETRAIN, {"force": True, "require_approval": True, "why": "a test of it"}
    )

    def asks() -> bool:
        run = airflow.run_of(settings, airflow.RETRAIN, run_id)
        waits = any(one.state == "awaiting_input" for one in airflow.tasks(settings, airflow.RETRAIN, run_id))
        return waits or run.over

    assert wait_until(asks, 240, 0.5)
    (told,) = runs_in_store(settings)
    assert (told["run_id"], told["state"], told["why"]) == (run_id, "waiting", "a test of it"), told["says"]
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == weak.version

    # killed in between: what waits still waits
    own.kill("airflow-scheduler")
    airflow.answer(settings, airflow.RETRAIN, run_id, "approval", True)
    assert airflow.wait(settings, airflow.RETRAIN, run_id, 180).state == "success"
    (told,) = runs_in_store(settings)
    assert told["state"] == "promoted"
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == told["challenger"] != weak.version
    assert airflow.run_state(settings, airflow.RETRAIN, run_id) == "success"
    assert [run.run_id for run in airflow.runs(settings, airflow.RETRAIN)] == [run_id]

    # new labels, said from outside, set off a run by themselves
    airflow.announce_labels(settings, 60)
    assert wait_until(lambda: len(airflow.runs(settings, airflow.RETRAIN)) == 2, 60, 0.5)
    newest = airflow.runs(settings, airflow.RETRAIN)[0]
    assert newest.kind == "asset_triggered"
    assert airflow.wait(settings, airflow.RETRAIN, newest.run_id, 120).state == "success"
    assert runs_in_store(settings)[-1]["state"] == "unneeded"

    own.down()
    assert marked(str(own.folder)) == []
    for name in ("scheduler", "dag-processor", "api_server"):
        assert not [
            process
            for process in psutil.process_iter(["cmdline"])
            if name in " ".join(process.info["cmdline"] or []) and process.pid in ours
        ]


def test_settings_reach_a_task_unchanged(own: Stack) -> None:
    from activitymodule.settings import load

    assert load(airflow.environment_of(own.settings)) == own.settings
    assert os.environ.get("ACTIVITY_AIRFLOW__PASSWORD") != own.settings.airflow.password
