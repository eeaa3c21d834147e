"""Checks of LightGBM's trees as text, before LightGBM reads them: there a wrong index ends the process.

Format: LightGBM's `GBDT::SaveModelToString` and `Tree::ToString`, version v4.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from activitymodule.errors import ModelError

_END = "end of trees"
# fields of a tree that have one value a split, and one value a leaf; the last ones may be empty
_OF_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_OF_LEAVES = ("leaf_value",)
_FIGURES_OF_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_FIGURES_OF_LEAVES = ("leaf_weight", "leaf_count")
_ALONE = ("num_leaves", "num_cat", "is_linear", "shrinkage")
_FIELDS = {*_OF_SPLITS, *_OF_LEAVES, *_FIGURES_OF_SPLITS, *_FIGURES_OF_LEAVES, *_ALONE}
_HEADER = {
    *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective"),
    *("feature_names", "feature_infos", "tree_sizes"),
}
_CATEGORICAL = 1  # the bit of decision_type
_DEFAULT_LEFT = 2  # the same
_MISSING_ZERO, _MISSING_NAN = 1, 2  # the two bits above it
_DECISIONS = 16


@dataclass(frozen=True)
class Tree:
    """A tree: splits are numbered from the root, 0; where it has none, its one leaf is its answer.

    feature, threshold, left, right : (n_splits,), a value at or below the threshold goes left; a child k below 0 is
    the leaf ~k; missing_left : bool (n_splits,), where NaN goes; leaf_value : (n_splits + 1,)
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    leaf_value: np.ndarray


def check_trees(text: str, inputs: int, outputs: int) -> None:
    """Raises ModelError where trees of `inputs` columns and `outputs` numbers cannot be read and walked safely.

    outputs : the number of classes of a multiclass model, 1 of a regression
    """
    if not isinstance(text, str) or not text.isascii():
        raise ModelError("its trees are not text")
    try:
        blocks = _blocks(text, inputs, outputs)
        for number, block in enumerate(blocks):
            try:
                _check_tree(_fields(block), inputs)
            except ValueError as error:
                raise ModelError(f"tree {number} of its trees: {error}") from None
    except ValueError as error:
        raise ModelError(f"its trees: {error}") from None


def read_trees(text: str, inputs: int, outputs: int) -> list[Tree]:
    """The trees, in the order of their rounds: tree k adds to the output k % outputs. Raises ModelError as
    `check_trees`, and for a split that takes 0 for missing, which no model of this code has."""
    check_trees(text, inputs, outputs)
    return [_tree(_fields(block)) for block in _blocks(text, inputs, outputs)]


def _tree(fields: dict[str, str]) -> Tree:
    splits = int(fields["num_leaves"]) - 1
    whole = {
        name: _indices(fields, name, splits) if splits else np.empty(0, np.int64)
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    }
    threshold = _numbers(fields, "threshold", splits, finite=False) if splits else np.empty(0)
    kind = (whole["decision_type"] >> 2) & 3
    if (kind == _MISSING_ZERO).any():
        raise ModelError("a split of its trees takes 0 for a missing value")
    # without missing values in its training, LightGBM takes NaN for 0
    missing_left = np.where(
        kind == _MISSING_NAN, (whole["decision_type"] & _DEFAULT_LEFT) > 0, threshold >= 0
    )
    return Tree(
        whole["split_feature"],
        threshold,
        whole["left_child"],
        whole["right_child"],
        missing_left,
        _numbers(fields, "leaf_value", splits + 1),
    )


