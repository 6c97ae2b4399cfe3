"""Inputs beside the sequence, held at constants: fed the same, onnxruntime says the same."""

import numpy as np
import pytest
from graph.all_models import one_hot
from models.profiles import LENGTH, bpnet, outputs

import dfim_fast
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.maps.model import load_model

X = one_hot(3, LENGTH)
TRACKS = np.random.default_rng(3).uniform(0, 2, (2, LENGTH)).astype(np.float32)


def fed(value) -> np.ndarray:
    """The control input of three sequences."""
    return np.broadcast_to(np.asarray(value, np.float32), (3, 2, LENGTH))


@pytest.mark.parametrize("reverse_order", [False, True])
@pytest.mark.parametrize(
    "value",
    [0.0, 1.5, TRACKS, TRACKS[None], np.float32([[0.5], [2]]).repeat(LENGTH, 1)],
    ids=["zero", "number", "array", "batch", "flat"],
)
def test_scores_equal_onnxruntime(value, reverse_order):
    proto = bpnet(control=2, reverse_order=reverse_order)
    model = load_model(proto, constants={"control": value})
    logits, counts = outputs(proto, X, control=fed(value))
    wanted = np.concatenate([logits.reshape(3, -1), counts], axis=1)
    np.testing.assert_allclose(model.predict(X), wanted, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("value", [0.0, TRACKS], ids=["zero", "tracks"])
def test_importance_is_that_of_the_sequence(value):
    """Finite differences through onnxruntime; the tracks themselves are no source or target."""
    proto = bpnet(control=2)
    model = load_model(proto, target="counts", constants={"control": value})
    found = dfim_fast.attribute(model, X, method="gradient", hypothetical=True, backend="reference")
    step = 1e-3  # of float32 scores: smaller loses digits, larger crosses kinks
    for position, base in ((4, 1), (21, 2)):
        sides = []
        for sign in (1, -1):
            moved = X.astype(np.float64)
            moved[:, base, position] += sign * step
            sides.append(outputs(proto, moved, control=fed(value))[1][:, 0].astype(np.float64))
        slope = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[:, base, position], slope, atol=1e-4)


@pytest.mark.parametrize(("value", "strategy"), [(0.0, "events"), (TRACKS, "whole")])
def test_a_flat_track_leaves_the_engine_its_windows(value, strategy):
    """The track joins as a convolution's bias; one that varies is added position by position."""
    model = load_model(bpnet(control=2), constants={"control": value})
    settings = {"task": 9, "n_references": 2, "sources": [5, 20], "progress": False}
    found = dfim_fast.interaction_map(model, X[:1], **settings)
    assert found.plan.strategy == strategy
    wanted = dfim_fast.interaction_map(model, X[:1], backend="reference", **settings)
    np.testing.assert_allclose(
        found.fis, wanted.fis, rtol=0, atol=1e-5 * np.abs(wanted.attributions).max()
    )


def test_an_open_length_is_the_sequences():
    proto = bpnet(control=2, length="length")
    model = load_model(proto, sequence_length=LENGTH, constants={"control": 0.5}, target="counts")
    np.testing.assert_allclose(model.predict(X), outputs(proto, X, control=fed(0.5))[1], rtol=2e-6)


def test_constants_are_part_of_the_models_hash():
    proto = bpnet(control=2)
    values = (0, 0.0, 1.0, TRACKS, TRACKS + 1)
    hashes = [load_model(proto, constants={"control": value}).hash for value in values]
    assert len(set(hashes)) == 4 and hashes[0] == hashes[1]
    assert all(len(h) == 16 for h in hashes)


def test_the_error_names_what_to_hold():
    with pytest.raises(ModelError) as caught:
        load_model(bpnet(control=2))
    assert str(caught.value) == (
        "model: the model needs exactly one input, the sequence, but has 2 ('x', 'control'); hold "
        "the others constant, such as constants={'control': 0.0} (--constant control=0)"
    )


SHAPE = "constants: input 'control' of model, of shape (N, 2, 40),"


@pytest.mark.parametrize(
    ("constants", "error", "text"),
    [
        (
            {"bias": 0},
            SettingsError,
            "constants: model has no input 'bias'; its inputs are 'x', 'control'",
        ),
        (
            {"x": 0, "control": 0},
            ModelError,
            "model: the model needs exactly one input, the sequence, but has 0 (none); give no "
            "constant for it",
        ),
        ({"control": "zero"}, SettingsError, f"{SHAPE} is given no numbers; pass one or an array"),
        (
            {"control": np.nan},
            SettingsError,
            f"{SHAPE} is given NaN or infinity; pass finite numbers",
        ),
        (
            {"control": np.zeros((2, 39))},
            SettingsError,
            f"{SHAPE} is given an array of shape (2, 39); leave out N or make it 1, the same for "
            "every sequence",
        ),
        (
            {"control": np.zeros((3, 2, 40))},
            SettingsError,
            f"{SHAPE} is given an array of shape (3, 2, 40); leave out N or make it 1, the same "
            "for every sequence",
        ),
    ],
)
def test_wrong_constants(constants, error, text):
    with pytest.raises(error) as caught:
        load_model(bpnet(control=2), constants=constants)
    assert str(caught.value) == text


def test_a_track_of_one_strand_is_refused_on_both():
    proto = bpnet(control=2)
    with pytest.raises(SettingsError) as caught:
        load_model(proto, target="counts", constants={"control": TRACKS}, reverse_complement=True)
    assert str(caught.value) == (
        "constants that vary belong to one strand; with reverse_complement=True give numbers"
    )
    load_model(proto, target="counts", constants={"control": 1}, reverse_complement=True)


def test_sizes_left_open_want_an_array():
    proto = bpnet(control=2)
    proto.graph.input[1].type.tensor_type.shape.dim[2].dim_param = "width"
    with pytest.raises(
        SettingsError, match=r"of shape \(N, 2, \?\), leaves sizes open; pass an ar"
    ):
        load_model(proto, constants={"control": 0})
    found = load_model(proto, constants={"control": TRACKS}, target="counts").predict(X)
    np.testing.assert_allclose(found, outputs(proto, X, control=fed(TRACKS))[1], rtol=2e-6)
