"""Alerts and scrapes: checked by promtool, then asked of a real Prometheus that scrapes a real stream."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from grafana import Query, expanded, queries
from observed import Observed, Processes

from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.settings import project_root

# the first test waits for a stream with seven processes
pytestmark = pytest.mark.timeout(1500)

FOLDER = project_root() / "infra" / "prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
EXPRESSIONS = [query for query in queries() if not query.of_store]
# known to PromQL or to Prometheus itself
_ITS_OWN = {"up", "ALERTS"}
_WORDS = {
    "by",
    "on",
    "and",
    "or",
    "unless",
    "bool",
    "group_left",
    "group_right",
    "without",
    "ignoring",
    "offset",
}


def names_in(expression: str) -> set[str]:
    """Names of figures in a PromQL expression: what is neither label, function nor word of the language."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    found = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b(?!\s*\()", bare)
    return {name for name in found if name not in _WORDS}


# ---- without a service -------------------------------------------------------------------------------------------


def promtool(*arguments: Any) -> str:
    told = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout + told.stderr


def test_promtool_takes_the_configuration_and_the_rules(prometheus_binaries: None, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("a-token")
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    configuration = (FOLDER / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(configuration.replace("/run/secrets/metrics_token", str(token)))
    assert "1 rule files found" in promtool("check", "config", tmp_path / "prometheus.yml")
    assert f"{len(ALERTS) + 1} rules found" in promtool("check", "rules", FOLDER / "rules.yml")


def test_alerts_fire_where_they_should(prometheus_binaries: None, tmp_path: Path):
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("rules_test.yml"), tmp_path)
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "rules_test.yml")


def test_every_alert_is_made_to_fire():
    tests = yaml.safe_load(Path(__file__).with_name("rules_test.yml").read_text())["tests"]
    fired = {
        alert
        for test in tests
        for check in test.get("promql_expr_test", ())
        for sample in check["exp_samples"]
        for alert in re.findall(r'alertname="(\w+)"', sample["labels"])
    } | {
        check["alertname"]
        for test in tests
        for check in test.get("alert_rule_test", ())
        if check.get("exp_alerts")
    }
    assert fired == set(ALERTS)


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_it_means_and_where_to_read_on(name: str):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["description"]) > 40
    page, anchor = rule["annotations"]["page"].split("#")
    assert anchor in anchors(project_root() / page)
    assert f"`{name}`" in (project_root() / "docs" / "monitoring.md").read_text()


def test_names_are_found_in_expressions():
    found = names_in(
        'sum by (le) (rate(a_total{b="c"}[5m])) / on () group_left () (d:e > 0) and f unless on (g) h'
    )
    assert found == {"a_total", "d:e", "f", "h"}


# ---- a Prometheus that scrapes a stream --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask(
    prometheus_binaries: None,
    observed: Observed,
    cluster: tuple[int, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Any]]:
    """A function: path of Prometheus' API, parameters -> data. It scrapes by the project's own configuration, of
    which only addresses, the token's file and the interval are others."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "token").write_text(observed.token)
    shutil.copy(FOLDER / "rules.yml", folder)
    master, worker = cluster
    port = any_free_port()
    there = {
        "console:18080": f"127.0.0.1:{observed.settings.console.port}",
        "scorer:4040": f"127.0.0.1:{observed.spark_ui}",
        "generator:4040": f"127.0.0.1:{observed.fleet_ui}",
        "spark-master:8080": f"127.0.0.1:{master}",
        "localhost:9090": f"127.0.0.1:{port}",
        "/run/secrets/metrics_token": str(folder / "token"),
        "_interval: 15s": "_interval: 2s",
    }
    text = (FOLDER / "prometheus.yml").read_text()
    for name, address in there.items():
        assert name in text
        text = text.replace(name, address)
    configuration = yaml.safe_load(text)
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    del jobs["spark-worker"]["dns_sd_configs"]
    jobs["spark-worker"]["static_configs"] = [{"targets": [f"127.0.0.1:{worker}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with Processes(folder) as processes:
        process = processes.start(
            "prometheus",
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
        )  # fmt: skip

        def ask(path: str, **parameters: str) -> Any:
            answer = requests.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=parameters, timeout=30)
            assert answer.ok, answer.text
            return answer.json()["data"]

        def scraped() -> bool:
            processes.alive(process)
            try:
                return all(target["health"] == "up" for target in ask("targets")["activeTargets"])
            except (requests.RequestException, AssertionError):
                return False

        up = wait_until(scraped, 300, pause=1)
        assert up, [(one["scrapeUrl"], one["lastError"]) for one in ask("targets")["activeTargets"]]
        # agreement and drift come beside an answer of the console, and a rate needs two of them
        assert wait_until(lambda: bool(ask("query", query="activity_drift_measure")["result"]), 300, pause=1)
        assert wait_until(lambda: bool(ask("query", query="activity:lag_seconds")["result"]), 60, pause=1), (
            "the rule was never evaluated"
        )
        yield ask


@pytest.mark.e2e
@pytest.mark.integration
def test_every_job_has_a_target_that_is_up(ask: Callable[..., Any]):
    jobs = {target["labels"]["job"] for target in ask("targets")["activeTargets"]}
    assert jobs == {
        "prometheus", "console", "scorer", "scorer-executors", "generator", "spark-master", "spark-applications",
        "spark-worker",
    }  # fmt: skip


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.parametrize("query", EXPRESSIONS, ids=str)
def test_every_expression_of_a_dashboard_has_data(ask: Callable[..., Any], query: Query):
    expression = expanded(query.text, datetime.now(UTC), datetime.now(UTC))
    # a figure of the last minute is not there between two windows of a scorer that is short of time
    assert wait_until(lambda: bool(ask("query", query=expression)["result"]), 300, pause=1), expression


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_name_in_an_alert_is_known_and_it_is_evaluated(ask: Callable[..., Any], name: str):
    known = set(ask("label/__name__/values")) | _ITS_OWN
    assert names_in(ALERTS[name]["expr"]) <= known
    rules = {rule["name"]: rule for group in ask("rules")["groups"] for rule in group["rules"]}
    assert wait_until(
        lambda: {
            rule["name"]: rule for group in ask("rules")["groups"] for rule in group["rules"]
        }[name]["health"] == "ok",
        30,
    ), rules[name]  # fmt: skip


@pytest.mark.e2e
@pytest.mark.integration
def test_names_of_spark_hold_no_id_of_an_application(ask: Callable[..., Any]):
    for name in ask("label/__name__/values"):
        assert not re.search(r"(app_|local_)\d", name), name
    series = ask("series", **{"match[]": '{job=~"scorer.*|spark-.*"}'})
    assert series
    assert not any({"application_id", "type"} & set(one) for one in series)
    assert {one["query"] for one in series if one["__name__"] == "spark_streaming_latency"} == {
        "score",
        "archive",
    }
