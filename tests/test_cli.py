"""The command line: every verb helps, errors are one sentence, exit codes mean something."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from own_settings import replaced
from typer.testing import CliRunner
from verbs import Verbs

from activitymodule import cli, errors, jobs
from activitymodule.cli import SECTIONS, app, find_verbs, load_verb
from activitymodule.settings import Settings, project_root
from activitymodule.streaming.jars import wrong
from activitymodule.telemetry import reasons


def own(env: dict[str, str] | None = None) -> dict[str, str]:
    """A person's environment, without this test's own settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVITY_")}
    return {**clean, "COLUMNS": "200", **(env or {})}


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command as a person would run it, in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "activitymodule", *arguments],
        capture_output=True,
        text=True,
        env=own(env),
        timeout=120,
    )


def commands_of(verb: str) -> Iterator[tuple[str, Any]]:
    """(name, command) of a verb, and of each of its own subcommands."""
    group = typer.main.get_command(load_verb(verb).app)
    subcommands = getattr(group, "commands", {})
    yield from ((f"{verb} {name}", command) for name, command in subcommands.items())
    if not subcommands:
        yield verb, group


HEAVY = (
    *(
        "pyspark",
        "sklearn",
        "scipy",
        "lightgbm",
        "skops",
        "mlflow",
        "pandas",
        "pyarrow",
        "airflow",
        "sqlalchemy",
    ),
    *("matplotlib", "psycopg2", "kafka", "nicegui", "fastapi", "uvicorn"),
)
# one process for all verbs: what one loads would be seen after the next as well
HELP = f"""
import contextlib, io, json, sys
from activitymodule.cli import find_verbs, main
for verb in ("", *find_verbs()):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([verb, "--help"] if verb else ["--help"])
    print(json.dumps([verb, out.getvalue(), sorted(set(sys.modules) & set({HEAVY}))]))
"""


