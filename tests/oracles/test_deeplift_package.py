"""The reference backend beside the published deeplift package's own code, where that is installed:

    pip install tensorflow-cpu && pip install --no-deps --no-build-isolation deeplift==0.6.13.0
"""

import importlib.util

import numpy as np
import pytest
from backends.test_rules import multipliers
from graph.all_models import one_hot
from oracles.deeplift_package import MODES, package_multipliers
from oracles.unit_networks import LENGTH, network
from oracles.unit_rules import forward

POOL = 3
# looked for, not imported: TensorFlow takes its time
absent = [n for n in ("deeplift", "tensorflow") if importlib.util.find_spec(n) is None]
pytestmark = pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def has_absent_part(layers, x: np.ndarray, r: np.ndarray) -> bool:
    """Whether all terms of some dense unit have one sign while other inputs stand still.

    The missing part's multiplier is a limit then: the derivative here, a difference over 1e-7 in
    float32 in the package.
    """
    xs, rs = (forward(layers, v.ravel().astype(np.float64)) for v in (x, r))
    dense = [i for i, layer in enumerate(layers) if layer[0] == "weights"][1:-1]
    for i in dense:
        d = xs[i] - rs[i]
        terms = layers[i][1] * d[:, None]
        one_sided = (terms > 1e-6).any(axis=0) != (terms < -1e-6).any(axis=0)
        if one_sided.any() and (np.abs(d) < 1e-6).any():
            return True
    return False


@pytest.mark.parametrize("reference", ["zeros", "sequence"])
@pytest.mark.parametrize("method", MODES)
def test_the_package_says_the_same(method, reference):
    loaded, layers, constants = network()
    x = one_hot(64, LENGTH, seed=5)
    r = np.zeros_like(x[:1]) if reference == "zeros" else one_hot(1, LENGTH, seed=6)
    if "reveal" in method:
        x = x[[not has_absent_part(layers, one, r[0]) for one in x]]
    assert len(x) >= 3
    compares = "deeplift" in method or "reveal" in method
    found = multipliers(loaded, method, x, r if compares else None).swapaxes(1, 2)
    package = package_multipliers(constants, POOL, x, r.repeat(len(x), 0), method)
    # the package computes in float32; at bases that stand still a multiplier has no effect
    moved = x != r
    scale = np.abs(package).max()
    np.testing.assert_allclose(found[moved], package[moved], rtol=0, atol=2e-5 * scale)
