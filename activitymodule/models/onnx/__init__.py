"""Models as ONNX: the graph of a pipeline, its quantising, scoring by ONNX Runtime, and how far its answers differ."""
