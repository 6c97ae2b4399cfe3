"""What is scored, extra inputs, strands and folds, from the command line."""

import numpy as np
import pandas as pd
import pytest
from models.profiles import LENGTH, bpnet

import dfim_fast
from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError
from dfim_fast.io.store import MapStore

SEQUENCES = ["ACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGA", "TTGACNACGGATTACAGGATCCAACGTACGTTGCATGCAC"]
QUICK = ("--n-references", 2, "--sources", "4-6", "--threads", 1, "--figures", 0)


@pytest.fixture
def given(tmp_path):
    """Three folds with a control track, and sequences."""
    for seed in range(3):
        proto = bpnet(control=2, seed=seed)
        (tmp_path / f"fold{seed}.onnx").write_bytes(proto.SerializeToString())
    (tmp_path / "x.fa").write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    return ["fold0.onnx", "fold1.onnx", "fold2.onnx"]


OPTIONS = ("--target", "profile", "--output-range", "4-28", "--constant", "control=0.5")
ARGUMENTS = {"target": "profile", "output_range": (4, 28), "constants": {"control": 0.5}}


def test_map_of_folds(cli, tmp_path, given):
    ran = cli("map", *given, "x.fa", "-o", "out", *QUICK, *OPTIONS, "--reverse-complement")
    assert ran.code == 0, ran.err
    assert "model: 3 folds: fold0.onnx, fold1.onnx, fold2.onnx (" in ran.out
    scored = "profile, output positions 4 to 28, mean of both strands"
    assert f"scored at the {scored}, task logits" in ran.out
    assert "spread over 3 folds: median " in ran.out
    model = dfim_fast.load_model(given, **ARGUMENTS, reverse_complement=True)
    wanted = dfim_fast.interaction_map(
        model, SEQUENCES, n_references=2, sources=[4, 5], progress=False
    )
    store = MapStore.open(tmp_path / "out" / "maps.zarr")
    everything = slice(0, 2)
    for name in ("fis", "fold_spread", "sign_agreement", "standard_error", "self_effect"):
        np.testing.assert_array_equal(store.read(name, everything)[0], getattr(wanted, name))
    assert store.attributes["settings"]["target"] == scored
    table = pd.read_parquet(tmp_path / "out" / "interactions.parquet")
    row = table.iloc[0]
    cell = (
        ["s0", "s1"].index(row["sequence"]),
        row["source"] - 4,
        "ACGT".index(row["mutant"]),
        row["target"],
    )
    for column, name in (("fold_spread",) * 2, ("sign_agreement",) * 2, ("fis",) * 2):
        assert row[column] == getattr(wanted, name)[cell]


def test_a_single_model_has_no_columns_of_folds(cli, tmp_path, given):
    ran = cli("map", given[0], "x.fa", "-o", "out", *QUICK, *OPTIONS, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert "fold_spread" not in pd.read_parquet(tmp_path / "out" / "interactions.parquet")
    assert "fold_spread" not in MapStore.open(tmp_path / "out" / "maps.zarr")


def test_info_describes_each_fold(cli, given):
    ran = cli("info", *given, *OPTIONS, "--strands", "sum")
    assert ran.code == 0, ran.err
    for name in given:
        assert f"Layers of {name}: " in ran.out and f"Work of {name}" in ran.out
    assert (
        "Tasks, scored at the profile, strands sum, output positions 4 to 28, means over 3 folds"
        in ran.out.splitlines()
    )
    one = cli("info", given[0], *OPTIONS).out
    assert "fold" not in one.replace(given[0], "")


def test_a_constant_from_a_file(cli, tmp_path, given):
    track = np.linspace(0, 1, 2 * LENGTH).reshape(2, LENGTH)
    np.save(tmp_path / "track.npy", track)
    ran = cli("map", given[0], "x.fa", "-o", "out", *QUICK, "--target", "counts", "--constant",
              "control=track.npy", "--quiet")  # fmt: skip
    assert ran.code == 0, ran.err
    model = dfim_fast.load_model(given[0], target="counts", constants={"control": track})
    store = MapStore.open(tmp_path / "out" / "maps.zarr")
    np.testing.assert_allclose(
        store.read("predictions", slice(0, 2))[0], model.predict(SEQUENCES)[:, 0], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("fold0.onnx", "x.fa"),
            "fold0.onnx: the model needs exactly one input, the sequence, but has 2 ('x', "
            "'control'); hold the others constant, such as constants={'control': 0.0} "
            "(--constant control=0)",
        ),
        (
            ("fold0.onnx", "fold0.onnx", "x.fa", "--constant", "control=0"),
            "fold0.onnx: is the same network as fold0.onnx, which would count twice; list each "
            "fold once",
        ),
        *(
            (
                wrong,
                "give either a FASTA file or --bed with --genome, to say which sequences to map",
            )
            for wrong in (
                ("fold0.onnx",),
                ("fold0.onnx", "fold1.onnx"),
                ("fold0.onnx", "x.fa", "--bed", "b.bed", "--genome", "g.fa"),
            )
        ),
        (
            ("fold0.onnx", "x.fa", "--constant", "control=0", "--strands", "sum"),
            "strands= and output_range= say how target='profile' or 'counts' reads an output; they "
            "do not go with target='logit'",
        ),
    ],
)
def test_wrong_input_is_one_line(cli, tmp_path, given, arguments, line):
    before = sorted(path.name for path in tmp_path.iterdir())
    ran = cli("map", *arguments, "-o", "out")
    assert (ran.code, ran.out, ran.err) == (2, "", f"dfim-fast: error: {line}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(("text", "found"), [(None, None), ("3-9", (3, 9)), ("7", (7, 8))])
def test_stretch(text, found):
    assert o.stretch(text, "--output-range") == found


def test_several_stretches_are_refused():
    with pytest.raises(SettingsError) as caught:
        o.stretch("3-5,9-11", "--output-range")
    assert str(caught.value) == "--output-range 3-5,9-11: give one range, start-end"


def test_constants():
    assert o.constants(None) == {}
    assert o.constants(["a=b=0", "c=-1e-3"]) == {"a=b": 0.0, "c": -0.001}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        *(
            (
                [text],
                f"--constant {text}: write NAME=VALUE, the name of an input of the model and what "
                "to hold it at, such as control=0",
            )
            for text in ("control", "=0", "control=")
        ),
        (["a=x"], "--constant a=x: 'x' is neither a number nor a .npy file"),
        (["a=0", "a=1"], "--constant a=1: 'a' is held already; give it once"),
    ],
)
def test_wrong_constants(texts, line):
    with pytest.raises(SettingsError) as caught:
        o.constants(texts)
    assert str(caught.value) == line
