"""A real Airflow of the embedded stack: one run from the REST interface to a new champion, passwords, kills."""

from __future__ import annotations

import contextlib
import secrets
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from labelling import put_gold_labels, runs_in_store
from own_settings import serve
from trials import replaced

from activitymodule.embedded import airflow as services
from activitymodule.embedded.airflow_configuration import connect
from activitymodule.embedded.processes import any_free_port, marked, wait_until
from activitymodule.embedded.stack import Stack
from activitymodule.errors import (
    ConfigError,
    DataError,
    NotAllowedError,
    NotFoundError,
    ServiceUnavailableError,
)
from activitymodule.orchestration import client as airflow
from activitymodule.orchestration.names import APPROVAL, RETRAIN
from activitymodule.registry.versions import ModelVersion, champion, register, versions
from activitymodule.settings import Settings
from activitymodule.statistics.reference import ReferenceStatistics
from activitymodule.store.connection import session
from activitymodule.store.promotions import promotions
from activitymodule.workflows.airflow import start

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
                # no DAG runs by its schedule; each would once as Airflow starts
                "retrain": None,
                "drift": None,
                "statistics": None,
                "retention": None,
                "personas": None,
                "days": None,
                "labels_minutes": 10_000,
            },
        )
    )
    yield stack
    stack.down()


def test_without_a_password_or_with_a_taken_port_it_does_not_start(own: Stack) -> None:
    bare = Stack(replaced(own.settings, airflow={"password": None}))
    with pytest.raises(ConfigError, match=r"airflow.password is missing; run ./init.sh"):
        bare.up(services.NAMES, tied=True)
    with pytest.raises(ServiceUnavailableError):
        airflow.trigger(own.settings, RETRAIN)
    port = services.Airflow(own.settings).port
    assert port is not None
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServiceUnavailableError, match=r"port \d+ of Airflow \(airflow.uri\) is taken"),
    ):
        own.up(services.NAMES, tied=True)
    assert marked(str(own.folder)) == []


def started(own: Stack, weak_model: Path) -> ModelVersion:
    """Airflow is up, with a weak champion (which is returned) and labels of which a better one can be made."""
    settings = own.settings
    own.up(["postgres", "mlflow"], tied=True)
    assert {state.name for state in own.status().services} == {"postgres", "kafka", "mlflow"}
    weak = register(settings, settings.registry.classifier, weak_model, {})
    serve(settings, weak)
    put_gold_labels(settings, people=40, minutes=12, seed=2, audit=250, taught=250)
    said: list[str] = []
    start(settings, said.append)
    return weak


def waits_for_approval(settings: Settings, **conf: Any) -> str:
    """A retraining that was triggered and now waits for a person; its id."""
    run_id = airflow.trigger(settings, RETRAIN, {"force": True, "require_approval": True, **conf})

    def asks() -> bool:
        run = airflow.run_of(settings, RETRAIN, run_id)
        waits = any(one.waits for one in airflow.tasks(settings, RETRAIN, run_id))
        return waits or run.over

    assert until(asks)
    return run_id


def until(holds: Callable[[], bool]) -> bool:
    """Waits until it holds; an Airflow that is slow to answer on a busy machine is asked again."""

    def patient() -> bool:
        with contextlib.suppress(ServiceUnavailableError):
            return holds()
        return False

    return wait_until(patient, 400, 1)


def say_no(settings: Settings, run_id: str) -> None:
    """Rejects, and again where Airflow asks again: in the very second of the question an answer can be lost to it."""

    def taken() -> bool:
        asks = {one.task_id: one.state for one in airflow.tasks(settings, RETRAIN, run_id)}[APPROVAL]
        if asks == "awaiting_input":
            with contextlib.suppress(DataError):
                airflow.answer(settings, RETRAIN, run_id, APPROVAL, False)
        return airflow.run_of(settings, RETRAIN, run_id).over

    assert until(taken)


def ended(settings: Settings, dag: str, run_id: str) -> dict[str, str | None]:
    """The states of the tasks of a run that has ended well."""
    assert until(lambda: airflow.run_of(settings, dag, run_id).over)
    states = {one.task_id: one.state for one in airflow.tasks(settings, dag, run_id)}
    assert airflow.run_of(settings, dag, run_id).state == "success", states
    return states


