"""variant_interactions, explain_variants: alleles, the coordinate map, the genome, exact sums."""

import numpy as np
import pandas as pd
import pysam
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.backends.select import make_backend
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plan.planner import make_plan
from dfim_fast.scale import variants as module
from dfim_fast.sequence.mutants import spans
from dfim_fast.sequence.references import make_references

NAME = "basset_legacy.onnx"
LENGTH = model_of(NAME).sequence_length
RNG = np.random.default_rng(8)
GENOME = "".join(RNG.choice(list("ACGT"), 3 * LENGTH))
START = LENGTH  # of the sequence around POS
POS = START + LENGTH // 2  # 0-based position of the variants
SEQUENCE = GENOME[START : START + LENGTH]
GIVEN = {"n_references": 6, "progress": False}


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(f">c1\n{GENOME}\n>c2\nACGT\n")
    pysam.faidx(str(path))
    return path


def other(base, k=0):
    return [b for b in "ACGT" if b != base][k]


def table(*rows):
    """Variants on the genome: 0-based position, ref, alt."""
    return pd.DataFrame(
        [("c1", p + 1, r, a) for p, r, a in rows], columns=["chrom", "pos", "ref", "alt"]
    )


def importance(text, references):
    """Importance (L,) of a string under given references, float64, and its score."""
    plan = make_plan(model_of(NAME).graph, n_references=len(references))
    x = dfim_fast.one_hot(text)
    (found,) = make_backend("reference", plan).effects(
        x, references[None], [spans([], [])], [np.arange(1)]
    )
    return found.mean(found.attributions)[0], found.predictions[0]


def references():
    return make_references(dfim_fast.one_hot(SEQUENCE), n_references=6)[0]


BASE = GENOME[POS]
LONG = GENOME[POS : POS + 3]
ALLELES = {
    "snv": (BASE, other(BASE)),
    "three bases": (LONG, "".join(other(b, 1) for b in LONG)),
    "insertion": (BASE, BASE + "GATC"),
    "deletion": (LONG, LONG[:1]),
    "replacement": (LONG, "".join(other(b) for b in LONG[:2])),
}


@pytest.mark.parametrize("kind", ALLELES)
def test_scores_are_those_of_both_sequences(genome, kind):
    """Whatever the allele: strings are edited, and each base is found again where it moved to."""
    ref, alt = ALLELES[kind]
    found = dfim_fast.variant_interactions(
        model_of(NAME), genome, table((POS, ref, alt)), flank=7, **GIVEN
    )
    middle = POS - START
    edited = (SEQUENCE[:middle] + alt + GENOME[POS + len(ref) :])[:LENGTH]
    before, score = importance(SEQUENCE, references())
    after, mutant_score = importance(edited, references())
    shared = next(
        (i for i, (a, b) in enumerate(zip(ref, alt, strict=False)) if a != b),
        min(len(ref), len(alt)),
    )
    first, last = middle + shared, middle + len(ref)  # these fixtures share no suffix
    wanted = [t for t in range(first - 7, last + 7) if not first <= t < last]
    assert found["target"].tolist() == wanted
    scale = np.abs(before).max()
    for row in found.itertuples():
        place = row.target if row.target < first else row.target + len(alt) - len(ref)
        # float32 against float64
        assert row.fis == pytest.approx(before[row.target] - after[place], abs=1e-5 * scale)
        assert row.target_importance == pytest.approx(before[row.target], abs=1e-5 * scale)
        assert row.target_base == SEQUENCE[row.target]
        gap = first - row.target if row.target < first else row.target - max(last - 1, first - 1)
        assert row.distance == gap == abs(row.offset)
    row = found.iloc[0]
    assert row["variant"] == f"c1:{POS + 1}:{ref}:{alt}" and row["source"] == first
    own = before[first:last].sum() - after[first : middle + len(alt)].sum()
    assert row["self_effect"] == pytest.approx(own, abs=1e-5 * scale)
    assert row["effect"] == pytest.approx(mutant_score - score, abs=1e-4 * scale)
    assert found["max_abs_fis"].nunique() == 1
    assert found["max_abs_fis"].iloc[0] == found["fis"].abs().max()
    assert found["fis"].abs()[found["strongest"]].tolist() == [found["fis"].abs().max()]


