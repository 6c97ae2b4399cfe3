"""Wrong calls get one line that says what, where, what was wanted and what to do."""

import errno

import numpy as np
import pytest
from graph.all_models import model, one_hot

import dfim_fast
from dfim_fast.errors import InputError, OutputError, SettingsError
from dfim_fast.maps import storage

NAME = "two_outputs_legacy.onnx"
LENGTH = 44
X = one_hot(2, LENGTH)
TASKS = "output_0[0], output_0[1], output_0[2], output_1"
KINDS = "'dinucleotide', 'gc', 'zeros'"
REFERENCES = "wanted (R, 4, 44) or (2, R, 4, 44)"


def refused(error, x=X, function=dfim_fast.interaction_map, **settings) -> str:
    """The message of a call that must fail."""
    with pytest.raises(error) as caught:
        function(model(NAME), x, progress=False, **{"n_references": 2, **settings})
    assert type(caught.value) is error
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("function", [dfim_fast.interaction_map, dfim_fast.attribute])
@pytest.mark.parametrize(
    ("error", "settings", "text"),
    [
        (
            SettingsError,
            {"method": "saliency"},
            "method='saliency' is unknown; choose from deeplift, deeplift_revealcancel, "
            "revealcancel, gradient, gradient_corrected, guided_backprop, deconv",
        ),
        (
            SettingsError,
            {"contribution": "all"},
            "contribution='all' is unknown; choose from projected, observed",
        ),
        (
            SettingsError,
            {"maxpool": "sum"},
            "maxpool='sum' is unknown; choose from shap, deeplift",
        ),
        (SettingsError, {"epsilon": -1}, "epsilon=-1 must be positive; the default is 1e-6"),
        (
            SettingsError,
            {"references": "shuffle"},
            f"references='shuffle' is unknown; use {KINDS} or an array",
        ),
        (SettingsError, {"n_references": 0}, "n_references=0: pass an integer of at least 1"),
        (
            SettingsError,
            {"n_references": 10**9},  # told at once, not after drawing them
            "1000000000 references of a sequence take 7.04e+05 MB, more than the memory_limit of "
            "2e+03 MB; use fewer of them",
        ),
        (
            SettingsError,
            {"task": [0, "output_0[0]"]},
            "task 'output_0[0]' is named twice; list each once",
        ),
        (SettingsError, {"gc": 46}, "gc=46 is no GC content; pass a fraction between 0 and 1"),
        (
            SettingsError,
            {"random_state": "seed"},
            "random_state='seed': pass an integer, such as 0",
        ),
        (
            SettingsError,
            {"task": 4},
            f"task 4 does not exist; this model has 4 (0 to 3): {TASKS}",
        ),
        (
            SettingsError,
            {"task": ["output_1", "SPI1"]},
            f"task 'SPI1' does not exist; this model has 4 (0 to 3): {TASKS}",
        ),
        (SettingsError, {"task": []}, f"task=[] names no task; choose from: {TASKS}"),
        (
            SettingsError,
            {"backend": "gpu"},
            "backend='gpu' is unknown; choose from auto, reference, numba, cupy, native, emulator",
        ),
        (SettingsError, {"threads": 0}, "threads=0: wanted a whole number, 1 or more"),
        (
            SettingsError,
            {"memory_limit": 5000},
            "memory_limit of 0.005 MB is too small for this model; it needs at least 0.0198 MB: "
            "raise it",
        ),
        (
            InputError,
            {"x": ["ACGT"]},
            "sequence 0 has length 4, wanted 44; trim it or pad it with N",
        ),
        (
            InputError,
            {"x": ["A" * 44, "AC-T" * 11]},
            "sequence 1, position 2 (0-based): letter '-' is not one of A, C, G, T, N; replace "
            "ambiguous letters by N",
        ),
        (
            InputError,
            {"x": []},
            "no sequences: the list is empty; pass at least one string over ACGTN",
        ),
        (
            InputError,
            {"x": X.transpose(0, 2, 1)},
            "sequences have shape (2, 44, 4), wanted (N, 4, L) with channels A, C, G, T; the "
            "channels are last: pass X.transpose(0, 2, 1)",
        ),
        (
            InputError,
            {"x": X * 0.5},
            "sequence 0, position 0 (0-based): the column [0.5, 0, 0, 0] is neither one-hot nor "
            "all zero; pass exactly one 1 for a base, four 0 for N",
        ),
        (
            InputError,
            {"references": np.zeros((3, 44, 4))},
            f"references have shape (3, 44, 4); {REFERENCES}; the channels are last: swap the "
            "last two axes",
        ),
        (
            InputError,
            {"references": np.zeros((3, 2, 4, 44))},
            f"references have shape (3, 2, 4, 44): 3 sets for 2 sequences; {REFERENCES}; give one "
            "set for each sequence, or drop the first axis to share one",
        ),
        (
            InputError,
            {"references": np.zeros((3, 4, 40))},
            f"references have shape (3, 4, 40); {REFERENCES}; make the references as long as the "
            "sequences",
        ),
        (
            InputError,
            {"references": np.zeros((0, 4, 44))},
            f"references have shape (0, 4, 44), none at all; {REFERENCES} with R >= 1",
        ),
        (
            InputError,
            {"references": [[1, 2], [3]]},
            f"references of unequal shape cannot be one array; {REFERENCES}",
        ),
        (
            InputError,
            {"references": None},
            f"references have type object; {REFERENCES} of real numbers, or one of {KINDS}",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_wrong_settings_and_inputs(function, error, settings, text):
    assert refused(error, function=function, **settings) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sources": [44]}, "sources holds position 44, outside the sequence; wanted 0 to 43"),
        ({"targets": [-3]}, "targets holds position -3, outside the sequence; wanted 0 to 43"),
        ({"sources": [2, 2]}, "sources names a position twice; list each once"),
        ({"targets": []}, "targets must be a list of at least one whole position, 0 to 43"),
        ({"window": -1}, "window=-1: wanted a whole number, 0 or more"),
        ({"window": 2.5}, "window=2.5: wanted a whole number, 0 or more"),
    ],
)
def test_wrong_positions(settings, text):
    assert refused(SettingsError, **settings) == text


def test_names_are_counted_and_used():
    assert refused(InputError, names=["a"]) == (
        "1 names for 2 sequences; pass one name for each sequence"
    )
    text = refused(InputError, x=["A" * 44, "C" * 43], names=["peak_1", "peak_2"])
    assert text == "sequence 1 (peak_2) has length 43, wanted 44; trim it or pad it with N"


def test_references_of_every_sequence_are_checked_before_anything_is_computed(tmp_path):
    references = np.zeros((2, 3, 4, 44))
    references[1, 2, 3, 40] = np.nan
    out = tmp_path / "maps.zarr"
    assert refused(InputError, references=references, out=out) == (
        "references: nan at sequence 1, reference 2, channel 3, position 40 (0-based); pass finite "
        "numbers"
    )
    assert not out.exists()


def test_an_existing_store_is_never_overwritten(tmp_path):
    out = tmp_path / "maps.zarr"
    out.mkdir()
    (out / "precious").write_text("kept")
    assert refused(OutputError, out=out) == (
        f"{out}: exists already; remove it or choose another out="
    )
    assert (out / "precious").read_text() == "kept"


def test_a_place_where_no_store_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "maps.zarr"
    assert refused(OutputError, out=out) == (
        f"{out}: cannot be written (Not a directory); choose another out="
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_run_that_fails_leaves_no_store(tmp_path, monkeypatch, error):
    from dfim_fast.backends.numba_cpu.backend import NumbaBackend

    real = NumbaBackend.maps

    def half(self, x, references, into=None):
        yield from real(self, x, references)
        raise error

    monkeypatch.setattr(NumbaBackend, "maps", half)
    out = tmp_path / "maps.zarr"
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        dfim_fast.interaction_map(
            model(NAME), X, sources=[3], n_references=1, progress=False, out=out
        )
    if expected is OutputError:
        assert str(caught.value) == f"{out}: cannot be written (No space left); nothing was kept"
    assert not out.exists()


def test_maps_larger_than_memory_ask_for_less(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "physical_memory", lambda: 10_000)
    # 2 sequences, 44 sources, 4 bases, 44 targets, 4 bytes, scores and standard errors
    assert refused(SettingsError) == (
        "the maps would take 0.0 GB but memory allows 0.0 GB; use window=, fewer sources or "
        "targets, or out="
    )
    settings = {"n_references": 2, "progress": False}
    found = dfim_fast.interaction_map(model(NAME), X, out=tmp_path / "m.zarr", **settings)
    assert found.fis.shape == (2, 44, 4, 44)
    small = dfim_fast.interaction_map(model(NAME), X, sources=[3], window=4, **settings)
    assert small.fis.shape == (2, 1, 4, 9)


def test_predict_refuses_what_maps_refuse():
    with pytest.raises(InputError, match=r"^sequence 0 has length 4, wanted 44; trim it or pad "):
        model(NAME).predict(["ACGT"])


def test_a_path_is_no_model():
    with pytest.raises(SettingsError) as caught:
        dfim_fast.interaction_map("model.onnx", X, progress=False)
    assert str(caught.value) == (
        "model is of type str, wanted a loaded model; pass what dfim_fast.load_model(path) returns"
    )
