"""ONNX in, a graph of operators on (positions, channels) out."""
