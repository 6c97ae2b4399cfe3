"""Modules of PyTorch and models of Keras, exported in memory."""

import importlib.util
import sys

import numpy as np
import pytest
from graph.all_models import model, one_hot

import dfim_fast
from dfim_fast import ModelError, SettingsError
from dfim_fast.maps.convert import as_model, bases_first

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


class Network(torch.nn.Module):
    """A module whose input is laid out as the test wants it."""

    def __init__(self, layout: str = "NCL") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layout = layout
        self.conv, self.norm = torch.nn.Conv1d(4, 6, 5), torch.nn.BatchNorm1d(6)
        self.drop = torch.nn.Dropout(0.5)
        self.dense, self.out = torch.nn.Linear(6 * 13, 8), torch.nn.Linear(8, 2)

    def forward(self, x):
        if self.layout == "NLC":
            x = x.transpose(1, 2)
        x = torch.nn.functional.max_pool1d(torch.relu(self.norm(self.conv(x))), 2)
        return torch.sigmoid(self.out(torch.relu(self.dense(self.drop(x.flatten(1))))))


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_a_module_predicts_what_it_predicted(layout):
    module, x = Network(layout), one_hot(5, 30)
    module.conv.eval()  # some parts in training, one not: all left as they are
    modes = [m.training for m in module.modules()]
    given = x if layout == "NCL" else np.ascontiguousarray(x.swapaxes(1, 2))
    loaded = dfim_fast.from_torch(module, given, target="output")
    assert [m.training for m in module.modules()] == modes
    assert len(set(modes)) == 2
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(given)).numpy()
    np.testing.assert_allclose(loaded.predict(x), wanted, atol=1e-6)
    logits = dfim_fast.from_torch(module, torch.from_numpy(given)).predict(x)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), wanted, atol=1e-6)


def test_the_same_module_has_the_same_hash_and_a_trained_one_another():
    module, x = Network(), one_hot(1, 30)
    first = dfim_fast.from_torch(module, x).hash
    assert dfim_fast.from_torch(module, x).hash == first
    with torch.no_grad():
        module.out.bias += 1
    assert dfim_fast.from_torch(module, x).hash != first


def test_further_arguments_are_held_by_name():
    class Controlled(Network):
        def forward(self, x, control):
            return super().forward(x) + control

    module, x = Controlled(), one_hot(3, 30)
    arguments = (x, np.zeros((3, 1), np.float32))
    loaded = dfim_fast.from_torch(module, arguments, constants={"control": 0.5})
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(x), torch.tensor(0.5)).numpy()
    np.testing.assert_allclose(loaded.predict(x), wanted, atol=1e-6)


def test_a_path_that_depends_on_the_input_is_found_out():
    class Forked(Network):
        def forward(self, x):
            return super().forward(x) * (2.0 if x[0, 0, 0] > 0 else -3.0)

    x = one_hot(2, 30)
    x[0, :, 0] = np.eye(4)[0]
    off = x.copy()
    off[0, :, 0] = np.eye(4)[1]
    errors = []
    for example in (x, off):  # of the two, one is the path that the check does not take
        try:
            dfim_fast.from_torch(Forked(), example)
        except ModelError as error:
            errors.append(str(error))
    assert len(errors) == 1
    assert errors[0].startswith("this Forked was exported to ONNX as something else")


def test_wrong_things_get_one_line():
    x = one_hot(1, 30)
    with pytest.raises(SettingsError, match=r"takes a torch\.nn\.Module, not str; for a Keras"):
        dfim_fast.from_torch("model.onnx", x)
    with pytest.raises(SettingsError, match="takes a Keras model, not Network; for a PyTorch"):
        dfim_fast.from_keras(Network())
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX by torch\.onnx") as error:
        dfim_fast.from_torch(Network(), x[:, :, :3])  # shorter than the kernel
    assert "\n" not in str(error.value)
    with pytest.raises(SettingsError, match="of a Network the sequence length is not known; pass"):
        as_model(Network())
    with pytest.raises(SettingsError, match="model is of type int; wanted a loaded model"):
        as_model(3)
    loaded = model("basset_legacy.onnx")
    assert as_model(loaded) is loaded


@pytest.mark.parametrize(
    ("shape", "length", "order", "first"),
    [
        ((2, 4, 30), 30, None, True),
        ((2, 30, 4), 30, None, False),
        ((2, 1, 4, 30), 30, None, True),
        ((4, 30, 4), 30, None, False),
        ((2, 120), 30, None, True),
        ((2, 120), 30, "LC", False),
    ],
)
def test_where_the_bases_stand(shape, length, order, first):
    assert bases_first(shape, length, order) == first


KERAS = """
import numpy as np, keras, dfim_fast
from dfim_fast import ModelError
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([
    keras.Input((30, 4)), layers.Conv1D(6, 5, activation="relu"), layers.MaxPooling1D(2),
    layers.Flatten(), layers.Dense(8, activation="relu"), layers.Dropout(0.2),
    layers.Dense(2, activation="sigmoid"),
])
x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (3, 30))]
loaded = dfim_fast.from_keras(model, target="output")
print(np.abs(keras.ops.convert_to_numpy(model(x)) - loaded.predict(x.swapaxes(1, 2))).max())
print(dfim_fast.from_keras(model))
try:
    dfim_fast.from_keras(keras.Sequential([keras.Input((None, 4)), layers.Conv1D(6, 5)]))
except ModelError as error:
    print(error)
"""


@pytest.mark.skipif(not importlib.util.find_spec("keras"), reason="Keras is not installed")
def test_a_keras_model(run_python):
    lines = run_python(KERAS, KERAS_BACKEND="torch").splitlines()
    assert float(lines[0]) < 1e-6
    assert "Dense 78 -> 8" in "\n".join(lines)
    assert "takes sequences of any length, shape (None, None, 4)" in lines[-1]
    assert "keras" not in sys.modules
