"""Laws of the queue's policy: budgets, the audit share, the cooldown, and that a replay decides the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.learning import policy
from activitymodule.learning.gold import EMBARGO_SECONDS
from activitymodule.learning.policy import HOUR_US, Budget, Candidate, Past, Rules, choose

RULES = Rules(
    items_per_hour=60,
    burst=20,
    cooldown_us=480_000_000,
    cold_labels=50,
    audit_share=0.2,
    overlap_share=0.05,
    measure="margin",
    salt="salt",
)
T0 = 1_790_000_000_000_000

rules_of_any_kind = st.builds(
    replace,
    st.just(RULES),
    items_per_hour=st.floats(0.5, 5000),
    burst=st.integers(1, 200),
    audit_share=st.floats(0.01, 0.9),
    overlap_share=st.floats(0, 1),
    cold_labels=st.integers(0, 100),
    cooldown_us=st.integers(0, 3600).map(lambda s: s * 1_000_000),
)


def crowd(n: int, seed: int = 0, people: int = 12, minutes: int = 60) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [
        Candidate(
            device_id=f"watch-{who}",
            window_start_us=T0 + 10_000_000 * int(at),
            person=f"watch-{who}",
            activity=str(rng.choice(["walking", "sitting", "stairs"])),
            doubt=float(rng.random()),
            standard=rng.normal(size=20).astype(np.float32),
        )
        for who, at in zip(rng.integers(0, people, n), rng.permutation(max(minutes * 6, n))[:n], strict=True)
    ]


# ---- budget


@given(
    rules_of_any_kind,
    st.lists(st.tuples(st.floats(0, 7200), st.integers(0, 300), st.integers(0, 300)), max_size=60),
)
def test_budgets_hold_under_any_load(rules: Rules, load: list[tuple[float, int, int]]) -> None:
    """However much is asked for, no span of time gives out more than its burst and its refill, of either bucket."""
    now = T0
    budget = Budget.full(rules, now)
    given_out: list[tuple[int, int, int]] = []
    for seconds, audits, others in load:
        now += int(seconds * 1e6)
        budget = budget.at(now, rules)
        audit = min(audits, int(budget.audit))
        chosen = min(others, int(budget.chosen))
        budget = budget.less(audit=audit, chosen=chosen)
        assert budget.audit >= 0
        assert budget.chosen >= 0
        given_out.append((now, audit, chosen))
    for first in range(len(given_out)):
        span_audit = span_chosen = 0
        for at, audit, chosen in given_out[first:]:
            hours = (at - given_out[first][0]) / HOUR_US
            span_audit += audit
            span_chosen += chosen
            assert span_audit <= rules.audit_burst + hours * rules.audit_per_hour + 1e-6
            assert span_chosen <= rules.chosen_burst + hours * rules.chosen_per_hour + 1e-6
            total = max(rules.burst, 2) + hours * rules.items_per_hour
            assert (
                span_audit + span_chosen
                <= max(total, rules.audit_burst + rules.chosen_burst + hours * rules.items_per_hour) + 1e-6
            )
    assert rules.audit_burst + rules.chosen_burst <= max(rules.burst + 1, 2) + 1e-9


@given(rules_of_any_kind, st.lists(st.floats(0, 7200), min_size=1, max_size=40))
def test_the_audit_is_never_starved(rules: Rules, steps: list[float]) -> None:
    """Whatever the others take, the audit has its hour's share: a greedy crowd of them changes nothing for it."""
    alone = greedy = Budget.full(rules, T0)
    now = T0
    for seconds in steps:
        now += int(seconds * 1e6)
        alone, greedy = alone.at(now, rules), greedy.at(now, rules)
        greedy = greedy.less(chosen=int(greedy.chosen))
        assert greedy.audit == alone.audit
    assert greedy.at(now + int(HOUR_US / rules.audit_per_hour) + 10, rules).audit >= 1 - 1e-6


def test_a_clock_that_goes_back_gives_nothing() -> None:
    empty = Budget(0, 0, T0)
    assert empty.at(T0 - HOUR_US, RULES) == empty
    assert empty.at(T0 + HOUR_US, RULES) == Budget(4, 16, T0 + HOUR_US)


# ---- audit


