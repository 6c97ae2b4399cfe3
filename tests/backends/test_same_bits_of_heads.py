"""Scalar heads, both strands and folds give the same bits, whatever runs beside them."""

import numpy as np
import pytest
from graph.all_models import one_hot
from models.profiles import LENGTH, bpnet

import dfim_fast
from dfim_fast.backends.select import make_backend
from dfim_fast.maps.model import load_model
from dfim_fast.plan.planner import make_plan

ARRAYS = (
    "fis",
    "standard_error",
    "self_effect",
    "mutant_predictions",
    "attributions",
    "fold_spread",
    "sign_agreement",
)
MODELS = {
    "profile": (bpnet(), {"target": "profile"}),
    "profile by strand": (bpnet(), {"target": "profile", "strands": "separate"}),
    "cropped": (bpnet(), {"target": "profile", "strands": "sum", "output_range": (5, 28)}),
    "log of counts": (bpnet(counts=False), {"target": "counts"}),
    "counts by strand": (bpnet(counts=False), {"target": "counts", "strands": "separate"}),
    "both strands": (bpnet(), {"target": "counts", "reverse_complement": True}),
    "folds": ([bpnet(seed=1), bpnet(seed=2)], {"target": "profile"}),
}


@pytest.fixture(params=MODELS, scope="module")
def loaded(request):
    """One of them."""
    source, options = MODELS[request.param]
    return load_model(source, **options)


@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_threads_batches_and_neighbours(loaded, method):
    x = one_hot(3, LENGTH, seed=4)
    settings = {"method": method, "n_references": 3, "progress": False, "sources": range(0, 40, 3)}
    found = dfim_fast.interaction_map(loaded, x, threads=1, **settings)
    names = [name for name in ARRAYS if getattr(found, name) is not None]
    twice = dfim_fast.interaction_map(loaded, x, threads=2, **settings)
    for name in names:
        np.testing.assert_array_equal(getattr(twice, name), getattr(found, name))
    for n in range(3):
        alone = dfim_fast.interaction_map(loaded, x[n : n + 1], threads=2, **settings)
        for name in names:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(found, name)[n])


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_predictions_one_at_a_time_or_in_a_batch(loaded, backend):
    x = one_hot(150, LENGTH)  # more than a tile
    plan = make_plan(loaded.graph, method="gradient", sources=[0], window=0)
    machine = make_backend(backend, plan)
    together = machine.predictions(x)
    for n in (0, 63, 64, 149):
        np.testing.assert_array_equal(machine.predictions(x[n : n + 1])[0], together[n])
