"""Locks that a process holds while it lives."""

from __future__ import annotations

import os
import threading

import pytest

from activitymodule.errors import LockedError
from activitymodule.store.locks import ScorerLease, retrain_lease

integration = pytest.mark.integration


@integration
def test_a_second_scorer_is_refused_with_the_name_of_the_first(fresh_settings):
    with ScorerLease(fresh_settings, "t") as lease:
        lease.check()
        with ScorerLease(fresh_settings, "another topic"):
            pass
        with (
            pytest.raises(LockedError, match=f"pid {os.getpid()}"),
            ScorerLease(fresh_settings, "t", patience_seconds=0),
        ):
            pass
    with ScorerLease(fresh_settings, "t", patience_seconds=0):
        pass


@integration
def test_a_lost_lock_is_taken_again_unless_another_scorer_has_it(fresh_settings, connection):
    def cut(lease):
        with connection.cursor() as cursor:
            # and waits until it is gone
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", (lease._connection.info.backend_pid,))
        connection.commit()

    with ScorerLease(fresh_settings, "t", patience_seconds=1) as lease:
        cut(lease)
        lease.check()
        with pytest.raises(LockedError), ScorerLease(fresh_settings, "t", patience_seconds=0):
            pass
        cut(lease)
        with ScorerLease(fresh_settings, "t"), pytest.raises(LockedError):
            lease.check()


@integration
def test_the_lock_of_a_retraining_refuses_others_and_not_its_own_run(fresh_settings):
    settings = fresh_settings
    with retrain_lease(settings, "a"):
        with retrain_lease(settings, "a"):
            pass
        caught: list[BaseException] = []

        def other() -> None:
            try:
                with retrain_lease(settings, "b", patience_seconds=0.2):
                    pass
            except LockedError as error:
                caught.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert "retrain a" in str(caught[0])
    with retrain_lease(settings, "b", patience_seconds=0.2):
        pass
