"""The classifier for other watches: a small network beside the boosted trees and the linear model of models/activity.

Measured on watches and people unlike those of the training (docs/models.md): trees lose most there, since their
thresholds lie on single features; the linear model and the network lose less, and their errors are not the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from typing_extensions import override

from activitymodule.models.activity import TreesAndLinear, softmax
from activitymodule.windows.exchange import exchanged


class TreesLinearAndNetwork(TreesAndLinear):
    """Weighted mean of LightGBM, a logistic regression and a network of one hidden layer, sharpened by a power.

    X : ndarray of shape (n_windows, n_features), finite. The linear model and the network see standard scores
    clipped at +-`clip_sd`. tree_share, linear_share : weights of the trees and of the linear model in the mean; the
    network has the rest.

    exchange : places of the features with the axes x and y exchanged (windows/exchange). With them a window is
    classified as it came and with x and y exchanged, and the answers are weighted by a second network that tells
    recorded windows from exchanged ones; frame_margin : how much, in log odds, the frame that came is preferred.
    Without them a window is classified as it came, as are windows whose frame is known.
    """

    # of model files of earlier versions
    exchange: Sequence[int] | None = None
    linear_share: float | None = None

    def __init__(
        self,
        rounds: int = 150,
        learning_rate: float = 0.08,
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
        tree_share: float = 0.25,
        linear_share: float | None = 0.5,
        exchange: Sequence[int] | None = None,
        frame_hidden: int = 32,
        frame_penalty: float = 0.3,
        frame_epochs: int = 15,
        frame_margin: float = 6.0,
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
        self.linear_share = linear_share
        self.exchange = exchange
        self.frame_hidden = frame_hidden
        self.frame_penalty = frame_penalty
        self.frame_epochs = frame_epochs
        self.frame_margin = frame_margin

    @override
    def fit(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> TreesLinearAndNetwork:
        super().fit(X, y, sample_weight)
        scores = self._standardised(np.asarray(X)).astype(np.float32)
        layers = fit_layers(
            scores, y, sample_weight, self.hidden, self.weight_penalty, self.epochs, self.seed
        )
        (self.hidden_weights_, self.hidden_bias_, self.output_weights_, self.output_bias_) = (
            layers.with_output_of_each(len(self.classes_))
        )
        if self.exchange is not None:
            self._fit_frames(scores, np.asarray(X), sample_weight)
        return self

    def _fit_frames(self, scores: np.ndarray, X: np.ndarray, sample_weight: np.ndarray | None) -> None:
        """Learn to tell windows from themselves with x and y exchanged."""
        assert self.exchange is not None
        other = self._standardised(exchanged(X, self.exchange)).astype(np.float32)
        is_other = np.repeat([0, 1], len(X))
        weight = None if sample_weight is None else np.tile(sample_weight, 2)
        layers = fit_layers(
            np.concatenate([scores, other]),
            is_other,
            weight,
            self.frame_hidden,
            self.frame_penalty,
            self.frame_epochs,
            self.seed,
        )
        self.frame_hidden_weights_, self.frame_hidden_bias_ = layers.hidden_weights, layers.hidden_bias
        self.frame_output_weights_ = layers.output_weights[:, 0]

    @override
    def check(self) -> None:
        """Raises ModelError where the trees cannot be read, ValueError where shapes or numbers cannot be right."""
        super().check()
        inputs, classes, hidden = self.n_features_in_, len(self.classes_), len(self.hidden_bias_)
        shapes: dict[str, tuple[int, ...]] = {
            "hidden_weights_": (inputs, hidden),
            "output_weights_": (hidden, classes),
            "output_bias_": (classes,),
        }
        if self.exchange is not None:
            of_frames = len(self.frame_hidden_bias_)
            shapes |= {
                "exchange": (inputs + 2,),
                "frame_hidden_weights_": (inputs, of_frames),
                "frame_output_weights_": (of_frames,),
            }
        self._check_shapes(shapes)
        if self.exchange is not None:
            places = np.asarray(self.exchange)
            most = np.append(np.full(inputs, inputs), [inputs - 1] * 2)
            if places.dtype.kind != "i" or ((places < 0) | (places > most)).any():
                raise ValueError("exchange names a feature that is not there")

    @override
    def predict_proba(self, X: np.ndarray, frame_known: np.ndarray | None = None) -> np.ndarray:
        """As of TreesAndLinear. frame_known : bool (n_windows,), windows that are classified as they came"""
        X = np.ascontiguousarray(X)
        return self._sharpened(self._mean(X, frame_known)) if len(X) else super().predict_proba(X)

    @override
    def _mean(self, X: np.ndarray, frame_known: np.ndarray | None = None) -> np.ndarray:
        scores = self._standardised(X)
        own = self._in_frame(X, scores)
        if self.exchange is None or (frame_known is not None and frame_known.all()):
            return own
        ask = slice(None) if frame_known is None else ~frame_known
        other = exchanged(X[ask], self.exchange)
        of_other = self._standardised(other)
        share = expit(self._odds(scores[ask]) - self._odds(of_other) - self.frame_margin)[:, None]
        own[ask] = (1 - share) * own[ask] + share * self._in_frame(other, of_other)
        return own

    def _odds(self, scores: np.ndarray) -> np.ndarray:
        """Log odds, up to a constant, that windows are in the other frame, (n_windows,)."""
        hidden = np.maximum(scores @ self.frame_hidden_weights_ + self.frame_hidden_bias_, 0)
        return np.asarray(hidden @ self.frame_output_weights_)

    def _in_frame(self, X: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Probabilities of windows in the frame that they are in."""
        hidden = np.maximum(scores @ self.hidden_weights_ + self.hidden_bias_, 0)
        network = softmax(hidden @ self.output_weights_ + self.output_bias_)
        of_trees, of_linear, of_network = self.shares()
        return np.asarray(of_trees * self._trees(X) + of_linear * self._linear(scores) + of_network * network)

    def shares(self) -> tuple[float, float, float]:
        """The weights of the trees, the linear model and the network in the mean."""
        linear = (1 - self.tree_share) / 2 if self.linear_share is None else self.linear_share
        return self.tree_share, linear, 1 - self.tree_share - linear


class Layers(NamedTuple):
    """Weights and biases of a network of one hidden layer: (n_features, n_hidden), (n_hidden,), (n_hidden, n_outputs),
    (n_outputs,)."""

    hidden_weights: np.ndarray
    hidden_bias: np.ndarray
    output_weights: np.ndarray
    output_bias: np.ndarray

    def with_output_of_each(self, classes: int) -> Layers:
        """With an output for each class; two classes were fitted with one, for the odds."""
        if classes != 2:
            return self
        weights = np.hstack([np.zeros_like(self.output_weights), self.output_weights])
        return self._replace(
            output_weights=weights, output_bias=np.concatenate([np.zeros(1), self.output_bias])
        )


def fit_layers(
    scores: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    hidden: int,
    penalty: float,
    epochs: int,
    seed: int,
) -> Layers:
    """A network of one hidden layer, fitted by Adam to standard scores (n_windows, n_features), float32."""
    network = MLPClassifier(
        (hidden,),
        alpha=penalty,
        batch_size=min(128, len(scores)),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # the number of epochs is the recipe, not a limit
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scores, y, sample_weight)
    (hidden_weights, output_weights), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    return Layers(hidden_weights, hidden_bias, output_weights, output_bias)
