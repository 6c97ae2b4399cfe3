"""A run over a genome: the numbers of the public functions, the same bytes however it is cut."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pysam
import pytest
import zarr
from scale.score_helpers import (
    ALPHA,
    LENGTH,
    MODEL,
    REGIONS,
    contents,
    interrupted,
    run,
)

import dfim_fast
from dfim_fast.errors import InputError, OutputError, SettingsError
from dfim_fast.io.regions import read_windows
from dfim_fast.io.score_store import ScoreStore
from dfim_fast.scale import runners, score_run
from dfim_fast.scale import score_jobs as score_module


@pytest.fixture(scope="module")
def whole(model, genome, tmp_path_factory):
    """One uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "store"
    return run(model, genome, out)


def in_memory(model, genome, family="task", null_model="empirical"):
    windows = read_windows(genome / "r.bed", genome / "g.fa", LENGTH)
    settings = {"method": "gradient", "random_state": 3, "task": [0, 1], "progress": False}
    maps = dfim_fast.interaction_map(model, windows.sequences(), **settings)
    null = dfim_fast.null_map(model, windows.sequences(), n=1, **settings)
    return windows, maps, dfim_fast.significance(
        maps, null, null_model, family=family, alpha=ALPHA
    )


def test_the_table_is_what_significance_says_in_memory(model, genome, whole):
    windows, maps, judged = in_memory(model, genome)
    table = whole.interactions
    assert len(table) == np.count_nonzero(judged.significant & (maps.fis != 0)) > 50
    position = {windows.name(n): n for n in range(len(windows))}
    for row in table.sample(40, random_state=1).itertuples():
        at = cell(model, windows, position, row)
        n = at[1]
        assert row.fis == maps.fis[at]
        assert row.p == judged.p[at]
        # statsmodels multiplies and divides in another order
        assert row.q == pytest.approx(judged.q[at], rel=1e-14)
        assert row.source_base == "ACGTN"[maps.sequences[n][at[2]]]


def cell(model, windows, position, row):
    """Where a row of the table lies in the maps of `in_memory`."""
    n = position[row.region]
    return (
        model.task_names.index(row.task), n, row.source - windows.start[n],
        "ACGT".index(row.mutant), row.target - windows.start[n],
    )  # fmt: skip


def test_a_gaussian_null(model, genome, tmp_path, monkeypatch):
    windows, maps, judged = in_memory(model, genome, null_model="gaussian")
    found = run(model, genome, tmp_path / "whole", null_model="gaussian")
    assert contents(found.store) == contents(
        run(model, genome, tmp_path / "cut", null_model="gaussian", chunk=2).store
    )
    table = found.interactions
    assert len(table) == np.count_nonzero(judged.significant & (maps.fis != 0)) > 50
    position = {windows.name(n): n for n in range(len(windows))}
    for row in table.sample(40, random_state=1).itertuples():
        at = cell(model, windows, position, row)
        assert row.p == pytest.approx(judged.p[at], rel=1e-9)  # moments summed in another order
        assert row.q == pytest.approx(judged.q[at], rel=1e-9)
    text = "\n".join(found.summary)
    assert "test: gaussian, two-sided" in text
    assert "held-out check, fit on one half" in text
    numbers = json.loads((found.store / "results/significance.json").read_text())
    assert numbers["null_model"] == "gaussian"
    monkeypatch.setattr(score_module, "EXACT_SCORES", 0)
    run(model, genome, tmp_path / "binned", null_model="gaussian")
    binned = json.loads((tmp_path / "binned/results/significance.json").read_text())
    assert binned["significant"] <= numbers["significant"] <= binned["significant_at_most"]
    assert binned["significant"] > 0.8 * numbers["significant"]


