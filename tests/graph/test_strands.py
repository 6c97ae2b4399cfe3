"""Both strands at once against two separate runs, one on the reverse complement, added up."""

import numpy as np
import pytest
from graph.all_models import entry, one_hot
from models.profiles import LENGTH, bpnet

import dfim_fast
from dfim_fast.errors import SettingsError
from dfim_fast.maps.model import load_model
from dfim_fast.maps.request import DELTA_BOUND
from dfim_fast.sequence.references import make_references

SEQUENCES = ["ACGTTGCAAC" * 6 + "GGTA", "TTGACNNCAT" * 6 + "ANGC"]
CONV = "dilated_residual_legacy.onnx"  # 64 positions, some of which a crop cuts off
POOLED = "multi_branch_legacy.onnx"
SMOOTH = "gelu_tanh_legacy.onnx"  # runs by windows, not by events


def turned(x):
    """Reverse complement of one-hot (..., 4, L)."""
    return np.ascontiguousarray(x[..., ::-1, ::-1])


def pair(proto, **options):
    """The model, and the same of both strands."""
    return load_model(proto, **options), load_model(proto, reverse_complement=True, **options)


@pytest.mark.parametrize("name", [CONV, POOLED, "two_outputs_legacy.onnx"])
def test_predictions_are_means_over_strands(name):
    one, both = pair(entry(name).proto)
    x = one_hot(5, one.sequence_length)
    wanted = (one.predict(x) + one.predict(turned(x))) / 2
    np.testing.assert_allclose(both.predict(x), wanted, atol=2e-6 * np.abs(wanted).max())
    np.testing.assert_allclose(both.predict(x), both.predict(turned(x)), atol=1e-5)
    assert both.task_names == one.task_names and both.hash == one.hash


@pytest.mark.parametrize("contribution", ["projected", "observed"])
@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("name", [CONV, POOLED, SMOOTH])
def test_maps_are_means_over_strands(name, backend, contribution):
    """Every number of the map, with N in the sequence, from the maps of X and of its complement."""
    one, both = pair(entry(name).proto)
    length = one.sequence_length
    x = dfim_fast.one_hot([s[:length] for s in SEQUENCES])
    if length > x.shape[2]:
        x = np.concatenate([x] * 4, axis=2)[:, :, :length]
    references = make_references(x, "dinucleotide", 3)
    sources = np.array([0, 1, length // 2, length - 4])
    settings = {"backend": backend, "contribution": contribution, "progress": False}
    found = dfim_fast.interaction_map(both, x, references=references, sources=sources, **settings)
    here = dfim_fast.interaction_map(one, x, references=references, sources=sources, **settings)
    there = dfim_fast.interaction_map(
        one,
        turned(x),
        references=turned(references),
        sources=length - 1 - sources,
        **settings,
    )
    scale = np.abs(here.attributions).max()

    def same(name, other):
        wanted = (np.asarray(getattr(here, name), np.float64) + other(getattr(there, name))) / 2
        np.testing.assert_allclose(
            getattr(found, name),
            wanted,
            rtol=0,
            atol=(1e-12 if backend[0] == "r" else 1e-5) * scale,
        )

    same("fis", lambda a: a[:, :, ::-1, ::-1])
    same("self_effect", lambda a: a[:, :, ::-1])
    same("mutant_predictions", lambda a: a[:, :, ::-1])
    same("attributions", lambda a: a[:, ::-1])
    same("predictions", lambda a: a)
    same("reference_predictions", lambda a: a)
    np.testing.assert_array_equal(found.reach, here.reach | there.reach[:, :, ::-1])
    np.testing.assert_array_equal(found.mask, here.mask | there.mask[:, :, ::-1, ::-1])
    if contribution == "projected":
        # a mutant of the sequence that equals its references has a sum |C| of 5e-4 to divide by
        assert found.summation_to_delta < DELTA_BOUND


def test_the_standard_error_is_that_of_the_mean():
    """Over references, of the strands' mean: their errors share the references, so none is lost."""
    one, both = pair(entry(CONV).proto)
    x = dfim_fast.one_hot(SEQUENCES[:1])
    references = make_references(x, "dinucleotide", 4)
    settings = {"backend": "reference", "sources": [20], "progress": False}
    each = []
    for r in range(4):
        own = references[:, r : r + 1]
        here = dfim_fast.interaction_map(one, x, references=own, **settings).fis
        there = dfim_fast.interaction_map(
            one, turned(x), references=turned(own), **{**settings, "sources": [43]}
        ).fis
        each.append((here + there[:, :, ::-1, ::-1]) / 2)
    found = dfim_fast.interaction_map(both, x, references=references, **settings)
    wanted = np.std(each, axis=0, ddof=1) / 2
    np.testing.assert_allclose(found.standard_error, wanted, atol=1e-12)
    assert wanted.max() > 1e-3


@pytest.mark.parametrize("method", ["gradient", "gradient_corrected", "deeplift"])
def test_attributions_are_means_over_strands(method):
    one, both = pair(entry(CONV).proto)
    x = dfim_fast.one_hot(SEQUENCES)
    references = make_references(x, "dinucleotide", 2)
    for hypothetical in (False, True):
        settings = {"method": method, "hypothetical": hypothetical, "backend": "reference"}
        found = dfim_fast.attribute(both, x, references=references, **settings)
        here = dfim_fast.attribute(one, x, references=references, **settings)
        there = dfim_fast.attribute(one, turned(x), references=turned(references), **settings)
        np.testing.assert_allclose(found, (here + turned(there)) / 2, atol=1e-12)


@pytest.mark.parametrize("how", ["joint", "sum"])
@pytest.mark.parametrize("target", ["profile", "counts"])
def test_scalar_heads_of_both_strands(target, how):
    one, both = pair(bpnet(), target=target, strands=how, output_range=(4, 28))
    x = one_hot(3, LENGTH)
    wanted = (one.predict(x) + one.predict(turned(x))) / 2
    np.testing.assert_allclose(both.predict(x), wanted, rtol=2e-6)


def test_a_position_of_one_channel_is_mirrored():
    one, both = pair(bpnet(strands=1, counts=False))
    x = one_hot(2, LENGTH)
    wanted = (one.predict(x) + one.predict(turned(x))[:, ::-1]) / 2
    np.testing.assert_allclose(both.predict(x), wanted, atol=1e-6)
    with pytest.raises(SettingsError, match=r"which of the 2 channels of output 'logits' is which"):
        load_model(bpnet(), reverse_complement=True)


def test_a_null_has_to_be_of_both_strands_too():
    one, both = pair(entry(CONV).proto)
    settings = {"n_references": 2, "sources": [9, 30], "progress": False}
    scores = dfim_fast.interaction_map(both, SEQUENCES, **settings)
    null = dfim_fast.null_map(both, SEQUENCES, **settings)
    assert dfim_fast.significance(scores, null).p.shape == scores.fis.shape
    with pytest.raises(
        dfim_fast.NullError, match="target of the scores is 'logit, mean of both st"
    ):
        dfim_fast.significance(scores, dfim_fast.null_map(one, SEQUENCES, **settings))


def test_a_shared_weight_is_counted_once():
    """The mean itself adds two: a half, and nothing."""
    one, both = pair(entry(CONV).proto)
    assert "906 parameters" in str(one) and "908 parameters" in str(both)