@pytest.mark.parametrize("kind", ALLELES)
def test_the_parts_sum_to_the_effect(genome, kind):
    ref, alt = ALLELES[kind]
    motifs = pd.DataFrame({
        "chrom": "c1", "name": ["near", "over", "outside", "far"],
        "start": [POS - 9, POS - 3, 2, START + LENGTH - 6],
        "end": [POS - 2, POS + 6, 9, START + LENGTH - 1],
    })  # fmt: skip
    found = dfim_fast.explain_variants(
        model_of(NAME), genome, table((POS, ref, alt)), motifs, **GIVEN
    )
    assert found["part"].tolist()[1:] == ["near", "over", "far", "rest"]
    assert found["kind"].tolist() == ["self", "motif", "motif", "motif", "rest"]
    total = found["delta_importance"].sum()
    size = found["delta_importance"].abs().sum()
    # float32 scores and importance of some hundred positions
    assert total == pytest.approx(found["effect"].iloc[0], abs=1e-5 * size + 1e-5)
    assert size > 1e-3 and (found["standard_error"] > 0).all()
    scores = dfim_fast.variant_interactions(
        model_of(NAME), genome, table((POS, ref, alt)), flank=None, **GIVEN
    )
    near = scores["target"].between(POS - START - 9, POS - START - 3)
    assert found["delta_importance"].iloc[1] == pytest.approx(
        scores["delta_importance"][near].sum(), abs=1e-6 * size + 1e-7
    )
    # the base at POS - 3 lies in both motifs, and counts for the first
    assert found["share"].sum() == pytest.approx(1, abs=1e-3)


def test_all_three_alternates_and_lists_of_them():
    own = pd.DataFrame({"sequence": [0], "offset": [20]})
    three = dfim_fast.variant_interactions(model_of(NAME), [SEQUENCE], own, 4, **GIVEN)
    base = SEQUENCE[20]
    assert set(three["alt"]) == set("ACGT") - {base} and set(three["ref"]) == {base}
    assert len(three) == 3 * 8
    assert three["strongest"].sum() == 1 and three["max_abs_fis"].nunique() == 1
    named = own.assign(ref=base, alt=f"{other(base, 1)},{base}GG", id="rs1")
    two = dfim_fast.variant_interactions(model_of(NAME), [SEQUENCE], named, 4, **GIVEN)
    assert two["alt"].unique().tolist() == [other(base, 1), f"{base}GG"]
    same = three[three["alt"] == other(base, 1)]
    np.testing.assert_allclose(two["fis"][: len(same)], same["fis"], rtol=1e-4, atol=1e-6)
    assert set(two["id"]) == {"rs1"} and two["variant"].iloc[0].startswith("0:20:")


def test_maps_say_the_same_of_single_bases():
    own = pd.DataFrame({"sequence": ["s"], "offset": [30]})
    found = dfim_fast.variant_interactions(
        model_of(NAME), [SEQUENCE], own, None, names=["s"], method="gradient", progress=False
    )
    maps = dfim_fast.interaction_map(
        model_of(NAME), [SEQUENCE], sources=[30], method="gradient", progress=False
    )
    for alt, rows in found.groupby("alt"):
        cells = maps.fis[0, 0, "ACGT".index(alt)]
        scale = np.abs(maps.attributions).max()
        np.testing.assert_allclose(rows["fis"], cells[rows["target"]], atol=2e-6 * scale)
    assert len(found) == 3 * (LENGTH - 1)


