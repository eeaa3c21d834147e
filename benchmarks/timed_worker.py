"""Spark's Python tasks with a clock: what `profile_batch.py` puts in the place of streaming.worker's functions.

Each task appends one line of JSON to the file PROFILE_BATCH names: how long it waited for Spark's data, how
long it worked, and how long each of the steps below took. It lives in a module of its own because a function
that is sent to a worker finds the worker's module by name.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from activitymodule.models.bundle import ScoringModel
from activitymodule.streaming import scoring_task, worker

STEPS = (
    "decode_panes",
    "assemble",
    "features",
    "_model",
    "_known_people",
    "write_predictions",
    "_write_dead",
)
_spent: dict[str, float] = {}
_plain: dict[str, Callable[..., Any]] = {"decode": worker.decode, "score": scoring_task.score}


def _timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            _spent[name] = _spent.get(name, 0.0) + time.perf_counter() - began

    return run


for _name in STEPS:
    if hasattr(worker, _name):
        setattr(worker, _name, _timed(_name.strip("_"), getattr(worker, _name)))
ScoringModel.score = _timed("model.score", ScoringModel.score)  # type: ignore[method-assign]


def _task(name: str, batches: Iterator[Any], **named: Any) -> Iterator[Any]:
    began, rows = time.time(), 0
    waited = taken = 0.0
    _spent.clear()

    def source() -> Iterator[Any]:
        nonlocal waited, rows
        iterator = iter(batches)
        while True:
            before = time.perf_counter()
            batch = next(iterator, None)
            waited += time.perf_counter() - before
            if batch is None:
                return
            rows += batch.num_rows
            yield batch

    results = _plain[name](source(), **named)
    while True:
        before, waited_before = time.perf_counter(), waited
        result = next(results, None)
        taken += time.perf_counter() - before - (waited - waited_before)
        if result is None:
            break
        yield result  # what Spark does until it asks for more is neither our work nor our waiting
    line = {
        "task": name,
        "pid": os.getpid(),
        "began": began,
        "lasted_ms": (time.time() - began) * 1000,
        "waited_ms": waited * 1000,
        "worked_ms": taken * 1000,
        "rows": rows,
        "steps_ms": {step: seconds * 1000 for step, seconds in _spent.items()},
    }
    with open(os.environ["PROFILE_BATCH"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def decode(batches: Iterator[Any], **named: Any) -> Iterator[Any]:
    return _task("decode", batches, **named)


def score(batches: Iterator[Any], **named: Any) -> Iterator[Any]:
    return _task("score", batches, **named)
