"""Importance of arrays of mutants: the changes of each original's mutants, not a pass for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast.backends.base import Backend
from dfim_fast.compat.arrays import as_rows
from dfim_fast.compat.models import as_loaded, check_length
from dfim_fast.compat.recognise import find_originals
from dfim_fast.compat.references import Constant, Shuffles
from dfim_fast.compat.whole import whole_rows
from dfim_fast.errors import SettingsError
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import make_request
from dfim_fast.plan.plan import compares
from dfim_fast.plan.planner import FEW
from dfim_fast.sequence.mutants import Mutants, spans
from dfim_fast.sequence.references import check_gc

# Score type of the original -> method here.
METHODS = {
    "gradient_input": "gradient",
    "deeplift": "deeplift_revealcancel",
    "rescale_all_layers": "deeplift",
    "revealcancel_all_layers": "revealcancel",
    "guided_backprop": "guided_backprop",
    "deconv": "deconv",
}
TOGETHER = 64  # originals handed to the backend at once
RESULT_BYTES = 256_000_000  # of mutants' changes held at once
REFERENCE_BYTES = 64_000_000  # of references made ahead for whole passes
SHUFFLES = (None, "None", "random", "dinuc")


def compute_importance(
    model: Any,
    sequences: Any,
    tasks: Sequence[int | str],
    score_type: str = "gradient_input",
    find_scores_layer_idx: int = 0,
    target_layer_idx: int = -2,
    reference_gc: float = 0.46,
    reference_shuffle_type: str | None = None,
    num_refs_per_seq: int = 10,
    seed: int = 1,
    *,
    mutated_seq_key: pd.DataFrame | None = None,
    strict: bool = False,
    backend: str = "auto",
    progress: bool = False,
) -> dict[Any, np.ndarray]:
    """Importance scores times the input.

    Rows that are mutants of another row (one base changed, or one span without a base any more) are
    computed from what they change, all others by a pass each. References belong to the original and
    are shared by its mutants.

    Parameters
    ----------
    model : Model, path, or Keras or PyTorch model
    sequences : array (n, L, 4)
        Such as `generate_mutants_and_key` makes.
    tasks : list of int or str
        Columns of the model's output, or their names.
    score_type : str
        - ``"gradient_input"``: ``x * gradient * (x - reference)``.
        - ``"deeplift"``: DeepLIFT with Rescale after convolutions, RevealCancel after dense layers.
        - ``"rescale_all_layers"``, ``"revealcancel_all_layers"``: one of the two everywhere.
        - ``"guided_backprop"``, ``"deconv"``: ``x * signal``; there is no reference.
    find_scores_layer_idx : int
        0, the input: no other layer is scored.
    target_layer_idx : int
        -2 scores the logit, -1 the output; of a Model it has to be what that was loaded for.
    reference_gc : float
        GC content of the reference, which is constant; 0 for zeros.
    reference_shuffle_type : {None, "random", "dinuc"}
        Shuffles of each sequence instead.
    num_refs_per_seq : int
        How many of them.
    seed : int
    mutated_seq_key : DataFrame, optional
        Says which rows are mutants of which; without it the rows tell by themselves.
    strict : bool
        As the original: a pass for each row, each with references of its own. A span of background
        then has importance too, which otherwise is 0 as nothing is observed there.
    backend : str
    progress : bool

    Returns
    -------
    dict
        Task -> ndarray (n, L, 4), zero off the observed base.

    Raises
    ------
    InputError, SettingsError, BackendError, ModelError
    """
    if find_scores_layer_idx != 0:
        raise SettingsError(
            f"find_scores_layer_idx={find_scores_layer_idx}: only the input, 0, is scored"
        )
    method = method_of(score_type)
    if reference_shuffle_type not in SHUFFLES:
        raise SettingsError(
            f"reference_shuffle_type={reference_shuffle_type!r} is unknown; "
            "choose from None, 'random', 'dinuc'"
        )
    check_gc(reference_gc)
    rows = as_rows(sequences)
    loaded = loaded_for(model, target_layer_idx, rows)
    check_length(loaded, rows)
    if strict:
        origin = np.full(len(rows), -1, np.int64)
    else:
        origin = find_originals(rows, mutated_seq_key)
    wanted = task_list(tasks)
    maker: Constant | Shuffles = Constant(reference_gc)
    if reference_shuffle_type not in (None, "None"):
        maker = Shuffles(str(reference_shuffle_type), num_refs_per_seq, seed, strict)
    scorer = Scorer(loaded, wanted, method, maker, backend)
    found = np.zeros((len(wanted), *rows.shape), np.float32)
    scorer.fill(rows, origin, found, progress)
    if not strict:  # where there is no base, none is observed
        found *= rows == 1
    return dict(zip(wanted, found, strict=True))


def task_list(tasks: Any) -> list[Any]:
    """Tasks as a list, from one of them or several."""
    if isinstance(tasks, str | int | np.integer):
        return [tasks]
    return [int(task) if isinstance(task, np.integer) else task for task in tasks]


def method_of(score_type: str) -> str:
    """The method that computes a score type.

    Raises
    ------
    SettingsError
    """
    if score_type not in METHODS:
        raise SettingsError(
            f"score_type={score_type!r} is unknown; choose from " + ", ".join(METHODS)
        )
    return METHODS[score_type]


def loaded_for(model: Any, target_layer_idx: int, rows: np.ndarray) -> Model:
    """The model, scored before or after its last activation."""
    if target_layer_idx not in (-1, -2):
        raise SettingsError(
            f"target_layer_idx={target_layer_idx}: choose -2 for the logit or -1 for the output"
        )
    target = "output" if target_layer_idx == -1 else "logit"
    loaded = as_loaded(model, target, rows)
    if (loaded.target == "output") != (target == "output"):
        raise SettingsError(
            f"target_layer_idx={target_layer_idx} scores the {target}, the model was loaded for "
            f"its {loaded.target}; load it with target={target!r}"
        )
    return loaded


class Scorer:
    """Importance of rows for one setting.

    Parameters
    ----------
    model : Model
    tasks : list of int
    method : str
    maker : Constant or Shuffles
        Of references.
    backend : str
    """

    def __init__(
        self,
        model: Model,
        tasks: list[int | str],
        method: str,
        maker: Constant | Shuffles,
        backend: str,
    ) -> None:
        self.model, self.tasks, self.method = model, tasks, method
        self.maker, self.backend = maker, backend

    def prepared(self, x: np.ndarray) -> Backend:
        """The engine, made once for all originals; x (1, 4, L) is one of them."""
        request = make_request(
            self.model,
            x,
            method=self.method,
            references=self.maker(x) if compares(self.method) else "zeros",
            n_references=self.maker.count,
            gc=0.5,
            random_state=0,
            task=list(self.tasks),
            contribution="observed",
            maxpool="deeplift",
            epsilon=1e-6,
            backend=self.backend,
            sources=[0],
            window=0,
        )
        return request.backend

    def fill(self, rows: np.ndarray, origin: np.ndarray, found: np.ndarray, progress: bool) -> None:
        """Enter the importance (K, n, L, 4) of all rows (n, L, 4)."""
        alone = origin < 0
        engine = None
        if not alone.all():
            engine = self.prepared(rows[[origin.max()]].swapaxes(1, 2))
            alone |= self.too_few(engine, origin)
        with tqdm(total=len(rows), unit="row", desc="importance", disable=not progress) as bar:
            for part in self.parts(np.where(alone, -1, origin), rows.shape[1]):
                assert engine is not None
                self.fill_mutants(engine, rows, part, found)
                bar.update(sum(len(mutants) + 1 for mutants in part.values()))
            places = np.flatnonzero(alone)
            size = max(1, REFERENCE_BYTES // (16 * self.maker.count * rows.shape[1]))
            for first in range(0, len(places), size):
                some = places[first : first + size]
                own = np.where(origin[some] < 0, some, origin[some])
                references = self.maker(rows[own].swapaxes(1, 2)).swapaxes(2, 3)
                found[:, some] = whole_rows(
                    self.model, rows[some], self.tasks, self.method, references, self.backend
                )
                bar.update(len(some))

    def too_few(self, engine: Backend, origin: np.ndarray) -> np.ndarray:
        """Rows (n,) whose originals have so few mutants that passes in batches cost less."""
        if compares(self.method) or engine.plan.strategy != "events":
            return np.zeros(len(origin), bool)
        members = np.bincount(origin[origin >= 0], minlength=len(origin))
        return members[origin] <= FEW

    def parts(self, origin: np.ndarray, length: int) -> Iterator[dict[int, np.ndarray]]:
        """Originals with the rows of their mutants, so many at once as memory allows."""
        groups = max(min(self.maker.count, 5), 1)
        each = 4 * groups * len(self.tasks) * length
        part: dict[int, np.ndarray] = {}
        size = 0
        order = np.argsort(origin, kind="stable")[np.count_nonzero(origin < 0) :]
        (firsts,) = np.nonzero(np.diff(origin[order], prepend=-1))
        for own in np.split(order, firsts[1:]) if len(order) else ():
            original = int(origin[own[0]])
            mutants = own[own != original]
            if part and (len(part) >= TOGETHER or size + each * len(mutants) > RESULT_BYTES):
                yield part
                part, size = {}, 0
            part[original] = mutants
            size += each * len(mutants)
        if part:
            yield part

    def fill_mutants(
        self, engine: Backend, rows: np.ndarray, part: dict[int, np.ndarray], found: np.ndarray
    ) -> None:
        """Enter originals and their mutants."""
        originals = list(part)
        x = np.ascontiguousarray(rows[originals].swapaxes(1, 2))
        references = None
        if compares(self.method):
            references = engine.references(x, self.maker(x), self.maker.count, 0.5, 0)
        edits = [edited(rows[i], rows[mutants]) for i, mutants in part.items()]
        everywhere = np.arange(rows.shape[1])
        results = engine.effects(x, references, edits, [everywhere] * len(x))
        for n, (effects, (i, mutants)) in enumerate(zip(results, part.items(), strict=True)):
            shares = self.shares(x[n])
            before = effects.mean(effects.attributions)
            enter(found, i, before, rows[i], shares)
            lost, own = effects.mean(effects.lost), effects.mean(effects.own)
            for m, row in enumerate(mutants):
                start, width = edits[n].start[m], edits[n].width[m]
                now = before - lost[:, m]
                # of a single base; of a span without a base it is not asked for
                now[:, start : start + width] = before[:, [start]] - own[:, [m]]
                enter(found, int(row), now, rows[row], shares)

    def shares(self, x: np.ndarray) -> np.ndarray | float:
        """What the original package multiplies gradient times input with: 1 - reference, (L, 4)."""
        if self.method != "gradient":
            return 1.0
        return 1 - self.maker(x[None])[0].mean(axis=0).T


def enter(
    found: np.ndarray, row: int, importance: np.ndarray, x: np.ndarray, shares: np.ndarray | float
) -> None:
    """Put importance (K, L) at the observed bases of x (L, 4)."""
    found[:, row] = importance[:, :, None] * ((x == 1) * shares)


def edited(original: np.ndarray, mutants: np.ndarray) -> Mutants:
    """What mutants (M, L, 4) change of their original (L, 4)."""
    starts, columns = [], []
    for mutant in mutants:
        (where,) = np.nonzero((mutant != original).any(axis=1))
        first, last = (where[0], where[-1] + 1) if len(where) else (0, 1)
        starts.append(int(first))
        columns.append(mutant[first:last])
    return spans(starts, columns)
