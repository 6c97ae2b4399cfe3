"""DeepLIFT as tangermeme's users call it, by this package's engine."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps.attribution import attribute
from dfim_fast.maps.convert import as_model
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.one_hot import as_one_hot
from dfim_fast.sequence.references import make_references


class AttributionsAndReferences(NamedTuple):
    """What `deep_lift_shap` returns with ``return_references=True``."""

    attributions: Any
    references: Any


def deep_lift_shap(
    model: Any,
    X: Any,
    args: None = None,
    target: int = 0,
    batch_size: int = 32,
    references: Callable[..., Any] | Any = "dinucleotide",
    n_shuffles: int = 20,
    return_references: bool = False,
    hypothetical: bool = False,
    warning_threshold: float = 0.001,
    additional_nonlinear_ops: None = None,
    print_convergence_deltas: bool = False,
    raw_outputs: bool = False,
    only_warn: bool = False,
    dtype: Any = None,
    device: Any = None,
    random_state: int | None = None,
    verbose: bool = False,
    backend: str = "auto",
) -> Any:
    """DeepLIFT attributions by tangermeme's signature: replace the import, keep the call.

    Parameters
    ----------
    model : torch.nn.Module, Model, ONNX path or bytes, or keras.Model
        Modules and files are scored at their output, as tangermeme does, a final Sigmoid included.
        A module is exported at every call: pass ``from_torch(module, X)`` to do so once.
    X : tensor or array (N, 4, L), or list of str
    args : None
        Further inputs: load the model with ``constants=`` instead.
    target : int
        Which output.
    references : callable, tensor or array (N, R, 4, L), or "dinucleotide", "gc", "zeros"
        A callable is asked as tangermeme asks it, for one reference at a time:
        ``references(X[i:i+1], n=1, random_state=random_state + k)[:, 0]``; with ``random_state``
        None for one of each sequence. With ``tangermeme.ersatz.dinucleotide_shuffle`` the
        references are tangermeme's own. The default are this package's shuffles, drawn uniformly;
        as `attribute` draws them.
    n_shuffles : int
        References of each sequence, where none are given.
    return_references : bool
        Return the references (N, R, 4, L) beside the attributions.
    hypothetical : bool
        Fill all four bases.
    random_state : int, optional
        None draws callables anew at every call; this package's shuffles take it for 0.
    verbose : bool
        Show a progress bar.
    backend : str
        As for `attribute`.
    batch_size, warning_threshold, only_warn, dtype, device
        Taken for the call's sake and of no effect: the engine sizes its own batches, computes in
        float32, and warns of a summation-to-delta error relative to the attributions.
    args, additional_nonlinear_ops, print_convergence_deltas, raw_outputs
        Refused unless they are what they are by default.

    Returns
    -------
    tensor or array (N, 4, L) float32
        A tensor where X is one. With ``return_references`` a pair.

    Raises
    ------
    InputError, SettingsError, ModelError, BackendError

    Notes
    -----
    Attributions equal tangermeme's to float32 rounding (1e-5 of the largest) where the rules are
    the same: elementwise functions, single and overlapping max pools. They differ

    - where a pool's input differs from the reference by less than 1e-6 but not by zero: tangermeme
      divides there, this package takes the gradient;
    - where two inputs of a pool tie: both give all of it to the first, but which of two sums ties
      depends on rounding, and so on the library that convolved;
    - for functions that are called and are no modules (``torch.relu(x)``): tangermeme takes them
      for linear; here every operator of the graph has its rule;
    - where the networks mix entries (softmax, layer normalization, products of branches): see the
      table of rules in README.

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> found = dfim_fast.deep_lift_shap(model, ["ACGTT" * 40], n_shuffles=2, hypothetical=True)
    >>> found.shape
    (1, 4, 200)
    """
    for name, value, default in (
        ("args", args, None),
        ("additional_nonlinear_ops", additional_nonlinear_ops, None),
        ("print_convergence_deltas", print_convergence_deltas, False),
        ("raw_outputs", raw_outputs, False),
    ):
        if value is not default:
            hint = "; hold further inputs by load_model(constants=)" if name == "args" else ""
            raise SettingsError(f"deep_lift_shap: {name}= is not supported{hint}; leave it out")
    x = as_one_hot(to_numpy(X))
    own = draw_references(X, x, references, n_shuffles, random_state)
    loaded = as_model(model, example=x[:1], target="output")
    with warnings.catch_warnings():
        # tangermeme's users ask for the output itself
        warnings.filterwarnings("ignore", "target='output' scores the squashed output")
        found = attribute(
            loaded,
            x,
            references=own,
            task=target,
            hypothetical=hypothetical,
            backend=backend,
            progress=verbose,
        )
    if not return_references:
        return like(X, found)
    return AttributionsAndReferences(like(X, found), like(X, own))


def is_tensor(thing: Any) -> bool:
    """Whether it is a PyTorch tensor; asks without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Tensor)


def to_numpy(thing: Any) -> Any:
    """Tensors as arrays; all else as it is."""
    return thing.detach().cpu().numpy() if is_tensor(thing) else thing


def like(X: Any, values: np.ndarray) -> Any:
    """The values as a tensor where X is one."""
    if not is_tensor(X):
        return values
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


def draw_references(
    X: Any, x: np.ndarray, references: Any, n: int, random_state: int | None
) -> np.ndarray:
    """References (N, R, 4, L): given, or drawn one by one as tangermeme draws them.

    Raises
    ------
    InputError
        If a callable gives something of another shape.
    SettingsError, InputError
        As `make_references`.
    """
    if not callable(references):
        given = to_numpy(references)
        return make_references(x, given, n, random_state=random_state or 0)
    drawn = []
    for k in range(whole_number("n_shuffles", n, 1)):
        if random_state is None:
            parts = [references(X, n=1)]
        else:
            parts = [
                references(X[i : i + 1], n=1, random_state=random_state + k) for i in range(len(x))
            ]
        arrays = [np.asarray(to_numpy(p)) for p in parts]
        shapes = {a.shape[1:] for a in arrays}
        if shapes != {(1, *x.shape[1:])}:
            raise InputError(
                f"references: the callable gave an array of shape {arrays[0].shape}; wanted "
                f"(N, 1, 4, {x.shape[2]}), one reference for each sequence"
            )
        drawn.append(np.concatenate(arrays)[:, 0])
    return make_references(x, np.stack(drawn, axis=1))
