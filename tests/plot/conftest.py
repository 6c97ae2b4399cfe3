"""Toy maps that look like those of a trained model: two motifs that need each other."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

GATA = np.array([2, 0, 3, 0, 0, 2])
TAL = np.array([1, 0, 2, 0, 3, 2, 2, 3])


def make_maps(length: int, first: int, second: int, window: int | None = None, seed: int = 0):
    """Two sequences' maps with motifs at `first` and `second`, in the attributes figures read."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (2, length)).astype(np.int8)
    importance = rng.normal(0, 0.02, (2, length))
    fis = rng.normal(0, 0.004, (2, length, 4, length))
    spans = [(first, GATA), (second, TAL)]
    for n in range(2):
        for at, motif in spans:
            codes[n, at : at + motif.size] = motif
            importance[n, at : at + motif.size] = rng.uniform(0.3, 0.8, motif.size)
        importance[n, (first + second) // 2] = -0.25
        for (a, one), (b, two) in (spans, spans[::-1]):
            for s in range(a, a + one.size):
                hit = rng.uniform(0.3, 1.0, (4, 1))
                span = slice(b, b + two.size)
                fis[n, s, :, span] += 0.6 * hit * importance[n, span]
                fis[n, s, :, (first + second) // 2] -= 0.1 * hit[:, 0]
                own = slice(a, a + one.size)
                fis[n, s, :, own] += 0.9 * hit * importance[n, own]
    mask = np.ones(fis.shape, bool)
    at = np.arange(length)
    for n in range(2):
        mask[n, at, codes[n]] = False
    mask[:, at, :, at] = False
    # What a convolution cannot connect.
    mask &= (np.abs(at[:, None] - at) < 0.85 * length)[None, :, None, :]
    fis = np.where(mask, fis, 0.0).astype(np.float32)
    self_effect = 0.9 * importance[:, :, None] * np.ones(4)
    self_effect[np.arange(2)[:, None], at, codes] = 0.0
    predictions = importance.sum(axis=1)
    maps = SimpleNamespace(
        names=["chr22:20,000,001-20,000,200", "second"],
        task_names=["TAL1"],
        sequences=codes,
        attributions=importance,
        predictions=predictions,
        mutant_predictions=predictions[:, None, None] - self_effect - fis.sum(axis=3),
        self_effect=self_effect,
        fis=fis,
        mask=mask,
        sources=at,
        targets=at,
    )
    if window is not None:
        targets = at[:, None] + np.arange(-window, window + 1)
        inside = (targets >= 0) & (targets < length)
        take = np.clip(targets, 0, length - 1)[None, :, None, :]
        maps.fis = np.where(inside[:, None], np.take_along_axis(fis, take, axis=3), 0)
        maps.mask = np.take_along_axis(mask, take, axis=3) & inside[:, None]
        maps.targets = np.where(inside, targets, -1)
    return maps


@pytest.fixture(scope="session")
def toy_maps():
    """Maker of toy maps: ``toy_maps(length, first motif, second motif, window=None)``."""
    return make_maps


@pytest.fixture
def toy_significance():
    """Maker of a significance of toy maps: the cells past the point where their noise ends."""

    def make(maps):
        return SimpleNamespace(significant=(np.abs(maps.fis) > 0.05) & maps.mask)

    return make
