"""One operator per file: how an ONNX node is read, its float64 formulas and its cone rule."""
