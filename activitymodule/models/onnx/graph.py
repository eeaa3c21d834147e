"""The ONNX graph of a whole pipeline: imputing, trees, linear part, network, averaging and sharpening.

Made from the fitted pieces with onnx.helper: skl2onnx and onnxmltools know neither the averaging of these families nor
LightGBM's text. Every split goes the way it goes in LightGBM, and leaves are added in double precision; the linear part
and the network are computed in single precision. The inputs are features, which stay this project's
(windows/features). Operators: opset 21 of ONNX and 5 of ai.onnx.ml (https://onnx.ai/onnx/operators).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from activitymodule.deferred import deferred_imports
from activitymodule.errors import ConfigError, ModelNotConvertibleError
from activitymodule.models.activity import TreesAndLinear
from activitymodule.models.energy import BoostedTrees
from activitymodule.models.export import Card
from activitymodule.models.kinds import KINDS
from activitymodule.models.network import TreesLinearAndNetwork
from activitymodule.models.onnx.session import FRAME_KNOWN, INPUT, OUTPUT, SOURCE
from activitymodule.models.trees import Tree, read_trees

# `needed` says where it is missing; whoever trains nothing does not wait for it
with contextlib.suppress(ImportError), deferred_imports(("onnx.",)):
    import onnx

CLIPPED = "clipped"
"""What the names of the products begin with whose inputs are clipped scores: those that may be quantised."""

_OPSETS = {"": 21, "ai.onnx.ml": 5}
_IR_VERSION = 10
_BRANCH_LEQ, _SUM, _NO_TRANSFORM = 0, 1, 0  # of TreeEnsemble
_NEVER = 1e6  # log odds against a frame
_MOST_TABLE_SPLITS = 8  # a table has 2 ** splits numbers


class Graph:
    """Nodes and constants that are added one after the other; `add` returns the name of what a node computes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.optional: list[Any] = []

    def constant(self, values: object, dtype: type) -> str:
        """The name of a constant."""
        name = f"constant{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def optional_input(self, name: str) -> str:
        """A further input, float32 (n,), which is 0 for every window where it is not given."""
        self.constants.append(onnx.numpy_helper.from_array(np.zeros(1, np.float32), name))
        self.optional.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        output = name or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(
            onnx.helper.make_node(operator, list(inputs), [output], name=output, domain=domain, **attributes)
        )
        return output

    def cast(self, value: str, to: int) -> str:
        """The same numbers in another type."""
        return self.add("Cast", value, to=to)


def to_onnx(pipeline: Pipeline, card: Card, content: bytes) -> bytes:
    """The whole model as the bytes of an ONNX file, checked by onnx.checker.

    content : of the model file, whose SHA-256 is kept. The graph takes `inputs` (n, len(card.feature_names)), float32
    of a classifier and float64 of a regressor, NaN where missing, and gives `outputs`: probabilities (n, n_labels),
    float32, or kcal/min (n,), float64. A classifier that weighs frames also takes `frame_known` (n,), float32,
    1 where a window is in the canonical frame, by default 0. Raises ModelNotConvertibleError for a family that has no
    graph, ConfigError where the package is missing.
    """
    needed()
    graph, number = Graph(), KINDS[card.kind].answers == "number"
    family, wanted = pipeline.steps[-1][1], INPUT
    make = _FAMILIES.get(type(family))
    if make is None:
        raise ModelNotConvertibleError(
            f"models of the family {type(family).__name__} have no ONNX graph; scikit-learn serves them "
            f"(known are: {', '.join(sorted(known.__name__ for known in _FAMILIES))})"
        )
    for _, step in pipeline.steps[:-1]:
        wanted = _step(graph, step, wanted)
    make(graph, family, wanted)
    dtype = onnx.TensorProto.DOUBLE if number else onnx.TensorProto.FLOAT
    shape = [None] if number else [None, len(card.labels)]
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            card.kind,
            [
                onnx.helper.make_tensor_value_info(INPUT, dtype, [None, len(card.feature_names)]),
                *graph.optional,
            ],
            [onnx.helper.make_tensor_value_info(OUTPUT, dtype, shape)],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()],
        ir_version=_IR_VERSION,
        producer_name="activitymodule",
    )
    onnx.helper.set_model_props(made, _metadata(card, content))
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)


