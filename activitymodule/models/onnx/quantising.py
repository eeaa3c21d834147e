"""INT8: the products of the linear part and of the network's first layer with weights and scores of eight bits.

Trees stay as they are: they compare and add, and ONNX Runtime has no operator for trees of integers. The scale of the
scores is that of their bounds (they are clipped), so it needs no windows, and an answer depends on its window alone;
ONNX Runtime's dynamic quantising would take the scale from the batch. The network's second layer, a fiftieth of the
weights, stays in single precision: its inputs have no bounds. So does the network that weighs the frames, whose errors
would be those of whole answers. Weights have seven bits, whose sums no processor saturates: answers are the same on all
of them.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from activitymodule.deferred import deferred_imports
from activitymodule.errors import ModelNotConvertibleError
from activitymodule.models.onnx.graph import CLIPPED, needed
from activitymodule.models.onnx.parity import INT8
from activitymodule.models.onnx.session import FORM, INPUT

with contextlib.suppress(ImportError), deferred_imports(("onnx.", "onnxruntime.")):
    import onnx
    from onnxruntime import quantization

_FAR = 1e30  # an input whose score is at its bound


class _Bounds:
    """What ONNX Runtime asks for windows to take ranges from: two, with each score at its bounds."""

    def __init__(self, inputs: int) -> None:
        self._left = [np.full((1, inputs), sign * _FAR, np.float32) for sign in (-1, 1)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next window by the name of the input; None after the last."""
        return {INPUT: self._left.pop()} if self._left else None


def quantised(content: bytes) -> bytes:
    """A classifier as the bytes of an ONNX file (of `graph.to_onnx`) with products in INT8, checked by onnx.checker.

    Raises ModelNotConvertibleError where it has none, such as the regressor, which consists of trees.
    """
    needed()
    model = onnx.load_from_string(content)
    nodes = [node.name for node in model.graph.node if node.name.startswith(CLIPPED)]
    if not nodes:
        raise ModelNotConvertibleError(
            "the model consists of trees, which have no INT8 form; export it with --format onnx"
        )
    inputs = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    with tempfile.TemporaryDirectory(prefix="activity-int8-") as folder, _quietly():
        path = Path(folder) / "model.onnx"
        quantization.quantize_static(
            model,
            path,
            _Bounds(inputs),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"], "ActivationSymmetric": True},
        )
        made = onnx.load(path)
    onnx.helper.set_model_props(made, {**{one.key: one.value for one in made.metadata_props}, FORM: INT8})
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the advice that ONNX Runtime logs about models of pictures."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
