"""Importance of the observed bases, or of all four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from dfim_fast.maps.model import Model
from dfim_fast.maps.request import make_request, warn_delta


def attribute(
    model: Model,
    X: Any,
    *,
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    task: int | str | Sequence[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    hypothetical: bool = False,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Importance scores of sequences.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array (N, 4, L)
    method : str
        What importance is.

        - "deeplift": multipliers of DeepLIFT's Rescale rule, ``(f(x) - f(r)) / (x - r)`` at every
          function f, against references r (Shrikumar 2017).
        - "deeplift_revealcancel": the same after convolutions, and RevealCancel after dense layers:
          with p and n what positive and negative contributions add to r, multipliers ``y+ / p`` and
          ``y- / n``, ``y+ = ((f(r + p) - f(r)) + (f(r + p + n) - f(r + n))) / 2`` and y- with p and
          n exchanged. What the deeplift package does by default for genomics.
        - "revealcancel": RevealCancel at every function of one variable.
        - "gradient": gradient times input.
        - "gradient_corrected": the same, the gradient's mean over the four bases subtracted
          (Majdandzic 2023).
        - "guided_backprop": as gradient, with ``max(g, 0) f'(x)`` passed on at every f
          (Springenberg 2014).
        - "deconv": as gradient, with ``f(g)`` passed on where f is a ReLU or leaky, and elsewhere
          ``max(g, 0)`` (Zeiler 2013).

        The last two, and RevealCancel where it applies, run on the backends "reference" and
        "numba", the latter by whole passes but for guided_backprop and deconv of a model that goes
        straight from its trunk to the score.
    references : {"dinucleotide", "gc", "zeros"} or array (R, 4, L) or (N, R, 4, L)
        What a sequence is compared with; for the first three methods only.
    n_references : int
        Dinucleotide shuffles for each sequence.
    gc : float
        GC content of the "gc" background.
    random_state : int
    task : int, str, or list of them
    contribution : {"projected", "observed"}
        ``sum_b m[b] (X[b] - R[b])``, which sums to the difference from the reference, or
        ``m[observed] (1 - R[observed])``.
    maxpool : {"shap", "deeplift"}
        How a pooled difference is shared (SEMANTICS: Importance scores).
    epsilon : float
        Below this distance from the reference a multiplier is the derivative.
    hypothetical : bool
        Fill all four bases: ``H[c] = sum_b m[b] (1[b=c] - R[b])``.
    backend : str
    memory_limit : int, optional
        Bytes of workspace.
    threads : int, optional
    progress : bool

    Returns
    -------
    ndarray (N, 4, L)
        Zero off the observed base unless ``hypothetical``; with a list of tasks (K, N, 4, L). Of
        several folds the mean.

    Raises
    ------
    InputError, SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> importance = dfim_fast.attribute(model, ["ACGTT" * 40], method="gradient")
    >>> importance.shape, int((importance != 0).any(axis=1).sum()) <= 200
    ((1, 4, 200), True)
    """
    request = make_request(
        model,
        X,
        method=method,
        references=references,
        n_references=n_references,
        gc=gc,
        random_state=random_state,
        task=task,
        contribution=contribution,
        maxpool=maxpool,
        epsilon=epsilon,
        backend=backend,
        sources=[0],
        window=0,
        memory_limit=memory_limit,
        threads=threads,
    )
    found, worst = [], None
    request.announce(progress)
    for first, last in tqdm(list(request.chunks(1)), unit="seq", disable=not progress):
        for values, error in request.backend.attributions(
            request.x[first:last], request.own_references(first, last), hypothetical
        ):
            found.append(values.swapaxes(1, 2))
            if error is not None:
                worst = max(worst or 0.0, error)
    warn_delta(worst)
    result = np.stack(found, axis=1)
    return result if request.several else result[0]
