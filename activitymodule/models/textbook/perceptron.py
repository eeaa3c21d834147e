"""A multilayer perceptron of one hidden layer."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from activitymodule.models.activity import softmax
from activitymodule.models.network import fit_layers
from activitymodule.models.textbook.base import TextbookClassifier


class Perceptron(TextbookClassifier):
    """Rectified units on standard scores, trained by Adam for a number of epochs."""

    def __init__(
        self,
        hidden: int = 64,
        weight_penalty: float = 1e-4,
        epochs: int = 50,
        power: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.weight_penalty = weight_penalty
        self.epochs = epochs
        self.power = power
        self.seed = seed

    @override
    def _learn(self, X: np.ndarray, code: np.ndarray, weight: np.ndarray) -> None:
        scores = self._standardised(X).astype(np.float32)
        layers = fit_layers(scores, code, weight, self.hidden, self.weight_penalty, self.epochs, self.seed)
        (self.hidden_weights_, self.hidden_bias_, self.output_weights_, self.output_bias_) = (
            layers.with_output_of_each(len(self.classes_))
        )

    @override
    def _raw(self, X: np.ndarray) -> np.ndarray:
        hidden = np.maximum(self._standardised(X) @ self.hidden_weights_ + self.hidden_bias_, 0)
        return softmax(hidden @ self.output_weights_ + self.output_bias_)

    @override
    def check(self) -> None:
        super().check()
        inputs, classes, hidden = self.n_features_in_, len(self.classes_), len(self.hidden_bias_)
        self._check_shapes(
            {
                "hidden_weights_": (inputs, hidden),
                "output_weights_": (hidden, classes),
                "output_bias_": (classes,),
            }
        )
