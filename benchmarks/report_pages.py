"""How long the pages Days, Personas and Reports take with many daily records, while only PostgreSQL runs.

    python benchmarks/report_pages.py [--people 1959] [--days 183] [--repetitions 20]

Starts a PostgreSQL and a console of its own, writes the exports of a synthesised history, and asks for each page as a
signed-in user, in turns. Prints JSON: milliseconds until the whole page is there (p50, p95, greatest).
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import httpx
import numpy as np

from activitymodule.behaviour.grid import grid_of
from activitymodule.behaviour.person import behaviour
from activitymodule.behaviour.personas import fit_personas
from activitymodule.days.derived import with_derived
from activitymodule.days.merging import merged
from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port, clean_environment
from activitymodule.embedded.stack import Stack
from activitymodule.lake.exports import exports_folder
from activitymodule.settings import Settings, build, environment_of, load, resolve, reveal
from activitymodule.store.connection import session
from activitymodule.store.migrate import upgrade
from activitymodule.store.users import add_user, new_password
from activitymodule.synthesis.daily.records import HistoryRun, record_table
from activitymodule.workflows.behaviour.keeping import Kept
from activitymodule.workflows.behaviour.personas import PersonaOutcome
from activitymodule.workflows.reports import summaries
from activitymodule.workflows.reports.days import write_days
from activitymodule.workflows.reports.metrics import write_metrics
from activitymodule.workflows.reports.personas import write_personas


def write_exports(config: Settings, people: int, days: int) -> int:
    """The exports of a synthesised history; how many daily records it has."""
    records = record_table(HistoryRun(people, days, config.reports.seed, date(2026, 1, 1)))
    found = behaviour(grid_of(records))
    outcome = PersonaOutcome(found, fit_personas(found, seeds=2, resamples=2), Kept("personas"))
    persona_of = write_personas(exports_folder(config), outcome)
    write_days(exports_folder(config), with_derived(merged(records)), persona_of)
    write_metrics(resolve(config.reports.folder), summaries.metrics(outcome, [], []))
    return len(records)


def measure(address: str, password: str, pages: list[str], repetitions: int) -> dict[str, dict[str, float]]:
    """Page -> milliseconds, in turns."""
    taken: dict[str, list[float]] = defaultdict(list)
    with httpx.Client(base_url=address, timeout=60, headers={"origin": address}) as client:
        assert client.post("/signin", data={"name": "bench", "password": password}).status_code == 303
        for turn in range(repetitions + 1):
            for page in pages:
                since = time.perf_counter()
                answer = client.get(page, headers={"accept": "text/html"})
                assert answer.status_code == 200, (page, answer.status_code)
                if turn:  # the first one imports
                    taken[page].append((time.perf_counter() - since) * 1000)
    return {
        page: {
            "p50": round(float(np.median(one)), 1),
            "p95": round(float(np.quantile(one, 0.95)), 1),
            "max": round(max(one), 1),
        }
        for page, one in taken.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=1959)
    parser.add_argument("--days", type=int, default=183)
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="activity-bench-") as folder:
        tree = reveal(load({}))
        tree["local"]["folder"] = f"{folder}/local"
        tree["reports"]["folder"] = f"{folder}/reports"
        tree["store"] |= {
            "port": any_free_port(),
            "password": secrets.token_hex(8),
            "admin_password": secrets.token_hex(8),
        }
        tree["console"] |= {"port": any_free_port(), "secret": secrets.token_urlsafe(24)}
        config = build(tree)
        records = write_exports(config, options.people, options.days)
        stack, password = Stack(config), new_password()
        console: subprocess.Popen[bytes] | None = None
        try:
            stack.up(only=["postgres"], tied=True)
            Postgres(config).settle()
            upgrade(config)
            with session(config) as connection:
                add_user(connection, "bench", "annotator", password)
            address = f"http://127.0.0.1:{config.console.port}"
            with Path(folder, "console.log").open("wb") as log:
                console = subprocess.Popen(
                    [sys.executable, "-m", "activitymodule", "console"],
                    env=clean_environment(environment_of(config)),
                    stdout=log,
                    stderr=log,
                )
            while True:
                try:
                    httpx.get(f"{address}/signin", timeout=5)
                    break
                except httpx.TransportError:
                    assert console.poll() is None, Path(folder, "console.log").read_text(encoding="utf-8")
                    time.sleep(0.2)
            person = f"/days?participant=person-{options.people // 2:05d}"
            found = measure(
                address, password, ["/days", person, "/personas", "/reports"], options.repetitions
            )
        finally:
            if console is not None:
                console.terminate()
                console.wait(30)
            stack.down()
    sys.stdout.write(
        json.dumps({"daily_records": records, "people": options.people, "milliseconds": found}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
