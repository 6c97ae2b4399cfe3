"""kundajelab/dfim's interface on this engine: `core`, `util`, `null_model` and `plot`.

Code for the original runs with its imports changed and its model given as a dfim_fast Model, an
ONNX file, or a Keras or PyTorch model. ``strict=True`` reproduces what the original computed where
this package corrects it; guides/compat.md lists both.
"""
