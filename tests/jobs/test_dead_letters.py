"""`activity dead-letters` on a real store and broker."""

from __future__ import annotations

import json

import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.jobs import dead_letters
from activitymodule.kafka.clients import topic_ends


@pytest.mark.integration
def test_dead_letters(run, letters, fresh_settings, tmp_path):
    topic = fresh_settings.kafka.topic
    listed = run(dead_letters, "list")
    assert f"{topic}/0/5/3" in listed
    assert "\x1b" not in listed
    assert len(json.loads(run(dead_letters, "list", "--json", "--reason", "bad_stamp"))) == 2
    assert json.loads(run(dead_letters, "list", "--json", "--since", "2999-01-01")) == []
    assert "no dead letters" in run(dead_letters, "list", "--device", "nobody")
    counts = {row["reason"]: row["letters"] for row in json.loads(run(dead_letters, "summary", "--json"))}
    assert counts == {"bad_stamp": 2, "not_json": 1}
    assert "bad_stamp" in run(dead_letters, "summary")
    shown = run(dead_letters, "show", f"{topic}/1/9")
    assert "\\x1b[2J{no json\\n" in shown
    assert "\x1b" not in shown
    with pytest.raises(DataError):
        run(dead_letters, "show", f"{topic}/1/10")
    with pytest.raises(ConfigError):
        run(dead_letters, "show", "somewhere")
    with pytest.raises(ConfigError):
        run(dead_letters, "list", "--since", "yesterday")
    out = tmp_path / "letters.jsonl"
    run(dead_letters, "export", str(out))
    assert len(out.read_text().splitlines()) == 3
    assert len(run(dead_letters, "export").splitlines()) == 3


@pytest.mark.integration
def test_dead_letters_are_sent_again_once(run, letters, fresh_settings):
    def count():
        return sum(end for _, end in topic_ends(fresh_settings, fresh_settings.kafka.topic).values())

    assert json.loads(run(dead_letters, "replay", "--dry-run", "--json"))["messages"] == 2
    assert count() == 0
    # two bad items of one message are one message
    assert json.loads(run(dead_letters, "replay", "--json")) == {"messages": 2, "left_out": 0, "sent": True}
    assert count() == 2
    assert "nothing to send" in run(dead_letters, "replay")
    assert "sent 1 messages" in run(dead_letters, "replay", "--again", "--reason", "not_json")
    assert count() == 3
