"""The rows of the fleet as a Spark frame: the same from both engines."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import build
from activitymodule.streaming.fleet_rows import fleet_rows
from activitymodule.streaming.session import spark_session
from activitymodule.synthesis.faults import Run
from activitymodule.synthesis.fleet import Slice, planned
from activitymodule.synthesis.readings import watches

SEED = 5
START = 1_767_254_400
PLANNED = "device bigint, second bigint, seed bigint, activity string"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("spark")
    return spark_session(build({"local": {"folder": str(folder)}, "spark": {"driver_memory": "1g"}}), "tests")


@pytest.mark.integration
@pytest.mark.parametrize(("devices", "seconds", "stripes"), [(7, 60, 1), (7, 60, 3), (5, 2, 4), (1, 3, 2)])
def test_both_engines_make_the_very_same_rows(spark: Any, devices: int, seconds: int, stripes: int) -> None:
    run = Run(SEED, devices, START, START + seconds - 1)
    rows = Slice(run, START, START + seconds - 1, stripes)
    plan = partial(planned, reference=run.reference)
    one, other = (
        fleet_rows(spark, rows, engine, 2).mapInArrow(plan, PLANNED) for engine in ("dbldatagen", "spark")
    )
    assert one.schema == other.schema
    got = [tuple(row) for row in one.collect()]
    assert got == [tuple(row) for row in other.collect()]
    source = watches(run.reference, SEED)
    assert sorted(row[:3] for row in got) == sorted(
        (d, s, SEED) for d in range(1, devices + 1) for s in range(START, START + seconds)
    )
    expected = source.plans.activity(np.array([r[0] for r in got]), np.array([r[1] for r in got]))
    assert [row[3] for row in got] == [source.activities[number] for number in expected]


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="dbldatagen or spark"):
        fleet_rows(None, Slice(Run(1, 1, START, START), START, START), "flink", 1)  # type: ignore[arg-type]
