"""Scalar heads of base-resolution outputs, computed again from what onnxruntime puts out."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import entry, one_hot
from models.profiles import CROP, LENGTH, OUT, bpnet, outputs
from oracles.onnx_truth import run
from scipy.special import logsumexp, softmax

import dfim_fast
from dfim_fast.backends.passes import Passes
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.maps.model import load_model

X = one_hot(3, LENGTH)


def weighed(logits, axis):
    """sum p (l - mean l) over some axes."""
    centred = logits - logits.mean(axis, keepdims=True)
    return (softmax(logits, axis) * centred).sum(axis)


@pytest.mark.parametrize("strands", [1, 2])
def test_profile_is_the_softmax_weighed_sum_of_centred_logits(strands):
    proto = bpnet(strands)
    logits = outputs(proto, X)[0].astype(np.float64)
    assert logits.shape == (3, strands, OUT)
    together = weighed(logits.reshape(3, -1), 1)
    each = weighed(logits, 2)
    for how, names, wanted in (
        ("joint", ["logits"], together[:, None]),
        ("sum", ["logits"], each.sum(1, keepdims=True)),
        ("separate", [f"logits[{c}]" for c in range(strands)], each),
    ):
        found = load_model(proto, target="profile", strands=how)
        assert found.task_names == (names if strands > 1 else ["logits"])
        np.testing.assert_allclose(found.predict(X), wanted, rtol=2e-6)
    if strands == 1:
        np.testing.assert_allclose(together[:, None], each)


def test_output_range_crops_before_the_head():
    proto = bpnet()
    logits = outputs(proto, X)[0].astype(np.float64)
    found = load_model(proto, target="profile", output_range=(3, 20))
    np.testing.assert_allclose(
        found.predict(X)[:, 0], weighed(logits[:, :, 3:20].reshape(3, -1), 1), rtol=2e-6
    )
    # nothing outside the receptive field of positions 3 to 19 is read
    importance = dfim_fast.attribute(found, X, method="gradient")
    reached = np.flatnonzero(np.abs(importance).sum((0, 1)))
    assert reached.min() == 3 + CROP - 6 and reached.max() == 19 + CROP + 6


def test_counts_are_the_single_outputs():
    proto = bpnet()
    found = load_model(proto, target="counts")
    assert found.task_names == ["logcounts"]
    np.testing.assert_allclose(found.predict(X), outputs(proto, X)[1], rtol=2e-6)


@pytest.mark.parametrize("last", [None, "Softplus", "Relu", "Exp"])
def test_counts_of_a_profile_alone(last):
    proto = bpnet(counts=False, last=last)
    values = outputs(proto, X)[0].astype(np.float64)
    total = values.sum(2) if last else logsumexp(values, 2)
    both = values.sum((1, 2)) if last else logsumexp(values, (1, 2))
    for how, wanted in (("joint", both[:, None]), ("sum", both[:, None]), ("separate", total)):
        found = load_model(proto, target="counts", strands=how)
        np.testing.assert_allclose(found.predict(X), wanted, rtol=3e-6)


def test_output_range_reads_counts_off_the_profile():
    proto = bpnet()
    wanted = logsumexp(outputs(proto, X)[0][:, :, 8:20].astype(np.float64), (1, 2))
    found = load_model(proto, target="counts", output_range=(8, 20))
    assert found.task_names == ["logits"]
    np.testing.assert_allclose(found.predict(X)[:, 0], wanted, rtol=2e-6)


def test_a_final_softmax_is_left_out():
    plain, squashed = bpnet(counts=False), bpnet(counts=False, last="Softmax")
    np.testing.assert_array_equal(
        load_model(plain, target="profile").predict(X),
        load_model(squashed, target="profile").predict(X),
    )
    with pytest.raises(ModelError, match="output 'logits' holds probabilities, which say nothing"):
        load_model(squashed, target="counts")


@pytest.mark.parametrize("how", ["joint", "sum"])
def test_the_gradient_holds_the_softmax_constant(how):
    """Finite differences of the score with p fixed; with p let go the gradient is another."""
    graph = load_model(bpnet(), target="profile", strands=how).graph
    passes = Passes(graph, (0,))
    x = X[:1].swapaxes(1, 2).astype(np.float64)
    acts = passes.forward(x)
    found = passes.gradient(graph.tasks[0], acts)[0]
    head = next(i for i, n in enumerate(graph.nodes) if type(n.op).__name__ == "Profile")
    below = graph.nodes[head].inputs[0]
    axes = (1, 2) if how == "joint" else (1,)
    p = softmax(acts[below], axes)

    def held(x):
        logits = passes.forward(x)[below]
        return (p * (logits - logits.mean(axes, keepdims=True))).sum()

    def free(x):
        return passes.scores(passes.forward(x))[0, 0]

    step = 1e-5
    for call, same in ((held, True), (free, False)):
        slopes = []
        for position, base in ((7, 0), (20, 3), (33, 1)):
            moved = np.zeros_like(x)
            moved[0, position, base] = step
            slopes.append((call(x + moved) - call(x - moved)) / (2 * step))
        wanted = found[[7, 20, 33], [0, 3, 1]]
        assert np.allclose(slopes, wanted, rtol=1e-5, atol=1e-8) == same


def test_contributions_sum_to_the_difference_under_the_sequences_own_weights():
    model = load_model(bpnet(), target="profile")
    passes = Passes(model.graph, (0,))
    reference = one_hot(1, LENGTH, seed=5)
    found = dfim_fast.attribute(model, X[:1], references=reference, backend="reference")
    below = model.graph.nodes[-1].inputs[0]
    own, other = (passes.forward(a.swapaxes(1, 2).astype(float))[below] for a in (X[:1], reference))
    p = softmax(own)
    np.testing.assert_allclose(found.sum(), ((p - 1 / p.size) * (own - other)).sum(), rtol=1e-9)
    maps = dfim_fast.interaction_map(model, X[:1], references=reference, progress=False)
    assert maps.summation_to_delta is None


@pytest.mark.parametrize("method", ["gradient", "gradient_corrected", "deeplift"])
@pytest.mark.parametrize(
    "options",
    [
        {"target": "profile"},
        {"target": "profile", "strands": "sum"},
        {"target": "counts"},
        {"target": "counts", "output_range": (2, 30)},
    ],
    ids=lambda o: "-".join(map(str, o.values())),
)
def test_maps_are_differences_of_importance(options, method):
    """Two plain loops over sources and mutants on the reference backend, and numba against them.

    Every mutant is weighed by its own softmax: its importance is that of a sequence by itself.
    """
    model = load_model(bpnet(), **options)
    settings = {"method": method, "references": one_hot(2, LENGTH, seed=9)}
    sources = [0, 11, 12, 30]
    (original,) = dfim_fast.attribute(model, X[:1], backend="reference", **settings)
    wanted = np.zeros((len(sources), 4, LENGTH))
    own = np.zeros((len(sources), 4))
    for i, s in enumerate(sources):
        for base in range(4):
            mutant = X[:1].copy()
            mutant[0, :, s] = np.eye(4)[base]
            (after,) = dfim_fast.attribute(model, mutant, backend="reference", **settings)
            wanted[i, base] = original.sum(0) - after.sum(0)
            own[i, base] = wanted[i, base, s]
            wanted[i, base, s] = 0
    for backend, off in (("reference", 1e-12), ("numba", 1e-5)):
        maps = dfim_fast.interaction_map(
            model, X[:1], sources=sources, backend=backend, progress=False, **settings
        )
        scale = np.abs(original).max()
        np.testing.assert_allclose(maps.fis[0], wanted, rtol=0, atol=off * scale)
        np.testing.assert_allclose(maps.self_effect[0], own, rtol=0, atol=off * scale)


def test_a_change_anywhere_reweighs_every_position():
    """The softmax's sum ties all positions: the architecture connects any two of them."""
    maps = dfim_fast.interaction_map(
        load_model(bpnet(), target="profile"), X[:1], method="gradient", progress=False
    )
    assert maps.reach.all()
    assert maps.plan.strategy == "whole"
    assert maps.plan.reason == "node 'logits profile' reads all positions and is not linear"


