"""One pass over a store gives what the whole arrays give."""

import numpy as np
import pytest

from dfim_fast.io.store import MapStore
from dfim_fast.report import map_summary
from dfim_fast.report.map_summary import LOG_WIDTH, MapSummary, summarize


@pytest.mark.parametrize("run", ["map_run", "window_run"])
def test_sums_by_distance_and_position(run, request):
    store = MapStore.open(request.getfixturevalue(run) / "maps.zarr")
    everything = slice(0, len(store))
    fis, mask, p = (store.read(name, everything) for name in ("fis", "mask", "p"))
    sources, targets = np.asarray(store.group["sources"]), np.asarray(store.group["targets"])
    away = np.abs(np.broadcast_to(targets, fis.shape[-3:-2] + fis.shape[-1:]) - sources[:, None])
    for k, summary in enumerate(summarize(store)):
        assert (summary.sequences, summary.total) == (len(store), len(store))
        found = summary.by_distance()
        for distance, mean, largest in zip(*found.values(), strict=True):
            cells = mask[k] & (away == distance)[None, :, None]
            values = np.abs(fis[k][cells].astype(float))
            assert mean == pytest.approx(values.mean())
            assert largest == pytest.approx(values.max())
        size = np.where(mask[k], np.abs(fis[k]), 0).max(axis=2)
        counts = mask[k].any(axis=2).sum(axis=0)
        wanted = np.where(counts > 0, size.sum(axis=0) / np.maximum(counts, 1), np.nan)
        np.testing.assert_allclose(summary.aggregate(), wanted, rtol=1e-6)
        np.testing.assert_array_equal(
            summary.p_counts, np.histogram(p[k][mask[k]], map_summary.P_BINS, (0, 1))[0]
        )
        assert summary.log_counts.sum() == mask[k].sum()


def test_importance_adds_up_as_the_store_says(map_run, window_run):
    store = MapStore.open(map_run / "maps.zarr")
    for summary in summarize(store):
        np.testing.assert_allclose(summary.totals, summary.expected, atol=1e-5)
        assert summary.names == store.names
    (gradient,) = summarize(MapStore.open(window_run / "maps.zarr"))
    assert gradient.totals == []  # nothing has to add up there


def test_a_large_store_is_read_in_part_and_a_large_map_is_pooled(map_run, monkeypatch):
    monkeypatch.setattr(map_summary, "CELLS", 1)
    monkeypatch.setattr(map_summary, "SIDE", 10)
    store = MapStore.open(map_run / "maps.zarr")
    summary, _ = summarize(store)
    assert (summary.sequences, summary.total) == (1, 3)
    one = store.sequence(0)
    size = np.where(one.mask[0, 0], np.abs(one.fis[0, 0]), 0).max(axis=1)
    tested = one.mask[0, 0].any(axis=1)
    assert summary.aggregate().shape == (9, 9)  # 44 positions by fives
    assert summary.aggregate()[3, 4] == pytest.approx(
        size[15:20, 20:25].sum() / tested[15:20, 20:25].sum()
    )


def test_quantiles_of_even_p_lie_on_the_line():
    p = (np.arange(100_000) + 0.5) / 100_000
    steps = (-np.log10(p) / LOG_WIDTH).astype(int)
    counts = np.bincount(steps, minlength=map_summary.LOG_BINS)
    expected, found = MapSummary(1, log_counts=counts).quantiles()
    np.testing.assert_allclose(found[expected < 3.5], expected[expected < 3.5], atol=0.02)