def test_what_every_region_has(model, genome, whole):
    windows, maps, _ = in_memory(model, genome)
    group = zarr.open_group(str(whole.store / "results" / "regions.zarr"), mode="r")
    assert np.array_equal(group["attributions"], maps.attributions)
    assert np.array_equal(group["predictions"], maps.predictions)
    assert np.array_equal(group["sequences"], maps.sequences)
    assert np.array_equal(group["start"], windows.start)
    size = np.where(maps.mask, np.abs(maps.fis), 0)  # (K, N, S, 4, T)
    largest = size.max(axis=(3, 4))
    assert np.array_equal(np.abs(group["strongest"]), largest)
    k, n, s = (i[0] for i in np.nonzero(largest))
    mutant, target = group["strongest_mutant"][k, n, s], group["strongest_target"][k, n, s]
    assert maps.fis[k, n, s, mutant, target] == group["strongest"][k, n, s]
    assert (group["strongest_target"][:][largest == 0] == -1).all()


def test_bins_bound_what_exact_scores_say(model, genome, whole, tmp_path, monkeypatch):
    exact = whole.interactions
    numbers = json.loads((whole.store / "results" / "significance.json").read_text())
    assert numbers["exact"]
    assert numbers["significant_at_most"] == numbers["significant"]
    monkeypatch.setattr(score_module, "EXACT_SCORES", 0)
    run(model, genome, tmp_path / "binned")
    binned = json.loads((tmp_path / "binned/results/significance.json").read_text())
    assert binned["tests"] == numbers["tests"]
    assert binned["masked"] == numbers["masked"]
    assert binned["significant"] <= numbers["significant"] <= binned["significant_at_most"]
    table = pd.read_parquet(tmp_path / "binned/results/interactions.parquet")
    key = ["region", "task", "source", "mutant", "target"]
    both = table.merge(exact, on=key, suffixes=("", "_exact"))
    assert len(both) == len(table) > 0  # what bins call, exact scores call
    assert (both["p"] >= both["p_exact"]).all()
    assert (both["q"] >= both["q_exact"]).all()
    assert (both["p"] <= both["p_exact"] * 1.5 + 1e-12).mean() > 0.9


@pytest.mark.parametrize("more", [{"chunk": 1}, {"chunk": 4, "threads": 1}, {"workers": 2}])
def test_the_same_bytes_however_it_is_cut(model, genome, whole, tmp_path, more):
    run(model, genome, tmp_path / "store", **more)
    assert contents(tmp_path / "store") == contents(whole.store)


def test_pieces_are_taken_in_order_whatever_came_first(tmp_path):
    """One of an earlier run, others out of turn; what is not at hand is read."""

    class Taken:
        def __init__(self):
            self.rows = []

        def take(self, first, last, arrays):
            assert int(arrays["row"]) == first
            self.rows.append((first, last))

    store, taken = ScoreStore(tmp_path / "s"), Taken()
    with store.open({}, resume=False):
        cut = [(0, 2), (2, 3), (3, 7), (7, 9)]
        store.add(*cut[1], {"row": np.array(2)})
        pieces = score_run._InOrder(store, taken)
        for number in (3, 0, 2):
            arrays = {"row": np.array(cut[number][0])}
            pieces.add(*cut[number], store.add(*cut[number], arrays), arrays)
            assert taken.rows == ([] if number == 3 else cut[:2] if number == 0 else cut)
    assert not pieces.waiting


def test_the_last_chunks_are_small(tmp_path):
    store = ScoreStore(tmp_path / "s")
    with store.open({}, resume=False):
        store.add(40, 44, {})
        for workers in (0, 1, 2, 5):
            gaps = list(store.gaps(101, 10, workers))
            rows = [row for first, last in gaps for row in range(first, last)]
            assert rows == [*range(40), *range(44, 101)]
            sizes = [last - first for first, last in gaps]
            assert max(sizes) == 10 or workers == 5
            assert sizes[-1] == (7 if not workers else 1)


def test_maps_are_kept_when_asked_for(model, genome, tmp_path):
    run(model, genome, tmp_path / "store", keep="maps", window=5, chunk=2)
    windows = read_windows(genome / "r.bed", genome / "g.fa", LENGTH)
    maps = dfim_fast.interaction_map(model, windows.sequences(), method="gradient", task=[0, 1],
                                     window=5, progress=False)  # fmt: skip
    group = zarr.open_group(str(tmp_path / "store/results/maps.zarr"), mode="r")
    assert np.array_equal(group["fis"], maps.fis)
    assert group["fis"].shape == (2, REGIONS, LENGTH, 4, 11)


