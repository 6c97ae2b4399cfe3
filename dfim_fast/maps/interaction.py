"""Nucleotide-resolution interaction maps (the paper's Eq. 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from dfim_fast.backends.base import Into
from dfim_fast.maps.labelled import Labelled
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request, made_with, make_request, warn_delta
from dfim_fast.maps.storage import Room
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.one_hot import encode


@dataclass(eq=False)
class InteractionMap(Labelled):
    """Feature interaction scores of N sequences.

    S sources, T targets (``2w+1`` offsets with ``window=w``). With a list of tasks, ``fis``,
    ``mask``, ``standard_error``, ``self_effect``, ``mutant_predictions``, ``attributions`` and
    ``predictions`` carry a leading task axis. Of several folds, all are means over the folds.

    Attributes
    ----------
    fis : ndarray (N, S, 4, T) float32
        ``FIS(beta, t | alpha -> gamma, s) = C_X[beta, t] - C_X'[beta, t]``: importance lost at t
        when s becomes gamma (axis 2).
    standard_error : ndarray like fis, or None
        Over groups of references. Of several folds the mean of theirs, which is the most that the
        error of their mean can be: they share their references.
    fold_spread : ndarray like fis, or None
        Standard deviation over folds.
    sign_agreement : ndarray like fis, or None
        Share of the folds whose score has the sign of ``fis``; one that is exactly 0 has none.
    self_effect : ndarray (N, S, 4) float32
        ``C_X(s) - C_X'(s)``, each at its own observed base.
    mutant_predictions : ndarray (N, S, 4) float32
    predictions : ndarray (N,) float32
    attributions : ndarray (N, L) float32
        Importance of the observed bases of the originals.
    sources : ndarray (S,) int
    targets : ndarray (T,) int, or (S, 2w+1) with ``window=w`` (-1 off the end)
    window : int or None
    names, task_names : list of str
    sequences : ndarray (N, L) int8
        Bases 0 to 3, 4 for N.
    summation_to_delta : float or None
        Largest relative error over originals and mutants.
    reach : ndarray (K, S, T) of bool
        Cells the architecture can connect.
    plan : Plan
    model_hash : str
    settings : dict
    several : bool
        Whether arrays carry the task axis.
    folds : int
        Networks that these are the means of.
    """

    fis: Any
    standard_error: Any
    self_effect: Any
    mutant_predictions: Any
    predictions: Any
    attributions: Any
    sources: np.ndarray
    targets: np.ndarray
    window: int | None
    names: list[str]
    task_names: list[str]
    sequences: np.ndarray
    summation_to_delta: float | None
    reach: np.ndarray
    plan: Plan
    model_hash: str
    settings: dict[str, Any]
    several: bool
    kind: str = "observed"
    reference_predictions: Any = field(default=None, repr=False)
    fold_spread: Any = field(default=None, repr=False)
    sign_agreement: Any = field(default=None, repr=False)
    folds: int = 1

    def __repr__(self) -> str:
        n, s = self.sequences.shape[0], len(self.sources)
        width = (
            f"window {self.window}" if self.window is not None else f"{len(self.targets)} targets"
        )
        return (
            f"InteractionMap({n} sequence{'s' * (n != 1)}, {s} sources, {width}, "
            f"{self.settings['method']}, tasks {', '.join(self.task_names)}"
            + (f", mean of {self.folds} folds)" if self.folds > 1 else ")")
        )

    @property
    def target_table(self) -> np.ndarray:
        """Target positions (S, T) of each source, -1 for none."""
        return self.plan.targets

    def sequence_mask(self, n: int) -> np.ndarray:
        """The mask of sequence n: (S, 4, T), or (K, S, 4, T) with several tasks."""
        codes, table = self.sequences[n], self.target_table
        observed = codes[self.sources]
        mutant = (np.arange(4)[None] != observed[:, None]) & (observed < 4)[:, None]
        target = (table >= 0) & (codes[np.maximum(table, 0)] < 4) & (table != self.sources[:, None])
        cells = (target & self.reach)[:, :, None] & mutant[None, :, :, None]
        return cells if self.several else cells[0]

    @cached_property
    def mask(self) -> np.ndarray:
        """True for a tested cell: False on the empty slot, diagonal, N and unreachable cells."""
        masks = [self.sequence_mask(n) for n in range(len(self.sequences))]
        return np.stack(masks, axis=1 if self.several else 0)

    @property
    def max_mask(self) -> np.ndarray:
        """The mask of `max_fis`: (N, S, T)."""
        return np.asarray(self.mask.any(axis=-2))

    def max_fis(self, absolute: bool = False) -> np.ndarray:
        """Maximum over the three mutants (N, S, T).

        Parameters
        ----------
        absolute : bool
            Maximum of |FIS| instead; the signed one can be negative.

        Returns
        -------
        ndarray (N, S, T) float32
            0 where nothing was tested.
        """
        values = np.asarray(self.fis)
        values = np.abs(values) if absolute else values
        tested = self.mask.any(axis=-1, keepdims=True)  # the slots that hold a mutant
        best = np.where(tested, values, -np.inf).max(axis=-2)
        return np.where(np.isfinite(best), best, 0).astype(values.dtype)

    @property
    def provenance(self) -> dict[str, Any]:
        """What these numbers are: a null has to agree with it, all but ``kind``."""
        shape = hashlib.sha256()
        for array in (self.sources, self.target_table):
            shape.update(np.ascontiguousarray(array, np.int64).tobytes())
        return {
            "kind": self.kind,
            "quantity": "fis",
            "source_width": 1,
            "target_width": 1,
            "mutant_rule": "snv",
            **made_with(self.model_hash, self.settings, self.plan.n_references),
            "reduction": "none",
            "window": self.window,
            "sources_targets": shape.hexdigest()[:16],
        }


def interaction_map(
    model: Model,
    X: Any,
    *,
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    sources: Any = None,
    targets: Any = None,
    window: int | None = None,
    task: int | str | Sequence[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    backend: str = "auto",
    out: str | Path | None = None,
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> InteractionMap:
    """How much the importance of every base changes when any other base is mutated (Eq. 1).

    Parameters
    ----------
    model : Model
        Of several folds, the maps are means, and hold the folds' spread and agreement in sign.
    X : list of str, or one-hot array (N, 4, L)
    method, references, n_references, gc, random_state, task, contribution, maxpool, epsilon
        As in `attribute`. References are drawn from the original sequence and shared by all its
        mutants.
    sources, targets : list of int, optional
        Positions to mutate and to read; all by default.
    window : int, optional
        Keep targets within this many positions of each source.
    backend : {"auto", "reference", "numba", "cupy", "native", "emulator"}
        One named is never replaced by another.
    out : path, optional
        A new Zarr folder for results larger than memory.
    memory_limit : int, optional
        Bytes of workspace (default 2 GB); results are not counted.
    threads : int, optional
        Changes no bit of the result.
    names : list of str, optional
        Of the sequences.
    progress : bool

    Returns
    -------
    InteractionMap

    Raises
    ------
    InputError, SettingsError, BackendError, OutputError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> maps = dfim_fast.interaction_map(
    ...     model, ["ACGTT" * 40], references="gc", sources=range(90, 94), progress=False
    ... )
    >>> maps.fis.shape, maps.max_fis().shape
    ((1, 4, 4, 200), (1, 4, 200))
    >>> lost = maps.self_effect + maps.fis.sum(axis=-1)  # all that a mutant takes away
    >>> bool(abs(lost - (maps.predictions[:, None, None] - maps.mutant_predictions)).max() < 1e-4)
    True
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
        sources=sources,
        targets=targets,
        window=window,
        memory_limit=memory_limit,
        threads=threads,
        names=names,
    )
    return compute(request, out, progress)


