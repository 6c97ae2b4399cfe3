"""One look through a map, against the plain sorting of all its cells."""

import numpy as np
import pytest

from dfim_fast.stats.histogram import LogHistogram
from dfim_fast.stats.map_scan import Cells, clear, empty_counts, scan, spans_of
from dfim_fast.stats.strata import STRATA

LENGTH, TASKS = 120, 2


def drawn(seed, sources, targets, unknown):
    """A map of few distinct values, so that many cells are equally strong, and its sequence."""
    draw = np.random.default_rng(seed)
    shape = (TASKS, len(sources), 4, targets.shape[1])
    fis = np.round(draw.normal(size=shape), 1).astype(np.float32)
    fis[draw.random(shape) < 0.6] = 0
    fis[:, :, :, 10:50] *= draw.random((TASKS, len(sources), 4, 1)) < 0.3  # blocks of 0
    fis[fis == 0] *= draw.choice([-1, 1])
    codes = draw.integers(0, 4, LENGTH).astype(np.int8)
    codes[list(unknown)] = 4
    reach = draw.random((TASKS, *targets.shape)) < 0.9
    return fis, codes, Cells.of(sources, targets, reach)


def layout(window):
    sources = np.arange(3, LENGTH, 7)
    if window is None:
        return sources, np.tile(np.arange(LENGTH), (len(sources), 1))
    targets = sources[:, None] + np.arange(-window, window + 1)
    return sources, np.where((targets >= 0) & (targets < LENGTH), targets, -1)


@pytest.mark.parametrize("window", [None, 45])
@pytest.mark.parametrize("unknown", [(), (3, 17, 60)])
@pytest.mark.parametrize("top", [0, 1, 37, 100_000])
def test_what_sorting_all_cells_finds(window, unknown, top):
    fis, codes, cells = drawn(4, *layout(window), unknown)
    counts = empty_counts(TASKS)
    counts[0, 5] = 2  # of an earlier map
    seen = scan(fis, codes, cells, top, counts)
    mutants = np.arange(4)[None, :, None] != codes[cells.sources][:, None, None]
    for k in range(TASKS):
        mask = cells.tested(codes)[k][:, None] & mutants
        size = np.where(mask, np.abs(fis[k]), 0)
        for d in range(STRATA):
            there = mask & (cells.stratum == d)[:, None]
            histogram = LogHistogram()
            histogram.add(fis[k], there)
            histogram.counts[5] += 2 * (k == d == 0)
            assert np.array_equal(counts[k * STRATA + d], histogram.counts)
            own = np.where(there, size, 0).ravel()
            order = np.argsort(-own, kind="stable")[:top]
            found = seen.cell[(seen.task == k) & (seen.stratum == d)]
            assert np.array_equal(found, order[own[order] > 0])
        flat = size.reshape(len(size), -1)
        cell = np.where(flat.max(axis=1) > 0, flat.argmax(axis=1), -1)
        assert np.array_equal(seen.strongest_cell[k], cell)
        values = fis[k].reshape(flat.shape)[np.arange(len(flat)), cell]
        assert np.array_equal(seen.strongest[k], np.where(cell >= 0, values, 0))


def test_what_may_not_be_zero_is_cleared():
    draw = np.random.default_rng(8)
    reach = draw.random((TASKS, 6, 9)) < 0.2
    reach[:, 2] = False
    reach[:, 3] = True
    spans = spans_of(reach)
    assert spans[2].tolist() == [0, 0]
    assert spans[3].tolist() == [0, 9]
    array = np.where(reach[:, :, None], draw.random((TASKS, 6, 4, 9)), 0).astype(np.float32)
    clear(array, spans)
    assert not array.any()
    array[:] = 1
    clear(array, spans)
    some = reach.any(axis=0)
    for s in range(6):
        columns = np.flatnonzero(some[s])
        kept = np.ones(9, bool)
        kept[columns.min(initial=9) : columns.max(initial=-1) + 1] = False
        assert np.array_equal(array[:, s] == 1, np.broadcast_to(kept, (TASKS, 4, 9)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite(value):
    fis, codes, cells = drawn(4, *layout(None), ())
    k, s, w = np.argwhere(cells.tested(codes))[-1]
    fis[k, s, (codes[cells.sources[s]] + 1) % 4, w] = value
    assert scan(fis, codes, cells, 5, empty_counts(TASKS)) is None
    fis[k, s] = 0
    assert scan(fis, codes, cells, 5, empty_counts(TASKS)) is not None