def needed() -> None:
    """Raises ConfigError where the package onnx is missing."""
    if find_spec("onnx") is None:
        raise ConfigError("the package onnx is not installed: pip install 'activitymodule[onnx]'")


def _metadata(card: Card, content: bytes) -> dict[str, str]:
    """What another program needs to know of the model, as texts."""
    known = {
        "kind": card.kind,
        "labels": json.dumps(card.labels),
        "feature_names": json.dumps(card.feature_names),
        "features_version": card.features_version,
        "length_seconds": json.dumps(card.length_seconds),
        "rate_hz": json.dumps(card.rate_hz),
        "conformal_alpha": json.dumps(card.conformal_alpha),
        "conformal_quantile": json.dumps(card.conformal_quantile),
        "conformal_quantile_wide": json.dumps(card.conformal_quantile_wide),
    }
    return {**known, SOURCE: hashlib.sha256(content).hexdigest()}


def _step(graph: Graph, step: object, wanted: str) -> str:
    """A step before the model."""
    if isinstance(step, SimpleImputer):
        median = graph.constant(step.statistics_[None, :], np.float32)
        return graph.add("Where", graph.add("IsNaN", wanted), median, wanted)
    columns = getattr(step, "transformers_", None)
    if columns is None:
        raise ModelNotConvertibleError(
            f"a step {type(step).__name__} has no ONNX graph; scikit-learn serves it"
        )
    parts = [_columns(graph, how, place, wanted) for _, how, place in columns if how != "drop"]
    return graph.add("Concat", *parts, axis=1)


def _columns(graph: Graph, how: object, place: Sequence[int], wanted: str) -> str:
    """Some of the columns, as they are or one-hot: a code that is missing or not known is a row of zeros."""
    taken = graph.add("Gather", wanted, graph.constant(list(place), np.int64), axis=1)
    if not isinstance(how, OneHotEncoder):
        return taken
    codes = graph.constant(how.categories_[0][None, :], np.float64)
    return graph.cast(graph.add("Equal", taken, codes), onnx.TensorProto.DOUBLE)


def _classifier(graph: Graph, model: TreesAndLinear, wanted: str) -> None:
    frames = isinstance(model, TreesLinearAndNetwork) and model.exchange is not None
    if frames:
        wanted = _in_both_frames(graph, model, wanted)
    raw = _small_trees(graph, model.trees_, model.n_features_in_, len(model.classes_), wanted)
    trees = graph.cast(graph.add("Softmax", raw, axis=1), onnx.TensorProto.FLOAT)
    scores = _standardised(graph, model, wanted)
    linear = _softmax_of(graph, CLIPPED + "_linear", scores, model.coefficients_.T, model.intercepts_)
    if isinstance(model, TreesLinearAndNetwork):
        hidden = graph.add(
            "Relu", _affine(graph, CLIPPED + "_hidden", scores, model.hidden_weights_, model.hidden_bias_)
        )
        network = _softmax_of(graph, "output", hidden, model.output_weights_, model.output_bias_)
        mean = _weighted(graph, list(zip((trees, linear, network), model.shares(), strict=True)))
    else:
        mean = _weighted(graph, [(trees, 0.5), (linear, 0.5)])
    if frames:
        mean = _of_frames(graph, model, scores, mean)
    sharp = graph.add("Pow", mean, graph.constant(model.power, np.float32))
    total = graph.add("ReduceSum", sharp, graph.constant([1], np.int64), keepdims=1)
    graph.add("Div", sharp, total, name=OUTPUT)


def _in_both_frames(graph: Graph, model: TreesLinearAndNetwork, wanted: str) -> str:
    """The windows as they came, and after them all with x and y exchanged (windows/exchange), (2 n, n_features)."""
    assert model.exchange is not None
    *places, x, z = model.exchange
    squares = []
    for column in (x, z):
        taken = graph.add("Gather", wanted, graph.constant([column], np.int64), axis=1)
        squares.append(graph.add("Mul", taken, taken))
    wide = graph.add("Concat", wanted, graph.add("Sqrt", graph.add("Add", *squares)), axis=1)
    other = graph.add("Gather", wide, graph.constant(places, np.int64), axis=1)
    return graph.add("Concat", wanted, other, axis=0)


