"""Multipliers by the published deeplift package's own layers (0.6.13).

The package is of TensorFlow 1; TensorFlow 2's compatibility module stands in for it. Run by
test_deeplift_package.py where both are installed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

# what ReLUs do after the convolution, and after dense layers
MODES = {
    "deeplift": ("Rescale", "Rescale"),
    "deeplift_revealcancel": ("Rescale", "RevealCancel"),
    "revealcancel": ("RevealCancel", "RevealCancel"),
    "gradient": ("Gradient", "Gradient"),
    "guided_backprop": ("GuidedBackprop", "GuidedBackprop"),
    "deconv": ("DeconvNet", "DeconvNet"),
}


def package_multipliers(
    constants: Mapping[str, np.ndarray], pool: int, x: np.ndarray, r: np.ndarray, method: str
) -> np.ndarray:
    """Multipliers (N, 4, L) of the network of unit_networks.py, x (N, 4, L) against r."""
    import tensorflow

    tf = tensorflow.compat.v1
    tf.disable_eager_execution()
    sys.modules["tensorflow"] = tf  # what the package imports under that name
    try:
        from deeplift import layers
        from deeplift.util import get_session
    finally:
        sys.modules["tensorflow"] = tensorflow
    weights = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    after_conv, after_dense = (getattr(layers.NonlinearMxtsMode, m) for m in MODES[method])
    sequence = layers.Input(batch_shape=(None, x.shape[2], 4))
    chain: list[Any] = [sequence]

    def put(layer: Any) -> None:
        layer.set_inputs(chain[-1])
        chain.append(layer)

    put(
        layers.Conv1D(
            kernel=weights["a"].transpose(2, 1, 0), bias=weights["ab"], stride=1, padding="VALID",
            conv_mxts_mode=layers.ConvMxtsMode.Linear,
        )
    )  # fmt: skip
    put(layers.ReLU(nonlinear_mxts_mode=after_conv))
    put(
        layers.MaxPool1D(
            pool_length=pool, stride=pool, padding="VALID",
            maxpool_deeplift_mode=layers.MaxPoolDeepLiftMode.gradient,
        )
    )  # fmt: skip
    put(layers.Flatten())
    channels, (rows, units) = len(weights["a"]), weights["b"].shape
    # its flat axis counts positions first, ONNX' channels
    by_position = weights["b"].reshape(channels, rows // channels, units).swapaxes(0, 1)
    for i, (weight, bias) in enumerate(
        [(by_position.reshape(rows, units), "bb"), (weights["c"], "cb"), (weights["d"], "db")]
    ):
        if i:
            put(layers.ReLU(nonlinear_mxts_mode=after_dense))
        put(
            layers.Dense(
                kernel=weight, bias=weights[bias], dense_mxts_mode=layers.DenseMxtsMode.Linear
            )
        )
    chain[-1].build_fwd_pass_vars()
    session = get_session()
    session.run(tf.global_variables_initializer())
    chain[0].reset_mxts_updated()
    chain[-1].set_scoring_mode(layers.ScoringMode.OneAndZeros)
    chain[-1].set_active()
    chain[-1].update_task_index(0)
    chain[0].update_mxts()
    feed = {
        sequence.get_activation_vars(): x.swapaxes(1, 2),
        sequence.get_reference_vars(): r.swapaxes(1, 2),
    }
    return np.asarray(session.run(sequence.get_pos_mxts(), feed)).swapaxes(1, 2)
