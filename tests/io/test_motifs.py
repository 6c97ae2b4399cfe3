"""Motif files of every format, and scanning."""

import numpy as np
import pytest

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.motifs import best_hits, read_motifs, scan
from dfim_fast.sequence.one_hot import encode

GATA = np.array([[0.1, 0.97, 0.01, 0.97, 0.9], [0.1, 0.01, 0.01, 0.01, 0.03],
                 [0.7, 0.01, 0.01, 0.01, 0.03], [0.1, 0.01, 0.97, 0.01, 0.04]])  # fmt: skip
ROWS = "\n".join("\t".join(f"{v:g}" for v in column) for column in GATA.T)
FILES = {
    "meme": "MEME version 5\n\nALPHABET= ACGT\n\nMOTIF MA0035.1 Gata1\n"
    f"letter-probability matrix: alength= 4 w= 5 nsites= 20 E= 0\n{ROWS}\n\n"
    f"MOTIF other\nletter-probability matrix: alength= 4 w= 5 nsites= 20 E= 0\n{ROWS}\n",
    "jaspar": ">MA0035.1\tGata1\n"
    + "\n".join(f"{b} [ {' '.join(f'{100 * v:g}' for v in row)} ]"
                for b, row in zip("ACGT", GATA, strict=True))
    + "\n>MA2\tother\nA [1 2]\nC [1 2]\nG [3 3]\nT [9 9]\n",
    "homer": f">NGATAA\tGata1/K562-ChIP\t6.5\t-100\t0\tT:10\n{ROWS}\n>CC\tother\t5\n{ROWS}\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FILES)
def test_every_format(form, tmp_path):
    path = tmp_path / "motifs"
    path.write_text(FILES[form])
    found = read_motifs(path)
    assert list(found) == ["Gata1", "other"]
    np.testing.assert_allclose(found["Gata1"], GATA, atol=1e-12)
    for frequencies in found.values():
        np.testing.assert_allclose(frequencies.sum(axis=0), 1)


def test_equal_names_are_told_apart(tmp_path):
    path = tmp_path / "motifs"
    path.write_text(FILES["meme"].replace("MOTIF other", "MOTIF MA9 Gata1"))
    assert list(read_motifs(path)) == ["Gata1 (MA0035.1)", "Gata1 (MA9)"]


@pytest.mark.parametrize("text", ["", "hello\n", ">x\n1 2\nhello\n", "MEME version 4\n"])
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "motifs"
    path.write_text(text)
    with pytest.raises(InputError, match="wanted motifs in MEME, JASPAR or HOMER format"):
        read_motifs(path)


def test_scanning_finds_both_strands_and_the_best_of_overlapping_hits():
    wide = {"G": np.concatenate([GATA, GATA[:, :2]], axis=1)}
    text = "ACGTTTGATAAGATTTTTTTTCTTATCAAAAACC"
    found = scan(wide, encode([text, text[::-1], "N" * len(text)]), 1e-3)
    own = found[found["sequence"] == 0]
    assert own[["start", "end", "strand"]].to_numpy().tolist() == [[6, 13, "+"], [20, 27, "-"]]
    assert text[6:13] == "GATAAGA" and text[20:27] == "TCTTATC"
    assert (found["p"] <= 1e-3).all() and set(found["sequence"]) <= {0, 1}
    hits = found[:2].assign(start=[5, 7], end=[12, 14], strand="+", p=[1e-4, 1e-6])
    assert best_hits(hits)["start"].tolist() == [7]
    assert len(best_hits(hits.assign(name=["x", "y"]))) == 2


def test_nothing_found_and_no_threshold():
    codes = encode(["A" * 40])
    with pytest.raises(InputError, match="no motif was found in 1 sequences at p <= 1e-06"):
        scan({"G": GATA}, codes, 1e-6)
    with pytest.raises(SettingsError, match="threshold=0"):
        scan({"G": GATA}, codes, 0)
