"""The streaming job and a PostgreSQL that refuses: it waits, says so once, and its rows equal a ledger."""

from __future__ import annotations

from functools import partial

import pytest
from ledger import Ledger, Load, assert_ledger, everything_read, rows, stored, until
from refusals import read_only, refuse, relax

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

ROWS, ENDS = "INSERT ON predictions", "UPDATE ON batches"


def test_a_store_that_refuses_is_waited_for(fresh_settings, champion, job, one_after_the_other):
    settings, ledger = fresh_settings, Ledger()
    load = Load(settings, ledger, devices=10)
    load.start()
    scorer = job(settings, "score")
    wait = partial(until, running=scorer)

    def said(words: str, times: int) -> None:
        wait(lambda: scorer.output.count(words) >= times, f"{words}, {times} times")
        assert scorer.output.count(words) == times, scorer.output

    def goes_on() -> None:
        before = len(stored(settings))
        wait(lambda: len(stored(settings)) > before, "new windows")

    wait(lambda: stored(settings), "the first windows")
    with read_only(settings):
        said("waiting for it", 1)
        assert "read-only" in scorer.output
    said("is back", 1)
    # the server answers, and takes other writes: only the work itself shows when it is over
    refuse(settings, ROWS, "53100")
    said("waiting for it", 2)
    relax(settings, ROWS)
    said("is back", 2)
    # a deadlock is tried again without a word
    refuse(settings, ENDS, "40P01", times=2)
    wait(lambda: rows(settings, "select last_value from refusals")[0][0] > 2, "the third try")
    relax(settings, ENDS)
    goes_on()
    assert (scorer.output.count("waiting for it"), scorer.output.count("tried again")) == (2, 0)
    # a statement that timed out ends the job, which continues with the same batch
    refuse(settings, ROWS, "57014")
    assert scorer.wait(240) == 3
    assert relax(settings, ROWS) <= settings.spark.shuffle_partitions
    assert "not run a second time" in scorer.output
    assert "Traceback" not in scorer.output
    load.finish()
    assert one_after_the_other(settings, "score", "--once").returncode == 0
    assert everything_read(settings)
    assert_ledger(settings, ledger)
