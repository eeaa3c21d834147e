"""docker-compose.yml as people run it: predictions, a label, a retraining, kill -9 of every part, down and up.

The tests go one after the other on one running system, as a day would.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from compose import DEVICES, ROOT, System
from labelling import put_gold_labels, runs_in_store
from ledger import Ledger, Load, everything_read, rows, stored, until

from activitymodule.orchestration import client
from activitymodule.orchestration.names import RETRAIN
from activitymodule.registry.versions import champion
from activitymodule.workflows.evaluation import evaluate

# starting all of it and waiting for a retraining takes minutes
pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

ONCE = {"roles", "migrate", "topics", "champion", "airflow-migrate"}


def windows(system: System) -> int:
    return int(rows(system.settings, "SELECT count(*) FROM predictions")[0][0])


def more_windows(system: System, timeout: float = 300) -> None:
    """New windows are written from now on."""
    since = rows(system.settings, "SELECT clock_timestamp()")[0][0]
    until(
        lambda: rows(system.settings, "SELECT 1 FROM predictions WHERE processed_at > %s LIMIT 1", since),
        "new predictions",
        timeout,
    )


def test_every_service_is_well_and_reached_from_this_machine_only(system: System) -> None:
    states = system.containers()
    assert system.unwell() == []
    assert {one["Service"] for one in states if one["State"] == "exited"} == ONCE
    assert sum(one["Service"] == "spark-worker" for one in states) == 2
    published = [port for one in states for port in one["Publishers"] or [] if port["PublishedPort"]]
    assert {port["URL"] for port in published} == {"127.0.0.1"}
    said = system.compose("logs", "--no-log-prefix", "ready")
    for service in ("console", "airflow", "registry", "spark"):
        assert system.address(service) in said
    for service, page in (("console", "/signin"), ("registry", "/health"), ("airflow", "/"), ("spark", "/")):
        assert requests.get(system.address(service) + page, timeout=30).status_code == 200


def test_no_secret_is_seen_in_a_list_of_processes(system: System) -> None:
    told = system.compose("top")
    names = [
        name for name in system.environment if "PASSWORD" in name or "SECRET" in name or name.endswith("KEY")
    ]
    assert len(names) > 10
    assert [name for name in names if system.environment[name] in told] == []


def test_predictions_of_every_watch_arrive_and_are_right(system: System) -> None:
    until(
        lambda: (
            rows(
                system.settings,
                "SELECT count(DISTINCT device_id) FROM predictions WHERE activity IS NOT NULL",
            )[0][0]
            == DEVICES
        ),
        "predictions of every watch",
    )
    until(lambda: windows(system) > 6 * DEVICES, "a minute of windows")
    found = evaluate(system.settings, coverage=0.9)
    assert found.raw.compared > 2 * DEVICES
    # the first champion has seen three people: better than a guess among six or more
    assert found.raw.accuracy > 0.35
    workers = requests.get(f"{system.address('spark')}/json/", timeout=30).json()
    assert {app["name"].partition("-")[0] for app in workers["activeapps"]} == {"score", "generate"}


def test_host_and_cluster_share_one_schema_and_the_roles_hold(system: System) -> None:
    def asked(table: str) -> str:
        question = f"activity db query 'SELECT count(*) AS many FROM {table}' 2>&1 || true"
        return system.compose("exec", "-T", "scorer", "sh", "-c", question)

    assert "many" in asked("predictions")
    assert "permission denied" in asked("users")
    again = system.compose("run", "--rm", "--no-deps", "-T", "migrate")
    assert "up to date" in again


def test_what_prometheus_scrapes_is_there(system: System) -> None:
    """Every target of prometheus.yml answers with a figure that it keeps, to who comes with the token for it."""
    asked = []
    for job in yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]:
        if job["job_name"] == "prometheus":
            continue
        (target,) = (
            job["static_configs"][0]["targets"]
            if "static_configs" in job
            else [f"{one['names'][0]}:{one['port']}" for one in job["dns_sd_configs"]]
        )
        keep = [
            rule["regex"] for rule in job.get("metric_relabel_configs", []) if rule.get("action") == "keep"
        ]
        asked.append((job["job_name"], f"http://{target}{job.get('metrics_path', '/metrics')}", keep))
    token = system.compose(
        "run", "--rm", "--no-deps", "-T", "migrate", "cat", "/data/metrics/metrics_token"
    ).strip()
    answers: dict[str, str] = {}
    # each from a container of ours that is in the network of the target
    for service in ("console", "scorer"):
        script = "".join(
            f'echo "== {name}"; curl -fsS -m 30 -H "Authorization: Bearer {token}" {url};'
            for name, url, _ in asked
            if (name == "console") == (service == "console")
        )
        told = system.compose("exec", "-T", service, "bash", "-c", script)
        answers |= dict(part.split("\n", 1) for part in told.split("== ")[1:])
    for name, url, keep in asked:
        names = {re.split(r"[{ ]", line)[0] for line in answers[name].splitlines() if line[:1].isalpha()}
        kept = {one for one in names if not keep or re.fullmatch(keep[0], one)}
        assert kept, f"{url} has none of the figures that are kept of it"


def test_a_window_is_labelled_through_the_console(system: System, browser: Any) -> None:
    until(
        lambda: rows(system.settings, "SELECT 1 FROM queue_items WHERE closed_at IS NULL LIMIT 1"),
        "a window in the queue",
        timeout=400,
    )
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(90_000)
    page.goto(f"{system.address('console')}/signin?next=/annotate")
    page.fill("#name", "admin")
    page.fill("#password", system.environment["CONSOLE_ADMIN_PASSWORD"])
    page.press("#password", "Enter")
    page.wait_for_url("**/annotate")
    page.wait_for_function("() => document.getElementById('annotate')?.dataset.item")
    item = int(page.get_attribute("#annotate", "data-item"))
    page.keyboard.press("1")
    until(
        lambda: rows(
            system.settings,
            "SELECT 1 FROM annotations_in_force WHERE item_id = %s AND annotator = 'admin' AND answer = 'label'",
            item,
        ),
        "the answer in the store",
    )
    page.close()


def test_airflow_retrains_and_the_better_model_serves(system: System) -> None:
    settings = system.settings
    before = champion(settings, settings.registry.classifier)
    assert before is not None
    put_gold_labels(settings, people=40, minutes=12, seed=2, audit=250, taught=250)
    run_id = client.trigger(settings, RETRAIN, {"force": True, "why": "a test of the services"})
    run = client.wait(settings, RETRAIN, run_id, seconds=1500)
    ended = next(one for one in runs_in_store(settings) if one["run_id"] == run_id)
    assert run.state == "success", ended
    assert ended["state"] == "promoted", ended["summary"]
    serving = champion(settings, settings.registry.classifier)
    assert serving is not None
    assert serving.version == ended["challenger"] != before.version
    until(
        lambda: rows(settings, "SELECT 1 FROM predictions WHERE model_version = %s LIMIT 1", serving.version),
        "predictions of the new champion",
    )
    more_windows(system)


def test_nothing_is_lost_or_doubled_when_parts_are_killed(system: System) -> None:
    """kill -9 of the scorer, a worker, the master, the broker and PostgreSQL, one after the other, under load."""
    settings = system.settings
    system.compose("stop", "generator")
    until(lambda: everything_read(settings), "the scorer to read everything")
    fleet, dead = set(stored(settings)), rows(settings, "SELECT count(*) FROM dead_letters")[0][0]
    ledger = Ledger()
    load = Load(settings, ledger, devices=10, at_most_seconds=3000)
    load.start()
    more_windows(system)
    for service in ("scorer", "spark-worker", "spark-master", "broker", "store"):
        system.kill(service)
        system.wait_healthy()
        more_windows(system)
    load.finish()
    until(lambda: everything_read(settings), "the scorer to read everything", timeout=600)
    expected = ledger.expected()
    got = {key: value for key, value in stored(settings).items() if key not in fleet}
    wrong = {
        key: (expected.get(key), got.get(key))
        for key in expected.keys() | got.keys()
        if expected.get(key) != got.get(key)
    }
    assert not wrong, f"{len(wrong)} of {len(expected)} windows differ, such as {list(wrong.items())[:5]}"
    assert rows(settings, "SELECT count(*) FROM dead_letters")[0][0] - dead == ledger.dead
    system.compose("start", "generator")
    system.wait_healthy()
    more_windows(system)


def test_more_workers_join(system: System) -> None:
    system.compose("up", "--detach", "--no-recreate", "--scale", "spark-worker=4", "spark-worker")

    def alive() -> int:
        told = requests.get(f"{system.address('spark')}/json/", timeout=30).json()
        return sum(worker["state"] == "ALIVE" for worker in told["workers"])

    until(lambda: alive() == 4, "four workers", timeout=180)
    more_windows(system)


TABLES = ("users", "annotations", "retrain_runs", "promotions", "model_versions")


def kept(system: System) -> tuple[Any, ...]:
    """What people made and must find again: rows of the store, and who serves."""
    settings = system.settings
    counts = [rows(settings, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]
    return (*counts, champion(settings, settings.registry.classifier))


def test_stopping_is_in_order_and_up_again_finds_everything(system: System) -> None:
    before = kept(system)
    system.compose("stop")
    # 137: the engine had to kill it when its time to end was over
    assert [one["Service"] for one in system.containers() if one["ExitCode"] == 137] == []
    assert "scored" in system.compose("logs", "--no-log-prefix", "--tail", "3", "scorer")
    system.compose("down")
    assert system.containers() == []
    system.compose("up", "--detach", "--wait", "--wait-timeout", "1500", timeout=1800)
    assert kept(system) == before
    more_windows(system)


def test_a_new_password_is_taken_up_by_the_next_up(system: System) -> None:
    system.environment["STORE_CONSOLE_PASSWORD"] = secrets.token_hex(16)
    system.write()
    system.compose("up", "--detach", "--wait", "--wait-timeout", "900", timeout=1200)
    answer = requests.get(f"{system.address('console')}/health?need=store", timeout=30)
    assert answer.ok, answer.text
    more_windows(system)


def test_a_backup_is_restored_into_an_empty_system(system: System, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    until(lambda: windows(system) > 0, "windows")
    held = windows(system)
    system.run("infra/docker/backup.sh", str(folder))
    before = kept(system)
    with pytest.raises(AssertionError, match="stop everything first"):
        system.run("infra/docker/restore.sh", str(folder))
    system.compose("down", "--volumes")
    system.run("infra/docker/restore.sh", str(folder))
    system.compose("up", "--detach", "--wait", "--wait-timeout", "1500", timeout=1800)
    assert kept(system) == before
    assert windows(system) >= held
    more_windows(system)