def _of_frames(graph: Graph, model: TreesLinearAndNetwork, scores: str, mean: str) -> str:
    """The answers in both frames (2 n, n_labels), weighted by how likely each frame is, (n, n_labels)."""
    hidden = graph.add(
        "Relu",
        _affine(graph, "frame_hidden", scores, model.frame_hidden_weights_, model.frame_hidden_bias_),
    )
    weights = graph.constant(-model.frame_output_weights_[:, None], np.float32)
    odds = graph.add("Reshape", graph.add("MatMul", hidden, weights), graph.constant([2, -1, 1], np.int64))
    margin = graph.constant(np.array([0, -model.frame_margin])[:, None, None], np.float32)
    known = graph.add("Reshape", graph.optional_input(FRAME_KNOWN), graph.constant([1, -1, 1], np.int64))
    never = graph.constant(np.array([0, -_NEVER])[:, None, None], np.float32)
    margins = graph.add("Add", margin, graph.add("Mul", known, never))
    share = graph.add("Softmax", graph.add("Add", odds, margins), axis=0)
    answers = graph.add("Reshape", mean, graph.constant([2, -1, len(model.classes_)], np.int64))
    weighted = graph.add("Mul", answers, share)
    return graph.add("ReduceSum", weighted, graph.constant([0], np.int64), keepdims=0)


def _regressor(graph: Graph, model: BoostedTrees, wanted: str) -> None:
    raw = _trees(graph, model.trees_, model.n_features_in_, 1, wanted)
    if model.mass_column is not None:
        mass = graph.add("Gather", wanted, graph.constant([model.mass_column], np.int64), axis=1)
        known = graph.add("Greater", mass, graph.constant(0, np.float64))
        raw = graph.add(
            "Mul", raw, graph.add("Where", known, mass, graph.constant(model.usual_mass_kg, np.float64))
        )
    floor = graph.add("Max", raw, graph.constant(0, np.float64))
    graph.add("Squeeze", floor, graph.constant([1], np.int64), name=OUTPUT)


_FAMILIES: dict[type, Callable[..., None]] = {
    TreesAndLinear: _classifier,
    TreesLinearAndNetwork: _classifier,
    BoostedTrees: _regressor,
}


def _standardised(graph: Graph, model: TreesAndLinear, wanted: str) -> str:
    """Standard scores, clipped: the difference needs double precision, the score does not."""
    wide = graph.cast(wanted, onnx.TensorProto.DOUBLE)
    less = graph.add("Sub", wide, graph.constant(model.centre_, np.float64))
    score = graph.add("Div", less, graph.constant(model.scale_, np.float64))
    bounds = (graph.constant(sign * model.clip_sd, np.float64) for sign in (-1, 1))
    return graph.cast(graph.add("Clip", score, *bounds), onnx.TensorProto.FLOAT)


def _affine(graph: Graph, name: str, x: str, weights: np.ndarray, bias: np.ndarray) -> str:
    product = graph.add("MatMul", x, graph.constant(weights, np.float32), name=name)
    return graph.add("Add", product, graph.constant(bias, np.float32))


def _softmax_of(graph: Graph, name: str, x: str, weights: np.ndarray, bias: np.ndarray) -> str:
    return graph.add("Softmax", _affine(graph, name, x, weights, bias), axis=1)


def _weighted(graph: Graph, parts: Sequence[tuple[str, float]]) -> str:
    return graph.add(
        "Sum", *(graph.add("Mul", part, graph.constant(weight, np.float32)) for part, weight in parts)
    )