def places(arrays: dict[str, Any], i: int, several: bool) -> Into:
    """Where interactions of sequence i and their standard errors go, tasks first."""

    def of(name: str) -> Any:
        array = arrays.get(name)
        return array if array is None else array[:, i] if several else array[i][None]

    return of("fis"), of("standard_error")


def compute(request: Request, out: str | Path | None, progress: bool) -> InteractionMap:
    """Carry out a request."""
    plan, several = request.plan, request.several
    n, tasks, s, w = len(request.x), len(plan.tasks), len(plan.sources), plan.targets.shape[1]
    dtype = np.dtype(request.backend.dtype)
    lead = (tasks,) if several else ()
    spread, folds = plan.groups > 1, request.backend.folds
    worst = None
    request.announce(progress)
    with Room(out) as room, tqdm(total=n, unit="seq", desc="maps", disable=not progress) as bar:
        room.check(n * tasks * s * 4 * w * dtype.itemsize * (1 + spread + 2 * (folds > 1)))
        arrays = {
            name: room.array(name, (*lead, n, *shape), len(lead), dtype)
            for name, shape in {
                "fis": (s, 4, w),
                "self_effect": (s, 4),
                "mutant_predictions": (s, 4),
                "attributions": (plan.graph.length,),
                "predictions": (),
                **({"standard_error": (s, 4, w)} if spread else {}),
                **({"fold_spread": (s, 4, w), "sign_agreement": (s, 4, w)} if folds > 1 else {}),
                **({"reference_predictions": ()} if plan.n_references else {}),
            }.items()
        }
        for first, last in request.chunks(request.backend.chunk):
            own = request.own_references(first, last)
            x, into = request.x[first:last], None
            if room.group is None:
                into = [places(arrays, i, several) for i in range(first, last)]
            for i, result in enumerate(request.backend.maps(x, own, into), first):
                for name, array in arrays.items():
                    value = getattr(result, name)
                    if into and np.may_share_memory(value, array):
                        continue  # written where it belongs
                    if several:
                        array[:, i] = value
                    else:
                        array[i] = value[0]
                if result.delta_error is not None:
                    worst = max(worst or 0.0, result.delta_error)
                bar.update()
    warn_delta(worst)

    table = plan.targets
    return InteractionMap(
        fis=arrays["fis"],
        standard_error=arrays.get("standard_error"),
        self_effect=arrays["self_effect"],
        mutant_predictions=arrays["mutant_predictions"],
        predictions=arrays["predictions"],
        attributions=arrays["attributions"],
        sources=plan.sources,
        targets=table if request.settings["window"] is not None else table[0],
        window=request.settings["window"],
        names=request.names,
        task_names=list(request.settings["tasks"]),
        sequences=encode(request.x),
        summation_to_delta=worst,
        reach=plan.reach,
        plan=plan,
        model_hash=request.model.hash,
        settings=request.settings,
        several=several,
        reference_predictions=arrays.get("reference_predictions"),
        fold_spread=arrays.get("fold_spread"),
        sign_agreement=arrays.get("sign_agreement"),
        folds=folds,
    )