def test_a_strand_and_its_places(model, genome, tmp_path):
    run(model, genome, tmp_path / "store", strands="both")
    table = score_run.Scored(tmp_path / "store", []).interactions
    bases = pysam.FastaFile(str(genome / "g.fa")).fetch("one")
    turned = table[table["strand"] == "-"]
    assert len(turned)
    other = dict(zip("ACGT", "TGCA", strict=True))
    for row in turned.head(20).itertuples():
        assert other[row.source_base] == bases[row.source]
        assert other[row.target_base] == bases[row.target]


class Killed(BaseException):
    """Stands for what gives a run no time to say anything."""


def test_a_run_that_ends_anywhere_goes_on(model, genome, whole, tmp_path, monkeypatch):
    store = tmp_path / "store"
    replace, count = os.replace, [0]

    def failing(source, target):
        count[0] += str(target).endswith(".npz")
        if count[0] % 3 == 2:
            count[0] += 1
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    for _ in range(3):
        with pytest.raises(Killed):
            run(model, genome, store, chunk=1, resume=True)
    monkeypatch.undo()
    run(model, genome, store, chunk=1, resume=True)
    assert contents(store) == contents(whole.store)
    assert not (store / "parts").exists()


SCRIPT = """
import sys, dfim_fast
from pathlib import Path
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    dfim_fast.score(dfim_fast.load_model(sys.argv[3]), folder / "g.fa", sys.argv[2],
        bed=folder / "r.bed", method="gradient", random_state=3, task=[0, 1], null_regions=20,
        top=10_000, progress=False, chunk=1, resume=True, alpha=0.98)
"""


def start(genome, store):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(genome), str(store), str(MODEL)],
                            stderr=subprocess.PIPE)  # fmt: skip


def wait_for_parts(store, process, least):
    while len(list((store / "parts").glob("0*.npz"))) < least and process.poll() is None:
        time.sleep(0.002)


def test_sigkill_loses_nothing(genome, whole, tmp_path):
    store = tmp_path / "store"
    for least in (1, 4):
        process = start(genome, store)
        wait_for_parts(store, process, least)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(genome, store)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert contents(store) == contents(whole.store)


@pytest.mark.parametrize("kind", ["Serial", "Processes"])
def test_sigint_finishes_the_chunk_and_says_how_to_go_on(model, genome, whole, tmp_path, kind):
    store = tmp_path / "store"
    workers = 1 if kind == "Serial" else 2
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt) as stopped:
        patch.setattr(runners, kind, interrupted(getattr(runners, kind)))
        run(model, genome, store, chunk=1, workers=workers)
    kept = len(ScoreStore(store).parts())
    assert kept == 3 if kind == "Serial" else 3 <= kept < REGIONS
    assert f"after {kept} of {REGIONS} regions" in str(stopped.value)
    assert "--resume" in str(stopped.value)
    run(model, genome, store, chunk=4, resume=True)
    assert contents(store) == contents(whole.store)


def test_a_store_of_other_settings_is_refused_with_the_differences(model, genome, tmp_path):
    run(model, genome, tmp_path / "s", task=0)
    with pytest.raises(OutputError, match="holds a run already"):
        run(model, genome, tmp_path / "s", task=0)
    with pytest.raises(OutputError, match=r"alpha was 0.98 and is 0.01; top was 10000 and is 5;"):
        run(model, genome, tmp_path / "s", task=0, alpha=0.01, top=5, resume=True)
    finished = run(model, genome, tmp_path / "s", task=0, resume=True)
    assert any("significant: " in line for line in finished.summary)


def test_a_second_run_is_refused(model, genome, tmp_path):
    with (
        ScoreStore(tmp_path / "s").open({}, resume=False),
        pytest.raises(OutputError, match="another run is writing it"),
    ):
        run(model, genome, tmp_path / "s", resume=True)


