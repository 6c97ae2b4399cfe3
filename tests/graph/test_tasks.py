"""Names and order of the tasks, and how callers choose among them."""

import numpy as np
import pytest
from graph.all_models import entry, model, one_hot
from onnx import helper
from ops.operator_cases import build, values
from oracles.onnx_truth import run

from dfim_fast.errors import SettingsError
from dfim_fast.maps.model import load_model


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("sigmoid_output", ["sigmoid_14[0]", "sigmoid_14[1]"]),
        ("two_outputs", ["gemm_13[0]", "gemm_13[1]", "gemm_13[2]", "gemm_17"]),
        ("two_outputs_legacy.onnx", ["output_0[0]", "output_0[1]", "output_0[2]", "output_1"]),
        ("two_outputs_dynamo.onnx", ["output_0[0]", "output_0[1]", "output_0[2]", "output_1"]),
        ("reduce_all_legacy.onnx", ["output"]),
        ("output_rank_1", ["reducesum_9"]),
        ("output_rank_3", ["conv_8[0]", "conv_8[1]"]),
    ],
)
def test_names_are_the_outputs_and_their_columns(name, names):
    assert model(name).task_names == names
    assert [t.name for t in model(name).graph.tasks] == names


def test_outputs_over_positions_are_numbered_in_the_order_of_the_file():
    """Two tracks over 9 positions: (N, 2, 9), and transposed (N, 9, 2)."""
    conv = helper.make_node("Conv", ["x", "w"], ["tracks"], name="conv")
    swap = helper.make_node("Transpose", ["tracks"], ["swapped"], name="swap", perm=[0, 2, 1])
    proto = build([conv, swap], {"w": values(2, 4, 3)}, ["N", 4, 11], outputs=["tracks", "swapped"])
    found = load_model(proto)
    assert found.task_names == [
        *(f"tracks[{c},{p}]" for c in range(2) for p in range(9)),
        *(f"swapped[{p},{c}]" for p in range(9) for c in range(2)),
    ]
    x = one_hot(2, 11)
    truth = np.concatenate([o.reshape(2, -1) for o in run(proto, x)], axis=1)
    np.testing.assert_allclose(found.predict(x), truth, atol=1e-6)


def test_tasks_by_index_name_and_list():
    graph = model("two_outputs").graph
    assert graph.task_indices(2) == [2]
    assert graph.task_indices(np.int64(3)) == [3]
    assert graph.task_indices("gemm_17") == [3]
    assert graph.task_indices(["gemm_17", 0]) == [3, 0]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            4,
            "task 4 does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], gemm_13[2], "
            "gemm_17",
        ),
        (
            -1,
            "task -1 does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], "
            "gemm_13[2], gemm_17",
        ),
        (
            "gemm",
            "task 'gemm' does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], "
            "gemm_13[2], gemm_17",
        ),
        (
            [0, 9],
            "task 9 does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], "
            "gemm_13[2], gemm_17",
        ),
        ([], "task=[] names no task; choose from: gemm_13[0], gemm_13[1], gemm_13[2], gemm_17"),
        (
            1.5,
            "task 1.5 does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], "
            "gemm_13[2], gemm_17",
        ),
        (
            None,
            "task None does not exist; this model has 4 (0 to 3): gemm_13[0], gemm_13[1], "
            "gemm_13[2], gemm_17",
        ),
    ],
)
def test_tasks_that_do_not_exist(task, text):
    with pytest.raises(SettingsError) as caught:
        entry("two_outputs").load().graph.task_indices(task)
    assert str(caught.value) == text
