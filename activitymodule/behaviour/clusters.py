"""The steps of the persona pipeline: scaling of behaviour, and K-Means kept as its centroids."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.cluster import KMeans


class BehaviourScaler(TransformerMixin, BaseEstimator):
    """Standard scores, clipped; the columns `logs` by the logarithm of 1 + x. X : (n, n_columns) of numbers >= 0, NaN
    where missing, which is taken for the mean."""

    def __init__(self, logs: tuple[int, ...] = (), clip_sd: float = 3.0) -> None:
        self.logs = logs
        self.clip_sd = clip_sd

    def fit(self, X: np.ndarray, _y: np.ndarray | None = None) -> BehaviourScaler:
        """Learn centre and scale."""
        X = self._compressed(X)
        self.n_features_in_ = X.shape[1]
        known = ~np.isnan(X)
        count = np.maximum(known.sum(0), 1)
        self.centre_ = np.where(known, X, 0.0).sum(0) / count
        sd = np.sqrt(np.where(known, (X - self.centre_) ** 2, 0.0).sum(0) / count)
        self.scale_ = np.where(sd > 1e-9, sd, 1.0)
        return self

    def check(self) -> None:
        """Raises ValueError where its numbers cannot be right."""
        for values in (self.centre_, self.scale_):
            if np.shape(values) != (self.n_features_in_,) or not np.isfinite(values).all():
                raise ValueError("centre and scale do not fit the columns")
        if not (self.scale_ > 0).all() or any(not 0 <= k < self.n_features_in_ for k in self.logs):
            raise ValueError("its scale is not above 0, or it names a column that is not there")

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Standard scores (n, n_columns), finite."""
        scores = np.clip((self._compressed(X) - self.centre_) / self.scale_, -self.clip_sd, self.clip_sd)
        return np.asarray(np.nan_to_num(scores, nan=0.0))

    def _compressed(self, X: np.ndarray) -> np.ndarray:
        X = np.array(X, np.float64)
        logs = list(self.logs)
        X[:, logs] = np.log1p(np.maximum(X[:, logs], 0.0))
        return X


class CentroidClusters(ClusterMixin, TransformerMixin, BaseEstimator):
    """K-Means (Lloyd 1982, k-means++ of Arthur and Vassilvitskii 2007) by sklearn; its centroids are what is kept.

    X : (n, n_columns), finite. centroids_ : (clusters, n_columns), those of the greatest `order` first, so that a
    cluster keeps its number from one fit to the next; inertia_ : sum of squared distances
    """

    def __init__(
        self, clusters: int = 5, starts: int = 20, order: tuple[float, ...] = (), seed: int = 0
    ) -> None:
        self.clusters = clusters
        self.starts = starts
        self.order = order
        self.seed = seed

    def fit(self, X: np.ndarray, _y: np.ndarray | None = None) -> CentroidClusters:
        """Learn the centroids."""
        found = KMeans(self.clusters, n_init=self.starts, random_state=self.seed).fit(X)
        centroids = found.cluster_centers_
        weights = np.asarray(self.order) if len(self.order) else np.ones(X.shape[1])
        self.centroids_ = centroids[np.argsort(-(centroids @ weights), kind="stable")]
        self.n_features_in_ = X.shape[1]
        self.inertia_ = float(found.inertia_)
        return self

    def check(self) -> None:
        """Raises ValueError where its centroids do not fit."""
        shape = (self.clusters, self.n_features_in_)
        if np.shape(self.centroids_) != shape or not np.isfinite(self.centroids_).all():
            raise ValueError(f"its centroids are not {shape[0]} of {shape[1]} finite numbers")

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Distances to the centroids, (n, clusters)."""
        return np.asarray(np.sqrt(((np.asarray(X)[:, None, :] - self.centroids_) ** 2).sum(2)))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The nearest centroid, (n,)."""
        return self.transform(X).argmin(1)
