"""`dfim-fast map`: settings arrive; every wrong input is one line, code 2, nothing left."""

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
from models.handmade import BAD

import dfim_fast
from dfim_fast.io.fasta import read_fasta
from dfim_fast.io.store import MapStore

QUICK = (
    "--n-references", 2, "--sources", "4-6", "--threads", 1,
    "--no-report", "--figures", 0, "--quiet",
)  # fmt: skip
SEE_MAP = "See dfim-fast map --help"


@pytest.fixture
def refused(cli, tmp_path):
    """Run `map` on wrong input; the one line it gives after `dfim-fast: error: `."""

    def run(*arguments, left=("given",)):
        ran = cli("map", *arguments, "-o", "out")
        assert ran.code == 2, ran
        assert ran.out == ""
        assert "Traceback" not in ran.err
        assert ran.err.startswith("dfim-fast: error: ")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)
        return ran.err.removeprefix("dfim-fast: error: ").removesuffix("\n")

    return run


def test_a_run_writes_everything_and_says_where(cli, tmp_path, model, fasta):
    ran = cli("map", model, fasta, "-o", "out", *QUICK[:-4], "--figures", 1)
    assert ran.code == 0, ran.err
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "figures",
        "interactions.parquet",
        "interactions.tsv.gz",
        "maps.zarr",
        "report.html",
        "run.json",
        "summary.txt",
    ]
    assert ran.out == (out / "summary.txt").read_text()
    assert "dinucleotide references (2)" in ran.out and "Diagnostics" in ran.out
    for path in ("maps.zarr", "interactions.tsv.gz", "figures/null.png"):
        assert f"out/{path}" in ran.out
    assert "maps and null: 100%" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "out"]


def test_quiet_prints_nothing(cli, model, fasta):
    ran = cli("map", model, fasta, "-o", "out", *QUICK)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_every_setting_arrives(cli, tmp_path, model, fasta):
    references = dfim_fast.dinucleotide_shuffle(["ACGT" * 11], 4, random_state=1)[0]
    np.save(tmp_path / "r.npy", references)
    ran = cli(
        "map", model, fasta, "-o", "out", "--task", "output_1", "--task", 2, "--references",
        "r.npy", "--contribution", "observed", "--maxpool", "deeplift", "--epsilon", "1e-5",
        "--sources", "4-6,9", "--targets", "2-30", "--window", 5, "--n-null", 2, "--null-model",
        "gaussian", "--pool", "global", "--family", "sequence", "--correction", "by", "--alpha",
        0.01, "--random-state", 7, "--top", 3, "--backend", "reference", "--memory-limit", "1GB",
        "--threads", 1, "--figures", 0, "--quiet")  # fmt: skip
    assert ran.code == 0, ran.err
    store = MapStore.open(tmp_path / "out" / "maps.zarr")
    settings = {
        "references": references,
        "contribution": "observed",
        "maxpool": "deeplift",
        "epsilon": 1e-5,
        "sources": [4, 5, 9],
        "targets": list(range(2, 30)),
        "window": 5,
        "task": ["output_1", 2],
        "random_state": 7,
        "backend": "reference",
        "progress": False,
    }
    names, sequences = read_fasta(fasta)
    network = dfim_fast.load_model(model)
    maps = dfim_fast.interaction_map(network, sequences, names=names, **settings)
    null = dfim_fast.null_map(network, sequences, n=2, **settings)
    judged = dfim_fast.significance(maps, null, "gaussian", "global", "sequence", "by", 0.01)
    np.testing.assert_array_equal(store.read("fis", slice(0, 2)), maps.fis)
    np.testing.assert_allclose(store.read("p", slice(0, 2)), judged.p, rtol=1e-12)
    np.testing.assert_allclose(store.read("q", slice(0, 2)), judged.q, rtol=1e-12)
    assert len(pd.read_parquet(tmp_path / "out" / "interactions.parquet")) == 3
    about = store.attributes
    assert about["settings"]["memory_limit"] == 10**9 and about["settings"]["threads"] == 1
    assert about["settings"]["backend_used"] == "reference"


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "gradient"),
        ("--method", "gradient_corrected"),
        ("--references", "zeros"),
        ("--references", "gc", "--gc", 0.4),
        ("--target", "output"),
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_methods_and_references(cli, tmp_path, model, fasta, options):
    ran = cli("map", model, fasta, "-o", "out", *QUICK, *options)
    assert ran.code == 0, ran.err
    settings = MapStore.open(tmp_path / "out" / "maps.zarr").attributes["settings"]
    assert options[1] in (settings["method"], settings["references"], settings["target"])


