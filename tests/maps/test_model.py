"""A loaded model, and what it says of itself."""

import numpy as np
from graph.all_models import entry, model, one_hot

import dfim_fast


def test_repr():
    assert repr(model("sigmoid_output")) == (
        "Model('model', sequence_length=40, 2 tasks: sigmoid_14[0], sigmoid_14[1])"
    )
    assert repr(model("output_rank_1")) == "Model('model', sequence_length=40, 1 task: reducesum_9)"
    assert repr(model("two_outputs")).endswith("4 tasks: gemm_13[0], gemm_13[1], gemm_13[2], ...)")


def test_str_lists_the_layers():
    loaded = model("sigmoid_output")
    lines = str(loaded).splitlines()
    parameters = (4 * 7 * 8 + 8) + (8 * 11 * 8 + 8) + (8 * 2 + 2)
    assert lines[0] == f"model ({loaded.hash})"
    assert lines[1] == f"  sequence length 40, {parameters} parameters, receptive field 9 bp"
    assert lines[2] == "  2 tasks, scored at the logit: sigmoid_14[0], sigmoid_14[1]"
    assert lines[3] == "  every layer runs on every backend"
    found = [" ".join(line.split()) for line in lines[4:]]
    assert found == [
        "0 Input 40 x 4",
        "1 Conv 8 x 7 34 x 8 from 0",
        "2 Relu 34 x 8 from 1",
        "3 MaxPool 3 stride 3 11 x 8 from 2",
        "4 Dense 88 -> 8 1 x 8 from 3",
        "5 Relu 1 x 8 from 4",
        "6 Dense 8 -> 2 1 x 2 from 5",
    ]


def test_str_of_a_scored_output():
    text = str(entry("sigmoid_output").load(target="output"))
    assert "2 tasks, scored at the output:" in text
    assert text.splitlines()[-1].split()[:2] == ["7", "Sigmoid"]


def test_the_hash_is_of_the_content():
    one, other = entry("plain_opset_17").proto, entry("plain_opset_13").proto
    first = dfim_fast.load_model(one).hash
    assert first == dfim_fast.load_model(one.SerializeToString()).hash
    assert first != dfim_fast.load_model(other).hash


def test_predictions():
    loaded = model("two_outputs")
    x = one_hot(3, loaded.sequence_length)
    found = loaded.predict(x)
    assert found.shape == (3, 4)
    assert found.dtype == np.float32
    strings = ["".join("ACGT"[b] for b in s.argmax(axis=0)) for s in x]
    np.testing.assert_array_equal(loaded.predict(strings), found)
    np.testing.assert_array_equal(loaded.predict(strings[1].lower()), found[1:2])
