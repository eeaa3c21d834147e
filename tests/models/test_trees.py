"""Trees as text: every wrong number is refused before LightGBM reads it, where it would end the process."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import ModelError
from activitymodule.models.boosting import booster_of, grow, predict
from activitymodule.models.trees import check_trees

INPUTS, CLASSES = 6, 3
DICE = np.random.default_rng(4)
X = DICE.normal(size=(200, INPUTS))
X[::7, 2] = np.nan
TREES = grow(
    X,
    np.arange(200) % CLASSES,
    4,
    objective="multiclass",
    num_class=CLASSES,
    num_leaves=7,
    min_data_in_leaf=5,
)
REGRESSION = grow(X, X[:, 0], 4, objective="regression", num_leaves=7, min_data_in_leaf=5)
LEAF_ALONE = grow(X[:20], np.ones(20), 2, objective="regression", num_leaves=7, min_data_in_leaf=50)


def resized(text: str) -> str:
    """The text with the sizes of its trees as they are now."""
    body = text[text.index("Tree=0\n") : text.index("end of trees")]
    sizes = " ".join(str(len(part)) for part in re.split(r"(?=Tree=\d+\n)", body) if part)
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", text, count=1)


def test_trees_of_lightgbm_pass() -> None:
    check_trees(TREES, INPUTS, CLASSES)
    check_trees(REGRESSION, INPUTS, 1)
    check_trees(LEAF_ALONE, INPUTS, 1)
    assert resized(TREES) == TREES


def field(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    """A change of the values of a field, in the first tree that has some."""

    def changed(text: str) -> str:
        found = re.search(rf"\n{name}=(\S.*)\n", text)
        assert found
        values = " ".join(change(found[1].split(" ")))
        return resized(f"{text[: found.start(1)]}{values}{text[found.end(1) :]}")

    return changed


def first(value: str) -> Callable[[list[str]], list[str]]:
    return lambda values: [value, *values[1:]]


SPOILS: dict[str, Callable[[str], str]] = {
    "a column out of range": field("split_feature", first("6")),
    "a column below 0": field("split_feature", first("-1")),
    "a column beyond 2^63": field("split_feature", first("99999999999999999999")),
    "a child out of range": field("left_child", first("600")),
    "a leaf out of range": field("left_child", first("-600")),
    "a circle": field("right_child", first("0")),
    "a child twice": field("left_child", lambda values: [values[0], *values[:1], *values[2:]]),
    "too few values": field("threshold", lambda values: values[1:]),
    "too many values": field("leaf_value", lambda values: [*values, "1"]),
    "no number": field("leaf_value", first("nan")),
    "infinite": field("leaf_value", first("inf")),
    "a threshold that is none": field("threshold", first("nan")),
    "a categorical split": field("decision_type", first("1")),
    "a kind that is none": field("decision_type", first("300")),
    "categories": field("num_cat", first("1")),
    "linear leaves": field("is_linear", first("1")),
    "fewer leaves": field("num_leaves", first("2")),
    "2^40 leaves": field("num_leaves", first("1099511627776")),
    "no leaves": field("num_leaves", first("0")),
    "no figures": field("split_gain", lambda values: []),
    "an empty line": lambda text: resized(text.replace("\nis_linear=0", "\n\nis_linear=0", 1)),
    "a tree that does not end": lambda text: resized(text.replace("\n\n\nTree=1", "\nTree=1", 1)),
    "a field that is not known": lambda text: resized(text.replace("is_linear=0", "cat_boundaries=0 1", 1)),
    "sizes that do not add up": lambda text: text.replace("tree_sizes=", "tree_sizes=1", 1),
    "a size below 0": lambda text: text.replace("tree_sizes=", "tree_sizes=-5 ", 1),
    "other classes": lambda text: text.replace("num_class:3", "num_class:30", 1),
    "another objective": lambda text: text.replace("multiclass num_class:3", "regression", 1),
    "more columns": lambda text: text.replace("max_feature_idx=5", "max_feature_idx=50", 1),
    "half of the rounds": lambda text: text.replace(
        "num_tree_per_iteration=3", "num_tree_per_iteration=5", 1
    ),
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "another text": lambda text: "tree\nversion=v4\n",
    "other digits": lambda text: text.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_what_would_end_the_process_is_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(ModelError) as caught:
        check_trees(spoil(TREES), INPUTS, CLASSES)
    assert "\n" not in str(caught.value)


def test_trees_of_another_shape_are_refused() -> None:
    for inputs, outputs in ((INPUTS + 1, CLASSES), (INPUTS, CLASSES + 1), (INPUTS, 1)):
        with pytest.raises(ModelError):
            check_trees(TREES, inputs, outputs)


BODY = TREES.index("tree_sizes="), TREES.index("end of trees") - 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(at=st.integers(*BODY), byte=st.sampled_from("0123456789-.e =\nAn"))
def test_one_byte_is_refused_or_harmless(at: int, byte: str) -> None:
    """A byte changed anywhere in the trees: they are refused, or they answer (with other numbers, it may be)."""
    text = TREES[:at] + byte + TREES[at + 1 :]
    if "Tree=0\n" in text and at > BODY[0] + 100:
        # as if the sizes had been made to fit
        text = resized(text)
    try:
        check_trees(text, INPUTS, CLASSES)
    except ModelError:
        return
    assert predict(booster_of(text), X).shape == (len(X), CLASSES)
