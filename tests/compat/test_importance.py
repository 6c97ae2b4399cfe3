"""Importance of mutant arrays, against a pass for each row written down here."""

from pathlib import Path

import numpy as np
import pytest
from compat.scene import ELEMENTS, LENGTH, MODEL, locations, sequences
from graph.all_models import model

import dfim_fast
from dfim_fast.backends.passes import Passes
from dfim_fast.backends.reference import ReferenceBackend
from dfim_fast.compat import core
from dfim_fast.compat.importance import METHODS
from dfim_fast.compat.recognise import find_originals
from dfim_fast.compat.references import Constant, Shuffles
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plan.plan import compares
from dfim_fast.plan.rules import choose_rule

X = sequences()
UNCOMPARED = ("guided_backprop", "deconv")


def passes_of(rows, score_type, references, task=0):
    """x m (x - r), by float64 passes one by one; references (n, R, L, 4)."""
    passes = Passes(MODEL.graph, (task,))
    method = METHODS[score_type]
    rule = choose_rule(MODEL.graph, range(len(MODEL.graph.nodes)), method, 1e-6, "deeplift")
    found = np.zeros(rows.shape)
    for i, (row, own) in enumerate(zip(rows.astype(np.float64), references, strict=True)):
        acts = passes.forward(row[None])
        for r in own.astype(np.float64):
            against = passes.forward(r[None]) if compares(method) else None
            m = passes.signal(passes.tasks[0], acts, against, rule)[0]
            found[i] += row * m * (row - r if method not in UNCOMPARED else 1) / len(own)
    return found


def mixed():
    """Originals, mutants of both kinds, and rows that are none."""
    array, key = core.generate_mutants_and_key(X, locations())
    single, _ = core.generate_mutants_and_key(X[:2], locations(2, ELEMENTS[1:2]), per_base_map=True)
    double = X[:1].copy()
    double[0, [5, 70]] = double[0, [5, 70]][:, [1, 2, 3, 0]]
    return np.concatenate([array, single, double]), key


@pytest.mark.parametrize("score_type", METHODS)
@pytest.mark.parametrize("gc", [0.46, 0])
def test_equals_a_pass_for_each_row(score_type, gc):
    rows, _ = mixed()
    found = core.compute_importance(
        MODEL, rows, [1, 0], score_type, reference_gc=gc, backend="reference"
    )
    assert list(found) == [1, 0] and found[0].shape == rows.shape
    references = Constant(gc)(rows.swapaxes(1, 2)).swapaxes(2, 3)
    wanted = passes_of(rows, score_type, references)
    observed = rows == 1
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found[0][observed], wanted[observed], rtol=0, atol=1e-6 * scale)
    assert not found[0][~observed].any()
    # strict: backgrounds too, by passes
    strict = core.compute_importance(
        MODEL, rows, [0], score_type, reference_gc=gc, backend="reference", strict=True
    )
    np.testing.assert_allclose(strict[0], wanted, rtol=0, atol=1e-6 * scale)
    # the background is the reference itself
    assert strict[0][1, 10:16].any() == (gc == 0 or score_type in UNCOMPARED)


@pytest.mark.parametrize(
    ("kind", "score_type"),
    [("random", "rescale_all_layers"), ("dinuc", "gradient_input"), ("dinuc", "deeplift")],
)
def test_mutants_share_the_references_of_their_original(kind, score_type):
    rows, _ = mixed()
    origin = find_originals(rows)
    references = Shuffles(kind, 3, 1)(rows.swapaxes(1, 2)).swapaxes(2, 3)
    shared = references[np.where(origin < 0, np.arange(len(rows)), origin)]
    settings = {"reference_shuffle_type": kind, "num_refs_per_seq": 3, "backend": "reference"}
    found = core.compute_importance(MODEL, rows, [0], score_type, **settings)[0]
    wanted = passes_of(rows, score_type, shared)
    observed = rows == 1
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found[observed], wanted[observed], rtol=0, atol=1e-6 * scale)
    # the original drew them anew for each mutant, and its shuffles of a sequence were all one
    strict = core.compute_importance(
        MODEL, rows, [0], score_type, strict=True, **settings
    )[0]
    redrawn = Shuffles(kind, 3, 1, strict=True)(rows.swapaxes(1, 2)).swapaxes(2, 3)
    assert redrawn.shape[1] == 1
    wanted = passes_of(rows, score_type, redrawn)
    np.testing.assert_allclose(strict, wanted, rtol=0, atol=1e-6 * scale)
    assert np.abs(strict - found)[observed].max() > 0.01 * scale


def test_shuffles_differ_from_each_other_and_between_sequences():
    x = X.swapaxes(1, 2)
    for kind in ("random", "dinuc"):
        found = Shuffles(kind, 3, 1)(x)
        assert (found[:, 0] != found[:, 1]).any() and not found[:, :, :, 50].any()
        np.testing.assert_array_equal(found.sum(axis=3), np.repeat(x.sum(axis=2)[:, None], 3, 1))
        np.testing.assert_array_equal(found[1:], Shuffles(kind, 3, 1)(x[1:]))


def test_numba_agrees_with_float64():
    rows, _ = mixed()
    for score_type in ("gradient_input", "rescale_all_layers"):
        exact = core.compute_importance(MODEL, rows, [0], score_type, backend="reference")[0]
        found = core.compute_importance(MODEL, rows, [0], score_type, backend="numba")[0]
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