def _blocks(text: str, inputs: int, outputs: int) -> list[str]:
    """The text of each tree. LightGBM cuts the text by the sizes in its header, so they must be right."""
    head, first, _ = text.partition("\nTree=0\n")
    if not first or not head.startswith("tree\n"):
        raise ValueError("there is no tree")
    header: dict[str, str] = {}
    for line in filter(None, head.split("\n")[1:]):
        key, _, value = line.partition("=")
        if key in header or key not in _HEADER:
            raise ValueError(f"the header has a line {key[:40]!r} twice, or one that is not known")
        header[key] = value
    if lacking := _HEADER - header.keys():
        raise ValueError(f"the header lacks {min(lacking)}")
    objective = "regression" if outputs == 1 else f"multiclass num_class:{outputs}"
    expected = {
        "num_class": str(outputs),
        "num_tree_per_iteration": str(outputs),
        "max_feature_idx": str(inputs - 1),
        "objective": objective,
    }
    for key, value in expected.items():
        if header[key].strip() != value:
            raise ValueError(f"{key} is {header[key][:40]!r}, but {value!r} fits the model")
    for key in ("feature_names", "feature_infos"):
        if len(header[key].split(" ")) != inputs:
            raise ValueError(f"{key} does not name {inputs} columns")
    sizes = _integers(header["tree_sizes"])
    if not len(sizes) or len(sizes) % outputs or (sizes <= 0).any():
        raise ValueError(f"{len(sizes)} trees are not a whole number of rounds of {outputs}")
    begin = len(head) + 1
    ends = [begin + size for size in accumulate(sizes.tolist())]
    if not text.startswith(_END, ends[-1]):
        raise ValueError("their sizes do not add up")
    blocks = []
    for number, end in enumerate(ends):
        name = f"Tree={number}\n"
        if not text.startswith(name, begin):
            raise ValueError(f"tree {number} does not begin at the place that its size gives")
        blocks.append(text[begin + len(name) : end])
        begin = end
    return blocks


def _fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    # to LightGBM an empty line is the end of the tree, so there is none but at the end
    if not block.endswith("\n\n\n"):
        raise ValueError("it does not end as a tree does")
    for line in block.removesuffix("\n\n\n").split("\n"):
        key, sign, value = line.partition("=")
        if key in fields or key not in _FIELDS or not sign:
            raise ValueError(f"a field {key[:40]!r} is there twice, or is not known")
        fields[key] = value
    for key in ("num_leaves", "num_cat", "leaf_value"):
        if key not in fields:
            raise ValueError(f"{key} is missing")
    return fields


def _check_tree(fields: dict[str, str], inputs: int) -> None:
    (leaves,) = _integers(fields["num_leaves"])
    if leaves < 1 or leaves > len(fields["leaf_value"]):
        raise ValueError(f"num_leaves is {leaves}")
    if fields["num_cat"].strip() != "0" or fields.get("is_linear", "0").strip() != "0":
        raise ValueError("it has categorical splits or linear leaves, which no model of this code has")
    splits = leaves - 1
    _numbers(fields, "leaf_value", leaves)
    if not splits:
        return
    for names, count in ((_FIGURES_OF_SPLITS, splits), (_FIGURES_OF_LEAVES, leaves), (("shrinkage",), 1)):
        for name in names:
            if name in fields:
                _numbers(fields, name, count, finite=False)
    # infinite: a split by what is missing alone
    if np.isnan(_numbers(fields, "threshold", splits, finite=False)).any():
        raise ValueError("a threshold is not a number")
    feature, decision = (_indices(fields, name, splits) for name in ("split_feature", "decision_type"))
    if (feature < 0).any() or (feature >= inputs).any():
        raise ValueError(f"a split asks for column {feature.max()} of {inputs}")
    if (decision < 0).any() or (decision >= _DECISIONS).any() or (decision & _CATEGORICAL).any():
        raise ValueError("a split has a kind that no model of this code has")
    children = np.stack([_indices(fields, name, splits) for name in ("left_child", "right_child")])
    # LightGBM numbers a split after the one above it, so this order leaves no circle; ~k is the leaf k
    if ((children >= 0) & (children <= np.arange(splits))).any():
        raise ValueError("its splits go round in a circle")
    reached = np.sort(np.concatenate([children[children >= 0], ~children[children < 0] + splits]))
    if not np.array_equal(reached, np.arange(1, splits + leaves)):
        raise ValueError("its splits do not lead to each leaf once")


def _integers(text: str) -> np.ndarray:
    parts = text.split()
    if strange := [part for part in parts if len(part) > 18 or not part.removeprefix("-").isdigit()]:
        raise ValueError(f"{strange[0][:40]!r} stands where a whole number is expected")
    return np.array([int(part) for part in parts], np.int64)


def _indices(fields: dict[str, str], name: str, count: int) -> np.ndarray:
    values = _integers(fields.get(name, ""))
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values and not {count}")
    return values


def _numbers(fields: dict[str, str], name: str, count: int, *, finite: bool = True) -> np.ndarray:
    text = fields.get(name, "")
    if "_" in text:  # a digit separator of Python, not of LightGBM
        raise ValueError(f"{name} is not {count} finite numbers")
    values = np.array(text.split(), np.float64)
    if len(values) != count or (finite and not np.isfinite(values).all()):
        raise ValueError(f"{name} is not {count} finite numbers")
    return values