def test_the_head_is_part_of_what_the_numbers_mean():
    proto = bpnet()
    texts = [
        "profile",
        "profile, strands sum",
        "profile, output positions 4 to 28",
        "profile, mean of both strands",
    ]
    options = [{}, {"strands": "sum"}, {"output_range": (4, 28)}, {"reverse_complement": True}]
    for text, option in zip(texts, options, strict=True):
        model = load_model(proto, target="profile", **option)
        maps = dfim_fast.interaction_map(
            model, X[:1], method="gradient", sources=[3], progress=False
        )
        assert maps.provenance["target"] == maps.settings["target"] == text
        assert f"scored at the {text}" in str(model)
        assert f"scored at the {text}" in repr(model)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"strands": "sum"},
            "strands= and output_range= say how target='profile' or 'counts' reads an output; they "
            "do not go with target='logit'",
        ),
        (
            {"target": "profile", "strands": "both"},
            "strands='both' is unknown; choose from joint, sum, separate",
        ),
        (
            {"target": "profile", "output_range": (3, 40)},
            "output_range=(3, 40) does not lie in output 'logits' of 32 positions; give a start "
            "and an end within 0 and 32",
        ),
        (
            {"target": "profile", "output_range": (5, 5)},
            "output_range=(5, 5) does not lie in output 'logits' of 32 positions; give a start "
            "and an end within 0 and 32",
        ),
        *(
            (
                {"target": "profile", "output_range": wrong},
                f"output_range={wrong!r} is no range; give two whole numbers, (start, end)",
            )
            for wrong in (7, (1, 2, 3), (0.5, 3), "0-9", (None, 3))
        ),
        (
            {"target": "profile", "output_range": (3, 20), "reverse_complement": True},
            "output_range=(3, 20) is not in the middle of output 'logits' of 32 positions, so the "
            "other strand would read other bases; with reverse_complement=True use (3, 29) or "
            "leave it out",
        ),
        (
            {"target": "profile", "strands": "separate", "reverse_complement": True},
            "reverse_complement=True: which of the 2 channels of output 'logits' is which on the "
            "other strand is not known; use target='profile' or 'counts' with strands='joint' or "
            "'sum'",
        ),
    ],
)
def test_wrong_options(options, text):
    with pytest.raises(SettingsError) as caught:
        load_model(bpnet(), **options)
    assert str(caught.value) == text