def test_a_cut_off_part_is_named_and_the_others_stay(model, genome, whole, tmp_path, monkeypatch):
    store = tmp_path / "s"
    monkeypatch.setattr(score_module, "write_judged", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        run(model, genome, store, chunk=3)
    monkeypatch.undo()
    cut = ScoreStore(store).parts()[1][2]
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(OutputError, match=r"000000003-000000006.npz: is damaged, cut off"):
        run(model, genome, store, resume=True)
    cut.unlink()
    run(model, genome, store, resume=True)
    assert contents(store) == contents(whole.store)


def test_a_full_disk_keeps_what_is_finished(model, genome, tmp_path, monkeypatch):
    written = [0]

    def full(handle):
        written[0] += 1
        if written[0] > 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full; what was finished is kept") as error:
        run(model, genome, tmp_path / "s", chunk=1)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert len(ScoreStore(tmp_path / "s").parts()) >= 1
    assert not list((tmp_path / "s").rglob("*.partial*"))


def test_a_genome_that_vanishes(model, genome, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for name in ("g.fa", "g.fa.fai", "r.bed"):
        (own / name).write_bytes((genome / name).read_bytes())
    vanish = score_module.RegionWork.__call__

    def work(self, chunk):
        if chunk[0] == 2:
            (own / "g.fa").unlink()
        return vanish(self, chunk)

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InputError, match="no such genome file"),
    ):
        patch.setattr(score_module.RegionWork, "__call__", work)
        run(model, own, tmp_path / "s", chunk=1)
    assert len(ScoreStore(tmp_path / "s").parts()) == 2


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"pool": "sequence"}, "pool='sequence' is not known here"),
        ({"correction": "decoy"}, "correction='decoy' is not known here"),
        ({"null_model": "normal"}, "null_model='normal' is not known"),
        ({"keep": "all"}, "keep='all' is not known"),
        ({"null_regions": 0}, "null_regions=0"),
        ({"workers": 0}, "workers=0"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "workers=2: a scheduler's workers have"),
        ({"threads": 2, "scheduler": "slurm"}, "threads=2: a scheduler's workers have"),
    ],
)
def test_wrong_settings_leave_nothing(model, genome, tmp_path, more, text):
    with pytest.raises(SettingsError, match=text):
        run(model, genome, tmp_path / "s", **more)
    assert not (tmp_path / "s").exists()