def test_blocks_change_nothing(genome, monkeypatch):
    rows = [(POS + i, GENOME[POS + i], other(GENOME[POS + i])) for i in range(5)]
    rows.insert(2, (POS, *ALLELES["deletion"]))
    whole = dfim_fast.variant_interactions(model_of(NAME), genome, table(*rows), **GIVEN)
    monkeypatch.setattr(module, "BLOCK", 2)
    pieces = dfim_fast.variant_interactions(model_of(NAME), genome, table(*rows), **GIVEN)
    pd.testing.assert_frame_equal(whole, pieces, check_exact=True)
    assert whole.attrs["provenance"]["quantity"] == "variant fis"


def test_deletions_of_sequences_draw_in_n():
    """Without a genome the bases behind the sequence are not known."""
    own = pd.DataFrame({"sequence": [0], "offset": [20], "ref": SEQUENCE[20:23],
                        "alt": SEQUENCE[20]})  # fmt: skip
    found = dfim_fast.variant_interactions(model_of(NAME), [SEQUENCE], own, **GIVEN)
    edited = SEQUENCE[:21] + SEQUENCE[23:] + "NN"
    effect = np.diff(model_of(NAME).predict([SEQUENCE, edited])[:, 0])[0]
    assert found["effect"].iloc[0] == pytest.approx(effect, abs=1e-5)


def test_variants_near_a_contigs_end_are_left_out(genome):
    with pytest.warns(UserWarning, match="1 variants are nearer to a contig's end .* c1:3"):
        found = dfim_fast.variant_interactions(
            model_of(NAME), genome,
            table((2, GENOME[2], other(GENOME[2])), (POS, BASE, other(BASE))), **GIVEN,
        )  # fmt: skip
    assert found["variant"].nunique() == 1


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((POS, other(BASE), BASE), f"c1:{POS + 1} has REF {other(BASE)}, but .*g.fa has {BASE}"),
        ((3 * LENGTH, "A", "C"), r"is outside c1"),
    ],
)
def test_what_does_not_fit_the_genome(genome, row, text):
    with pytest.raises(InputError, match=text):
        dfim_fast.variant_interactions(model_of(NAME), genome, table(row), **GIVEN)
    with pytest.raises(InputError, match="no contig 'c9'"):
        dfim_fast.variant_interactions(
            model_of(NAME), genome, table((POS, BASE, other(BASE))).assign(chrom="c9"), **GIVEN
        )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ref": other(SEQUENCE[20])}, "row 0: REF is .*, but '0' has"),
        ({"offset": LENGTH}, "offset .* is outside the sequence '0'"),
        ({"offset": "x"}, "offset is 'x'; wanted a whole number"),
        ({"alt": "AX"}, "alt 'AX' of REF"),
        ({"alt": SEQUENCE[20]}, "wanted another sequence of A, C, G, T"),
        ({"sequence": "zz"}, "variants, row 0: there is no sequence 'zz'"),
        ({"ref": SEQUENCE[20:22], "alt": "."}, "has no alt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, text):
    own = pd.DataFrame(
        [{"sequence": 0, "offset": 20, "ref": SEQUENCE[20], "alt": "AAAA", **change}]
    )
    with pytest.raises(InputError, match=text) as caught:
        dfim_fast.variant_interactions(model_of(NAME), [SEQUENCE], own, **GIVEN)
    assert "\n" not in str(caught.value)


def test_settings_are_checked(genome):
    own = pd.DataFrame({"sequence": [0], "offset": [20]})
    with pytest.raises(SettingsError, match="splits an effect exactly, not gradient"):
        dfim_fast.explain_variants(
            model_of(NAME), [SEQUENCE], own, method="gradient", progress=False
        )
    with pytest.raises(SettingsError, match="flank=0"):
        dfim_fast.variant_interactions(model_of(NAME), [SEQUENCE], own, 0, **GIVEN)
    with pytest.raises(TypeError, match="no argument 'nonsense'"):
        dfim_fast.explain_variants(model_of(NAME), [SEQUENCE], own, nonsense=1)
    with pytest.raises(InputError, match="no column 'offset'"):
        dfim_fast.variant_interactions(
            model_of(NAME), [SEQUENCE], own.drop(columns="offset"), **GIVEN
        )
