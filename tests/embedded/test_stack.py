"""The embedded stack, with the real services."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from private import readable_by_others

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import Identity, any_free_port, marked, wait_until
from activitymodule.embedded.stack import Stack
from activitymodule.embedded.state import ServiceState, StackState, read_state, read_wanted, write_state
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.kafka import topics
from activitymodule.settings import Settings, build, reveal

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("embedded")]


def replaced(settings: Settings, **sections: dict[str, Any]) -> Settings:
    tree = reveal(settings)
    for section, keys in sections.items():
        tree[section].update(keys)
    return build(tree)


@pytest.fixture
def own_stack(stack_settings: Settings, tmp_path: Path) -> Iterator[Stack]:
    """A stack of this test's own, not started: to be killed at will."""
    folder = Path(stack_settings.local.folder).parent / tmp_path.name
    own = Stack(
        replaced(
            stack_settings,
            local={"folder": str(folder), "artifacts": str(folder / "artifacts")},
            store={"port": any_free_port()},
            kafka={"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
            registry={"uri": f"http://127.0.0.1:{any_free_port()}"},
        )
    )
    yield own
    own.down()


def query(settings: Settings, text: str) -> Any:
    connection = Postgres(settings).connect()
    with connection.cursor() as cursor:
        cursor.execute(text)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


def test_everything_answers_and_is_loopback_only(stack: Stack) -> None:
    status = stack.status()
    assert status.healthy
    assert {service.name for service in status.services} == {"postgres", "kafka", "mlflow"}
    ports = {service.port for service in stack.services.values() if not service.optional}
    listening = [
        c.laddr
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port in ports
    ]
    assert {address.port for address in listening} == ports
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_what_services_write_is_private(stack: Stack) -> None:
    """By the umask that their supervisor gives them; PostgreSQL sees to its own."""
    folders = [stack.folder / name for name in ("kafka", "mlflow", "postgres")]
    logs = [stack.folder / "logs" / f"{name}.log" for name in ("kafka", "mlflow", "postgres")]
    assert (stack.folder / "kafka" / "data" / "meta.properties").is_file()
    assert readable_by_others(*(folder.resolve() for folder in folders), *logs) == []


def test_every_connection_needs_a_password(stack: Stack) -> None:
    import psycopg2

    for user in ("postgres", stack.settings.store.user):
        for password in ("", "postgres", "wrong"):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(
                    host="127.0.0.1",
                    port=stack.settings.store.port,
                    dbname="postgres",
                    user=user,
                    password=password,
                )
    assert query(stack.settings, "show password_encryption") == [("scram-sha-256",)]
    assert query(stack.settings, "show fsync") == [("on",)]


def test_passwords_stand_in_no_command_line(stack: Stack) -> None:
    store, registry = stack.settings.store, stack.settings.registry
    assert store.password
    assert store.admin_password
    assert registry.password
    lines = [" ".join(process.cmdline()) for process in marked(str(stack.folder))]
    assert lines
    for password in (store.password, store.admin_password, registry.password):
        secret = password.get_secret_value()
        assert not [line for line in lines if secret in line]


def test_store_and_registry_belong_to_the_role(stack: Stack) -> None:
    owners = dict(
        query(
            stack.settings, "select datname, pg_get_userbyid(datdba) from pg_database where not datistemplate"
        )
    )
    assert owners[stack.settings.store.database] == stack.settings.store.user
    assert owners["mlflow"] == stack.settings.store.user


def test_registry_refuses_a_foreign_host_name(stack: Stack) -> None:
    request = urllib.request.Request(
        f"{stack.settings.registry.uri}/api/2.0/mlflow/experiments/search?max_results=1",
        headers={"Host": "evil.example"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = read_state(stack.folder)
    stack.up()
    after = read_state(stack.folder)
    assert {name: s.process for name, s in before.services.items()} == {
        name: s.process for name, s in after.services.items()
    }


@pytest.mark.parametrize("name", ["postgres", "kafka", "mlflow"])
def test_a_killed_service_comes_back(stack: Stack, name: str) -> None:
    killed = stack.kill(name)
    stack.wait_healthy(name)
    assert stack.pid(name) not in (None, killed)


def test_a_stopped_service_stays_stopped_until_up_and_keeps_its_data(stack: Stack) -> None:
    stack.down(only=["kafka"])
    assert stack.pid("kafka") is None
    with pytest.raises(ServiceUnavailableError, match=r"Kafka at .* does not answer"):
        topics.names(stack.settings)
    stack.up(["kafka"])
    assert stack.settings.kafka.topic in topics.names(stack.settings)


def an_ended_process() -> Identity | None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ended = Identity.of(gone.pid)
    gone.communicate()
    return ended


def test_a_service_whose_end_is_not_recorded_yet_is_not_healthy(own_stack: Stack) -> None:
    ended = an_ended_process()
    own_stack.folder.mkdir(parents=True)
    states = {"kafka": ServiceState("kafka", "healthy", process=ended)}
    write_state(own_stack.folder, StackState(Identity.of(os.getpid()), states))
    status = {service.name: service.status for service in own_stack.status().services}
    # before anything can fail: the end of the test ends the supervisor, which is said to be this very process
    write_state(own_stack.folder, StackState(None, states))
    assert status["kafka"] == "waiting"


def test_data_survives_a_kill_of_everything(own_stack: Stack) -> None:
    own_stack.up(["postgres", "kafka"], tied=True)
    settings = own_stack.settings
    query(settings, "create table kept as select 42 as answer")
    send(settings, b"one")

    pids = [own_stack.pid("postgres"), own_stack.pid("kafka")]
    supervisor = own_stack.status().supervisor
    for pid in [supervisor, *pids]:
        os.kill(pid, signal.SIGKILL)  # type: ignore[arg-type]
    # a process id that was PostgreSQL's is now somebody else's
    (Postgres(settings).data / "postmaster.pid").write_text(f"{os.getpid()}\n/nowhere\n")
    own_stack.up(["postgres", "kafka"], tied=True)
    assert query(settings, "select answer from kept") == [(42,)]
    assert topics.describe(settings, [settings.kafka.topic])[0].messages == 1


def send(settings: Settings, value: bytes) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    producer.send(settings.kafka.topic, value).get(timeout=30)
    producer.close()


def test_a_killed_supervisor_is_followed_by_another_and_leaves_nothing_after_down(own_stack: Stack) -> None:
    own_stack.up(["postgres"], tied=True)
    moved = Stack(replaced(own_stack.settings, store={"port": any_free_port()}))
    with pytest.raises(ConfigError, match="run `activity down` first"):
        moved.up(["postgres"])  # other addresses while it runs
    own_stack.kill_supervisor()
    own_stack.up(["postgres"], tied=True)
    assert query(own_stack.settings, "select 1") == [(1,)]
    own_stack.kill_supervisor()
    own_stack.down()
    assert marked(str(own_stack.folder)) == []
    assert {service.status for service in own_stack.status().services} == {"stopped"}


def test_a_new_password_opens_an_old_data_folder_and_a_wrong_setting_is_explained(own_stack: Stack) -> None:
    own_stack.up(["postgres"], tied=True)
    query(own_stack.settings, "create table kept as select 42 as answer")
    own_stack.down()
    changed = replaced(own_stack.settings, store={"admin_password": "it's new", "password": "also new"})
    Stack(changed).up(["postgres"], tied=True)
    assert query(changed, "select answer from kept") == [(42,)]
    own_stack.down()
    # a service that cannot start is explained, and all ends
    settings_file = Postgres(changed).data / "postgresql.conf"
    settings_file.write_text("no_such_setting = 1\n")
    with pytest.raises(ServiceUnavailableError, match="PostgreSQL does not start"):
        own_stack.up(["postgres"], tied=True)
    assert marked(str(own_stack.folder)) == []


def test_a_taken_port_is_named(own_stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", own_stack.settings.store.port)):
        with pytest.raises(ServiceUnavailableError) as refused:
            own_stack.up(["postgres"])
        message = str(refused.value)
        assert str(own_stack.settings.store.port) in message
        assert "store.port" in message
        assert f"process {os.getpid()}" in message
        assert "ACTIVITY_STORE__PORT" in message
    assert not own_stack.status().running


def test_missing_passwords_and_jars_name_init(own_stack: Stack, tmp_path: Path) -> None:
    no_password = Stack(replaced(own_stack.settings, store={"admin_password": None}))
    with pytest.raises(ConfigError, match=r"store.admin_password is missing; run ./init.sh"):
        no_password.up(["postgres"])
    no_jars = Stack(replaced(own_stack.settings, local={"kafka_jars": str(tmp_path)}))
    with pytest.raises(ServiceUnavailableError, match=r"Kafka's jars are missing in .*; run ./init.sh"):
        no_jars.up(["kafka"])


def test_another_machines_service_is_not_started(own_stack: Stack) -> None:
    remote = Stack(replaced(own_stack.settings, kafka={"bootstrap_servers": "broker.example:9092"}))
    with pytest.raises(ConfigError, match="not this machine"):
        remote.up(["kafka"])


@pytest.mark.parametrize("step", ["_wait", "_make_contents"])
def test_a_start_that_is_interrupted_leaves_nothing(
    own_stack: Stack, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(own_stack, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        own_stack.up(["postgres"])
    assert marked(str(own_stack.folder)) == []
    assert (own_stack.wanted(), read_wanted(own_stack.folder)) == (None, set())


def test_a_service_that_cannot_be_added_is_not_tried_for_ever(own_stack: Stack) -> None:
    own_stack.up(["postgres"], tied=True)
    (own_stack.folder / "mlflow").write_text("a file where the folder should be")
    with pytest.raises(ServiceUnavailableError, match="MLflow does not start"):
        own_stack.up(["mlflow"])
    assert own_stack.wanted() == {"postgres"}
    assert own_stack.status().healthy
    assert query(own_stack.settings, "select 1") == [(1,)]


def test_a_tied_stack_ends_with_its_process(own_stack: Stack) -> None:
    script = (
        "import json, os, signal, sys\n"
        "from activitymodule.settings import build\n"
        "from activitymodule.embedded.stack import Stack\n"
        "Stack(build(json.load(sys.stdin))).up(['postgres'], tied=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(reveal(own_stack.settings)), text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert wait_until(lambda: not own_stack.status().running and not marked(str(own_stack.folder)), 60)


def test_a_supervisor_tied_to_a_process_that_is_gone_already_ends(own_stack: Stack) -> None:
    ended = an_ended_process()
    assert ended
    own_stack.folder.mkdir(parents=True)
    given = json.dumps({"settings": reveal(own_stack.settings), "tied_to": asdict(ended)})
    command = [sys.executable, "-m", "activitymodule.embedded.supervisor"]
    subprocess.run(command, input=given, text=True, check=True, timeout=60)
    assert not own_stack.status().running


def test_two_ups_at_once_make_one_stack(own_stack: Stack) -> None:
    script = (
        "import json, sys\n"
        "from activitymodule.settings import build\n"
        "from activitymodule.embedded.stack import Stack\n"
        "print(Stack(build(json.load(sys.stdin))).up(['postgres']).supervisor)\n"
    )
    given = json.dumps(reveal(own_stack.settings))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(given)
            process.stdin.close()
    pids = [process.stdout.read().strip() for process in both if process.stdout]
    assert [process.wait() for process in both] == [0, 0]
    assert pids[0] == pids[1] == str(own_stack.status().supervisor)
