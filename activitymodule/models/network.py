"""The classifier for other watches: a small network beside the boosted trees and the linear model of models/activity.

Measured on watches and people unlike those of the training (docs/models.md): trees lose most there, since their
thresholds lie on single features; the linear model and the network lose less, and their errors are not the same.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from typing_extensions import override

from activitymodule.models.activity import TreesAndLinear, softmax


class TreesLinearAndNetwork(TreesAndLinear):
    """Weighted mean of LightGBM, a logistic regression and a network of one hidden layer, sharpened by a power.

    X : ndarray of shape (n_windows, n_features), finite. The linear model and the network see standard scores
    clipped at +-`clip_sd`. tree_share : weight of the trees in the mean; the other two share the rest.
    """

    def __init__(
        self,
        rounds: int = 300,
        learning_rate: float = 0.04,
        leaves: int = 7,
        least_windows_a_leaf: int = 20,
        feature_share: float = 0.1,
        window_share: float = 0.7,
        leaf_penalty: float = 5.0,
        linear_freedom: float = 0.03,
        clip_sd: float = 3.0,
        power: float = 1.18,
        seed: int = 0,
        hidden: int = 64,
        weight_penalty: float = 1.0,
        epochs: int = 25,
        tree_share: float = 0.4,
    ) -> None:
        super().__init__(
            rounds,
            learning_rate,
            leaves,
            least_windows_a_leaf,
            feature_share,
            window_share,
            leaf_penalty,
            linear_freedom,
            clip_sd,
            power,
            seed,
        )
        self.hidden = hidden
        self.weight_penalty = weight_penalty
        self.epochs = epochs
        self.tree_share = tree_share

    @override
    def fit(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> TreesLinearAndNetwork:
        super().fit(X, y, sample_weight)
        network = MLPClassifier(
            (self.hidden,),
            alpha=self.weight_penalty,
            batch_size=min(128, len(X)),
            max_iter=self.epochs,
            n_iter_no_change=self.epochs,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            # the number of epochs is the recipe, not a limit
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(self._standardised(np.asarray(X)).astype(np.float32), y, sample_weight)
        (self.hidden_weights_, outer), (self.hidden_bias_, bias) = network.coefs_, network.intercepts_
        if len(self.classes_) == 2:
            # one output for the odds, as two
            outer, bias = np.hstack([np.zeros_like(outer), outer]), np.concatenate([np.zeros(1), bias])
        self.output_weights_, self.output_bias_ = outer, bias
        return self

    @override
    def check(self) -> None:
        """Raises ModelError where the trees cannot be read, ValueError where shapes or numbers cannot be right."""
        super().check()
        inputs, classes, hidden = self.n_features_in_, len(self.classes_), len(self.hidden_bias_)
        self._check_shapes(
            {
                "hidden_weights_": (inputs, hidden),
                "output_weights_": (hidden, classes),
                "output_bias_": (classes,),
            }
        )

    @override
    def _mean(self, X: np.ndarray) -> np.ndarray:
        scores = self._standardised(X)
        hidden = np.maximum(scores @ self.hidden_weights_ + self.hidden_bias_, 0)
        smooth = (softmax(hidden @ self.output_weights_ + self.output_bias_) + self._linear(scores)) / 2
        return np.asarray(self.tree_share * self._trees(X) + (1 - self.tree_share) * smooth)
