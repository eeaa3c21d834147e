"""When batches of a live stream begin."""

import threading
import time

import pytest

from activitymodule.settings import Settings
from activitymodule.streaming.pace import Pace, pause_seconds

YEARS = 10**12  # milliseconds, of which no test sees a multiple


def config(milliseconds: int, prompt: float = 1.5, slide: int = 10) -> Settings:
    return Settings(
        windows={"length_seconds": slide, "slide_seconds": slide},
        scoring={"trigger_milliseconds": milliseconds, "prompt_seconds": prompt},
    )


@pytest.mark.parametrize(
    ("began", "now", "pause"),
    [
        (1000.2, 1000.3, 0),  # windows have just ended
        (1001.3, 1001.45, 0),
        (1001.4, 1001.6, 0.4),  # up to the next half second
        (1004.0, 1004.1, 0.4),
        (1009.5, 1009.8, 0.2),  # up to the end of the next windows
        (1003.0, 1003.5, 0),  # a batch that took as long
        (1003.0, 1009.0, 0),
    ],
)
def test_batches_follow_each_other_at_once_only_while_windows_are_completed(began, now, pause):
    assert pause_seconds(config(500), began, now) == pytest.approx(pause)


def test_a_time_between_batches_that_does_not_divide_a_window_delays_none():
    assert pause_seconds(config(700), 1009.4, 1009.7) == pytest.approx(0.3)
    assert pause_seconds(config(60_000), 1008.9, 1009.0) == pytest.approx(1)
    assert pause_seconds(config(60_000, prompt=0), 1008.9, 1009.0) == pytest.approx(11)


def test_batches_pause_nowhere_or_everywhere_if_that_is_asked_for():
    assert pause_seconds(config(0), 1004.0, 1004.1) == 0
    assert pause_seconds(config(500, prompt=0), 1000.0, 1000.1) == pytest.approx(0.4)
    assert pause_seconds(config(500, slide=2, prompt=2), 1001.7, 1001.8) == 0


def test_a_pause_ends_when_its_query_is_to_stop_and_the_next_query_pauses_again():
    pace = Pace(config(YEARS, prompt=0))
    for _ in range(2):
        pace.start()
        pausing = threading.Thread(target=pace.pause, args=(time.time(),), daemon=True)
        pausing.start()
        pausing.join(0.2)
        assert pausing.is_alive()
        pace.stop()
        pausing.join(30)
        assert not pausing.is_alive()


def test_without_a_live_query_there_is_no_pause():
    Pace(config(YEARS, prompt=0)).pause(time.time())
