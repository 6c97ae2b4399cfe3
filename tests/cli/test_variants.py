"""`dfim-fast variants`: tables, VCF and figures, and what it refuses."""

import pandas as pd
import pysam
import pytest

import dfim_fast

GENOME = (
    "TTGACTACGGATTACAGGATCCAACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCATTGCAAGCTAGCTAGGATCA" * 2
)
FAST = ("--n-references", "3", "--no-report", "--quiet")


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "given" / "g.fa"
    path.parent.mkdir()
    path.write_text(f">c1\n{GENOME}\n")
    pysam.faidx(str(path))
    return path


@pytest.fixture
def vcf(genome):
    path = genome.parent / "v.vcf"
    base = GENOME[59]
    rows = [
        ("c1", 60, "rs1", base, "ACGT".replace(base, "")[0] + "," + base + "GG"),
        ("c1", 70, ".", GENOME[69:72], GENOME[69]),
        ("c1", 80, "sv", GENOME[79], "<DEL>"),
    ]
    path.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=c1,length=172>\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"{c}\t{p}\t{i}\t{r}\t{a}\t.\tPASS\t.\n" for c, p, i, r, a in rows)
    )
    return path


def test_a_run_writes_tables_figures_and_vcf(cli, model, genome, vcf, tmp_path):
    bed = genome.parent / "motifs.bed"
    bed.write_text("c1\t50\t58\tGATA\nc1\t62\t68\tmy motif\n")
    ran = cli("variants", model, "--genome", genome, "--vcf", vcf, "-o", "out", "--explain",
              "--features", bed, *FAST[:2], "--quiet")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "1 records hold alleles that are not bases" in ran.err
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "variants.parquet", "variants.tsv.gz", "by_variant.tsv", "explained.parquet",
        "explained.tsv.gz", "variants.vcf", "figures", "summary.txt",
        "report.html", "run.json",
    }  # fmt: skip
    table = pd.read_parquet(out / "variants.parquet")
    network = dfim_fast.load_model(model)
    with pytest.warns(UserWarning, match="are not bases"):
        wanted = dfim_fast.variant_interactions(
            network, genome, str(vcf), n_references=3, progress=False
        )
    assert table["fis"].tolist() == wanted["fis"].tolist()
    assert table["variant"].nunique() == 3
    parts = pd.read_parquet(out / "explained.parquet")
    total = parts.groupby("variant")["delta_importance"].sum()
    effect = parts.groupby("variant")["effect"].first()
    assert (total - effect).abs().max() < 1e-4 * parts["delta_importance"].abs().max() + 1e-5
    assert {"GATA", "my motif"} <= set(parts["part"])
    with pysam.VariantFile(str(out / "variants.vcf")) as found:
        records = list(found)
    assert len(records) == 3 and "DFIM_EFFECT" not in records[2].info
    best = pd.read_csv(out / "by_variant.tsv", sep="\t")
    assert len(best) == 2
    first = table[table["variant"] == f"c1:60:{records[0].ref}:{records[0].alts[1]}"]
    assert records[0].info["DFIM_EFFECT"][1] == pytest.approx(first["effect"].iloc[0], rel=1e-5)
    strongest = first.loc[first["fis"].abs().idxmax()]
    position = records[0].info["DFIM_TARGET"][1]
    assert GENOME[position - 1] == strongest["target_base"]
    assert records[0].info["DFIM_MOTIFS"][0].count(":") == 2
    assert "my_motif:" in records[0].info["DFIM_MOTIFS"][0]
    sums = (records[1].info[f"DFIM_{k}"][0] for k in ("SELF", "REST"))
    motifs = [float(x.split(":")[1]) for x in records[1].info["DFIM_MOTIFS"][0].split("|")]
    assert sum(sums) + sum(motifs) == pytest.approx(records[1].info["DFIM_EFFECT"][0], abs=1e-3)
    assert len(list((out / "figures").glob("*.png"))) == 3


def test_without_explain_there_is_less(cli, model, genome, vcf, tmp_path):
    ran = cli("variants", model, "--genome", genome, "--vcf", vcf, "-o", "out", "--method",
              "gradient", "--flank", "3")  # fmt: skip
    assert ran.code == 0 and "3 alleles, read with 44 bp around each" in ran.out
    assert not (tmp_path / "out" / "figures").exists()
    assert "DFIM_SELF" not in (tmp_path / "out" / "variants.vcf").read_text()
    assert pd.read_parquet(tmp_path / "out" / "variants.parquet")["distance"].max() == 3


def test_motifs_are_scanned_around_the_variants(cli, model, genome, vcf, tmp_path):
    motif = tmp_path / "m.motif"
    rows = ["0.97\t0.01\t0.01\t0.01" if b == "A" else "0.01\t0.01\t0.01\t0.97" if b == "T"
            else "0.01\t0.01\t0.97\t0.01" if b == "G" else "0.01\t0.97\t0.01\t0.01"
            for b in "GATTACAG"]  # fmt: skip
    motif.write_text(">GATTACAG\tgattaca\t5\n" + "\n".join(rows) + "\n")
    ran = cli("variants", model, "--genome", genome, "--vcf", vcf, "-o", "out", "--explain",
              "--motifs", motif, *FAST)  # fmt: skip
    assert ran.code == 0, ran.err
    parts = pd.read_parquet(tmp_path / "out" / "explained.parquet")
    own = parts[parts["part"] == "gattaca"].iloc[0]
    first = 59 - 44 // 2  # of the sequence around the first variant
    assert GENOME[first + own["start"] : first + own["end"]] == "GATTACAG"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--vcf", "absent.vcf"], "absent.vcf: no such VCF file"),
        (["--vcf", "GENOME"], "cannot be read as VCF"),
        (["--genome", "VCF"], "no index"),
        (["--features", "x.bed"], "are for --explain"),
        (["--explain", "--features", "BED"], "features lie on chr9, variants on c1"),
        (["--explain", "--method", "gradient"], "splits an effect exactly, not gradient"),
        (["--task", "nine"], "nine"),
    ],
)
def test_what_is_wrong_is_one_line(cli, model, genome, vcf, tmp_path, arguments, text):
    paths = {"GENOME": genome, "VCF": vcf, "BED": genome.parent / "other.bed"}
    paths["BED"].write_text("chr9\t1\t9\tGATA\n")
    given = {"--genome": genome, "--vcf": vcf}
    rest = [paths.get(a, a) for a in arguments]
    for option, value in given.items():
        if option not in rest:
            rest += [option, value]
    ran = cli("variants", model, "-o", "out", *rest, *FAST)
    assert ran.code == 2 and ran.out == ""
    (line,) = [x for x in ran.err.strip().splitlines() if "warning" not in x]
    assert text in line and line.startswith("dfim-fast: error: ")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_a_wrong_reference_allele(cli, model, genome, vcf, tmp_path):
    vcf.write_text(
        vcf.read_text().replace(
            "\trs1\t" + GENOME[59], "\trs1\t" + "ACGT".replace(GENOME[59], "")[2]
        )
    )
    ran = cli("variants", model, "--genome", genome, "--vcf", vcf, "-o", "out", *FAST)
    assert ran.code == 2 and "c1:60 (rs1) has REF" in ran.err
