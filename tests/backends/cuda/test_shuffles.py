"""Shuffles drawn by the kernel are those of sequence/shuffle.py, to the bit."""

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from graph.all_models import model

import dfim_fast
from dfim_fast.sequence.one_hot import one_hot
from dfim_fast.sequence.references import make_references

pytestmark = needs_emulator

SEQUENCES = [
    "A", "NN", "AC", "ACGTACGTTTGACGATCAGT", "AAAAAAAAAAAAAAAAAAAAAAAAAC", "ACNGTTNNACGACTTGCATTN",
    "ATATATATATGC", "".join(np.random.default_rng(5).choice(list("ACGT"), 301)),
]  # fmt: skip


@pytest.mark.parametrize("sequence", SEQUENCES, ids=len)
@pytest.mark.parametrize("count", [1, 20, 33])
def test_bits_of_the_shuffles(sequence, count):
    from dfim_fast.backends.cuda.emulator import EmulatorDevice
    from dfim_fast.backends.cuda.shuffles import Shuffles

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
