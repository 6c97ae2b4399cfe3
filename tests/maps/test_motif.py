"""motif_interactions: Eq. 2 and 3 against plain loops over attribute, rules, overlap, errors."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.one_hot import decode
from dfim_fast.sequence.references import make_references

NAME = "basset_legacy.onnx"
RNG = np.random.default_rng(5)
LENGTH = model_of(NAME).sequence_length
SEQUENCES = ["".join(RNG.choice(list("ACGT"), LENGTH)) for _ in range(3)]
SEQUENCES[1] = SEQUENCES[1][:12] + "N" + SEQUENCES[1][13:]
FEATURES = pd.DataFrame(
    [
        ("b", 10, 18, "X", "+"),
        ("b", 15, 27, "Y", "-"),  # overlaps X by 3
        ("b", 40, 47, "Z", "."),
        ("a", 5, 15, "X", "+"),
        ("a", LENGTH - 9, LENGTH, "Y", "+"),
        ("c", 0, 6, "lonely", "+"),
    ],
    columns=["sequence", "start", "end", "name", "strand"],
)
SETTINGS = {"names": ["a", "b", "c"], "progress": False, "n_references": 7}


def motifs(**settings):
    return dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES, FEATURES, **{**SETTINGS, **settings}
    )


def importance(x, references, **settings):
    """Importance of the observed bases (L,), float64, of columns (4, L) that need not be one-hot.

    The same references as the original: Eq. 3 changes the input only.
    """
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan
    from dfim_fast.sequence.mutants import spans

    plan = make_plan(
        model_of(NAME).graph, n_references=0 if references is None else len(references), **settings
    )
    own = None if references is None else references[None]
    (found,) = make_backend("reference", plan).effects(
        x[None], own, [spans([], [])], [np.arange(1)]
    )
    return found.mean(found.attributions)[0], found.attributions[:, 0]


def changed(x, start, end, columns):
    """A copy with a span replaced."""
    new = x.copy()
    new[:, start:end] = np.where(x[:, start:end].any(0), columns, 0)
    return new


@pytest.mark.parametrize("method", ["deeplift", "gradient"])
@pytest.mark.parametrize("gc", [0.46, 0.6])
def test_background_equals_two_attributions(method, gc):
    table = motifs(method=method, gc=gc)
    assert len(table) == 6 + 2
    x = dfim_fast.one_hot(SEQUENCES)
    background = np.array([1 - gc, gc, gc, 1 - gc])[:, None] / 2
    for row in table.itertuples():
        n = "abc".index(row.sequence)
        references = make_references(x[n : n + 1], n_references=7)[0]
        references = references if method == "deeplift" else None
        before, groups = importance(x[n], references, method=method)
        mutant = changed(x[n], row.source_start, row.source_end, background)
        after, after_groups = importance(mutant, references, method=method)
        at = [p for p in range(row.target_start, row.target_end)
              if not row.source_start <= p < row.source_end]  # fmt: skip
        scale = np.abs(before).max()
        # sums of float32 contributions against float64
        assert row.fis == pytest.approx((before - after)[at].sum(), abs=1e-5 * scale)
        assert row.target_importance == pytest.approx(before[at].sum(), abs=1e-5 * scale)
        assert row.relative == pytest.approx(
            row.fis * np.sign(row.target_importance)
            / max(abs(row.target_importance), 0.01 * np.abs(before).sum()), rel=1e-3,
        )  # fmt: skip
        if method == "deeplift":
            by_group = (groups - after_groups)[:, at].sum(1)
            weights = np.bincount(np.arange(7) % 5) / 7
            variance = (weights * (by_group - weights @ by_group) ** 2).sum() / 4
            assert row.standard_error == pytest.approx(np.sqrt(variance), abs=1e-5 * scale)
        assert row.overlap == row.target_end - row.target_start - len(at)
        edges = max(row.source_start, row.target_start) - min(row.source_end, row.target_end)
        assert row.distance == max(edges, 0)
        assert row.delta_importance == -row.fis and row.reachable


def test_both_directions_stand_in_one_row():
    table = motifs().set_index(["sequence", "source", "target"])
    pairs = [(s, p, q) for s, names in (("a", "XY"), ("b", "XYZ")) for p in names for q in names]
    assert set(table.index) == {pair for pair in pairs if pair[1] != pair[2]}
    for (sequence, source, target), row in table.iterrows():
        other = table.loc[(sequence, target, source)]
        assert row["reverse_fis"] == other["fis"]
        assert row["mean_fis"] == (row["fis"] + other["fis"]) / 2
        assert row["difference"] == row["fis"] - other["fis"] == -other["difference"]
    assert (table["difference"] != 0).all()
    alone = motifs(sources="X")
    assert set(alone["source"]) == {"X"} and alone["reverse_fis"].isna().all()
    # a head's low-rank basis depends on which mutants there are: equal up to float32
    np.testing.assert_allclose(
        alone["fis"], table.loc[table.index.get_level_values("source") == "X", "fis"], rtol=1e-4
    )


def test_self_effect_and_fis_sum_to_the_difference_of_the_predictions():
    """Where the targets tile the sequence, every part of the effect is in one row."""
    tiles = pd.DataFrame({"sequence": 0, "start": [0, 20, 30], "end": [20, 30, LENGTH],
                          "name": ["left", "middle", "right"]})  # fmt: skip
    table = dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES[:1], tiles, sources="middle", progress=False, references="gc"
    )
    effect = (table["prediction"] - table["mutant_prediction"]).iloc[0]
    total = table["fis"].sum() + table["self_effect"].iloc[0]
    assert total == pytest.approx(effect, abs=1e-4 * abs(table["target_importance"]).sum())


def test_zeros_own_columns_and_letters():
    zeros, columns = motifs(source="zeros"), motifs(source=np.zeros(4))
    np.testing.assert_array_equal(zeros["fis"], columns["fis"])
    assert (zeros["fis"] != motifs()["fis"]).all()
    background = np.array([0.27, 0.23, 0.23, 0.27])
    np.testing.assert_array_equal(motifs(source=background)["fis"], motifs()["fis"])
    text = motifs(source="TTTTTTT", sources="Z", targets="X", method="gradient")
    one_hot = motifs(source=dfim_fast.one_hot("TTTTTTT")[0], sources="Z", targets="X",
                     method="gradient")  # fmt: skip
    np.testing.assert_array_equal(text["fis"], one_hot["fis"])


def test_shuffles_keep_the_bases_and_average():
    table = motifs(source="shuffle", n_shuffles=3, method="gradient", sources="Z", targets="X")
    assert table["fis"].iloc[0] == motifs(
        source="shuffle", n_shuffles=3, method="gradient", sources="Z", targets=["X", "Y"]
    ).query("target == 'X'")["fis"].iloc[0]  # fmt: skip
    from dfim_fast.maps.sources import Rule
    from dfim_fast.sequence.one_hot import encode

    codes = encode("ACGTNACCA")[0]
    found = Rule("shuffle", 0.46, 50, 0).columns(codes, None, 0)
    texts = decode(found.swapaxes(1, 2))
    assert {"".join(sorted(t)) for t in texts} == {"AAACCCGNT"} and len(set(texts)) > 40
    assert {t[4] for t in texts} == {"N"}
    again = Rule("shuffle", 0.46, 9, 0).columns(codes, None, 0)
    np.testing.assert_array_equal(found[:9], again)
    one = [motifs(source=dfim_fast.one_hot(t)[0], method="gradient", sources="Z", targets="X")
           for t in decode(Rule("shuffle", 0.46, 3, 0).columns(
               encode(SEQUENCES[1][40:47])[0], None, 0).swapaxes(1, 2))]  # fmt: skip
    assert table["fis"].iloc[0] == pytest.approx(np.mean([t["fis"].iloc[0] for t in one]), abs=1e-7)


def test_nucleotides_are_the_map_summed_over_targets():
    table = motifs(source="nucleotide", sources="X", targets=["Y", "Z"], method="gradient")
    maps = dfim_fast.interaction_map(
        model_of(NAME), SEQUENCES, method="gradient", progress=False, names=["a", "b", "c"]
    )
    assert len(table) == (3 * 8 - 3) * 2 + 3 * 10  # N at 12 of b is no source; a holds no Z
    scale = np.abs(maps.attributions).max()
    for row in table.itertuples():
        n = "abc".index(row.sequence)
        at = range(row.target_start, row.target_end)
        cell = maps.fis[n, row.source_position, "ACGT".index(row.mutant)]
        assert row.fis == pytest.approx(float(cell[list(at)].sum()), abs=2e-6 * float(scale))
    assert "reverse_fis" not in table.columns


def test_replacement_column():
    own = FEATURES.assign(replacement=["", "", "ACGTACG", None, "", ""])
    table = dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES, own, source="replacement", **SETTINGS
    )
    same = motifs(source="ACGTACG", sources="Z")
    assert set(table["source"]) == {"Z"}
    np.testing.assert_array_equal(table["fis"], same["fis"])


def test_several_tasks_and_unreachable_pairs():
    model = model_of("two_outputs_legacy.onnx")
    length = model.sequence_length
    rng = np.random.default_rng(1)
    x = ["".join(rng.choice(list("ACGT"), length)) for _ in range(2)]
    features = pd.DataFrame({"sequence": [0, 0, 1, 1], "start": [2, 20, 2, 20],
                             "end": [8, 26, 9, 27], "name": list("PQPQ")})  # fmt: skip
    both = dfim_fast.motif_interactions(
        model, x, features, task=[0, 1], method="gradient", progress=False
    )
    assert both["task"].tolist() == model.task_names[:2] * 4
    for task in (0, 1):
        one = dfim_fast.motif_interactions(
            model, x, features, task=task, method="gradient", progress=False
        )
        # float32 sums in another order
        np.testing.assert_allclose(both["fis"][task::2], one["fis"], rtol=1e-4, atol=1e-6)
    far = model_of("input_nlc_legacy.onnx")
    ends = pd.DataFrame({"sequence": 0, "start": [0, 4, far.sequence_length - 3],
                         "end": [3, 7, far.sequence_length], "name": ["P", "Q", "R"]})  # fmt: skip
    sequence = ("ACGT" * far.sequence_length)[: far.sequence_length]
    table = dfim_fast.motif_interactions(far, [sequence], ends, method="gradient", progress=False)
    reachable = table.set_index(["source", "target"])["reachable"]
    assert reachable[("P", "Q")] and not reachable[("P", "R")]
    assert (table.loc[~table["reachable"], "fis"] == 0).all()


@pytest.mark.parametrize(
    ("change", "settings", "text"),
    [
        ({"start": -1}, {}, "row 0: 'X' is -1-18 in sequence 'b'; wanted 0 <= start < end <= "),
        ({"end": 10}, {}, "is 10-10 in sequence 'b'"),
        ({"start": 1.5}, {}, "row 0: start is 1.5; wanted a whole number"),
        ({"sequence": "zz"}, {}, "there is no sequence 'zz' (there are a, b, c)"),
        ({"strand": "x"}, {}, "strand 'x'; wanted one of + - ."),
        ({}, {"source": "hole"}, "source='hole' is unknown; choose from background, zeros"),
        ({}, {"source": "ACG"}, "is 10 bases wide, its replacement 3"),
        ({}, {"source": np.zeros((3, 4))}, "source has shape (3, 4); wanted columns (4, width)"),
        ({}, {"source": "replacement"}, "no column 'replacement'"),
        ({}, {"sources": "W"}, "sources: no feature is named 'W'; there are X, Y, Z, lonely"),
        ({}, {"targets": "lonely"}, "no sequence holds a source and another feature"),
        ({}, {"gc": 2}, "gc=2 is no GC content"),
        ({}, {"source": "shuffle", "n_shuffles": 0}, "n_shuffles=0: wanted a whole number"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, settings, text):
    features = FEATURES.astype(object)
    for column, value in change.items():
        features.loc[0, column] = value
    with pytest.raises((InputError, SettingsError)) as caught:
        dfim_fast.motif_interactions(
            model_of(NAME), SEQUENCES, features, **{**SETTINGS, "method": "gradient", **settings}
        )
    assert text in str(caught.value) and "\n" not in str(caught.value)


def test_missing_columns_and_no_table():
    for features, text in (
        (FEATURES.drop(columns="name"), "no column 'name'"),
        (FEATURES[:0], "the table is empty"),
        ([1], "features are of type list; pass a DataFrame"),
    ):
        with pytest.raises(InputError, match=text):
            dfim_fast.motif_interactions(model_of(NAME), SEQUENCES, features, **SETTINGS)


def test_known_medians_of_section_3_1(shared_data):
    """From a float64 computation of 1,000 sequences; 300 of them here."""
    from dfim_fast.io.fasta import read_fasta

    folder = shared_data / "embedded_motifs"
    network = dfim_fast.load_model(folder / "model.onnx")
    names, sequences = read_fasta(folder / "sequences.fa.gz")
    chosen = [i for i, name in enumerate(names) if name.startswith("cls3")][:300]
    own = [names[i] for i in chosen]
    table = pd.read_csv(folder / "instances.tsv.gz", sep="\t")
    for method, strong, weak in (("gradient", 14.4, 6.9), ("deeplift", 12.7, 3.7)):
        found = dfim_fast.motif_interactions(
            network, [sequences[i] for i in chosen], table[table["sequence"].isin(own)], names=own,
            method=method, references="gc", progress=False,
        )  # fmt: skip
        found = found[found["prediction"] > 0]  # correctly predicted
        medians = found.groupby(["source", "target"])["fis"].median()
        # the median of 300 sequences lies within 5% of that of 1,000
        assert medians.pop(("SIX5", "ELF1")) == pytest.approx(strong, rel=0.05)
        assert medians.pop(("ELF1", "SIX5")) == pytest.approx(weak, rel=0.05)
        assert medians.abs().max() < 0.5  # of 1,000: 0.36 and 0.44
