"""What people run today, on the same weights: batched autograd, and tangermeme's DeepLIFT.

Both compute the importance of every mutant's observed bases, a full pass at a time. They get what
speeds them up: weights without gradients, mutants cut into the best of a few batch sizes.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from cases import Case
from layers import (
    AveragePool,
    BatchNorm,
    Centre,
    Conv,
    Dense,
    Exp,
    Flatten,
    Gelu,
    Layer,
    MaxPool,
    Mean,
    Relu,
    Residual,
    sizes,
)
from torch import nn

FULL_SECONDS = 40.0  # a peer that would take longer is measured on part of the mutants and scaled
PART_SECONDS = 12.0  # how long that part shall take
AUTOGRAD_BATCHES = (32, 128, 512)  # mutants
DEEPLIFT_BATCHES = (40, 160, 640)  # mutants x references


class _Exp(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp()


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class _Centre(nn.Module):
    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.narrow(2, (x.shape[2] - self.positions) // 2, self.positions)


class _Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(2)


class _Flatten(nn.Module):
    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x if self.order == "CL" else x.transpose(1, 2)).flatten(1)


def torch_module(case: Case) -> nn.Module:
    """The case's network, in evaluation mode, its weights without gradients."""
    weights = iter(case.weights())
    received = sizes(case.layers, 4, case.length)

    def one(layer: Layer) -> nn.Module:
        if isinstance(layer, Residual):
            return _Residual(nn.Sequential(*map(one, layer.inner)))
        channels, _ = next(received)
        made: nn.Module
        if isinstance(layer, Conv):
            made = nn.Conv1d(channels, layer.filters, layer.width, dilation=layer.dilation)
            own = next(weights)
            _fill(made, weight=own["W"], bias=own["b"])
            left, right = layer.padding
            if left == right:
                made.padding = (left,)
                return made
            return nn.Sequential(nn.ConstantPad1d((left, right), 0.0), made)
        if isinstance(layer, BatchNorm):
            own = next(weights)
            made = nn.BatchNorm1d(channels, eps=float(own["epsilon"]))
            _fill(made, weight=own["scale"], bias=own["shift"], running_mean=own["mean"],
                  running_var=own["variance"])
            return made
        if isinstance(layer, Dense):
            own = next(weights)
            made = nn.Linear(channels, layer.units)
            _fill(made, weight=own["W"], bias=own["b"])
            return made
        simple: dict[type, Callable[[Any], nn.Module]] = {
            Relu: lambda _: nn.ReLU(), Gelu: lambda _: nn.GELU(), Exp: lambda _: _Exp(),
            MaxPool: lambda p: nn.MaxPool1d(p.width), AveragePool: lambda p: nn.AvgPool1d(p.width),
            Centre: lambda c: _Centre(c.positions), Mean: lambda _: _Mean(),
            Flatten: lambda f: _Flatten(f.order),
        }
        return simple[type(layer)](layer)

    return nn.Sequential(*map(one, case.layers)).eval().requires_grad_(False)


def _fill(module: nn.Module, **values: np.ndarray) -> None:
    with torch.no_grad():
        for name, array in values.items():
            getattr(module, name).copy_(torch.from_numpy(np.array(array)))


