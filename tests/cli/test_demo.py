"""`dfim-fast demo`: finds what the model was trained to know."""

import re

from dfim_fast.cli import demo


def test_the_demo_finds_the_pair_that_the_model_was_trained_on(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "POSITIVES", 1)
    monkeypatch.setattr(demo, "NEGATIVES", 1)
    ran = cli("demo", "--threads", 2)
    assert ran.code == 0, ran.err
    out = tmp_path / "dfim_demo"
    assert (out / "figures" / "null.png").exists() and (out / "maps.zarr").is_dir()
    found = re.search(
        r"(\d+) of the (\d+) significant interactions between two motifs are between ELF1 and SIX5",
        ran.out,
    )
    assert int(found[1]) > 0.9 * int(found[2]) > 0
    assert "See it in dfim_demo/figures/1_positive_01.png" in ran.out
    again = cli("demo")
    assert (again.code, again.err) == (
        2,
        "dfim-fast: error: dfim_demo: exists already; choose another folder or pass --overwrite\n",
    )