def test_a_model_without_positions_has_no_profile():
    with pytest.raises(ModelError) as caught:
        load_model(entry("basset_legacy.onnx").proto, target="profile")
    assert str(caught.value) == (
        "model: no output has positions, which target='profile' reads; use target='logit'"
    )


def test_a_profile_splits_no_variant_effect():
    variants = pd.DataFrame({"sequence": ["0"], "offset": [5], "ref": ["A"], "alt": ["T"]})
    sequence = ["ACGTTATGCA" * 4]
    counts, profile = (load_model(bpnet(), target=t) for t in ("counts", "profile"))
    parts = dfim_fast.explain_variants(counts, sequence, variants, progress=False)
    np.testing.assert_allclose(parts["delta_importance"].sum(), parts["effect"][0], atol=1e-5)
    with pytest.raises(SettingsError, match="target='profile' weighs reference and alternate by"):
        dfim_fast.explain_variants(profile, sequence, variants, progress=False)


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_heads_of_a_chrombpnet_as_pytorch_writes_it(exporter):
    """Unpadded and cropped; its profile is squeezed to (N, positions)."""
    here = entry(f"chrombpnet_{exporter}.onnx")
    x = one_hot(3, here.length)
    logits, counts = (values.astype(np.float64) for values in run(here.proto, x, here.layout))
    assert logits.ndim == 2
    for target, wanted in (("profile", weighed(logits, 1)), ("counts", counts[:, 0])):
        both = here.load(target=target, reverse_complement=True)
        found = here.load(target=target)
        np.testing.assert_allclose(found.predict(x)[:, 0], wanted, rtol=1e-5)
        turned = found.predict(np.ascontiguousarray(x[:, ::-1, ::-1]))
        np.testing.assert_allclose(both.predict(x), (found.predict(x) + turned) / 2, rtol=1e-5)
        settings = {"n_references": 2, "sources": [3, 30, 31], "progress": False}
        fast, plain = (
            dfim_fast.interaction_map(both, x, backend=backend, **settings)
            for backend in ("numba", "reference")
        )
        scale = np.abs(plain.attributions).max()
        np.testing.assert_allclose(fast.fis, plain.fis, rtol=0, atol=1e-5 * scale)
