"""`dfim-fast motifs`: what it writes, from what, and what it refuses."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest

import dfim_fast
from dfim_fast.io.fasta import read_fasta

FEATURES = "s0\t8\t14\tX\t0\t+\ns0\t16\t24\tY\t0\t-\ns1\t12\t18\tX\t0\t+\ns1\t20\t28\tY\t0\t+\n"
FAST = ("--method", "gradient", "--no-report", "--quiet")


@pytest.fixture
def features(fasta):
    path = fasta.parent / "features.bed"
    path.write_text(FEATURES)
    return path


def test_a_run_writes_scores_nulls_and_figures(cli, model, fasta, features, tmp_path):
    ran = cli("motifs", model, fasta, features, "-o", "out", "--method", "gradient")
    assert ran.code == 0, ran.err
    assert "pairs of motifs in 2 sequences of 44 bp" in ran.out and "X -> Y" in ran.out
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "motif_pairs.parquet", "motif_pairs.tsv.gz", "by_motif.tsv", "features.tsv", "figures",
        "summary.txt", "report.html", "run.json",
    }  # fmt: skip
    table = pd.read_parquet(out / "motif_pairs.parquet")
    names, sequences = read_fasta(fasta)
    own = pd.read_csv(features, sep="\t", names=["sequence", "start", "end", "name", "x", "strand"])
    wanted = dfim_fast.motif_interactions(
        dfim_fast.load_model(model), sequences, own, names=names, method="gradient", progress=False
    )
    for column in wanted.columns:
        assert table[column].tolist() == wanted[column].tolist() or wanted[column].isna().all()
    assert table[["p", "q"]].notna().all().all()
    # two spans have no reachable neighbour without a motif: said, and left untested
    assert table["p_matched"].notna().tolist() == [True, False, True, False]
    assert "the null never saw" in ran.err
    text = pd.read_csv(out / "motif_pairs.tsv.gz", sep="\t")
    assert text.columns.tolist() == table.columns.tolist() and len(text) == 4
    assert b"fis" in pq.read_metadata(out / "motif_pairs.parquet").metadata[b"dfim_fast"]
    assert (out / "figures" / "motif_pairs.png").stat().st_size > 10_000
    again = cli("motifs", model, fasta, features, "-o", "other", *FAST)
    assert again.code == 0 and again.out == ""
    for name in ("motif_pairs.parquet", "motif_pairs.tsv.gz", "by_motif.tsv"):
        assert (tmp_path / "other" / name).read_bytes() == (out / name).read_bytes()


def test_features_by_scanning(cli, model, fasta, tmp_path):
    motif = tmp_path / "m.jaspar"
    # CATTA... and GGATT, each in the sequences of the fixture
    rows = {"A": "0 0 100 0 0", "C": "0 0 0 0 0", "G": "100 100 0 0 0", "T": "0 0 0 100 100"}
    second = {"A": "0 0 0 0 100", "C": "0 100 0 100 0", "G": "0 0 100 0 0", "T": "100 0 0 0 0"}
    motif.write_text("".join(
        f">{name}\n" + "".join(f"{b} [ {v} ]\n" for b, v in counts.items())
        for name, counts in (("GGATT", rows), ("TCGCA", second), ("CAACG", {
            "A": "0 100 100 0 0", "C": "100 0 0 100 0", "G": "0 0 0 0 100", "T": "0 0 0 0 0"
        }))
    ))  # fmt: skip
    ran = cli("motifs", model, fasta, "-o", "out", "--motifs", motif, "--threshold", "0.01", *FAST)
    assert ran.code == 0, ran.err
    found = pd.read_csv(tmp_path / "out" / "features.tsv", sep="\t")
    assert {"GGATT", "CAACG"} <= set(found["name"]) and set(found["strand"]) <= {"+", "-"}


def test_nulls_and_sources_can_be_chosen(cli, model, fasta, features, tmp_path):
    ran = cli("motifs", model, fasta, features, "-o", "out", "--null", "none", "--source",
              "nucleotide", "--sources", "X", *FAST)  # fmt: skip
    assert ran.code == 0, ran.err
    table = pd.read_parquet(tmp_path / "out" / "motif_pairs.parquet")
    assert set(table["source"]) == {"X"} and len(table) == 2 * 3 * 6
    assert "p" not in table.columns and table["mutant"].isin(list("ACGT")).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["MODEL", "FASTA"], "give MODEL, then a FASTA"),
        (["FASTA", "FEATURES", "MODEL"], "give MODEL, then a FASTA"),
        (["MODEL", "FASTA", "absent.bed"], "absent.bed: no such feature file"),
        (["MODEL", "FASTA", "FEATURES", "--null", "other"], "null='other' is not known"),
        (["MODEL", "FASTA", "FEATURES", "--alpha", "2"], "alpha=2.0: pass a number between"),
        (["MODEL", "FASTA", "FEATURES", "--source", "ACG"], "its replacement 3"),
        (["MODEL", "FASTA", "FEATURES", "--sources", "W"], "no feature is named 'W'"),
        (["MODEL", "FASTA", "FEATURES", "--bed", "x.bed"], "--bed and --genome go together"),
        (["MODEL", "FASTA", "--motifs", "FASTA"], "holds no motif|cannot be read|MEME, JASPAR"),
    ],
)
def test_what_is_wrong_is_one_line(cli, model, fasta, features, tmp_path, arguments, text):
    import re

    paths = {"MODEL": model, "FASTA": fasta, "FEATURES": features}
    ran = cli("motifs", *[paths.get(a, a) for a in arguments], "-o", "out", *FAST)
    assert ran.code == 2 and ran.out == ""
    (line,) = [x for x in ran.err.strip().splitlines() if "warning" not in x]
    assert re.search(text, line) and line.startswith("dfim-fast: error: ")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_regions_and_features_of_a_genome(cli, model, fasta, features, tmp_path):
    """The same bases and features through a genome give the same scores."""
    _, sequences = read_fasta(fasta)
    genome = fasta.parent / "g.fa"
    genome.write_text(
        ">c1\n" + "ACGT" * 5 + sequences[0] + "TTTT" + sequences[1] + "ACGT" * 5 + "\n"
    )
    pysam.faidx(str(genome))
    bed, own = fasta.parent / "r.bed", fasta.parent / "f.tsv"
    bed.write_text("c1\t20\t64\nc1\t68\t112\n")
    table = pd.read_csv(features, sep="\t", names=["chrom", "start", "end", "name", "x", "strand"])
    shift = np.where(table["chrom"] == "s0", 20, 68)
    table.assign(chrom="c1", start=table["start"] + shift, end=table["end"] + shift).to_csv(
        own, sep="\t", index=False
    )
    whole = cli("motifs", model, own, "--bed", bed, "--genome", genome, "-o", "a", *FAST)
    plain = cli("motifs", model, fasta, features, "-o", "b", *FAST)
    assert whole.code == plain.code == 0, whole.err
    a, b = (pd.read_parquet(tmp_path / out / "motif_pairs.parquet") for out in "ab")
    assert a["fis"].tolist() == b["fis"].tolist() and set(a["sequence"]) == {
        "c1:20-64",
        "c1:68-112",
    }
