"""Three sequences with elements, small enough for float64, as the original's dictionaries."""

import numpy as np
from graph.all_models import model

LENGTH = 80
MODEL = model("basset_legacy.onnx")
ELEMENTS = [("pos-10_A-ACGTAC", 10, 16), ("pos-30_B-TTGA", 30, 34), ("pos-31_C-TGA", 31, 34)]
SPANS = {"A": (10, 16), "B": (30, 34), "C": (31, 34)}


def sequences(count=3, seed=5):
    """Random one-hot (N, L, 4) that hold the elements' strings, and an N."""
    codes = np.random.default_rng(seed).integers(0, 4, (count, LENGTH))
    for text, start, end in ELEMENTS[:2]:
        codes[:, start:end] = ["ACGT".index(letter) for letter in text.rsplit("-", 1)[1]]
    rows = np.eye(4, dtype=np.float32)[codes]
    rows[:, 50] = 0
    return rows


def locations(count=3, elements=ELEMENTS):
    """Every element responds to every other of its sequence."""
    return {
        f"seq_{i}_emb_{text}": {
            "seq": i,
            "mut_start": start,
            "mut_end": end,
            "mut_name": text,
            "resp_start": [e[1] for e in elements],
            "resp_end": [e[2] for e in elements],
            "resp_names": [e[0].split("_")[1][0] for e in elements],
        }
        for i in range(count)
        for text, start, end in elements
    }
