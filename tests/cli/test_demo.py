"""`dfim-fast demo`: finds what the model was trained to know."""

import re

import pandas as pd

import dfim_fast
from dfim_fast.cli import demo


def test_the_demo_finds_the_pair_that_the_model_was_trained_on(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "MAPPED", 1)
    ran = cli("demo", "--threads", 2)
    assert ran.code == 0, ran.err
    out = tmp_path / "dfim_demo"
    assert (out / "maps.zarr").is_dir()
    figures = sorted(path.name for path in (out / "figures").iterdir())
    assert figures == ["1_positive_01.png", "motif_pairs.png", "null.png"]
    assert "The pairs that interact: ELF1 > SIX5 and SIX5 > ELF1." in ran.out.splitlines()
    for path in ("figures/motif_pairs.png", "figures/1_positive_01.png", "motif_pairs.tsv"):
        assert f"  dfim_demo/{path}: " in ran.out
    assert (out / "summary.txt").read_text() in ran.out
    rows = re.findall(
        r"^  (\w+) > (\w+) +([-+.\d]+) +\d+% +(\d+)% +(\d+)% +(\d+)%$", ran.out, re.MULTILINE
    )
    table = pd.read_csv(out / "motif_pairs.tsv", sep="\t")
    assert len(table) == 40 * 12 and len(rows) == 12
    for source, target, fis, *shares in rows:
        own = table[(table["source"] == source) & (table["target"] == target)]
        assert float(fis) == round(own["fis"].mean(), 3)
        columns = ("significant", "significant_matched", "interacts")
        for share, column in zip(shares, columns, strict=True):
            assert abs(int(share) - 100 * own[column].mean()) <= 0.5
        strong = {source, target} == {"ELF1", "SIX5"}
        assert (float(fis) > 2, shares == ["100"] * 3) == (strong, strong)
        assert strong or int(shares[2]) <= 5
    again = cli("demo")
    assert (again.code, again.err) == (
        2,
        "dfim-fast: error: dfim_demo: exists already; choose another folder or pass --overwrite\n",
    )


def test_quiet_prints_nothing_and_a_failure_leaves_nothing(cli, tmp_path, monkeypatch):
    def fail(*_):
        raise dfim_fast.OutputError("the disk is full")

    monkeypatch.setattr(demo, "MAPPED", 1)
    monkeypatch.setattr("dfim_fast.scale.demo.judge_motif_pairs", fail)
    ran = cli("demo", "-o", "x", "--quiet")
    assert (ran.code, ran.out, ran.err) == (2, "", "dfim-fast: error: the disk is full\n")
    assert not list(tmp_path.iterdir())