def test_an_open_length_is_given(cli, tmp_path, fasta, model):
    free = model.with_name("free_length_dynamo.onnx")
    assert cli("map", free, fasta, "-o", "out", "--sequence-length", 44, *QUICK).code == 0
    assert MapStore.open(tmp_path / "out/maps.zarr").attributes["model"]["sequence_length"] == 44


def test_gzipped_fasta(cli, tmp_path, model, fasta):
    zipped = fasta.with_name("s.fa.gz")
    zipped.write_bytes(gzip.compress(fasta.read_bytes()))
    assert cli("map", model, zipped, "-o", "out", *QUICK).code == 0


@pytest.fixture
def genome(fasta):
    """An indexed contig of 200 bases."""
    path = fasta.with_name("genome.fa")
    path.write_text(">chr1\n" + "ACGTTGCATG" * 20 + "\n")
    pysam.faidx(str(path))
    return path


def bed(genome, text):
    path = genome.with_name("regions.bed")
    path.write_text(text)
    return path


def test_bed_regions_of_a_genome(cli, tmp_path, model, genome):
    ran = cli(
        "map",
        model,
        "--bed",
        bed(genome, "chr1\t50\t60\nchr1\t100\t144\n"),
        "--genome",
        genome,
        "-o",
        "out",
        *QUICK,
    )
    assert ran.code == 0, ran.err
    assert MapStore.open(tmp_path / "out/maps.zarr").names == ["chr1:33-77", "chr1:100-144"]


def test_the_same_command_with_other_threads_gives_the_same_arrays(cli, tmp_path, model, fasta):
    quick = [option for option in QUICK if option not in ("--threads", 1)]
    found = []
    for threads in (1, 2):
        assert cli("map", model, fasta, "-o", f"t{threads}", "--threads", threads, *quick).code == 0
        group = MapStore.open(tmp_path / f"t{threads}" / "maps.zarr").group
        found.append({name: array[...] for name, array in group.arrays()})
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], name)


# Wrong input, as the public interface lists it.


def test_every_unsupported_node_is_listed(refused, tmp_path, fasta):
    Path("m.onnx").write_bytes(BAD["unsupported_mix"]().SerializeToString())
    first, *rest = refused("m.onnx", fasta, left=("given", "m.onnx")).splitlines()
    assert first == "m.onnx: 3 problems:"
    assert [line.split(")")[0] for line in rest] == [
        "  node 'lstm_5' (LSTM",
        "  node 'attention/einsum_10' (Einsum",
        "  node 'repeat_14' (Loop",
    ]


def test_a_sequence_of_the_wrong_length(refused, model, fasta):
    fasta.write_text(fasta.read_text() + ">short\nACGT\n")
    assert refused(model, fasta) == (
        "sequence 2 (short) has length 4, wanted 44; trim it or pad it with N"
    )


def test_letters_outside_acgtn(refused, model, fasta):
    fasta.write_text(">a\nACGTRCGT\n")
    assert refused(model, fasta) == (
        f"{fasta}: record 'a', position 4 (0-based): letter 'R' is not one of A, C, G, T, N; "
        "replace ambiguous letters by N"
    )


def test_an_empty_fasta(refused, model, fasta):
    fasta.write_text("")
    assert refused(model, fasta) == f"{fasta}: empty; wanted at least one FASTA record"


def test_binary_junk_as_fasta(refused, model, fasta):
    fasta.write_bytes(bytes(range(256)) * 4)
    assert refused(model, fasta) == (f"{fasta}: not a text file; wanted FASTA, plain or gzipped")


