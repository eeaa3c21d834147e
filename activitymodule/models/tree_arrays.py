"""Random forests kept as plain arrays: a model file of them can be wrong, but neither run code nor leave an array.

sklearn grows the trees. Its own tree objects are not kept: they restore themselves in C from what a file says, and take
72 bytes a node where 10 do. Predictions are those of sklearn (thresholds are rounded down to float32, which is what
sklearn compares; a leaf's number loses what float32 cannot hold).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

_LEAF = -1
_ROWS = 4096  # of one step of a prediction


class Tree(Protocol):
    """What is read of sklearn's tree."""

    children_left: np.ndarray
    children_right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray


class TreeArrays:
    """The trees as arrays; a node's left child is the next node.

    starts_ : int64 (n_trees + 1,), places of the trees among the nodes; feature_ : int16 (n_nodes,), the column that
    a node asks for, -1 a leaf; split_ : float32 (n_nodes,), rows up to it go left; right_ : int32 (n_nodes,), the
    right child, of a leaf the row of its output; outputs_ : float32 (n_leaves, n_outputs)
    """

    starts_: np.ndarray
    feature_: np.ndarray
    split_: np.ndarray
    right_: np.ndarray
    outputs_: np.ndarray
    n_features_in_: int

    def _keep(self, trees: Sequence[Tree], columns: int) -> None:
        """Take over the trees of sklearn."""
        self.n_features_in_ = columns
        parts = [_in_order(tree) for tree in trees]
        counts = np.array([len(part[0]) for part in parts])
        leaves = np.array([len(part[3]) for part in parts])
        self.starts_ = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.feature_ = np.concatenate([part[0] for part in parts])
        self.split_ = np.concatenate([part[1] for part in parts])
        # children count within their tree, outputs among all
        first = np.repeat(self.starts_[:-1], counts)
        before = np.repeat(np.cumsum(leaves) - leaves, counts)
        right = np.concatenate([part[2] for part in parts])
        self.right_ = np.where(self.feature_ == _LEAF, right + before, right + first).astype(np.int32)
        self.outputs_ = np.concatenate([part[3] for part in parts])

    def check(self) -> None:
        """Raises ValueError where a walk through the trees could leave the arrays or not end."""
        shapes = {np.shape(a) for a in (self.feature_, self.split_, self.right_)}
        starts = np.asarray(self.starts_)
        n = len(self.feature_)
        if shapes != {(n,)} or starts.ndim != 1 or len(starts) < 2 or np.ndim(self.outputs_) != 2:
            raise ValueError("the arrays of its trees have other shapes than trees have")
        if any(np.asarray(a).dtype.kind != "i" for a in (self.feature_, self.right_, starts)):
            raise ValueError("places in its trees are not whole numbers")
        if starts[0] != 0 or starts[-1] != n or (np.diff(starts) < 1).any():
            raise ValueError("its trees do not follow one another")
        if not (np.isfinite(self.split_).all() and np.isfinite(self.outputs_).all()):
            raise ValueError("its trees hold numbers that are not finite")
        leaf = self.feature_ == _LEAF
        if (self.feature_ < _LEAF).any() or (self.feature_ >= self.n_features_in_).any():
            raise ValueError(f"a split asks for a column that none of {self.n_features_in_} is")
        if (self.right_[leaf] < 0).any() or (self.right_[leaf] >= len(self.outputs_)).any():
            raise ValueError("a leaf has no output")
        place = np.arange(n)
        end = np.repeat(starts[1:], np.diff(starts))
        # every step leads to a later node of the same tree, so that each walk ends, and at a leaf
        if ((self.right_ <= place + 1) | (self.right_ >= end))[~leaf].any():
            raise ValueError("a split leads out of its tree, or back")

    def _mean_output(self, X: np.ndarray) -> np.ndarray:
        """Mean output of the trees, float64 (n, n_outputs), for X (n, n_columns), finite."""
        X = np.ascontiguousarray(X, np.float32)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise ValueError(f"rows of {self.n_features_in_} columns are expected, not the shape {X.shape}")
        out = np.empty((len(X), self.outputs_.shape[1]))
        for begin in range(0, len(X), _ROWS):
            part = X[begin : begin + _ROWS]
            leaves = self._leaves(part)
            out[begin : begin + _ROWS] = self.outputs_[leaves].mean(1, dtype=np.float64)
        return out

    def _leaves(self, X: np.ndarray) -> np.ndarray:
        """The output's row of each row and tree, int32 (n, n_trees)."""
        trees = len(self.starts_) - 1
        node = np.tile(self.starts_[:-1], len(X))
        row = np.repeat(np.arange(len(X)), trees)
        moving = np.flatnonzero(self.feature_[node] != _LEAF)
        while len(moving):
            at = node[moving]
            left = X[row[moving], self.feature_[at]] <= self.split_[at]
            node[moving] = np.where(left, at + 1, self.right_[at])
            moving = moving[self.feature_[node[moving]] != _LEAF]
        return self.right_[node].reshape(len(X), trees)

    @property
    def nodes(self) -> int:
        """Nodes of all trees."""
        return len(self.feature_)


def _in_order(tree: Tree) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """feature, split, right, outputs of one tree, its nodes in the order of a walk that goes left first."""
    left, right = tree.children_left, tree.children_right
    order = np.empty(len(left), np.int64)
    waiting, count = [0], 0
    while waiting:
        node = waiting.pop()
        order[count] = node
        count += 1
        if left[node] >= 0:
            waiting += [right[node], left[node]]
    place = np.empty(len(left), np.int64)
    place[order] = np.arange(len(left))
    leaf = left[order] < 0
    feature = np.where(leaf, _LEAF, tree.feature[order]).astype(np.int16)
    split = np.where(leaf, 0.0, _down(tree.threshold[order])).astype(np.float32)
    follow = np.where(leaf, np.cumsum(leaf) - 1, place[right[order]])
    outputs = tree.value[order][leaf][:, 0, :].astype(np.float32)
    return feature, split, follow, outputs


def _down(threshold: np.ndarray) -> np.ndarray:
    """The greatest float32 that is not above each number: x <= threshold stays what it is for any float32 x."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
