"""The float64 backend: what maps must satisfy by definition, on every model."""

import numpy as np
import pytest
from backends.running import (
    SETTING_NAMES,
    SETTINGS,
    assert_same,
    few,
    inputs,
    plan_for,
    run,
)
from graph.all_models import model, structures

from dfim_fast.backends.reference import ReferenceBackend
from dfim_fast.sequence.one_hot import encode, from_codes

BOUND = 1e-6  # what is promised; float64 does far better
ROUNDING = 1e-11


@pytest.mark.parametrize("name", structures())
def test_contributions_sum_to_the_difference_from_the_reference(name):
    """Originals and mutants, projected and shap: sum C = Y(X) - Y(R)."""
    length = model(name).sequence_length
    tasks = list(range(min(3, len(model(name).task_names))))
    plan = plan_for(name, task=tasks, sources=few(length))
    assert plan.additive
    x, references = inputs(plan, 2)
    for result in run("reference", plan, x, references):
        assert result.delta_error < ROUNDING < BOUND
        total = np.abs(result.attributions).sum(axis=1)
        off = result.attributions.sum(axis=1) - (result.predictions - result.reference_predictions)
        assert (np.abs(off) <= ROUNDING * (total + np.abs(result.predictions))).all()
        # self term + FIS = prediction difference: the effect of a variant, split exactly
        split = result.self_effect + result.fis.sum(axis=3)
        effect = result.predictions[:, None, None] - result.mutant_predictions
        np.testing.assert_allclose(split, effect, rtol=0, atol=ROUNDING * total.max())
        assert np.abs(effect).max() > 0


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_maps_are_differences_of_the_importance_of_explicit_mutants(name, settings):
    """FIS from the definition: write the mutant out, attribute both, subtract."""
    length = model(name).sequence_length
    tasks = list(range(min(2, len(model(name).task_names))))
    sources = [1, length // 2]
    plan = plan_for(name, n_references=2, task=tasks, sources=sources, **settings)
    x, references = inputs(plan, 1, seed=3)
    backend = ReferenceBackend(plan)
    (result,) = backend.maps(x, references)
    codes = encode(x)[0]

    def importance(sequence):
        """(K, L), and nothing off the observed base."""
        ((values, _),) = backend.attributions(from_codes(sequence), references, False)
        observed = np.eye(5)[sequence][:, :4]
        assert not values[:, observed == 0].any()
        return values.sum(axis=2)

    original = importance(codes)
    scale = np.abs(original).max()
    np.testing.assert_allclose(result.attributions, original, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(result.predictions, backend.predictions(x)[0], rtol=1e-13)
    for i, s in enumerate(sources):
        for base in range(4):
            mutant = codes.copy()
            mutant[s] = base
            if base == codes[s]:
                assert not result.fis[:, i, base].any()
                assert not result.self_effect[:, i, base].any()
                wanted = result.predictions
            else:
                lost = original - importance(mutant)
                np.testing.assert_allclose(
                    result.self_effect[:, i, base], lost[:, s], rtol=0, atol=1e-12 * scale
                )
                lost[:, s] = 0
                np.testing.assert_allclose(result.fis[:, i, base], lost, rtol=0, atol=1e-12 * scale)
                wanted = backend.predictions(from_codes(mutant))[0]
            np.testing.assert_allclose(result.mutant_predictions[:, i, base], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", structures())
def test_the_other_rules_are_not_called_additive(name):
    sources = [0]
    for settings in SETTINGS[1:]:
        plan = plan_for(name, sources=sources, **settings)
        assert not plan.additive
        (result,) = run("reference", plan, *inputs(plan, 1))
        assert result.delta_error is None
        has_references = settings["method"] == "deeplift"
        assert (result.reference_predictions is not None) == has_references
        assert (result.standard_error is not None) == has_references


def test_gradients_are_the_same_whatever_the_pool_rule():
    name = "basset_legacy.onnx"
    first, second = (
        plan_for(name, method="gradient", maxpool=rule, sources=[3, 40])
        for rule in ("shap", "deeplift")
    )
    x, _ = inputs(first, 2)
    for a, b in zip(
        run("reference", first, x, None), run("reference", second, x, None), strict=True
    ):
        assert_same(a, b)


def test_a_sequence_against_itself_has_no_importance():
    plan = plan_for("basset_legacy.onnx", n_references=1, sources=[5])
    x, _ = inputs(plan, 1)
    (result,) = run("reference", plan, x, x[:, None])
    assert not result.attributions.any()
    assert result.delta_error < ROUNDING
    split = result.self_effect + result.fis.sum(axis=3)
    effect = result.predictions[:, None, None] - result.mutant_predictions
    np.testing.assert_allclose(split, effect, atol=1e-12)


def test_a_linear_model_has_no_interactions():
    for settings in SETTINGS:
        plan = plan_for("linear_only_legacy.onnx", **settings)
        assert not plan.reach.any()
        for result in run("reference", plan, *inputs(plan, 2)):
            assert not result.fis.any()
            assert result.self_effect.any()


def test_gradient_corrected_takes_the_mean_over_the_bases_off():
    plain = plan_for("basset_legacy.onnx", method="gradient", sources=[0])
    corrected = plan_for("basset_legacy.onnx", method="gradient_corrected", sources=[0])
    x, _ = inputs(plain, 1)
    ((gradient, _),) = ReferenceBackend(plain).attributions(x, None, True)
    ((centred, _),) = ReferenceBackend(corrected).attributions(x, None, True)
    np.testing.assert_allclose(
        centred, gradient - gradient.mean(axis=2, keepdims=True), rtol=1e-12, atol=1e-15
    )
    ((values, _),) = ReferenceBackend(corrected).attributions(x, None, False)
    np.testing.assert_allclose(values, centred * x[0].T, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("contribution", ["projected", "observed"])
def test_hypothetical_importance_from_the_multipliers(contribution):
    """H[c] = sum_b m[b] (1[b=c] - R[b]), or m[c] (1 - R[c]); m from a reference of zeros."""
    plan = plan_for("basset_legacy.onnx", n_references=1, sources=[0], contribution=contribution)
    backend = ReferenceBackend(plan)
    x, references = inputs(plan, 1)
    references = references * 0.7 + 0.05
    passes = backend.passes
    acts = passes.forward(x.astype(np.float64).swapaxes(1, 2))
    against = passes.forward(references[0].astype(np.float64).swapaxes(1, 2))
    m = passes.multipliers(passes.tasks[0], acts, against, plan.rule)[0]
    r = references[0, 0].T.astype(np.float64)
    wanted = np.zeros_like(m)
    for c in range(4):
        if contribution == "projected":
            unit = np.eye(4)[c]
            wanted[:, c] = (m * (unit - r)).sum(axis=1)
        else:
            wanted[:, c] = m[:, c] * (1 - r[:, c])
    ((values, _),) = backend.attributions(x, references, True)
    np.testing.assert_allclose(values[0], wanted, rtol=1e-12, atol=1e-15)
    ((values, _),) = backend.attributions(x, references, False)
    np.testing.assert_allclose(values[0], wanted * x[0].T, rtol=1e-12, atol=1e-15)