def test_mutants_pass_through_no_network_of_their_own(monkeypatch):
    rows, _ = mixed()
    count = 0
    original = ReferenceBackend.effects

    def effects(self, x, references, mutants, targets):
        nonlocal count
        count += sum(len(m) for m in mutants)
        return original(self, x, references, mutants, targets)

    monkeypatch.setattr(ReferenceBackend, "effects", effects)
    core.compute_importance(MODEL, rows, [0], "rescale_all_layers", backend="reference")
    # all but the originals, and the row with two changes
    assert count == len(rows) - 3 - 1


def test_rows_tell_what_they_are_mutants_of():
    rows, key = mixed()
    n = len(key)
    origin = find_originals(rows)
    np.testing.assert_array_equal(origin[:n], np.repeat([0, 4, 8], 4))
    # the originals come again beside their single mutants: the first is meant
    np.testing.assert_array_equal(origin[n:-1], np.repeat([0, 4], 1 + 12))
    assert origin[-1] == len(rows) - 1
    np.testing.assert_array_equal(find_originals(rows[:n], key), np.repeat([0, 4, 8], 4))
    # in any order, and of strangers
    order = np.random.default_rng(0).permutation(n)
    shuffled = find_originals(rows[:n][order])
    np.testing.assert_array_equal(order[shuffled], np.repeat([0, 4, 8], 4)[order])
    alone = find_originals(rows[1:2])
    assert alone.tolist() == [-1]
    with pytest.raises(InputError, match="names 12 rows, the array has 11"):
        find_originals(rows[:11], key)


def test_a_key_that_names_another_original_is_not_believed():
    rows, key = mixed()
    wrong = key.assign(seq=key["seq"].to_numpy()[::-1])
    found = core.compute_importance(MODEL, rows[:12], [0], mutated_seq_key=wrong)
    right = core.compute_importance(MODEL, rows[:12], [0])
    observed = rows[:12] == 1
    np.testing.assert_allclose(found[0][observed], right[0][observed], atol=1e-6)


def test_the_logit_or_the_output():
    squashing = model("sigmoid_output_legacy.onnx")
    x = sequences()[:, : squashing.sequence_length]
    core.compute_importance(squashing, x, [0], backend="reference")
    with pytest.raises(SettingsError, match="target_layer_idx=-1 scores the output"):
        core.compute_importance(squashing, x, [0], target_layer_idx=-1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"score_type": "saliency"}, "score_type='saliency' is unknown; choose from gradient_inp"),
        ({"find_scores_layer_idx": 2}, "find_scores_layer_idx=2: only the input, 0"),
        ({"target_layer_idx": -3}, "target_layer_idx=-3: choose -2"),
        ({"reference_shuffle_type": "dinucs"}, "reference_shuffle_type='dinucs' is unknown"),
        ({"reference_gc": 2}, "gc=2 is no GC content"),
        ({"tasks": [7]}, "task 7 does not exist"),
    ],
)
def test_wrong_settings_are_named(settings, text):
    with pytest.raises(SettingsError, match=text):
        core.compute_importance(MODEL, X, **{"tasks": [0], **settings})


def test_tasks_go_by_number_or_name_one_or_several():
    name = MODEL.task_names[1]
    by_name = core.compute_importance(MODEL, X, [name, 0], backend="reference")
    by_number = core.compute_importance(MODEL, X, 1, backend="reference")
    assert list(by_name) == [name, 0]
    np.testing.assert_array_equal(by_name[name], by_number[1])


def test_a_wrong_length_is_named():
    with pytest.raises(InputError, match=f"have length 70, .* takes {LENGTH}"):
        core.compute_importance(MODEL, X[:, :70], [0])


def test_get_reference():
    def scorer(task_idx, input_data_list, input_references_list):
        return input_data_list[0] - input_references_list[0] + task_idx

    reference, same = core.get_reference(X, scorer, gc_fraction=0.4)
    assert same is scorer and reference.shape == X.shape
    np.testing.assert_allclose(reference[0, 3], [0.3, 0.2, 0.2, 0.3])
    none, mean = core.get_reference(X, scorer, shuffle="dinuc", seed=4)
    wanted = Shuffles("dinuc", 5, 4)(X.swapaxes(1, 2)).mean(axis=1).swapaxes(1, 2)
    assert none is None
    np.testing.assert_allclose(mean(2, X, num_refs_per_seq=5), X - wanted + 2, atol=1e-6)
    with pytest.raises(SettingsError, match="shuffle='x'"):
        core.get_reference(X, scorer, shuffle="x")


def test_a_path_is_a_model():
    path = Path(dfim_fast.__file__).parent / "data" / "demo.onnx"
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(1).integers(0, 4, (1, 200))]
    found = core.compute_importance(str(path), x, [0], backend="reference")[0]
    again = core.compute_importance(dfim_fast.load_model(path), x, [0], backend="reference")[0]
    np.testing.assert_array_equal(found, again)


def test_a_pytorch_module_is_a_model():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(228, 1)
    ).eval()
    found = core.compute_importance(network, X, [0], reference_gc=0, backend="reference")[0]
    x = torch.tensor(X.swapaxes(1, 2), requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    wanted = (gradient * x).detach().numpy().swapaxes(1, 2)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    with pytest.raises(SettingsError, match="model is of type int"):
        core.compute_importance(3, X, [0])
