"""Scrapes and alerts, checked by promtool. test_observed runs them on a stream."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus import ALERTS, FOLDER, names_in

from activitymodule.settings import project_root


def promtool(*arguments: Any) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