def test_the_propensity_of_the_audit_is_what_is_logged() -> None:
    """Over many windows the share that is drawn is the rate, and doubt has no say in it."""
    n, rate = 60_000, 0.05
    drawn = np.array(
        [
            policy.audit_draw(f"watch-{k % 37}", T0 + 10_000_000 * (k // 37), RULES.salt) < rate
            for k in range(n)
        ]
    )
    sd = np.sqrt(n * rate * (1 - rate))
    assert abs(drawn.sum() - n * rate) < 5 * sd
    by_watch = np.bincount(np.arange(n) % 37, drawn) / np.bincount(np.arange(n) % 37)
    assert abs(by_watch - rate).max() < 5 * np.sqrt(rate * (1 - rate) / (n / 37))
    after_one = drawn[37:][drawn[:-37]]  # the window after a drawn one of the same watch
    assert abs(after_one.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / len(after_one))


def test_the_audit_rate_follows_the_flow() -> None:
    rules = RULES
    period = policy.first_period(T0, rules)
    now, flow = T0, 360_000.0  # 1,000 watches, ten times the guess
    lengths = []
    for _ in range(12):
        seen_since = period.from_us
        while True:
            now += 1_000_000
            found = policy.next_period(
                period, int(flow * (now - seen_since) / HOUR_US), seen_since, now, rules
            )
            if found is not None:
                break
        lengths.append((found.from_us - period.from_us) / 60e6)
        period = found
    assert lengths[0] < 1  # far off: it ended early
    assert period.rate == pytest.approx(rules.audit_per_hour / flow, rel=0.01)
    assert lengths[-1] == pytest.approx(60)  # steady: up to an hour
    quiet = policy.next_period(period, 0, period.from_us, period.until_us, rules)
    assert quiet is not None
    assert quiet.rate == period.rate


@given(
    rules_of_any_kind,
    st.lists(st.tuples(st.floats(0.1, 5000), st.integers(0, 1_000_000)), max_size=40),
)
def test_a_rate_is_a_chance_and_holds_for_its_period(rules: Rules, steps: list[tuple[float, int]]) -> None:
    period = policy.first_period(T0, rules)
    now, seen = T0, 0
    for seconds, windows in steps:
        now += int(seconds * 1e6)
        seen += windows
        found = policy.next_period(period, seen, period.from_us, now, rules)
        assert 0 < period.rate <= 1
        assert period.from_us < period.until_us <= period.from_us + HOUR_US
        if found is None:
            assert period.covers(now)
        else:
            assert found.covers(now)
            period, seen = found, 0


def test_the_overlap_is_a_share_of_all() -> None:
    two = sum(policy.required_labels(f"w{k}", T0 + k, RULES) == 2 for k in range(20_000))
    assert abs(two - 1000) < 5 * np.sqrt(20_000 * 0.05 * 0.95)
    assert policy.required_labels("w", T0, replace(RULES, overlap_share=0)) == 1
    assert policy.required_labels("w", T0, replace(RULES, overlap_share=1)) == 2


# ---- choice


@settings(max_examples=60, deadline=None)
@given(
    rules_of_any_kind,
    st.integers(0, 80),
    st.integers(0, 50),
    st.integers(0, 30),
    st.integers(0, 99),
)
def test_the_cooldown_holds(rules: Rules, n: int, labels: int, count: int, seed: int) -> None:
    candidates = crowd(n, seed)
    past = Past(items=[(c.person, c.window_start_us + 60_000_000) for c in candidates[:3]])
    chosen = choose(candidates, past, rules, labels=labels, count=count)
    assert len(chosen) <= count
    places = [choice.place for choice in chosen]
    assert len(set(places)) == len(places)
    asked = list(past.items)
    for choice in chosen:
        own = candidates[choice.place]
        for person, at in asked:
            if person == own.person:
                assert abs(at - own.window_start_us) >= rules.cooldown_us
        asked.append((own.person, own.window_start_us))
        json.dumps(choice.decision, allow_nan=False)


def test_the_same_input_is_decided_the_same_and_the_order_of_candidates_does_not_matter() -> None:
    candidates = crowd(60)
    one = choose(candidates, Past(), RULES, labels=100, count=10)
    assert one == choose(candidates, Past(), RULES, labels=100, count=10)
    turned = choose(candidates[::-1], Past(), RULES, labels=100, count=10)
    assert [candidates[c.place] for c in one] == [candidates[::-1][c.place] for c in turned]
    assert len(one) == 10


def test_one_that_was_asked_is_not_asked_again_nor_is_its_twin() -> None:
    candidates = crowd(40)
    first = choose(candidates, Past(), RULES, labels=100, count=5)
    taken = [candidates[c.place] for c in first]
    past = Past(
        items=[(c.person, c.window_start_us) for c in taken],
        standard=policy.limited(np.stack([c.standard for c in taken])),  # type: ignore[misc]
        standard_of=[c.person for c in taken],
    )
    again = [candidates[c.place] for c in choose(candidates, past, RULES, labels=100, count=40)]
    assert not set(map(id, taken)) & set(map(id, again))
    twin = replace(taken[0], window_start_us=taken[0].window_start_us + 24 * HOUR_US)
    assert choose([twin], past, RULES, labels=100, count=1) == []
    assert choose([twin], Past(), RULES, labels=100, count=1) != []


def test_what_lies_beside_an_audit_item_is_not_asked() -> None:
    """Its label would not be learnt."""
    candidates = crowd(60, people=1)
    at = candidates[30].window_start_us
    beside = {
        k for k, one in enumerate(candidates) if abs(one.window_start_us - at) <= EMBARGO_SECONDS * 1_000_000
    }
    rules = replace(RULES, cooldown_us=0)
    person = candidates[30].person
    free = choose(candidates, Past(), rules, labels=0, count=60)
    chosen = choose(candidates, Past(judged=[(person, at)]), rules, labels=0, count=60)
    assert beside & {one.place for one in free}
    assert chosen
    assert not beside & {one.place for one in chosen}
    elsewhere = choose(candidates, Past(judged=[("somebody else", at)]), rules, labels=0, count=60)
    assert [one.place for one in elsewhere] == [one.place for one in free]


def test_doubt_counts_only_once_there_are_labels() -> None:
    """Cold, windows are drawn evenly; afterwards a sure window is hardly ever."""
    sure = warm = cold = 0
    for seed in range(60):
        candidates = [
            replace(c, doubt=0.02 if k % 2 else 0.9, standard=None) for k, c in enumerate(crowd(40, seed))
        ]
        for choice in choose(candidates, Past(), RULES, labels=49, count=5):
            cold += 1
            sure += choice.place % 2
            assert choice.stratum == "cold"
            assert choice.reason == "random"
        assert choose(candidates, Past(), RULES, labels=50, count=1)[0].stratum == "doubt"
        for choice in choose(candidates, Past(), RULES, labels=200, count=5):
            warm += choice.place % 2
            assert choice.stratum == "doubt"
            assert choice.reason == "margin"
    assert 0.35 < sure / cold < 0.65
    assert warm <= 3


def test_doubt_counts_the_more_the_more_labels_there_are() -> None:
    powers = [policy.doubt_power(labels, RULES) for labels in range(0, 2000, 10)]
    assert powers == sorted(powers)
    assert powers[4] == 0  # 40 labels: cold
    assert 0 < powers[5] < 1
    assert powers[-1] == policy.MOST_POWER


def test_people_are_spread() -> None:
    """One watch with most of the windows does not get most of the items."""
    many = [replace(c, device_id="busy", person="busy") for c in crowd(300, 1, minutes=600)]
    others = crowd(60, 2, people=10)
    chosen = choose(many + others, Past(), replace(RULES, cooldown_us=0), labels=0, count=22)
    people: dict[str, int] = {}
    for choice in chosen:
        who = (many + others)[choice.place].person
        people[who] = people.get(who, 0) + 1
    assert len(people) == 11
    assert people["busy"] <= 11  # of 22, with 300 of 360 windows


def test_a_doubt_that_says_nothing_ranks_last() -> None:
    candidates = [replace(c, doubt=np.nan if k else 0.5, standard=None) for k, c in enumerate(crowd(10))]
    chosen = choose(candidates, Past(), replace(RULES, cooldown_us=0), labels=100, count=10)
    assert chosen[0].place == 0
    assert len(chosen) == 10


def test_a_watch_is_asked_about_windows_unlike_those_before() -> None:
    """Whatever the unit of the features: who was asked often is asked about what is least like it, who was not is
    asked about almost anything; and a watch that is alone is always asked."""
    for unit in (0.3, 1.0, 3.0):
        candidates = [
            replace(c, person="one", device_id="one", standard=np.full(20, unit * k / 40, np.float32))
            for k, c in enumerate(crowd(40))
        ]
        for items, first in ((1, 4), (8, 19), (10_000, 25)):
            past = Past(of_person={"one": items}, standard=np.zeros((1, 20), np.float32), standard_of=["one"])
            rules = replace(RULES, cooldown_us=0)
            chosen = [c.place for c in choose(candidates, past, rules, labels=100, count=40)]
            assert chosen
            assert min(chosen) >= first
            assert all(np.diff(sorted(chosen)) * unit / 40 >= policy.NEAR - 1e-6)


def test_what_one_person_was_asked_says_nothing_of_another() -> None:
    candidates = [replace(c, standard=np.zeros(20, np.float32)) for c in crowd(12, people=1000)]
    past = Past(standard=np.zeros((1, 20), np.float32), standard_of=["somebody else"])
    chosen = choose(candidates, past, RULES, labels=100, count=12)
    assert len(chosen) == len({c.person for c in candidates})


def test_typicality_counts_only_while_cold() -> None:
    """One in a crowd of likes and one far from all, both of people nobody asked, with the same doubt."""
    rng = np.random.default_rng(5)
    odd = {"cold": 0, "doubt": 0}
    for seed in range(60):
        candidates = [
            replace(
                c,
                device_id=f"w{seed}-{k}",
                person=f"w{seed}-{k}",
                doubt=0.5,
                activity="walking",
                standard=(2.5 if k < 4 else 0.1) * rng.normal(size=20).astype(np.float32),
            )
            for k, c in enumerate(crowd(40, seed))
        ]
        for labels, stratum in ((0, "cold"), (100, "doubt")):
            odd[stratum] += sum(
                c.place < 4 for c in choose(candidates, Past(), RULES, labels=labels, count=5)
            )
    assert odd["cold"] < 8
    assert 15 < odd["doubt"] < 50  # a tenth of 300