def test_a_folder_of_something_else_is_left_alone(model, genome, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty and holds no run"):
        run(model, genome, tmp_path, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.txt"]


def test_exports_open_in_other_readers(model, genome, tmp_path):
    import pyBigWig

    out = run(model, genome, tmp_path / "s", export=("bedpe", "bed", "bigwig")).store / "results"
    table = pd.read_parquet(out / "interactions.parquet")
    arcs = pd.read_csv(out / "interactions.bedpe", sep="\t")
    assert len(arcs) == len(table)
    assert set(zip(arcs["start1"], arcs["start2"], strict=True)) == set(
        zip(table["source"], table["target"], strict=True)
    )
    blocks = pd.read_csv(out / "interactions.bed", sep="\t", header=None)
    assert len(blocks) == len(table)
    group = zarr.open_group(str(out / "regions.zarr"), mode="r")
    with pyBigWig.open(str(out / "attributions.output_0_0.bw")) as track:
        found = track.values("one", 0, 37)  # of the first window alone
    assert np.array_equal(np.array(found, np.float32), group["attributions"][0, 0, :37])


def write_vcf(path, bases, records):
    """Write records of (pos, REF or None for the genome's base, ALT or None for another)."""
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=one>"]
    lines += ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for pos, ref, alt in records:
        ref = ref or bases[pos - 1]
        alt = alt or ("G" if ref != "G" else "A")
        lines.append(f"one\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_variants_are_rows_judged_together(model, genome, tmp_path):
    bases = pysam.FastaFile(str(genome / "g.fa")).fetch("one")
    records = [(pos, None, None) for pos in (5, 40, 120, 200, 310)]
    # of these no null can be made, which leaves them rows all the same
    records += [(350, None, ",".join(set("ACGT") - {bases[349]})), (400, bases[399:403], None)]
    vcf = write_vcf(tmp_path / "v.vcf", bases, records)
    given = {"method": "gradient", "task": [0, 1], "progress": False}
    stores = [
        dfim_fast.score(model, genome / "g.fa", tmp_path / f"s{chunk}", vcf=vcf, chunk=chunk,
                        alpha=0.9, **given)
        for chunk in (2, 100)
    ]  # fmt: skip
    assert contents(stores[0].store) == contents(stores[1].store)
    table = stores[0].interactions
    with pytest.warns(UserWarning, match="left out"):
        expected = dfim_fast.variant_interactions(model, genome / "g.fa", vcf, **given)
    assert np.array_equal(table["fis"], expected["fis"])
    assert "rows of 6 variants (v.vcf on g.fa); 1 left out at the ends" in stores[0].summary[0]
    first = table.iloc[0]
    assert bases[first["target"]] == first["target_base"]
    assert table["p"].between(0, 1).all()
    assert {"one:350"} <= set(table["variant"].str.split(":").str[:2].str.join(":"))


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ((300, "other", None), r"^variants, row 1: one:300 \(.\) has REF \w, but .* has \w there"),
        ((900, "A", None), r"^variants, row 1: one:900 is outside one \(600 bases\)"),
        ((3, None, None), None),
    ],
)
def test_variants_of_another_genome_are_refused_at_once(model, genome, tmp_path, record, text):
    bases = pysam.FastaFile(str(genome / "g.fa")).fetch("one")
    if record[1] == "other":
        record = (300, "A" if bases[299] != "A" else "C", None)
    first = (200, bases[199:202], "T") if text is None else (200, None, None)
    vcf = write_vcf(tmp_path / "v.vcf", bases, [first, record])
    with pytest.raises(InputError, match=text or "none of 1 is one base with one alternate"):
        dfim_fast.score(model, genome / "g.fa", tmp_path / "s", vcf=vcf, method="gradient",
                        progress=False)  # fmt: skip
    assert not (tmp_path / "s").exists()


@pytest.fixture(scope="module")
def motifs(tmp_path_factory):
    text = "MEME version 4\n\nALPHABET= ACGT\n\n"
    for name, word in (("one", "AC"), ("two", "GT")):
        text += f"MOTIF {name}\nletter-probability matrix: alength= 4 w= 4 nsites= 20\n"
        for letter in word * 2:
            text += " ".join("0.97" if base == letter else "0.01" for base in "ACGT") + "\n"
        text += "\n"
    path = tmp_path_factory.mktemp("motifs") / "m.meme"
    path.write_text(text)
    return path


def test_motif_pairs_are_rows_judged_together(model, genome, motifs, tmp_path, monkeypatch):
    def pairs(name, chunk, null_model="empirical"):
        return dfim_fast.score(
            model, genome / "g.fa", tmp_path / name, bed=genome / "r.bed", motifs=motifs,
            threshold=0.2, chunk=chunk, method="gradient", progress=False, null_model=null_model,
        )  # fmt: skip

    whole = pairs("whole", 100)
    assert contents(pairs("cut", 2).store) == contents(whole.store)
    table = whole.interactions
    assert {"one", "two"} == set(table["source"])
    assert (table["source_end"] - table["source_start"] == 4).all()
    numbers = json.loads((whole.store / "results/significance.json").read_text())
    assert numbers["exact"]
    assert numbers["tests"] == len(table)
    values = table["fis"].to_numpy()
    with np.load(whole.store / "results/histograms.npz") as file:
        null = np.repeat(file["null_levels"], file["null_counts"])
    judged = dfim_fast.significance(values, null)
    assert np.array_equal(table["p"], judged.p)
    np.testing.assert_allclose(table["q"], judged.q, rtol=1e-14)

    fitted = pairs("fitted", 2, "gaussian").interactions
    judged = dfim_fast.significance(values, null, "gaussian")
    np.testing.assert_allclose(fitted["p"], judged.p, rtol=1e-9)

    # one score too many, whichever is the last: all are counted in bins
    monkeypatch.setattr(score_module, "EXACT_SCORES", len(values) + len(null))
    assert contents(pairs("just", 2).store) == contents(whole.store)
    monkeypatch.setattr(score_module, "EXACT_SCORES", len(values) + len(null) - 1)
    binned = pairs("binned", 100)
    assert contents(pairs("binned-cut", 2).store) == contents(binned.store)
    assert not json.loads((binned.store / "results/significance.json").read_text())["exact"]
    p = binned.interactions["p"]
    assert (p >= table["p"]).all()
    assert (p > table["p"]).any()
