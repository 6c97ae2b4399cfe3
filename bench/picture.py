"""README's picture: the map of one demo sequence, drawn as `dfim-fast demo` draws it.

Run as ``python bench/picture.py``; it writes bench/results/picture.png.
"""

from __future__ import annotations

from pathlib import Path

import dfim_fast
from dfim_fast.io.fasta import read_fasta
from dfim_fast.plot.from_maps import figure_for
from dfim_fast.plot.style import save

HERE = Path(__file__).parent
DATA = Path(dfim_fast.__file__).parent / "data"
NAME, SOURCE, SHUFFLES = "positive_06", 191, 4  # a base in the middle of the ELF1 site


def main() -> None:
    """Compute the map and its significance, and draw it."""
    model = dfim_fast.load_model(DATA / "demo.onnx")
    names, sequences = read_fasta(DATA / "demo.fa")
    one = [sequences[names.index(NAME)]]
    maps = dfim_fast.interaction_map(model, one, names=[NAME])
    null = dfim_fast.null_map(model, one, n=SHUFFLES)
    result = dfim_fast.significance(maps, null)
    save(figure_for(maps, NAME, result, source=SOURCE), HERE / "results" / "picture.png")


if __name__ == "__main__":
    main()
