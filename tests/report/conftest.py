"""Finished runs to report on, small and made once."""

from pathlib import Path

import pandas as pd
import pytest

import dfim_fast
from dfim_fast.scale.map_run import run_maps
from dfim_fast.scale.motif_run import run_motifs

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"
# a name that would close a script and start another, if it were not escaped
EVIL = "</script><img src=x onerror=alert(1)>"
NAMES = ["one", EVIL, "three"]
SEQUENCES = [
    "ACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCA",
    "TTGACNACGGATTACAGGATCCAACGTACGTTGCATGCAACGTG",
    "GGGATTACAGGATACGTGGCATTAACCGTTGCATGCAACCATCA",
]


@pytest.fixture(scope="session")
def map_run(tmp_path_factory):
    """A folder of `dfim-fast map`: two tasks, three sequences, all sources."""
    out = tmp_path_factory.mktemp("map") / "out"
    model = dfim_fast.load_model(MODEL)
    settings = {"n_references": 3, "task": [0, 3], "threads": 1}
    run_maps(model, NAMES, SEQUENCES, out, settings=settings, figures=0, progress=False)
    return out


@pytest.fixture(scope="session")
def window_run(tmp_path_factory):
    """The same with targets in a window, one task, by the gradient."""
    out = tmp_path_factory.mktemp("window") / "out"
    model = dfim_fast.load_model(MODEL)
    settings = {"method": "gradient", "window": 6, "threads": 1}
    run_maps(model, NAMES, SEQUENCES, out, settings=settings, figures=0, progress=False)
    return out


@pytest.fixture(scope="session")
def motif_run(tmp_path_factory):
    """A folder of `dfim-fast motifs`."""
    out = tmp_path_factory.mktemp("motifs") / "out"
    model = dfim_fast.load_model(MODEL)
    rows = [(n, s, s + 6, name) for n in (0, 2) for s, name in ((8, "X"), (20, EVIL))]
    features = pd.DataFrame(rows, columns=["sequence", "start", "end", "name"])
    settings = {"method": "gradient", "threads": 1}
    run_motifs(model, NAMES, SEQUENCES, features, out, settings=settings, progress=False)
    return out
