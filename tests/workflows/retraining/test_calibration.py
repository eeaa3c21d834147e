"""The champion calibrated on a device model: from audit labels, taken up by the scorer, undone."""

from __future__ import annotations

import pytest

from activitymodule.errors import NotFoundError
from activitymodule.store.connection import session
from activitymodule.store.devices import Setting, set_devices
from activitymodule.streaming.champion import ChampionWatch
from activitymodule.workflows import calibration

MODEL = "some-watch"


def states(result: calibration.CalibrationResult) -> dict[str, str]:
    return {one.device_model: one.state for one in result.device_models}


def test_audit_labels_calibrate_the_champion_on_their_device_model(
    fresh_settings, serving, fleet, label_some
):
    watch = ChampionWatch(fresh_settings, lambda _: None)
    assert watch.refresh().calibrations == {}
    label_some(teaching=30, audit=60)
    names = sorted(set(fleet.person.tolist()))
    with session(fresh_settings) as connection:
        set_devices(connection, [Setting(name, MODEL) for name in names[:-5]], "command")
        set_devices(connection, [Setting(name, "rare") for name in names[-5:]], "command")

    tried = calibration.calibrate(fresh_settings, by_whom="me", dry_run=True)
    assert calibration.record(fresh_settings) == []
    made = calibration.calibrate(fresh_settings, by_whom="me")
    assert states(made)[MODEL] == states(tried)[MODEL] == "calibrated"
    assert states(made).get("rare", "too few labels") == "too few labels"
    (found,) = [one for one in made.device_models if one.device_model == MODEL]
    assert found.labels >= 20
    assert abs(found.figures["confidence_after"] - found.figures["accuracy"]) < 0.05
    assert found.figures["coverage_after"] >= 0.85

    # the scorer takes it up without a new version
    taken = watch.refresh()
    assert taken.classifier.version == serving.version
    assert taken.calibrations[MODEL].power == pytest.approx(found.power)
    features = fleet.features[:50]
    plain = taken.model.score(features)
    here = taken.model.score(features, None, [MODEL] * 50, taken.calibrations)
    assert here.probabilities.max(1).mean() == pytest.approx(found.figures["confidence_after"], abs=0.15)
    assert (here.probabilities.argmax(1) == plain.probabilities.argmax(1)).all()

    # the same labels make no second entry, an undone one stays so until it is asked for
    assert states(calibration.calibrate(fresh_settings, by_whom="me"))[MODEL] == "unchanged"
    assert calibration.undo(fresh_settings, MODEL, by_whom="me") == serving.version
    assert watch.refresh().calibrations == {}
    assert states(calibration.calibrate(fresh_settings, by_whom="me"))[MODEL] == "undone"
    assert states(calibration.calibrate(fresh_settings, by_whom="me", only=MODEL))[MODEL] == "calibrated"
    assert [one.act for one in calibration.record(fresh_settings)] == ["calibrate", "undo", "calibrate"]
    with pytest.raises(NotFoundError):
        calibration.undo(fresh_settings, "another", by_whom="me")
    with pytest.raises(NotFoundError):
        calibration.calibrate(fresh_settings, by_whom="me", only="another")
