"""tangermeme's call, held to tangermeme's own answers."""

import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from graph.all_models import one_hot

import dfim_fast
from dfim_fast import InputError, SettingsError, load_model

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
theirs = pytest.importorskip("tangermeme.deep_lift_shap", reason="tangermeme is not installed")

LENGTH = 44
CLOSE = 1e-5  # of the largest attribution: float32, convolved by two libraries


def network(*, kernel=3, stride=3, function=torch.nn.ReLU, seed=0):
    """Two convolutions, a pool, a hidden dense layer, a sigmoid at the output."""
    torch.manual_seed(seed)
    convolved = (LENGTH - 6 - kernel) // stride + 1
    module = torch.nn.Sequential(
        torch.nn.Conv1d(4, 8, 7),
        function(),
        torch.nn.MaxPool1d(kernel, stride),
        torch.nn.Conv1d(8, 6, 3, padding=1),
        function(),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * convolved, 10),
        function(),
        torch.nn.Linear(10, 3),
        torch.nn.Sigmoid(),
    ).eval()
    with torch.no_grad():  # as apart as a trained model's: the sigmoid's quotient has digits left
        for weight in module.parameters():
            weight *= 2.5
    return module


def both(module, x, **options):
    """Their attributions, ours, and the largest difference as a share of the largest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.deep_lift_shap(module, x, device="cpu", **options)
    found = dfim_fast.deep_lift_shap(module, x, device="cpu", **options)
    return wanted, found


def assert_close(found, wanted, tolerance=CLOSE):
    assert isinstance(found, torch.Tensor)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("hypothetical", [False, True])
@pytest.mark.parametrize("function", [torch.nn.ReLU, torch.nn.GELU])
def test_equal_with_tangermemes_own_shuffles(function, hypothetical):
    from tangermeme.ersatz import dinucleotide_shuffle

    x = torch.from_numpy(one_hot(3, LENGTH))
    wanted, found = both(
        network(function=function),
        x,
        target=1,
        references=dinucleotide_shuffle,
        n_shuffles=4,
        random_state=7,
        hypothetical=hypothetical,
    )
    assert_close(found, wanted)
    assert bool((found * (1 - x)).any()) == hypothetical


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (3, 1), (5, 5)])
def test_equal_with_given_references_and_any_windows(kernel, stride):
    x = torch.from_numpy(one_hot(2, LENGTH))
    references = torch.from_numpy(one_hot(6, LENGTH, seed=1).reshape(2, 3, 4, LENGTH))
    module = network(kernel=kernel, stride=stride, seed=1)
    wanted, found = both(module, x, references=references, return_references=True)
    assert_close(found.attributions, wanted.attributions)
    np.testing.assert_array_equal(found.references, wanted.references)


@pytest.mark.parametrize("name", ["tal_gata", "embedded_motifs", "spi1"])
def test_equal_on_trained_networks_and_real_sequences(monkeypatch, shared_data, name):
    """Those of the benchmarks, which write them as modules too; scored before the sigmoid."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "bench"))
    case = importlib.import_module("cases").CASES[name]
    module = importlib.import_module("peers").torch_module(case)
    x = torch.from_numpy(dfim_fast.one_hot(case.sequences(2)))
    references = torch.from_numpy(dfim_fast.dinucleotide_shuffle(x.numpy(), n=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.deep_lift_shap(module, x, references=references, device="cpu")
    found = dfim_fast.deep_lift_shap(load_model(case.onnx()), x, references=references)
    assert_close(found, wanted)


def test_numbers_that_differ_by_less_than_epsilon_are_where_the_two_part():
    """A pool whose input moves by 1e-7: tangermeme divides by it, here the gradient stands."""
    weight = np.zeros((1, 4, 1), np.float32)
    weight[0, :, 0] = (1.0, 1.0 + 2e-7, 0.0, 0.5)
    module = torch.nn.Sequential(
        torch.nn.Conv1d(4, 1, 1, bias=False),
        torch.nn.MaxPool1d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(2, 1, bias=False),
    ).eval()
    with torch.no_grad():
        module[0].weight[:] = torch.from_numpy(weight)
        module[3].weight[:] = 1.0
    x, r = dfim_fast.one_hot(["CATT"]), dfim_fast.one_hot(["ACTT"])[:, None]
    wanted, found = both(
        module, torch.from_numpy(x), references=torch.from_numpy(r), hypothetical=True
    )
    scale = wanted.abs().max()
    assert (found - wanted).abs().max() > 0.5 * scale
    loaded = dfim_fast.from_torch(module, x)
    closer = dfim_fast.attribute(loaded, x, references=r, epsilon=1e-9, hypothetical=True)
    assert_close(torch.from_numpy(closer), wanted)


def test_a_loaded_model_serves_many_calls_and_arrays_stay_arrays():
    module, x = network(), one_hot(2, LENGTH)
    loaded = dfim_fast.from_torch(module, x, target="output")
    references = one_hot(4, LENGTH, seed=1).reshape(2, 2, 4, LENGTH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nor does it warn of the output that was asked for
        found = dfim_fast.deep_lift_shap(loaded, x, references=references)
    assert isinstance(found, np.ndarray)
    again = dfim_fast.deep_lift_shap(module, torch.from_numpy(x), references=references)
    np.testing.assert_array_equal(found, again.numpy())


def test_the_default_references_are_the_packages_own():
    module, x = network(), one_hot(2, LENGTH)
    found = dfim_fast.deep_lift_shap(module, x, n_shuffles=3, return_references=True)
    wanted = dfim_fast.dinucleotide_shuffle(x, n=3)
    np.testing.assert_array_equal(found.references, wanted)


def test_what_is_not_supported_is_said():
    module, x = network(), one_hot(1, LENGTH)
    for options, text in (
        ({"args": (x,)}, "args= is not supported; hold further inputs by load_model(constants=)"),
        ({"raw_outputs": True}, "raw_outputs= is not supported; leave it out"),
        ({"n_shuffles": 0}, "n_references=0: pass an integer of at least 1"),
    ):
        with pytest.raises(SettingsError) as error:
            dfim_fast.deep_lift_shap(module, x, **options)
        assert text in str(error.value)
    with pytest.raises(InputError, match="the callable gave an array of shape"):
        dfim_fast.deep_lift_shap(module, x, references=lambda X, n: X)
