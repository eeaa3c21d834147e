"""A fleet from the settings: what the command line changes, and how signals stop it."""

from __future__ import annotations

import os
import signal

import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import load
from activitymodule.workflows.generating import Stop, with_fleet


def test_only_given_keys_change() -> None:
    config = load({})
    assert with_fleet(config, devices=None, speed=None) is config
    changed = with_fleet(config, devices=7, faults={"late": 0.5})
    assert (changed.fleet.devices, changed.fleet.faults.late) == (7, 0.5)
    assert changed.fleet.seed == config.fleet.seed
    assert changed.kafka == config.kafka


def test_changes_are_validated_like_a_file() -> None:
    with pytest.raises(ConfigError):
        with_fleet(load({}), engine="steam")


def test_a_signal_stops_and_a_second_one_insists() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = Stop()
        stop.listen()
        assert not stop.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
