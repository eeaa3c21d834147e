"""The champion changes again and again under load: every row names one version, no batch is mixed, nothing is lost."""

from __future__ import annotations

import json
import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger import Ledger, Load, assert_ledger, everything_read, rows, until
from own_settings import serve

from activitymodule.registry.versions import ModelVersion, register
from activitymodule.settings import Settings
from activitymodule.workflows.model_operations import exporting
from activitymodule.workflows.requests import HeldOut

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

_MIXED = """
SELECT p.batch_id, count(DISTINCT p.model_version), min(p.model_version), min(b.model_version)
FROM predictions p JOIN batches b USING (batch_id)
WHERE b.topic = %s
GROUP BY p.batch_id, b.query_id
HAVING count(DISTINCT p.model_version) <> 1 OR min(p.model_version) <> min(b.model_version)
"""
_LATENCY = """
SELECT b.batch_id, b.model_version, extract(epoch FROM max(p.processed_at - p.received_at))
FROM predictions p JOIN batches b USING (batch_id)
WHERE b.topic = %s
GROUP BY b.batch_id, b.model_version ORDER BY b.batch_id
"""


def spoilt(folder: Path, into: Path) -> Path:
    """A model whose card asks for a feature that this code does not compute."""
    shutil.copytree(folder, into)
    card = json.loads((into / "model.json").read_text())
    card["feature_names"] = [*card["feature_names"][:-1], "mood"]
    (into / "model.json").write_text(json.dumps(card))
    return into


def batches_by(settings: Settings, version: str, since: int) -> bool:
    found = rows(
        settings,
        "SELECT 1 FROM batches WHERE topic = %s AND model_version = %s AND batch_id > %s "
        "AND finished_at IS NOT NULL LIMIT 1",
        settings.kafka.topic,
        version,
        since,
    )
    return bool(found)


def newest_batch(settings: Settings) -> int:
    return rows(
        settings, "SELECT coalesce(max(batch_id), -1) FROM batches WHERE topic = %s", settings.kafka.topic
    )[0][0]


def swap_under_load(
    settings: Settings,
    champion: ModelVersion,
    trained: Path,
    job: Any,
    folder: Path,
    *,
    swaps: int,
    watches: int,
) -> None:
    name = settings.registry.classifier
    both = [champion, register(settings, name, trained / "activity", {})]
    # ONNX Runtime scores with one of them, scikit-learn with the other
    exporting.export(settings, "activity", both[1].version, request=HeldOut(devices=5, minutes=5))
    broken = register(settings, name, spoilt(trained / "activity", folder / "spoilt"), {})
    ledger = Ledger()
    load = Load(settings, ledger, devices=watches, at_most_seconds=1800)
    scorer = job(settings, "score")
    wait = partial(until, running=scorer)
    wait(lambda: rows(settings, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"), "the scorer")
    load.start()
    wait(lambda: batches_by(settings, champion.version, -1), "a first batch")
    for k in range(swaps):
        begun, now = newest_batch(settings), both[(k + 1) % 2]
        serve(settings, now)
        wait(lambda v=now.version, b=begun: batches_by(settings, v, b), f"swap {k + 1}", 60, 0.1)
        if k == swaps // 2:
            begun = newest_batch(settings)
            serve(settings, broken)
            wait(lambda: "CHAMPION REJECTED" in scorer.output, "the rejection", 60, 0.1)
            wait(
                lambda v=now.version, b=begun + 1: batches_by(settings, v, b),
                "the previous version to keep serving",
                60,
            )
    load.finish()
    wait(lambda: everything_read(settings), "the job to read everything")
    assert scorer.interrupt() == 0
    assert_ledger(settings, ledger)
    output = scorer.output
    assert output.count("CHAMPION REJECTED") == 1, "logged once"
    assert f"version {broken.version}" in output
    assert "keeps serving" in output
    assert "Traceback" not in output
    asked = [line for line in output.splitlines() if "activity models export" in line]
    assert any(f"export {champion.version}`" in line for line in asked)
    assert not any(f"export {both[1].version}`" in line for line in asked), "served by its export"

    topic = settings.kafka.topic
    assert rows(settings, _MIXED, topic) == []
    used = rows(settings, "SELECT DISTINCT model_version FROM predictions WHERE activity IS NOT NULL")
    # a window is scored again with each batch that brings readings of it, so one version may have had the last word
    assert {version for (version,) in used} <= {one.version for one in both}
    served = rows(settings, "SELECT model_version FROM batches WHERE topic = %s ORDER BY batch_id", topic)
    changes = sum(one != other for one, other in pairwise(served))
    assert {version for (version,) in served} == {one.version for one in both}
    assert changes >= swaps

    found = rows(settings, _LATENCY, topic)
    version = np.array([row[1] for row in found])
    seconds = np.array([float(row[2]) for row in found])
    first = np.flatnonzero(np.r_[False, version[1:] != version[:-1]])
    rest = np.setdiff1d(np.arange(3, len(found)), first)  # those before read what came while Spark started
    for what, which in (("first batch of a champion", first), ("other batches", rest)):
        if not len(which):  # a window that was scored again belongs to the later batch
            continue
        middle, high = np.quantile(seconds[which], (0.5, 0.95))
        print(f"{what}: {len(which)}, slowest row of each {middle:.2f} s at the median, {high:.2f} s at 95 %")


def test_swaps_under_load(fresh_settings, champion, trained, job, tmp_path):
    swap_under_load(fresh_settings, champion, trained, job, tmp_path, swaps=2, watches=20)


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_a_hundred_swaps_at_a_thousand_readings_a_second(fresh_settings, champion, trained, job, tmp_path):
    swap_under_load(fresh_settings, champion, trained, job, tmp_path, swaps=100, watches=100)