def _trees(graph: Graph, text: str, inputs: int, outputs: int, wanted: str) -> str:
    """The sums of trees, float64 (n, outputs), of columns of float64."""
    trees = [_with_a_split(tree) for tree in read_trees(text, inputs, outputs)]
    splits = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.leaf_value) for tree in trees)])

    def children(side: str) -> tuple[list[int], list[int]]:
        """Places of the children among all splits or all leaves, and whether each is a leaf."""
        of_trees = [getattr(tree, side) for tree in trees]
        places = [
            np.where(child < 0, ~child + leaf, child + split)
            for child, leaf, split in zip(of_trees, leaves[:-1], splits[:-1], strict=True)
        ]
        return np.concatenate(places).tolist(), (np.concatenate(of_trees) < 0).astype(int).tolist()

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees])

    (left, left_leafs), (right, right_leafs) = children("left"), children("right")
    return graph.add(
        "TreeEnsemble",
        wanted,
        domain="ai.onnx.ml",
        n_targets=outputs,
        aggregate_function=_SUM,
        post_transform=_NO_TRANSFORM,
        tree_roots=splits[:-1].tolist(),
        nodes_featureids=joined("feature").tolist(),
        nodes_splits=onnx.numpy_helper.from_array(joined("threshold")),
        nodes_modes=onnx.numpy_helper.from_array(np.full(splits[-1], _BRANCH_LEQ, np.uint8)),
        nodes_missing_value_tracks_true=joined("missing_left").astype(int).tolist(),
        leaf_targetids=np.repeat(np.arange(len(trees)) % outputs, np.diff(leaves)).tolist(),
        leaf_weights=onnx.numpy_helper.from_array(joined("leaf_value")),
        nodes_truenodeids=left,
        nodes_trueleafs=left_leafs,
        nodes_falsenodeids=right,
        nodes_falseleafs=right_leafs,
    )


def _with_a_split(tree: Tree) -> Tree:
    """The tree; where it is a leaf alone, one with a split whose sides are the same."""
    if len(tree.feature):
        return tree
    first, none = np.zeros(1, np.int64), np.zeros(1)
    return Tree(first, none, ~first, ~first - 1, none.astype(bool), np.repeat(tree.leaf_value, 2))


def _small_trees(graph: Graph, text: str, inputs: int, outputs: int, wanted: str) -> str:
    """The same of columns of float32 that have no NaN, for trees of few splits: each tree is a table of its answers.

    All splits of all trees are compared at once, and the outcomes of those of a tree are the bits of a place in its
    table. That is more work than walking the trees, but the processor does it in long vectors and predicts no branch:
    several times as many windows/s.
    """
    trees = read_trees(text, inputs, outputs)
    most = max(1, *(len(tree.feature) for tree in trees))
    if most > _MOST_TABLE_SPLITS:
        return _trees(graph, text, inputs, outputs, graph.cast(wanted, onnx.TensorProto.DOUBLE))
    feature = np.zeros((most, len(trees)), np.int64)
    threshold = np.zeros((most, len(trees)), np.float32)
    table = np.empty((len(trees), 1 << most))
    for k, tree in enumerate(trees):
        feature[: len(tree.feature), k] = tree.feature
        threshold[: len(tree.feature), k] = _down(tree.threshold)
        table[k] = _answers(tree, most)
    columns = graph.add("Transpose", wanted, perm=[1, 0])
    compared = graph.add(
        "LessOrEqual",
        graph.add("Gather", columns, graph.constant(feature.ravel(), np.int64), axis=0),
        graph.constant(threshold.reshape(-1, 1), np.float32),
    )
    bits = graph.add(
        "Reshape", graph.cast(compared, onnx.TensorProto.UINT8), graph.constant([most, -1], np.int64)
    )
    place = graph.add("MatMulInteger", graph.constant(1 << np.arange(most)[None, :], np.uint8), bits)
    found = graph.add(
        "GatherElements",
        graph.constant(table, np.float64),
        graph.add("Reshape", place, graph.constant([len(trees), -1], np.int64)),
        axis=1,
    )
    rounds = graph.add("Reshape", found, graph.constant([len(trees) // outputs, outputs, -1], np.int64))
    total = graph.add("ReduceSum", rounds, graph.constant([0], np.int64), keepdims=0)
    return graph.add("Transpose", total, perm=[1, 0])


def _down(threshold: np.ndarray) -> np.ndarray:
    """The greatest float32 at or below each threshold: no float32 value lies between, so each goes the same way."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def _answers(tree: Tree, bits: int) -> np.ndarray:
    """The leaf value by the outcomes of the splits, (2 ** bits,): bit k is set where split k goes left."""
    place = np.arange(1 << bits)
    at = np.zeros(len(place), np.int64) if len(tree.feature) else np.full(len(place), -1)
    for _ in tree.feature:
        split = np.maximum(at, 0)
        following = np.where((place >> split) & 1, tree.left[split], tree.right[split])
        at = np.where(at < 0, at, following)
    return tree.leaf_value[~at]