def test_help_imports_nothing_heavy() -> None:
    """Spark, scikit-learn or MLflow would take seconds."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [verb for verb, _, _ in shown] == ["", *find_verbs()]
    assert [verb for verb, text, _ in shown if "Usage: activity" not in text] == []
    assert {verb: loaded for verb, _, loaded in shown if loaded} == {}
    assert [verb for verb, text, _ in shown if not text.splitlines()[2].strip()] == [], "no line of help"


def test_a_verb_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "say_hello.py").write_text(
        '"""`activity say-hello`: greet somebody."""\n'
        "import typer\n"
        "from activitymodule.workflows import training\n"
        'SECTION = "Stream"\n'
        "app = typer.Typer(add_completion=False)\n"
        "@app.command()\n"
        'def say_hello(name: str = "you") -> None:\n'
        '    """Greet somebody."""\n'
        '    typer.echo(f"hello {name}, {training.Kind.__name__}")\n'
    )
    monkeypatch.setattr(jobs, "__path__", [*jobs.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "activitymodule.jobs.say_hello", raising=False)
    assert find_verbs()["say-hello"].section == "Stream"
    assert "Greet somebody." in CliRunner().invoke(app, ["--help"]).output
    assert CliRunner().invoke(app, ["say-hello", "--name", "Anna"]).output == "hello Anna, Literal\n"


def test_every_file_with_a_verb_names_its_section() -> None:
    assert {verb.section for verb in find_verbs().values()} == set(SECTIONS)


def test_a_missing_package_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name="pyspark.sql")

    monkeypatch.setattr(cli, "load_verb", missing)
    with pytest.raises(SystemExit) as ended:
        cli.main(["score"])
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith("activity: the Python package pyspark is not installed")


def test_a_former_name_is_understood_and_says_the_new_one(verbs: Verbs) -> None:
    assert "agreement" not in find_verbs()
    done = verbs.run(own(), "agreement", "--help")
    assert done.returncode == 0
    assert "Compare predictions with the truth topic" in done.stdout
    assert "`activity agreement` is called `activity evaluate` now" in done.stderr


def test_help_lists_every_verb() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    for verb in find_verbs().values():
        assert verb.name in shown
        assert verb.help.split()[0] in shown


@pytest.mark.parametrize("verb", find_verbs())
def test_every_command_helps_with_an_example(verb: str) -> None:
    for name, command in commands_of(verb):
        assert command.help, f"{name} has no help"
        assert "activity " in (command.epilog or ""), f"{name} shows no example"
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", ""), f"{name}: {parameter.name}"
        for example in examples(command.epilog):
            understood(example)


def examples(epilog: str) -> Iterator[list[str]]:
    """The arguments of the commands in an epilog: `Examples: activity a b   |   activity c`."""
    for text in epilog.partition(": ")[2].split("   |   "):
        words = shlex.split(text.partition(" | ")[0])
        while words and words[0] != "activity":
            assert "=" in words[0], text  # a variable
            del words[0]
        yield words[1:]


def understood(arguments: list[str]) -> None:
    """Parses a command as click would, without running it."""
    verb, *rest = arguments
    command = typer.main.get_command(load_verb(verb).app)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    command.make_context(verb, rest)


def test_the_reason_of_the_replay_example_exists() -> None:
    (example,) = examples(dict(commands_of("dead-letters"))["dead-letters replay"].epilog)
    assert example[example.index("--reason") + 1] in set(reasons.Reason)


def test_module_and_command_are_the_same() -> None:
    command = Path(sys.executable).with_name("activity")
    if not command.exists():
        pytest.skip("this environment has the packages and not the command: ./init.sh makes it")
    installed = subprocess.run(
        [str(command), "--version"], capture_output=True, text=True, env=own(), check=True, timeout=120
    )
    assert run("--version").stdout == installed.stdout != ""


def test_a_wrong_setting_is_one_sentence_and_code_2(verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_KAFKA__TOPCI": "x"}), "status")
    assert done.returncode == 2
    assert done.stderr == "activity: unknown setting kafka.topci; did you mean kafka.topic?\n"


def test_a_missing_service_is_one_sentence_and_code_3(verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}), "topics", "list")
    assert done.returncode == 3
    assert done.stderr.startswith("activity: Kafka at 127.0.0.1:9 does not answer")
    assert "activity up" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_verb_and_option_are_code_2(verbs: Verbs) -> None:
    assert verbs.run(own(), "upp").returncode == 2
    assert verbs.run(own(), "status", "--nonsense").returncode == 2


def test_exit_codes_and_error_codes_are_distinct() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.ActivityError)
    ]
    kinds = [
        kind for kind in classes if kind.__bases__ == (errors.ActivityError,) and "exit_code" in vars(kind)
    ]
    exit_codes = [kind.exit_code for kind in (errors.ActivityError, *kinds)]
    assert len(exit_codes) == len(set(exit_codes))
    assert 0 not in exit_codes
    assert len({kind.code for kind in classes}) == len(classes)


def test_debug_shows_the_trace() -> None:
    done = run("status", env={"ACTIVITY_KAFKA__TOPCI": "x", "ACTIVITY_DEBUG": "1"})
    assert "Traceback" in done.stderr


def test_status_without_a_stack(tmp_path: Path, verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_LOCAL__FOLDER": str(tmp_path)}), "status", "--json")
    assert done.returncode == 3
    shown = json.loads(done.stdout)
    assert shown["healthy"] is False
    assert {service["status"] for service in shown["services"].values()} == {"stopped"}


def test_down_without_a_stack_is_fine(tmp_path: Path, verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_LOCAL__FOLDER": str(tmp_path)}), "down")
    assert done.returncode == 0
    assert "nothing runs" in done.stderr


def test_logs_without_a_stack(tmp_path: Path, verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_LOCAL__FOLDER": str(tmp_path)}), "logs")
    assert done.returncode == 2
    assert "activity up" in done.stderr


def test_unknown_services_are_named(tmp_path: Path, verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_LOCAL__FOLDER": str(tmp_path)}), "up", "--only", "posgres")
    assert done.returncode == 2
    assert "the services are postgres, kafka, mlflow" in done.stderr


def test_doctor_finds_what_is_missing(tmp_path: Path, verbs: Verbs) -> None:
    """A project folder without jars and without .env."""
    for name in ("jars.lock", "config.yaml"):
        (tmp_path / name).write_text((project_root() / name).read_text())
    done = verbs.run(
        own({"ACTIVITY_HOME": str(tmp_path), "ACTIVITY_STORE__PORT": "not-a-port"}), "doctor", "--json"
    )
    assert done.returncode == 3
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["Python"]["state"] == "good"
    assert (found["jars"]["state"], found["jars"]["remedy"]) == ("bad", "./init.sh")
    assert (found[".env"]["state"], found[".env"]["remedy"]) == ("bad", "./init.sh")
    assert found["configuration"]["state"] == "bad"
    assert "store.port" in found["configuration"]["result"]


def test_doctor_minds_who_may_read_the_secrets(tmp_path: Path, verbs: Verbs) -> None:
    for name in ("jars.lock", "config.yaml"):
        (tmp_path / name).write_text((project_root() / name).read_text())
    env_file = tmp_path / ".env"
    env_file.write_text("ACTIVITY_STORE__PASSWORD=a\nACTIVITY_STORE__ADMIN_PASSWORD=b\n")
    env_file.chmod(0o644)
    done = verbs.run(own({"ACTIVITY_HOME": str(tmp_path)}), "doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found[".env"]["remedy"].startswith("chmod 600")


def test_an_altered_jar_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "jars" / "kafka").mkdir(parents=True)
    (tmp_path / "jars" / "kafka" / "a.jar").write_bytes(b"right")
    digest = "e4cb9c6a8a1f8c4a1a5f9f0a"  # not that of the file
    (tmp_path / "jars.lock").write_text(f"{digest}  kafka/a.jar\n{digest}  kafka/b.jar\n")
    assert wrong(tmp_path) == ["kafka/a.jar", "kafka/b.jar"]


def test_config_names_origins_as_json(verbs: Verbs) -> None:
    done = verbs.run(own({"ACTIVITY_KAFKA__TOPIC": "mine"}), "config", "kafka", "--json")
    shown = {value["key"]: value for value in json.loads(done.stdout)}
    assert shown["kafka.topic"] == {"key": "kafka.topic", "value": "mine", "origin": "environment"}
    assert shown["kafka.partitions"]["origin"] == "config.yaml"


@pytest.mark.integration
@pytest.mark.usefixtures("embedded")
def test_verbs_on_a_running_stack(
    fresh_settings: Settings, environment_of: Callable[[Settings], dict[str, str]], verbs: Verbs
) -> None:
    # the session's stack was started without the sender of events
    env = environment_of(replaced(fresh_settings, events={"enabled": False}))
    status = verbs.run(env, "status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["services"]["kafka"]["status"] == "healthy"
    topic = fresh_settings.kafka.topic
    assert topic in json.loads(verbs.run(env, "topics", "list", "--json").stdout)
    shown = json.loads(verbs.run(env, "topics", "describe", topic, "--json").stdout)[0]
    assert shown["partitions"] == fresh_settings.kafka.partitions
    assert json.loads(verbs.run(env, "topics", "create", "--json").stdout) == {"made": [], "grown": []}
    assert "ready to accept connections" in verbs.run(env, "logs", "postgres", "-n", "100000").stdout
    findings = json.loads(verbs.run(env, "doctor", "--json").stdout)["findings"]
    states = {finding["check"]: finding["state"] for finding in findings}
    assert states["PostgreSQL"] == states["Kafka"] == states["MLflow"] == "good"
    assert run("up", "--quiet", env=env).returncode == 0
