"""Multipliers by the deeplift package's own code, for a test environment that has it.

``python published_deeplift.py IN.npz OUT.npz``. The package asks for TensorFlow 1: TensorFlow 2's
own compatibility module stands in for it. IN holds x, r (N, L, 4) and the constants of
unit_networks.network; OUT gets multipliers (N, L, 4) by the name of each mode.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import tensorflow

tensorflow.compat.v1.disable_eager_execution()
sys.modules["tensorflow"] = tensorflow.compat.v1

from deeplift.layers import (  # noqa: E402
    activations,
    convolutional,
    core,
    helper_functions,
    pooling,
)
from deeplift.models import SequentialModel  # noqa: E402

# Where a unit has no positive (or negative) contribution the package puts this in its place and
# divides by it. Its own 1e-7 leaves a float32 quotient hardly a digit: it gives 0.9 or 1.2 for a
# slope of one. This one leaves three, and moves smooth slopes by as little.
helper_functions.NEAR_ZERO_THRESHOLD = 2.0**-11

MODES = ("Rescale", "DeepLIFT_GenomicsDefault", "RevealCancel", "GuidedBackprop", "DeconvNet")


def build(given: dict[str, np.ndarray], mode: str, function: str) -> SequentialModel:
    """Conv, function, max pool, dense, function, dense, function, dense."""

    def act() -> core.Layer:
        return getattr(activations, function)(
            nonlinear_mxts_mode=getattr(core.NonlinearMxtsMode, mode), verbose=False
        )

    def dense(weight: str, bias: str) -> core.Layer:
        return core.Dense(
            kernel=given[weight], bias=given[bias], dense_mxts_mode=core.DenseMxtsMode.Linear
        )

    # the package flattens position by position, the ONNX file channel by channel
    channels = given["a"].shape[0]
    rows = len(given["b"]) // channels
    flat = given["b"].reshape(channels, rows, -1).swapaxes(0, 1).reshape(given["b"].shape)
    given = {**given, "b": flat}
    layers = [
        core.Input(batch_shape=(None, *given["x"].shape[1:])),
        convolutional.Conv1D(
            kernel=given["a"].transpose(2, 1, 0),
            bias=given["ab"],
            stride=1,
            padding="VALID",
            conv_mxts_mode=core.ConvMxtsMode.Linear,
        ),
        act(),
        pooling.MaxPool1D(
            pool_length=3,
            stride=3,
            padding="VALID",
            maxpool_deeplift_mode=core.MaxPoolDeepLiftMode.gradient,
            verbose=False,
        ),
        core.Flatten(),
        dense("b", "bb"),
        act(),
        dense("c", "cb"),
        act(),
        dense("d", "db"),
    ]
    for below, above in itertools.pairwise(layers):
        above.set_inputs(below)
    layers[-1].build_fwd_pass_vars()
    return SequentialModel(layers=layers)


def main() -> None:
    """Read IN, write OUT."""
    given = dict(np.load(sys.argv[1]))
    found = {}
    for function in ("ReLU", "Tanh"):
        for mode in MODES:
            if function != "ReLU" and mode == "DeconvNet":
                continue  # it applies the function itself to the gradient, a tanh too
            model = build(given, mode, function)
            multipliers = model.get_target_multipliers_func(
                find_scores_layer_idx=0, target_layer_idx=-1
            )
            found[f"{function} {mode}"] = np.array(
                multipliers(
                    task_idx=0,
                    input_data_list=[given["x"]],
                    input_references_list=[given["r"]],
                    batch_size=10,
                    progress_update=None,
                )
            )
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
