"""The dashboards as Grafana reads them: their queries, with its macros and variables written out.

The macros are those of Grafana's PostgreSQL data source (grafana.com/docs, PostgreSQL query editor, Macros); one that
is not here is refused, and so is an argument with a bracket, at which Grafana would cut it off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activitymodule.settings import project_root

FOLDER = project_root() / "infra" / "grafana"
INTERVAL_SECONDS = 60
# what Grafana's front end puts in before a query goes out
_VARIABLES = {
    "$__interval_ms": str(INTERVAL_SECONDS * 1000),
    "$__interval": f"{INTERVAL_SECONDS}s",
    "$__rate_interval": f"{INTERVAL_SECONDS}s",
    "$__range": "3600s",
}
_MACRO = re.compile(r"\$(__[a-zA-Z]+)\(([^)]*)\)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Query:
    """One query of a panel (or of a dashboard's annotations)."""

    dashboard: str
    panel: str
    kind: str  # timeseries, stat, table ..., annotations
    target: dict[str, Any]

    @property
    def of_store(self) -> bool:
        return "rawSql" in self.target

    @property
    def text(self) -> str:
        return self.target["rawSql"] if self.of_store else self.target["expr"]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.target['refId']}"


def dashboards() -> dict[str, dict[str, Any]]:
    """Name of the file -> dashboard."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))
    }


def queries() -> Iterator[Query]:
    """Every query of every dashboard."""
    for name, made in dashboards().items():
        for panel in made["panels"]:
            for target in panel["targets"]:
                yield Query(name, panel["title"], panel["type"], target)
        for annotation in made["annotations"]["list"]:
            yield Query(name, annotation["name"], "annotations", annotation["target"])


def _seconds(interval: str) -> int:
    found = re.fullmatch(r"'?(\d+)([smhd])'?", interval)
    assert found, f"no interval of Grafana's: {interval}"
    return int(found[1]) * _UNITS[found[2]]


def _stamp(at: datetime) -> str:
    return "'" + at.astimezone(UTC).isoformat().replace("+00:00", "Z") + "'"


def expanded(text: str, since: datetime, until: datetime) -> str:
    """A query as it reaches the database, for the time shown."""
    for variable, value in _VARIABLES.items():
        text = text.replace(variable, value)

    def macro(found: re.Match[str]) -> str:
        name, arguments = found[1], [one.strip() for one in found[2].split(",")]
        match name, arguments:
            case "__timeFilter", [column]:
                return f"{column} BETWEEN {_stamp(since)} AND {_stamp(until)}"
            case "__timeFrom", [""]:
                return _stamp(since)
            case "__timeTo", [""]:
                return _stamp(until)
            case "__timeGroupAlias", [column, interval]:
                seconds = _seconds(interval)
                return f'floor(extract(epoch from {column})/{seconds})*{seconds} AS "time"'
        raise AssertionError(f"a macro that Grafana does not know, or its arguments: {found[0]}")

    text = _MACRO.sub(macro, text)
    assert "$" not in text, f"left as it was: {text}"
    return text
