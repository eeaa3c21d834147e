"""What a verb does where PostgreSQL refuses: one sentence, an exit code, and nothing is changed."""

from __future__ import annotations

import pytest
from refusals import read_only, refuse, relax

from activitymodule import cli
from activitymodule.settings import Settings, environment_of, settings
from activitymodule.store.connection import session
from activitymodule.store.users import list_users

# SQLSTATE -> the exit code, and how often the statement was tried
VERDICTS = {
    "25006": (3, 1),
    "40001": (3, 3),
    "40P01": (3, 3),
    "42501": (2, 1),
    "42703": (3, 1),
    "53100": (3, 1),
    "53300": (3, 1),
    "57014": (3, 1),
    "57P01": (3, 1),
    "58030": (3, 1),
    "XX000": (8, 1),
}


@pytest.fixture
def fails(fresh_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A function: the exit code and the sentence of a verb."""
    for name, value in environment_of(fresh_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ACTIVITY_DEBUG", raising=False)
    settings.cache_clear()

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        return int(str(ended.value.code or 0)), capsys.readouterr().err

    yield call
    settings.cache_clear()


def test_a_verb_says_it_in_one_sentence(fresh_settings: Settings, fails):
    for code, (exit_code, tried) in VERDICTS.items():
        refuse(fresh_settings, "INSERT ON users", code)
        ended, said = fails("users", "add", "zoe")
        assert (ended, relax(fresh_settings, "INSERT ON users")) == (exit_code, tried), (code, said)
        assert len(said.splitlines()) == 1, said
        assert "it says so" in said
    refuse(fresh_settings, "INSERT ON users", "40P01", times=2)
    assert fails("users", "add", "zoe")[0] == 0, "the third attempt succeeds"
    with session(fresh_settings) as connection:
        assert [one.name for one in list_users(connection)] == ["zoe"]


def test_verbs_on_a_read_only_store(fresh_settings: Settings, fails):
    with read_only(fresh_settings):
        for arguments in (
            ("users", "add", "eve"),
            ("tokens", "add", "phone"),
            ("queue", "expire"),
            ("retrain", "--force"),
            ("drift", "--record"),
        ):
            ended, said = fails(*arguments)
            assert ended == 3, (arguments, said)
            assert "read-only" in said
            assert "Traceback" not in said
        assert fails("users", "list")[0] == 0
    assert fails("users", "add", "eve")[0] == 0
