"""`dfim-fast score`: a store, how to go on with it, and what it refuses."""

import re

import pysam
import pytest

GENOME = "TTGACTACGGATTACAGGATCCAACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCATTGCAAGCTAGC" * 2


@pytest.fixture
def given(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "g.fa").write_text(f">c1\n{GENOME}\n")
    pysam.faidx(str(folder / "g.fa"))
    (folder / "r.bed").write_text("".join(f"c1\t{i}\t{i + 44}\n" for i in (0, 30, 60)))
    return folder


@pytest.fixture
def score(cli, model, given):
    def run(*more):
        return cli("score", model, "--genome", given / "g.fa", "-o", "store", "--method",
                   "gradient", *more)  # fmt: skip

    return run


def test_a_run_and_its_store(score, given, tmp_path):
    ran = score("--bed", given / "r.bed", "--export", "bed")
    assert ran.code == 0, ran.err
    assert "3 regions of 44 bp" in ran.out
    store = tmp_path / "store"
    assert {p.name for p in (store / "results").iterdir()} == {
        "interactions.parquet", "interactions.bed", "regions.zarr", "histograms.npz",
        "significance.json", "summary.txt",
    }  # fmt: skip
    assert "3 of 3 regions done" in (store / "log" / "log.txt").read_text()
    assert not (store / "parts").exists()

    again = score("--bed", given / "r.bed", "--export", "bed")
    assert again.code == 2
    assert again.err == (
        "dfim-fast: error: store: holds a run already; go on with it by --resume, or choose "
        "another folder\n"
    )
    other = score("--bed", given / "r.bed", "--alpha", "0.2", "--resume", "-q")
    assert other.code == 2
    assert "alpha was 0.05 and is 0.2; export was [\"bed\"] and is []" in other.err
    assert other.err.count("\n") == 1
    assert score("--bed", given / "r.bed", "--export", "bed", "--resume", "-q").code == 0


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ((), "give --bed, regions, or --vcf, variants"),
        (("--bed", "given/none.bed"), "given/none.bed"),
        (("--bed", "given/r.bed", "--fit", "left"), "fit='left'"),
        (("--bed", "given/r.bed", "--export", "gff"), "export='gff' is not known"),
        (("--bed", "given/r.bed", "--slurm-jobs", "3"), "add --scheduler slurm"),
        (("--bed", "given/r.bed", "--scheduler", "slurm", "--slurm-time", "4h"), "time='4h'"),
        (("--vcf", "given/none.vcf", "--window", "5"), "window: is for whole maps"),
    ],
)
def test_what_is_refused_leaves_nothing(score, tmp_path, more, text):
    ran = score(*more, "-q")
    assert ran.code == 2
    assert text in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_the_progress_bar_has_rate_and_time_left(score, given, tmp_path):
    ran = score("--bed", given / "r.bed", "--chunk", "1")
    assert ran.code == 0, ran.err
    bars = [line for line in re.split(r"[\r\n]", ran.err) if line.startswith("score:")]
    assert "| 0/3 [" in bars[0]
    assert re.search(r"100%\|.*\| 3/3 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ regions/s\]", bars[-1])
    parts = tmp_path / "store" / "log" / "log.txt"
    assert "begun: 3 of 3 regions to do, in 3 chunks" in parts.read_text()


def test_its_report(cli, score, given, tmp_path):
    assert score("--bed", given / "r.bed", "--alpha", "0.98", "-q").code == 0
    ran = cli("report", "store")
    assert ran.code == 0, ran.err
    page = (tmp_path / "store" / "report.html").read_text()
    for text in ("Genome-wide interactions", "tests are significant", "Strongest interactions",
                 "under 20 bp", "r.bed on g.fa"):  # fmt: skip
        assert text in page