def test_binary_junk_as_model(refused, fasta):
    junk = fasta.with_name("junk.onnx")
    junk.write_bytes(bytes(range(256)) * 4)
    line = refused(junk, fasta)
    assert line.startswith(f"{junk}: cannot be read as an ONNX model (")
    assert line.endswith("; export it with torch.onnx.export or tf2onnx") and "\n" not in line


def test_no_such_model(refused, fasta):
    assert refused("no.onnx", fasta) == "no.onnx: no such file; give the path of an ONNX model"


def test_no_such_fasta(refused, model, fasta):
    assert refused(model, "no.fa") == "no.fa: no such FASTA file; check the path"


def test_a_bed_past_the_end_of_its_chromosome(refused, model, genome):
    regions = bed(genome, "chr1\t150\t201\n")
    assert refused(model, "--bed", regions, "--genome", genome) == (
        f"{regions}, line 1: chr1:150-201 ends past the end of chr1 (200 bases); use the assembly "
        "that the BED was made with"
    )


def test_a_region_too_close_to_the_end(refused, model, genome):
    regions = bed(genome, "chr1\t0\t10\n")
    assert refused(model, "--bed", regions, "--genome", genome) == (
        f"{regions}, line 1: chr1:0-10 centred to 44 bases is chr1:-17-27, outside chr1 "
        "(200 bases); remove or move the region; score can pad or skip such ends"
    )


def test_a_missing_index(refused, model, genome):
    genome.with_name("genome.fa.fai").unlink()
    assert refused(model, "--bed", bed(genome, "chr1\t50\t60\n"), "--genome", genome) == (
        f"{genome}: no index genome.fa.fai beside it; run: samtools faidx {genome}"
    )


@pytest.mark.parametrize("given", [(), ("x.fa", "--bed", "x.bed", "--genome", "g.fa")])
def test_one_source_of_sequences(refused, model, fasta, given):
    assert refused(model, *given) == (
        "give either a FASTA file or --bed with --genome, to say which sequences to map"
    )


def test_bed_and_genome_go_together(refused, model, fasta):
    for given in (("--bed", "x.bed"), (fasta, "--genome", "g.fa")):
        assert refused(model, *given) == (
            "--bed and --genome go together: regions, and the FASTA they are cut from"
        )


@pytest.mark.parametrize("task", ["CTCF", "4"])
def test_an_unknown_task(refused, model, fasta, task):
    shown = repr(task) if task == "CTCF" else task
    assert refused(model, fasta, "--task", task) == (
        f"task {shown} does not exist; this model has 4 (0 to 3): output_0[0], output_0[1], "
        "output_0[2], output_1"
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--backend", "torch"), "backend='torch' is unknown; choose from auto, "),
        (
            ("--method", "saliency"),
            "method='saliency' is unknown; choose from deeplift, deeplift_revealcancel, ",
        ),
        (("--target", "both"), "target='both' is unknown; choose from logit, output"),
        (
            ("--contribution", "all"),
            "contribution='all' is unknown; choose from projected, observed",
        ),
        (("--maxpool", "min"), "maxpool='min' is unknown; choose from shap, deeplift"),
        (("--epsilon", "0"), "epsilon=0.0 must be positive; the default is 1e-6"),
        (
            ("--references", "tri"),
            "--references tri: is unknown; choose from dinucleotide, gc, zeros ",
        ),
        (("--gc", "1.5", "--references", "gc"), "gc=1.5 is no GC content; "),
        (("--sources", "9-4"), "--sources 9-4: '9-4' is no range of positions; "),
        (("--targets", "40-60"), "targets holds position 44, outside the sequence; wanted 0 to 43"),
        (
            ("--null-model", "t"),
            "null_model='t' is not known; choose one of 'empirical', 'gaussian'",
        ),
        (("--pool", "all"), "pool='all' is not known; choose one of 'global', 'task', 'sequence'"),
        (("--family", "all"), "family='all' is not known; "),
        (
            ("--correction", "holm"),
            "correction='holm' is not known; choose one of 'bh', 'by', 'decoy'",
        ),
        (("--alpha", "1"), "alpha=1.0: pass a number between 0 and 1, such as 0.05"),
        (
            ("--correction", "decoy", "--pool", "sequence"),
            "correction='decoy': family='task' is wider",
        ),
        (
            ("--memory-limit", "much"),
            "--memory-limit much: is no size; write a number and a unit, ",
        ),
        (("--memory-limit", "1KB"), "memory_limit of 0.001 MB is too small for this model; "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_settings_that_cannot_be(refused, model, fasta, options, line):
    found = refused(model, fasta, *options)
    assert found.startswith(line)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--n-null", "0"), "Invalid value for '--n-null'"),
        (("--window", "x"), "Invalid value for '--window'"),
        (("--windw", "4"), "No such option: --windw"),
    ],
)
def test_wrong_usage(refused, model, fasta, options, line):
    found = refused(model, fasta, *options)
    assert found.startswith(line)
    assert found.endswith(SEE_MAP) and "\n" not in found


