"""What a loaded model answers: one query before it serves, the answers on its card, and its twin in ONNX."""

from __future__ import annotations

import hashlib

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelMisfitError
from activitymodule.models.contract import probabilities_of
from activitymodule.models.export import Card
from activitymodule.models.kinds import KINDS
from activitymodule.models.onnx.parity import BOUNDS, ONNX
from activitymodule.models.onnx.session import FORM, SOURCE, OnnxModel

_ALIKE = 1e-3  # between libraries


def try_answers(model: Pipeline, card: Card, what: str) -> None:
    """One query before the model serves: shapes and sums must be right."""
    try:
        answer = ask(model, card, np.zeros((2, len(card.feature_names))))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{what} does not answer a query ({reason}); train it again or roll back") from None
    answers = KINDS[card.kind].answers
    if answers == "number":
        if np.shape(answer) != (2,) or not np.isfinite(answer).all():
            raise ModelMisfitError(f"{what} does not give one number a row; train it again or roll back")
        return
    if answer.shape != (2, len(card.labels)):
        raise ModelMisfitError(
            f"{what} gives {answer.shape[1]} {answers} for {len(card.labels)} labels; "
            "train it again or roll back"
        )
    if answers == "distances":
        if not (np.isfinite(answer).all() and (answer >= 0).all()):
            raise ModelMisfitError(f"{what} gives distances that are none; train it again or roll back")
    elif not np.allclose(answer.sum(1), 1, atol=1e-4):
        raise ModelMisfitError(
            f"{what} gives probabilities that do not add up to 1; train it again or roll back"
        )


def ask(model: Pipeline, card: Card, inputs: np.ndarray, frame_known: np.ndarray | None = None) -> np.ndarray:
    """Probabilities or distances (n, n_labels), or a number (n,), of the model's own inputs (n, n_inputs).

    frame_known : bool (n,), windows in the canonical frame, by default none; of a classifier
    """
    match KINDS[card.kind].answers:
        case "probabilities":
            return probabilities_of(model, inputs.astype(np.float32), frame_known)
        case "distances":
            return np.asarray(model.transform(inputs))
    return np.asarray(model.predict(inputs))


def compare(model: Pipeline, card: Card, alike: float = _ALIKE) -> str | None:
    """How far its answers to the windows on its card are from those of its training; None where they are alike, or
    where the card has no windows.

    alike : how far they may be off, absolutely and of their size
    """
    if card.scored is None or not card.scored.inputs:
        return None
    inputs = np.array(card.scored.inputs, float)
    expected = np.array(card.scored.outputs, float)
    if inputs.ndim != 2 or inputs.shape[1] != len(card.feature_names):
        return "the windows on its card are not of its inputs"
    found = ask(model, card, inputs).reshape(len(inputs), -1)
    if found.shape != expected.shape:
        return f"it answers with {found.shape[1]} numbers a window, {expected.shape[1:]} stand on its card"
    if np.allclose(found, expected, rtol=alike, atol=alike):
        return None
    return (
        f"its answers to the {len(inputs)} windows on its card differ by {np.abs(found - expected).max():.2g} from "
        "those of its training"
    )


def onnx_twin(content: bytes, model: bytes, card: Card, what: str) -> OnnxModel:
    """The export `content` of the model file `model`, tried like that. Raises ModelError where it does not fit."""
    made = OnnxModel(content)
    if made.metadata.get(SOURCE) != hashlib.sha256(model).hexdigest():
        raise ModelMisfitError(
            f"the export of {what} to ONNX was made from another model file; export it again"
        )
    try_answers(made, card, f"the export of {what} to ONNX")
    allowed = BOUNDS.get(made.metadata.get(FORM, ONNX), BOUNDS[ONNX]).each
    if differs := compare(made, card, max(_ALIKE, allowed)):
        raise ModelMisfitError(f"the export of {what} to ONNX does not fit: {differs}; export it again")
    return made
