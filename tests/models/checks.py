"""What every model of this folder has to pass before another test builds on it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from oracles import onnx_truth

# The newest opset of the oldest onnxruntime that the tests accept.
ALWAYS_SUPPORTED = 21


def sequences(n: int, length: int) -> np.ndarray:
    """Draw random one-hot DNA (n, 4, length) in float64."""
    codes = np.random.default_rng(0).integers(0, 4, size=(n, length))
    return np.eye(4)[codes].transpose(0, 2, 1)


def assert_runs(model: onnx.ModelProto, layout: str, length: int) -> None:
    """Run 11 sequences in both evaluators, which have to agree, and see that the logits differ.

    An onnxruntime that is older than the model's opset is no failure: the test is skipped.
    """
    x = sequences(11, length)
    try:
        found = onnx_truth.run(model, x, layout)
    except Exception as error:
        opset = max(entry.version for entry in model.opset_import)
        if opset > ALWAYS_SUPPORTED and "opset" in str(error).lower():
            pytest.skip(f"this onnxruntime does not know opset {opset}")
        raise
    wanted = onnx_truth.run_double(model, x, layout)
    for a, b in zip(found, wanted, strict=True):
        assert len(a) == 11
        assert a.dtype == np.float32
        assert b.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * np.abs(b).max())
    for logit in onnx_truth.run_double(onnx_truth.before_squash(model), x, layout):
        assert logit.std(axis=0).min() > 0.03, "the sequences hardly differ"
