"""What cannot be imported is refused before anything is computed, with all its problems at once."""

import numpy as np
import onnx
import pytest
from graph.all_models import FOLDER, entry
from models.handmade import ALL, BAD

from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.maps.model import load_model

SHAPES = "wanted (N, 4, L), (N, L, 4), (N, 1, 4, L), (N, 4, 1, L) or (N, 4L)"
TEXT = {
    "unsupported_mix": (
        "3 problems:\n"
        "  node 'lstm_5' (LSTM): this operator is not supported\n"
        "  node 'attention/einsum_10' (Einsum): this operator is not supported\n"
        "  node 'repeat_14' (Loop): this operator is not supported"
    ),
    "custom_domain": "node 'swish_10' (Swish): this operator of domain 'my.lab' is not supported",
    "matmul_of_branches": (
        "node 'attention/scores_7' (MatMul): the product of two branches that both depend on the "
        "input"
    ),
    "conv_weight_from_input": (
        "node 'node_reducemean_1' (ReduceMean): reduces the batch axis of (N=7919, C=4, L=40)"
    ),
    "batch_mixing": (
        "node 'node_reducemean_4' (ReduceMean): reduces the batch axis of (N=7919, C=8, L=34)"
    ),
    "dropout_training": (
        "node 'dropout_8' (Dropout): is in training mode; export the model after model.eval()"
    ),
    "constant_output": "output 'identity_6': does not depend on the sequence",
    "nan_weights": (
        "weight 'weight_1': 1 of 224 values are NaN or infinite; check the training run and export "
        "again"
    ),
    "infinite_weights": (
        "weight 'weight_1': 1 of 224 values are NaN or infinite; check the training run and export "
        "again"
    ),
    "missing_external_data": (
        "weight 'weight_1' (1 in all): its values are in the file "
        "'weights_that_are_not_there.bin', which was not read; pass the path of the model, or save "
        "it with its weights inside"
    ),
    "dangling_input": ("node 'node_relu_4' (Relu): reads 'nowhere', which no node before it makes"),
    "rank_5": f"input 'x' of shape (?, 1, 4, 40, 1) has rank 5; {SHAPES}",
    "rank_1": f"input 'x' of shape (40) has rank 1; {SHAPES}",
    "five_channels": f"input 'x' of shape (?, 5, 40) has no channel axis of 4; {SHAPES}",
    "protein": f"input 'x' of shape (?, 40, 20) has no channel axis of 4; {SHAPES}",
    "unknown_length": (
        "input 'x' of shape (?, 4, ?) leaves the sequence length open; pass sequence_length= "
        "(--sequence-length)"
    ),
    "no_input_shape": "input 'x' has no shape; export it with one, such as (N, 4, L)",
    "two_inputs": (
        "the model needs exactly one input, the sequence, but has 2 ('x', 'accessibility'); "
        "hold the others constant, such as constants={'accessibility': 0.0} "
        "(--constant accessibility=0)"
    ),
    "token_input": (
        "input 'tokens' of shape (?, 40) holds whole numbers: tokens of an embedding are not "
        "supported; re-export the model with one-hot DNA as its input"
    ),
}


def message(source, **options) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(source, **options)
    return str(caught.value)


def test_every_faulty_model_has_its_text():
    assert set(TEXT) == set(BAD)


@pytest.mark.parametrize("name", BAD)
def test_faulty_models(name):
    assert message(BAD[name]()) == f"model: {TEXT[name]}"


def test_problems_of_weights_and_nodes_are_listed_together():
    proto = BAD["nan_weights"]()
    for node in proto.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Sin"
    assert message(proto) == (
        "model: 2 problems:\n"
        "  weight 'weight_1': 1 of 224 values are NaN or infinite; check the training run and "
        "export again\n"
        "  node 'node_relu_4' (Sin): this operator is not supported"
    )


def test_nan_in_a_weight_that_nothing_reads_is_no_problem():
    proto = ALL["unused_parts"]()
    for tensor in proto.graph.initializer:
        if list(tensor.dims) == [5, 5]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full((5, 5), np.nan), tensor.name))
    load_model(proto)


def test_files(tmp_path):
    absent = tmp_path / "absent.onnx"
    assert message(absent) == f"{absent}: no such file; give the path of an ONNX model"
    assert message(tmp_path) == f"{tmp_path}: is a folder; give the path of an ONNX file"
    text = tmp_path / "model.h5"
    text.write_bytes(b"\x89HDF no model")
    found = message(text)
    assert found.startswith(f"{text}: cannot be read as an ONNX model (")
    assert found.endswith("); export it with torch.onnx.export or tf2onnx")
    assert "\n" not in found
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    assert message(empty) == f"{empty}: is empty or not an ONNX model; it has no outputs"
    assert message(b"nonsense").startswith("model: cannot be read as an ONNX model (")


def test_weights_beside_the_file_are_read_with_the_path_and_missed_without(tmp_path):
    path = tmp_path / "model.onnx"
    proto = ALL["keras_same_upper_opset_17"]()
    onnx.save(
        ALL["keras_same_upper_opset_17"](),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    found = load_model(path)
    assert found.name == str(path)
    x = "ACGT" * 10
    np.testing.assert_array_equal(found.predict([x]), load_model(proto).predict([x]))
    alone = message(path.read_bytes())
    assert alone == (
        "model: weight 'ints_1' (11 in all): its values are in the file 'weights.bin', which was "
        "not read; pass the path of the model, or save it with its weights inside"
    )
    (tmp_path / "weights.bin").unlink()
    assert message(path).startswith(f"{path}: cannot be read as an ONNX model (")


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "message"])
def test_every_way_to_pass_a_model_gives_the_same(kind):
    path = FOLDER / "basset_legacy.onnx"
    source = {
        "path": path,
        "string": str(path),
        "bytes": path.read_bytes(),
        "message": onnx.load(path),
    }[kind]
    found = load_model(source)
    assert found.hash == load_model(path).hash
    assert len(found.hash) == 16
    assert found.name == (str(path) if kind in ("path", "string") else "model")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"target": "probability"},
            "target='probability' is unknown; choose from logit, output, counts, profile",
        ),
        ({"flat_order": "NCL"}, "flat_order='NCL' is unknown; choose from CL, LC"),
        ({"sequence_length": -3}, "sequence_length=-3 is not a positive number"),
        ({"sequence_length": "44"}, "sequence_length='44' is not a positive number"),
    ],
)
def test_unknown_options(options, text):
    with pytest.raises(SettingsError) as caught:
        load_model(FOLDER / "basset_legacy.onnx", **options)
    assert str(caught.value) == text


def test_flat_order_needs_a_flat_input():
    with pytest.raises(SettingsError) as caught:
        load_model(entry("sigmoid_output").proto, flat_order="CL")
    assert str(caught.value) == (
        "model: flat_order='CL' is for a flat input (N, 4L), but input 'x' has rank 3; drop it"
    )
