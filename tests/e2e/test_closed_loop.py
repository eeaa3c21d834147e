"""The closed loop: a champion of too few people, labels, a retraining, a better champion in the same stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from activitymodule.registry.versions import champion, previous
from activitymodule.settings import Settings, build, reveal
from activitymodule.store.connection import session
from activitymodule.store.promotions import promotions
from activitymodule.workflows.closed_loop import Loop, Plan, queue_of, run_loop
from activitymodule.workflows.closed_loop_figure import draw
from activitymodule.workflows.closed_loop_people import change_settings
from activitymodule.workflows.requests import RecordedPeople

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def loop(settings: Settings, plan: Plan, folder: Path) -> Loop:
    queue = settings.queue.model_copy(update=queue_of(plan))
    own = settings.model_copy(update={"queue": queue})
    found = run_loop(own, plan, say=print, logs=folder)
    name = settings.registry.classifier
    assert found.state == "promoted", found.summary
    assert champion(settings, name).version == found.after.version
    assert previous(settings, name).version == found.before.version
    assert found.gain_low > 0, "better on people neither model has seen, beyond chance"
    with session(settings, read_only=True) as connection:
        newest, first = promotions(connection, name=name)
        assert (newest.run_id, newest.version) == (found.run_id, found.after.version)
        assert (first.run_id, first.version) == (None, found.before.version)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM predictions WHERE activity IS NOT NULL AND model_version IS NULL"
            )
            assert cursor.fetchone()[0] == 0
    draw(found, folder / "loop.svg")
    assert "macro-F1" in (folder / "loop.svg").read_text()
    return found


@pytest.mark.soak  # minutes, and the annotators' hour goes by the clock: nothing for a machine that does other work
@pytest.mark.timeout(540)
def test_from_a_weak_champion_to_a_better_one(fresh_settings, tmp_path):
    plan = Plan(
        watches=25, speed=15, teaching=80, audit=120, at_most_seconds=240, unseen_people=15, unseen_minutes=12
    )
    loop(fresh_settings, plan, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_with_more_labels_and_more_errors_in_them(fresh_settings, tmp_path):
    found = loop(
        fresh_settings, Plan(error_rate=0.08, teaching=400, audit=400, at_most_seconds=900), tmp_path
    )
    assert found.gain > 0.1


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_recorded_people_of_another_watch_teach_a_champion(fresh_settings, data_folder, tmp_path):
    """TWristAR's people made the champion; WEDA-FALL's stream through Kafka and are labelled at a console."""
    who = RecordedPeople(
        f"weda:{data_folder / 'weda_watch.tar.gz'}",
        champion=f"twristar:{data_folder / 'twristar_e4.tar.gz'}",
        curves=False,
    )
    # More than half of what streams has no activity of the classifier, and is answered `unsure`. What is near an audit
    # window teaches nothing, so few of them leave more to learn; too few for the gate to promote.
    plan = Plan(speed=8.0, teaching=40, audit=24, at_most_seconds=900, people=who)
    tree = reveal(fresh_settings)
    tree["queue"] |= queue_of(plan)
    change_settings(tree, who)
    found = run_loop(build(tree), plan, say=print, logs=tmp_path)
    assert found.recorded is not None
    assert not set(found.recorded.asked) & set(found.recorded.never)
    assert found.state in ("promoted", "rejected"), found.summary
    assert found.after.accuracy > found.before.accuracy
    assert found.recorded.served is not None
    served = found.after if found.state == "promoted" else found.before
    assert abs(found.recorded.served - served.accuracy) < 0.15, "the stream serves what was measured"