def test_references_of_the_wrong_shape(refused, model, fasta):
    path = fasta.with_name("r.npy")
    np.save(path, np.zeros((3, 44, 4)))
    assert refused(model, fasta, "--references", path) == (
        "references have shape (3, 44, 4); wanted (R, 4, 44) or (1, R, 4, 44); the channels are "
        "last: swap the last two axes"
    )


def test_references_that_are_no_array(refused, model, fasta):
    path = fasta.with_name("r.npy")
    path.write_text("junk")
    assert refused(model, fasta, "--references", path) == (
        f"{path}: cannot be read as an array of references; write one with numpy.save"
    )
    assert refused(model, fasta, "--references", "no.npy") == (
        "no.npy: no such file of references; check the path"
    )


def test_an_existing_out(cli, tmp_path, model, fasta):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "maps.zarr").write_text("old")
    ran = cli("map", model, fasta, "-o", "out", *QUICK)
    assert (ran.code, ran.err) == (
        2,
        "dfim-fast: error: out: exists already; choose another folder or pass --overwrite\n",
    )
    assert (tmp_path / "out" / "maps.zarr").read_text() == "old"
    assert cli("map", model, "no.fa", "-o", "out", "--overwrite", *QUICK).code == 2
    assert (tmp_path / "out" / "maps.zarr").read_text() == "old"
    assert cli("map", model, fasta, "-o", "out", "--overwrite", *QUICK).code == 0
    assert (tmp_path / "out" / "maps.zarr").is_dir()


def test_an_out_that_cannot_be_written(refused, model, fasta, monkeypatch):
    real = os.open

    def read_only(path, *arguments, **options):
        if str(path).endswith(".out.lock"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", read_only)
    assert refused(model, fasta, *QUICK) == (
        "out: cannot be written (Permission denied); nothing was kept: check the folder and its "
        "permissions"
    )


def test_an_out_without_a_folder_around_it(cli, tmp_path, model, fasta):
    ran = cli("map", model, fasta, "-o", "a/b/out", *QUICK)
    assert (ran.code, ran.err) == (
        2,
        f"dfim-fast: error: a/b/out: the folder {tmp_path / 'a/b'} does not exist; make it first\n",
    )


def test_a_full_disk(refused, model, fasta, monkeypatch):
    written = []
    real = MapStore.write

    def fills_up(self, name, part, values):
        written.append(name)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, name, part, values)

    monkeypatch.setattr(MapStore, "write", fills_up)
    assert refused(model, fasta, *QUICK) == (
        "out: the disk is full; nothing was kept: free some space, or choose another folder or "
        "fewer sequences"
    )
    assert len(written) == 2


def test_ctrl_c(cli, tmp_path, model, fasta, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfim_fast.scale.map_run.diagnose", interrupt)
    ran = cli("map", model, fasta, "-o", "out", *QUICK)
    assert (ran.code, ran.out, ran.err) == (130, "", "dfim-fast: interrupted; nothing was kept\n")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]
