"""Shuffles drawn by the kernel are those of sequence/shuffle.py, to the bit."""

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import plan_for
from graph.all_models import model

import dfim_fast
from dfim_fast.backends.cuda.emulator import EmulatorDevice
from dfim_fast.backends.cuda.shuffles import Shuffles
from dfim_fast.backends.folds import Folds
from dfim_fast.backends.select import make_backend
from dfim_fast.sequence.one_hot import one_hot
from dfim_fast.sequence.references import make_references
from dfim_fast.sequence.shuffle import Shuffled

pytestmark = needs_emulator

SEQUENCES = [
    "A", "NN", "AC", "ACGTACGTTTGACGATCAGT", "AAAAAAAAAAAAAAAAAAAAAAAAAC", "ACNGTTNNACGACTTGCATTN",
    "ATATATATATGC", "".join(np.random.default_rng(5).choice(list("ACGT"), 301)),
]  # fmt: skip


@pytest.mark.parametrize("sequence", SEQUENCES, ids=len)
@pytest.mark.parametrize("count", [1, 20, 33])
def test_bits_of_the_shuffles(sequence, count):
    device, x = EmulatorDevice(), one_hot([sequence])
    for seed in (0, 7):
        drawn = Shuffles.of(x, count, seed)
        found = device.read(drawn.draw(device), (count, len(sequence), 4))
        wanted = make_references(x, "dinucleotide", count, random_state=seed)[0]
        np.testing.assert_array_equal(found, wanted.swapaxes(1, 2))


def test_maps_with_references_drawn_on_the_device():
    loaded = model("basset_legacy.onnx")
    rng = np.random.default_rng(2)
    x = ["".join(rng.choice(list("ACGTN"), loaded.sequence_length, p=[0.24] * 4 + [0.04]))]
    settings = {"n_references": 6, "random_state": 3, "sources": [4, 5], "progress": False}
    drawn, given, reference = (
        dfim_fast.interaction_map(loaded, x, references=r, backend=b, **settings)
        for r, b in (
            ("dinucleotide", "emulator"),
            (make_references(x, "dinucleotide", 6, random_state=3), "emulator"),
            ("dinucleotide", "reference"),
        )
    )
    np.testing.assert_array_equal(drawn.fis, given.fis)
    scale = np.abs(reference.attributions).max()
    np.testing.assert_allclose(drawn.fis, reference.fis, rtol=0, atol=1e-5 * scale)


def test_a_nulls_inputs_are_drawn_on_the_device(monkeypatch):
    """To the bit, and not on the host."""
    loaded = model("basset_legacy.onnx")
    rng = np.random.default_rng(4)
    letters, share = list("ACGTN"), [0.24] * 4 + [0.04]
    x = ["".join(rng.choice(letters, loaded.sequence_length, p=share)) for _ in range(3)]
    settings = {"n_references": 2, "sources": [4], "progress": False, "names": list("abc")}
    wanted = dfim_fast.null_map(loaded, x, n=2, random_state=5, backend="reference", **settings)
    launched = []
    launch = EmulatorDevice.launch

    def counted(self, kernel, items, *arguments):
        launched.append(kernel)
        return launch(self, kernel, items, *arguments)

    def refuse(*_):
        raise AssertionError("drawn on the host")

    monkeypatch.setattr(EmulatorDevice, "launch", counted)
    monkeypatch.setattr(Shuffled, "codes", refuse)
    found = dfim_fast.null_map(loaded, x, n=2, random_state=5, backend="emulator", **settings)
    assert launched[0] == "shuffle" and found.names == list("aabbcc")
    np.testing.assert_array_equal(found.mask, wanted.mask)
    scale = np.abs(wanted.fis).max()
    np.testing.assert_allclose(found.fis, wanted.fis, rtol=0, atol=2e-5 * scale)


def test_inputs_of_a_null_in_pieces_that_fit():
    plan = plan_for("basset_legacy.onnx", sources=[3], method="gradient")
    backend = make_backend("emulator", plan)
    shuffles = Shuffled(one_hot(SEQUENCES[3:4] * 3), 3, 1, "null")
    wanted = backend.shuffled(shuffles)
    np.testing.assert_array_equal(wanted, shuffles.codes())
    np.testing.assert_array_equal(Folds([backend, backend]).shuffled(shuffles), wanted)
    backend.budget = 4 * 3 * len(SEQUENCES[3])  # one sequence's
    np.testing.assert_array_equal(backend.shuffled(shuffles), wanted)
