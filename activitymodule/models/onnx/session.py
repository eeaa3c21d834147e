"""Scoring by ONNX Runtime, on one thread: the scorer runs one process a core."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np

from activitymodule.deferred import deferred_imports
from activitymodule.errors import ModelError

# most of what imports this scores nothing, and the library takes some tenths of a second
with contextlib.suppress(ImportError), deferred_imports(("onnxruntime.",)):
    import onnxruntime

INPUT, OUTPUT = "inputs", "outputs"
FRAME_KNOWN = "frame_known"
"""The optional input of a classifier that asks about a window in both axis frames: 1 where that need not be."""
SOURCE = "source_sha256"
"""The key of the metadata with the SHA-256 of the model file that a graph was made from."""
FORM = "format"
"""The key with the format of an export that is not in full precision."""

_ROWS = 128  # at once: what they need stays in the processor's cache


def available() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


def preload() -> None:
    """Import ONNX Runtime where it is installed: once, before a process forks those that score."""
    if available():
        importlib.import_module("onnxruntime")


class OnnxModel:
    """A model in ONNX: called with its inputs (n, n_inputs) it gives its outputs, (n, n_labels) or (n,).

    weighs_frames : whether it can be told which windows are in the canonical frame

    content : of an ONNX file that this project made; nothing else may be loaded, for what reads it is C++. Raises
    ModelError where it does not load. Safe to share between threads.
    """

    def __init__(self, content: bytes) -> None:
        if not available():
            raise ModelError("the package onnxruntime is not installed: pip install 'activitymodule[onnx]'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # without an arena the memory of a batch is given back, and that of a session with it
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            (given,) = self._session.get_inputs()
        except Exception as error:  # of onnxruntime's own classes, one a status
            raise ModelError(
                f"a model in ONNX does not load ({_first_line(error)}); export it again"
            ) from None
        self._dtype = np.float64 if given.type == "tensor(double)" else np.float32
        self.weighs_frames = FRAME_KNOWN in [one.name for one in self._session.get_overridable_initializers()]
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, inputs: np.ndarray, frame_known: np.ndarray | None = None) -> np.ndarray:
        """The outputs of inputs, NaN where one is missing. frame_known : bool (n,), by default none"""
        given = {INPUT: np.ascontiguousarray(inputs, self._dtype)}
        if frame_known is not None and self.weighs_frames:
            given[FRAME_KNOWN] = frame_known.astype(np.float32)
        parts = [
            self._run({name: rows[first : first + _ROWS] for name, rows in given.items()})
            for first in range(0, max(len(inputs), 1), _ROWS)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    predict_proba = predict = __call__
    """As a pipeline is asked, for who does not care which of them answers."""

    def _run(self, given: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(self._session.run([OUTPUT], given)[0])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
