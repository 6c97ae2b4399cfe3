"""Figures of distance bins, of aggregates and of explained variants."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dfim_fast
from dfim_fast.errors import InputError
from dfim_fast.plot import plot_aggregate, plot_distance_bins, plot_waterfall

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_boxes_stand_for_reachable_bins():
    values = {"under 20": np.arange(9.0), "20-50": np.arange(5.0), "50-100": np.zeros(3)}
    tests = pd.DataFrame({"nearer": ["under 20"], "farther": ["20-50"], "p": [0.004]})
    ax = plot_distance_bins(values, tests, unreachable=["50-100"])
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "under 20\n(9)", "20-50\n(5)", "50-100\n(3)"
    ]  # fmt: skip
    medians = [line.get_ydata()[0] for line in ax.lines if line.get_linewidth() == 2.2]
    assert medians == [4.0, 2.0]
    assert "**" in texts(ax) and "out of\nthe model's\nreach" in texts(ax)
    with pytest.raises(InputError, match="found no score"):
        plot_distance_bins({"under 20": np.empty(0)})


def test_the_map_shows_its_table():
    index = pd.MultiIndex.from_product([[-1, 1], list("ACGT")], names=["source", "base"])
    table = pd.DataFrame(np.arange(64.0).reshape(8, 8), index=index, columns=index)
    table.iloc[0, 0] = np.nan
    ax = plot_aggregate(table, position=lambda p: f"{p:+d}", title="tight")
    (image,) = ax.get_images()
    np.testing.assert_array_equal(np.asarray(image.get_array())[1:], table.to_numpy()[1:])
    assert texts(ax).count("+1") == 2 and image.norm.vmax == 63 and image.norm.vmin == 0
    assert [t.get_text() for t in ax.get_yticklabels()] == list("ACGT") * 2
    signed = plot_aggregate(table - 30, limit=50)
    assert signed.get_images()[0].norm.vmin == -50


def test_an_aggregate_is_drawn_by_its_marginal():
    model = dfim_fast.load_model(MODEL)
    sums = dfim_fast.aggregate(
        model, ["ACGT" * 11], sources=[4, 5], targets=[7], method="gradient", progress=False
    )
    (image,) = plot_aggregate(sums).get_images()
    np.testing.assert_array_equal(np.asarray(image.get_array().filled(np.nan)), sums.marginal())


def parts(motifs=1, **columns):
    rows = [("v", "self", 0.5)] + [(f"m{i}", "motif", 0.1 * (i + 1)) for i in range(motifs)]
    rows.append(("rest", "rest", -0.2))
    table = pd.DataFrame(rows, columns=["part", "kind", "delta_importance"])
    effect = table["delta_importance"].sum()
    return table.assign(variant="c:1:A:T", task="t", ref="A", alt="T", standard_error=0.05,
                        effect=effect, prediction=1.0, **columns)  # fmt: skip


def test_bars_lead_from_one_score_to_the_other():
    ax = plot_waterfall(parts())
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "with A", "the variant itself", "m0", "rest", "with T"
    ]  # fmt: skip
    spans = [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches]
    np.testing.assert_allclose(spans, [(1, 1.5), (1.5, 1.6), (1.6, 1.4)])
    assert texts(ax) == ["+0.50", "+0.10", "−0.20", "1.00", "1.40"]
    low, high = ax.get_xlim()
    assert low < 1 and high > 1.6


def test_weak_motifs_stand_together():
    ax = plot_waterfall(parts(motifs=11))
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert "3 other motifs" in labels and "m0" not in labels and "m10" in labels
    assert len(labels) == 13


def test_rows_of_several_alleles_are_refused():
    with pytest.raises(InputError, match="one allele and one task"):
        plot_waterfall(pd.concat([parts(), parts().assign(variant="w")]))
