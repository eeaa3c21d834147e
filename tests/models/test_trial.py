"""A model is loaded and tried in a process of its own: whatever is wrong with it is a refusal, in one sentence."""

from __future__ import annotations

import io
import json
import pickle
import signal
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from activitymodule.errors import ModelError, ServiceUnavailableError
from activitymodule.models import export, trial
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.models.export import Card
from activitymodule.models.trial import Outcome, try_model


@pytest.fixture(scope="module")
def classifier(folders: tuple[Path, Path]) -> ModelBytes:
    return ModelBytes.read(folders[0], "7", 50)


def repacked(content: bytes, change: Callable[[str, bytes], bytes], **more: bytes) -> bytes:
    """The skops file with its members changed, and others added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, member in more.items():
            new.writestr(name, member)
    return out.getvalue()


def schema(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    """A change of the model's description."""

    def changed(name: str, member: bytes) -> bytes:
        assert name != "schema.json" or old in member
        return member.replace(old, new, 1) if name == "schema.json" else member

    return changed


def of_class(name: str) -> Callable[[str, bytes], bytes]:
    """The imputer is said to be of another class of sklearn."""
    return schema(b'"SimpleImputer"', f'"{name}"'.encode())


def as_it_is(_name: str, member: bytes) -> bytes:
    return member


def a_pickle(name: str, member: bytes) -> bytes:
    return member if name == "schema.json" else pickle.dumps({"a": 1})


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "a column out of range": lambda content: repacked(content, schema(b"split_feature=", b"split_feature=9")),
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a pickle": lambda content: pickle.dumps({"a": 1}),
    "a pickle inside": lambda content: repacked(content, a_pickle),
    "a pickle beside": lambda content: repacked(content, as_it_is, **{"model.pkl": pickle.dumps(1)}),
    "a bomb": lambda content: repacked(content, as_it_is, **{"0.npy": bytes(100_000_000)}),
    "another class of sklearn": lambda content: repacked(content, of_class("MissingIndicator")),
    "a method": lambda content: repacked(content, schema(b'"ObjectNode"', b'"MethodNode"')),
    "json without an end": lambda content: repacked(content, schema(b"{", b"[" * 100_000)),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_a_spoilt_file_is_refused_where_it_is_loaded(
    spoil: Callable[[bytes], bytes], classifier: ModelBytes
) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(replace(classifier, content=spoil(classifier.content)), "activity")
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_refused_or_changes_nothing(classifier: ModelBytes) -> None:
    """Each member has its checksum; what is left is bytes that the format does not use."""
    content = classifier.content
    for at in range(0, len(content), len(content) // 40):
        flipped = bytes([*content[:at], content[at] ^ 0x55, *content[at + 1 :]])
        try:
            model, card = load_model(replace(classifier, content=flipped), "activity")
        except ModelError:
            continue
        assert trial.compare(model, card) is None


def tried_here(stored: ModelBytes, card: Card) -> Outcome:
    """With this card; what `try_model` does in a process of its own, which takes seconds to begin."""
    return trial._tried("activity", replace(stored, card=card.to_json()))


def test_its_answers_must_be_those_of_its_training(classifier: ModelBytes) -> None:
    assert try_model(classifier, "activity") == Outcome()
    card = Card.from_json(classifier.card)
    assert card.scored is not None
    assert card.libraries == export.libraries()
    other = replace(card, libraries={**card.libraries, "numpy": "1.0"})
    found = tried_here(classifier, other)
    assert found.refusal is None
    assert "numpy 1.0" in (found.note or "")
    turned = replace(card.scored, outputs=tuple(row[::-1] for row in card.scored.outputs))
    found = tried_here(classifier, replace(other, scored=turned))
    assert "differ" in (found.refusal or "")
    assert "numpy 1.0" in (found.refusal or "")


def test_a_card_of_an_earlier_version_has_neither(classifier: ModelBytes) -> None:
    card = json.loads(classifier.card)
    del card["scored"], card["libraries"]
    assert trial._tried("activity", replace(classifier, card=json.dumps(card))) == Outcome()


def test_a_process_that_crashes_or_takes_too_long_is_a_refusal(classifier: ModelBytes) -> None:
    assert "within" in (try_model(classifier, "activity", seconds=0.01).refusal or "")
    for code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGKILL, 134, 1, 0):
        ended = subprocess.CompletedProcess([], code, b"", b"first\n[Fatal] split feature\n")
        assert "[Fatal] split feature" in (trial._outcome(ended).refusal or "")
        assert trial._outcome(ended).sure == (code != -signal.SIGKILL)
    with pytest.raises(ServiceUnavailableError):
        trial._outcome(subprocess.CompletedProcess([], -signal.SIGTERM, b"", b""))


def test_the_trial_knows_no_password(classifier: ModelBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        given.update(options)
        return subprocess.CompletedProcess([], 0, b'{"refusal": null, "note": null}', b"")

    monkeypatch.setenv("ACTIVITY_STORE__PASSWORD", "secret")
    monkeypatch.setattr(subprocess, "run", run)
    assert try_model(classifier, "activity") == Outcome()
    assert "secret" not in str(given["env"])