def test_a_run_from_the_rest_interface_to_a_new_champion(own: Stack, weak_model: Path) -> None:
    # or the first run of watch_labels, which comes with the start, may set off a retraining beside this one
    own = Stack(replaced(own.settings, learning={"min_labels": 10_000}))
    settings, weak = own.settings, started(own, weak_model)
    assert airflow.healthy(settings)
    assert airflow.import_errors(settings) == []
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
        with pytest.raises(NotAllowedError):
            airflow.runs(replaced(settings, airflow={"password": password}), RETRAIN)
    folder = Path(settings.airflow.folder)
    for name in ("airflow.cfg", "passwords.json", "secrets.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600

    # errors by their class
    with pytest.raises(NotFoundError):
        airflow.trigger(settings, "no_such_dag")
    with pytest.raises(DataError):
        airflow.trigger(settings, RETRAIN, {"min_labels": 0})

    run_id = waits_for_approval(settings, why="a test of it")
    (stored,) = runs_in_store(settings)
    assert (stored["run_id"], stored["state"], stored["why"]) == (run_id, "waiting", "a test of it"), stored[
        "summary"
    ]
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == weak.version

    # killed in between: what waits still waits
    own.kill("airflow-scheduler")
    airflow.answer(settings, RETRAIN, run_id, APPROVAL, True)
    assert airflow.wait(settings, RETRAIN, run_id, 360).state == "success"
    (stored,) = runs_in_store(settings)
    assert stored["state"] == "promoted"
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == stored["challenger"] != weak.version
    assert airflow.run_of(settings, RETRAIN, run_id).state == "success"
    assert [run.run_id for run in airflow.runs(settings, RETRAIN)] == [run_id]

    # new labels, said from outside, set off a run by themselves
    airflow.announce_labels(settings, 60)
    assert until(lambda: len(airflow.runs(settings, RETRAIN)) == 2)
    assert airflow.runs(settings, RETRAIN)[0].kind == "asset_triggered"

    own.down()
    assert marked(str(own.folder)) == []
    for name in ("scheduler", "dag-processor", "api_server"):
        assert not [
            process
            for process in psutil.process_iter(["cmdline"])
            if name in " ".join(process.info["cmdline"] or []) and process.pid in ours
        ]


def the_deadline_passes(settings: Settings, run_id: str) -> None:
    """The moment until which a run waits for an answer is moved into the past; all else is Airflow's to do."""
    with (
        contextlib.closing(connect(settings)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE task_instance SET trigger_timeout = now() - interval '1 second' WHERE run_id = %s "
            "AND task_id = 'approval' AND state = 'awaiting_input' "
            "AND trigger_timeout > now() + interval '2 days'",
            (run_id,),
        )
        assert cursor.rowcount == 1


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("by_whom", ["airflow: admin", "airflow: nobody answered"])
def test_a_challenger_that_nobody_approves_leaves_the_champion(
    own: Stack, weak_model: Path, by_whom: str
) -> None:
    settings, weak = own.settings, started(own, weak_model)
    name = settings.registry.classifier
    run_id = waits_for_approval(settings)
    assert runs_in_store(settings)[-1]["state"] == "waiting"
    if by_whom == "airflow: admin":
        say_no(settings, run_id)
    else:
        # another one that is triggered meanwhile names the run it waits for
        other = airflow.trigger(settings, RETRAIN)
        held = airflow.held_back(settings, RETRAIN, other)
        assert run_id in held
        the_deadline_passes(settings, run_id)
    assert set(ended(settings, RETRAIN, run_id).values()) == {"success"}

    stored = next(run for run in runs_in_store(settings) if run["run_id"] == run_id)
    assert stored["state"] == "rejected"
    assert stored["summary"].startswith(f"not approved ({by_whom}); the gate: version ")
    assert stored["finished_at"]
    with session(settings, read_only=True) as connection:
        newest = promotions(connection, name=name)[0]
    assert (newest.act, newest.by_whom, newest.run_id) == ("rejected", by_whom, run_id)
    assert newest.version == stored["challenger"]
    # nothing is half promoted
    assert {one.version: one.aliases for one in versions(settings, name) if one.aliases} == {
        weak.version: ("champion",)
    }


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_new_labels_trigger_a_retraining_and_statistics_are_measured_again(
    own: Stack, weak_model: Path, data_folder: Path, environment_of: Callable[[Settings], dict[str, str]]
) -> None:
    settings, weak = own.settings, started(own, weak_model)

    def states(dag: str, **conf: Any) -> dict[str, str | None]:
        return ended(settings, dag, airflow.trigger(settings, dag, conf))

    # the watch looks by its schedule, which begins when Airflow does
    assert until(lambda: len(airflow.runs(settings, RETRAIN)) == 1)
    (begun,) = airflow.runs(settings, RETRAIN)
    assert begun.kind == "asset_triggered"
    (looked,) = airflow.runs(settings, "watch_labels")
    assert looked.kind == "scheduled"
    assert ended(settings, "watch_labels", looked.run_id) == {"enough": "success", "announce": "success"}

    # while it runs: recordings of 40 people, prepared by the command
    subprocess.run(
        [sys.executable, "-m", "activitymodule", "prepare", "wisdm", str(data_folder / "wisdm_watch.tar.gz")],
        env=environment_of(settings),
        check=True,
        capture_output=True,
    )
    assert states("refresh_statistics") == {"sources": "success", "measure": "success"}
    measured = Path(settings.lake.folder) / "statistics" / "wisdm.parquet"
    assert len(ReferenceStatistics.load(measured).people) == 40
    made = measured.stat().st_mtime_ns
    assert states("refresh_statistics", source="wisdm") == {"sources": "success", "measure": "skipped"}
    assert measured.stat().st_mtime_ns == made
    wrong = airflow.trigger(settings, "refresh_statistics", {"source": "nobody"})
    assert until(lambda: airflow.run_of(settings, "refresh_statistics", wrong).over)
    assert airflow.run_of(settings, "refresh_statistics", wrong).state == "failed"

    assert ended(settings, RETRAIN, begun.run_id)["report"] == "success"
    (stored,) = runs_in_store(settings)
    assert (stored["state"], stored["why"]) == ("promoted", "enough new labels"), stored["summary"]
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == stored["challenger"] != weak.version
    # no label since: nothing is said
    assert states("watch_labels", pause_minutes=0) == {"enough": "success", "announce": "skipped"}