class Autograd:
    """Gradient times input, by batched PyTorch autograd."""

    name = "batched PyTorch autograd"
    batches: Sequence[int] = AUTOGRAD_BATCHES
    references: torch.Tensor | None = None

    def __init__(self, case: Case, references: np.ndarray | None = None) -> None:
        self.module = torch_module(case)

    def __call__(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Importance (M, L) of the observed bases of x (M, 4, L), task 0."""
        found = []
        for part in x.split(batch):
            part = part.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(self.module(part)[:, 0].sum(), part)
            found.append((g * part.detach()).sum(1))
        return torch.cat(found)


class Tangermeme:
    """DeepLIFT by tangermeme, all mutants against the original's references (R, 4, L)."""

    name = "tangermeme deep_lift_shap"
    batches: Sequence[int] = DEEPLIFT_BATCHES

    def __init__(self, case: Case, references: np.ndarray | None) -> None:
        assert references is not None
        self.module = torch_module(case)
        self.references = torch.from_numpy(references)

    def __call__(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Importance (M, L) of the observed bases of x (M, 4, L), task 0."""
        from tangermeme.deep_lift_shap import deep_lift_shap

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of small absolute deltas; agreement is checked here
            found = deep_lift_shap(
                self.module, x, target=0, batch_size=batch, device=x.device.type,
                references=self.references.expand(len(x), *self.references.shape))
        return found.sum(1)


PEERS = {"gradient": Autograd, "deeplift": Tangermeme}


def measure(
    peer: Autograd | Tangermeme, mutants: torch.Tensor, most: float = FULL_SECONDS,
    part: float = PART_SECONDS, repeats: int = 3, sizes_tried: int | None = None,
) -> dict[str, Any]:
    """Time of one sequence's mutants, at the best of the peer's batch sizes.

    Parameters
    ----------
    peer : Autograd or Tangermeme
    mutants : Tensor (M, 4, L)
    most : float
        Seconds that all mutants may take before a part stands for them.
    part : float
        Seconds that this part shall take.
    repeats : int
        Of the timing, as long as it all stays within ``most``.
    sizes_tried : int, optional
        Try only the first few batch sizes.

    Returns
    -------
    dict
        ``seconds`` for all M mutants, ``measured_mutants``, ``scaled``, ``batch``, ...
    """
    count = len(mutants)
    pairs = 1 if peer.references is None else len(peer.references)
    rates: dict[int, float] = {}
    for batch in peer.batches[:sizes_tried]:  # ascending: the first run warms up, too
        trial = min(count, max(1, batch // pairs))
        _seconds(peer, mutants[: max(1, trial // 4)], batch)
        repeat = 2 if trial < count else 1
        rates[batch] = min(_seconds(peer, mutants[:trial], batch) for _ in range(repeat)) / trial
        if rates[batch] > 4 * min(rates.values()):
            break
    best = min(rates, key=lambda batch: rates[batch])
    expected = rates[best] * count
    chosen = count
    if expected > most:
        step = max(1, best // pairs)
        chosen = min(count, max(step, round(part / rates[best] / step) * step))
    times = [_seconds(peer, mutants[:chosen], best)]
    while len(times) < repeats and sum(times) + times[0] <= most:
        times.append(_seconds(peer, mutants[:chosen], best))
    scale = count / chosen
    return {
        "name": peer.name,
        "seconds": statistics.median(times) * scale,
        "lowest_s": min(times) * scale, "highest_s": max(times) * scale,
        "repeats": len(times),
        "mutants": count, "measured_mutants": chosen, "scaled": chosen < count,
        "batch": best, "batch_unit": "mutants" if pairs == 1 else "mutants x references",
        "batches_tried_s_per_mutant": {str(b): r for b, r in rates.items()},
    }


def _seconds(peer: Callable[[torch.Tensor, int], Any], x: torch.Tensor, batch: int) -> float:
    start = time.perf_counter()
    peer(x, batch)
    return time.perf_counter() - start


def all_mutants(x: np.ndarray) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """All single-nucleotide mutants (M, 4, L) of x (4, L), in order of position, with their
    positions (M,) and bases (M,)."""
    observed = x.argmax(0)
    position = np.repeat(np.arange(x.shape[1]), 4)
    base = np.tile(np.arange(4), x.shape[1])
    changed = base != np.repeat(observed, 4)
    position, base = position[changed], base[changed]
    mutants = torch.from_numpy(x)[None].repeat(len(position), 1, 1)
    rows = torch.arange(len(position))
    mutants[rows, :, torch.from_numpy(position)] = 0
    mutants[rows, torch.from_numpy(base), torch.from_numpy(position)] = 1
    return mutants, position, base
