"""attribute as users meet it."""

import warnings

import numpy as np
import pytest
from graph.all_models import model, one_hot

import dfim_fast
from dfim_fast.maps.request import DELTA_BOUND, warn_delta
from dfim_fast.sequence.references import make_references

NAME = "basset_legacy.onnx"
LENGTH = 80
X = one_hot(2, LENGTH)
OBSERVED = X.astype(bool)


def attributed(x=X, **settings):
    """Two sequences against three shuffles."""
    return dfim_fast.attribute(model(NAME), x, **{"n_references": 3, **settings})


def close(found, wanted, share=1e-5):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=share * np.abs(wanted).max())


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("method", ["deeplift", "gradient", "gradient_corrected"])
@pytest.mark.parametrize("contribution", ["projected", "observed"])
def test_shape_and_zeros_off_the_observed_base(backend, method, contribution):
    found = attributed(backend=backend, method=method, contribution=contribution)
    assert found.shape == (2, 4, LENGTH)
    assert found.dtype == (np.float64 if backend == "reference" else np.float32)
    assert not found[~OBSERVED].any()
    assert (found[OBSERVED] != 0).mean() > 0.7
    # all four bases, of which the observed one is the importance
    four = attributed(backend=backend, method=method, contribution=contribution, hypothetical=True)
    close(four[OBSERVED], found[OBSERVED])
    assert (four[~OBSERVED] != 0).mean() > 0.7


def test_a_list_of_tasks_leads():
    several = attributed(task=[2, "output[0]"])
    assert several.shape == (2, 2, 4, LENGTH)
    for k, task in enumerate((2, 0)):
        close(several[k], attributed(task=task))
    assert attributed(task=[1]).shape == (1, 2, 4, LENGTH)


def test_it_is_the_importance_that_maps_start_from():
    maps = dfim_fast.interaction_map(model(NAME), X, sources=[3], n_references=3, progress=False)
    close(attributed().sum(axis=1), maps.attributions)


def test_importance_sums_to_the_difference_from_the_references():
    loaded, references = model(NAME), make_references(X, "dinucleotide", 3)
    expected = np.stack([loaded.predict(r)[:, 0].mean() for r in references])
    found = attributed(references=references, backend="reference").sum(axis=(1, 2))
    np.testing.assert_allclose(found, loaded.predict(X)[:, 0] - expected, atol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_hypothetical_importance_against_zeros_is_the_multiplier(backend):
    """H[c] = sum_b m[b] (1[b=c] - R[b]) = m[c] for R = 0, by either rule."""
    projected, observed = (
        attributed(references="zeros", backend=backend, contribution=rule, hypothetical=True)
        for rule in ("projected", "observed")
    )
    np.testing.assert_array_equal(projected, observed)


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_hypothetical_importance_of_one_reference(backend):
    """H[c] = sum_b m[b] (1[b=c] - R[b]), or m[c] (1 - R[c]).

    With a one-hot R at base b that is m[c] - m[b], and m[c] with 0 at b: the two differ by m[b],
    the same number for the three other bases, and the first is 0 at b.
    """
    reference = one_hot(1, LENGTH, seed=9)
    first, second = (
        attributed(references=reference, contribution=rule, hypothetical=True, backend=backend)
        for rule in ("projected", "observed")
    )
    at_reference = np.broadcast_to(reference.astype(bool), first.shape)
    scale = np.abs(second).max()
    assert np.abs(first[at_reference]).max() <= 1e-6 * scale
    assert not second[at_reference].any()
    multiplier_at_reference = np.where(at_reference, np.nan, second - first)
    spread = np.nanmax(multiplier_at_reference, axis=1) - np.nanmin(multiplier_at_reference, axis=1)
    assert spread.max() <= 1e-5 * scale
    # summation to the difference: sum of X * H = Y(X) - Y(R)
    total = (first * X).sum(axis=(1, 2))
    loaded = model(NAME)
    np.testing.assert_allclose(
        total, loaded.predict(X)[:, 0] - loaded.predict(reference)[0, 0], atol=1e-4
    )


def test_hypothetical_importance_is_the_mean_over_references():
    references = one_hot(3, LENGTH, seed=7)
    each = [
        attributed(references=r[None], hypothetical=True, backend="reference") for r in references
    ]
    found = attributed(references=references, hypothetical=True, backend="reference")
    close(found, np.mean(each, axis=0), 1e-12)


def test_gradients_of_all_bases_are_the_gradient():
    """By central differences of the model's own predictions, in the direction of each base."""
    from dfim_fast.backends.reference import ReferenceBackend
    from dfim_fast.plan.planner import make_plan

    found = attributed(method="gradient", hypothetical=True, backend="reference")
    backend = ReferenceBackend(make_plan(model(NAME).graph, method="gradient", sources=[0]))
    step = 2.0**-20  # exact in float32 beside a one
    for c, p in ((0, 5), (1, 40), (3, 79), (2, 0)):
        direction = np.zeros_like(X, dtype=np.float64)
        direction[:, c, p] = step
        above, below = (backend.predictions(X + s * direction)[:, 0] for s in (1, -1))
        np.testing.assert_allclose(
            found[:, c, p], (above - below) / (2 * step), rtol=1e-6, atol=1e-7
        )


def test_unknown_bases_contribute_nothing():
    x = X.copy()
    x[:, :, [3, 50]] = 0
    found = attributed(x)
    assert not found[:, :, [3, 50]].any()


def test_progress_is_silent_unless_asked_for(capsys):
    attributed()
    assert capsys.readouterr() == ("", "")
    attributed(progress=True)
    assert "2/2" in capsys.readouterr().err


def test_a_large_summation_error_warns_by_name():
    with pytest.warns(UserWarning) as caught:
        warn_delta(2 * DELTA_BOUND)
    assert str(caught[0].message) == (
        "summation-to-delta is off by 0.002 of the sum of |C| (bound 0.001): inputs of a pool that "
        "differ by less than epsilon from the reference can lose their share; a smaller epsilon= "
        "may help"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_delta(DELTA_BOUND)
        warn_delta(None)


def test_a_large_epsilon_breaks_the_sum_and_says_so():
    """Everything counts as equal to the reference: the plain gradient at a pool does not add up."""
    with pytest.warns(UserWarning, match=r"^summation-to-delta is off by "):
        attributed(epsilon=10.0)
    with pytest.warns(UserWarning, match=r"^summation-to-delta is off by "):
        found = dfim_fast.interaction_map(
            model(NAME), X, sources=[3], n_references=3, epsilon=10.0, progress=False
        )
    assert found.summation_to_delta > DELTA_BOUND
