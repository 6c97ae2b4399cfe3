"""The rules against the deeplift package itself, where it can be imported, in a process of its own.

It wants TensorFlow, which is large, and no project extra asks for either: install both by hand,
``pip install tensorflow-cpu`` and ``pip install --no-deps deeplift``.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from graph.all_models import one_hot
from oracles.unit_networks import LENGTH, network

from dfim_fast.backends.passes import Passes
from dfim_fast.plan.plan import compares
from dfim_fast.plan.planner import make_plan

METHODS = {
    "Rescale": "deeplift",
    "DeepLIFT_GenomicsDefault": "deeplift_revealcancel",
    "RevealCancel": "revealcancel",
    "GuidedBackprop": "guided_backprop",
    "DeconvNet": "deconv",
}
SCRIPT = Path(__file__).with_name("published_deeplift.py")
absent = [n for n in ("deeplift", "tensorflow") if not importlib.util.find_spec(n)]


@pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")
def test_every_method_is_that_of_the_deeplift_package(tmp_path):
    _, _, constants = network()
    x = one_hot(4, LENGTH).swapaxes(1, 2)
    r = np.ascontiguousarray(one_hot(4, LENGTH, seed=1).swapaxes(1, 2))
    r[1], r[2] = 0.25, 0.0
    given, written = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(given, x=x, r=r, **constants)
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    finished = subprocess.run(
        [sys.executable, str(SCRIPT), str(given), str(written)],
        capture_output=True,
        text=True,
        env={**os.environ, **quiet},
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    theirs = dict(np.load(written))
    assert len(theirs) == 9
    for name, wanted in theirs.items():
        function, mode = name.split()
        method = METHODS[mode]
        loaded, _, _ = network(function.replace("ReLU", "Relu"), function.replace("ReLU", "Relu"))
        plan = make_plan(
            loaded.graph,
            method=method,
            maxpool="deeplift",
            n_references=int(compares(method)),
            sources=[0],
        )
        passes = Passes(plan.graph, plan.tasks)
        for one, other, multipliers in zip(x, r, wanted, strict=True):
            acts = passes.forward(one[None].astype(np.float64))
            against = None
            if compares(method):
                against = passes.forward(other[None].astype(np.float64))
            found = passes.signal(passes.tasks[0], acts, against, plan.rule)[0]
            # they compute in float32; of RevealCancel see NEAR_ZERO_THRESHOLD in the script
            tolerance = 5e-4 if plan.rule.revealed else 2e-5
            np.testing.assert_allclose(
                found, multipliers, rtol=0, atol=tolerance * abs(multipliers).max(), err_msg=name
            )
