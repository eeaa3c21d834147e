"""Limits of calls, of failed attempts and of requests at once; no service."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from annotation.limits import Backoff, Limiter, Places, WrongTokens


def test_a_limiter_counts_by_key_and_forgets() -> None:
    now = [0.0]
    limiter = Limiter(2, 60, clock=lambda: now[0])
    assert [limiter.wait("a"), limiter.wait("a")] == [0, 0]
    assert limiter.wait("a") == pytest.approx(60)
    assert limiter.wait("b") == 0
    now[0] = 59.0
    assert limiter.wait("a") == pytest.approx(1)
    now[0] = 60.5
    assert limiter.wait("a") == 0


def test_a_limiter_that_is_only_asked_counts_nothing() -> None:
    limiter = Limiter(1, clock=lambda: 0.0)
    assert [limiter.wait("a", count=False) for _ in range(3)] == [0, 0, 0]
    assert (limiter.wait("a"), limiter.wait("a", count=False)) == (0, 60)


def test_wrong_tokens_stop_those_who_guess_and_nobody_else() -> None:
    now = [0.0]
    tokens = WrongTokens(3, clock=lambda: now[0])
    tokens.seen("a", "mine", right=True)
    for k in range(3):
        assert tokens.wait("a", f"guess-{k}") == 0
        tokens.seen("a", f"guess-{k}", right=False)
    assert tokens.wait("a", "guess-3") == pytest.approx(60)
    assert tokens.wait("a", "mine") == 0, "right before"
    assert tokens.wait("b", "guess-3") == 0, "another address"
    tokens.seen("a", "mine", right=False)
    assert tokens.wait("a", "mine") > 0, "revoked meanwhile"
    now[0] = 61
    assert tokens.wait("a", "guess-3") == 0


def test_attempts_wait_longer_and_longer_and_never_for_ever() -> None:
    now = [0.0]
    backoff = Backoff(3, 30, clock=lambda: now[0])
    assert [backoff.wait("a"), backoff.wait("a"), backoff.wait("a")] == [0, 0, 0]
    waits = []
    for _ in range(8):
        waits.append(backoff.wait("a"))
        assert backoff.wait("a") == waits[-1], "an attempt that had to wait does not count"
        assert backoff.wait("b") in (0, pytest.approx(waits[-1])), "another key is not delayed by this one"
        now[0] += waits[-1]
        assert backoff.wait("a") == 0
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    now[0] += 901
    assert [backoff.wait("a"), backoff.wait("a")] == [0, 0], "forgotten"


def test_attempts_that_succeed_do_not_count() -> None:
    backoff = Backoff(3, 30, clock=lambda: 0.0)
    for _ in range(50):
        assert backoff.wait("a") == 0
        backoff.succeeded("a", forget=False)
    assert [backoff.wait("a"), backoff.wait("a"), backoff.wait("a")] == [0, 0, 0]
    assert backoff.wait("a") > 0
    backoff.succeeded("a", forget=True)
    assert backoff.wait("a") == 0


@given(st.lists(st.sampled_from(["a", "b"]), min_size=30, max_size=60))
def test_attempts_at_once_do_not_pass_together(keys: list[str]) -> None:
    backoff = Backoff(5, 30, clock=lambda: 7.0)
    passed = [key for key in keys if backoff.wait(key) == 0]
    assert passed.count("a") == min(5, keys.count("a"))
    assert passed.count("b") == min(5, keys.count("b"))


def test_places_are_shared_and_given_back() -> None:
    places = Places(3, each=2)
    with ExitStack() as held:
        held.enter_context(places.one("a"))
        held.enter_context(places.one("a"))
        with pytest.raises(HTTPException) as mine, places.one("a"):
            pass
        held.enter_context(places.one("b"))
        with pytest.raises(HTTPException) as full, places.one("b"):
            pass
        for refused in (mine.value, full.value):
            assert refused.status_code == 429
            assert int((refused.headers or {})["Retry-After"]) > 0
    with pytest.raises(RuntimeError), places.one("a"):
        raise RuntimeError
    with places.one("a"), places.one("a"), places.one("b"):
        pass
