"""Products on tensor cores: TF32, and three TF32 products for nearly float32, in the emulator."""

import re

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import few, inputs, plan_for, run
from graph.all_models import model

from dfim_fast.backends import select
from dfim_fast.backends.cuda import backend, sources
from dfim_fast.backends.cuda.layers.convolution import ConvLayer, DenseLayer
from dfim_fast.backends.cuda.layers.layer import Arriving, Value
from dfim_fast.backends.cuda.views import View
from dfim_fast.errors import SettingsError
from dfim_fast.ops.base import Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.window import Window

# Rounding to 11 bits is off by 2^-11 of a number at most, twice in a product; what three products
# leave out is the product of two such rests, and what the rests' own rounding loses.
BOUNDS = {0: 2**-22, 1: 2 * 2**-11 * (1 + 2**-10), 3: 3 * 2**-22}


def layer_of(products: int, kind: type, op, inputs):
    from dfim_fast.backends.cuda.emulator import EmulatorDevice

    layer = kind(EmulatorDevice(), op, inputs)
    layer.products = products
    return layer


def passed(layer, x: np.ndarray, rows: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (items, rows, channels) of x, and what comes down for ones arriving there."""
    device, items = layer.device, len(x)
    view = View(*x.shape[1:], x.shape[1], device.upload(x))
    out = View(rows, channels, rows, device.allocate(4 * items * rows * channels))
    layer.forward(items, Value(out), [view])
    ones = device.upload(np.ones((items, rows, channels), np.float32))
    g = View(rows, channels, rows, ones)
    back = View(*x.shape[1:], x.shape[1], device.allocate(x.nbytes))
    at = Arriving(items, g, (view,), Value(out), None, None, Rule())
    layer.backward(at, 0, back, False)
    once = device.read(back.own, x.shape)
    layer.backward(at, 0, back, True)  # once more, on top
    np.testing.assert_allclose(device.read(back.own, x.shape), 2 * once, rtol=1e-6)
    return device.read(out.own, (items, rows, channels)), once


@needs_emulator
@pytest.mark.parametrize("channels", [(1, 1), (5, 17), (33, 64), (40, 129)])
@pytest.mark.parametrize("products", [0, 1, 3])
def test_convolutions_and_dense_layers_within_their_bounds(products, channels):
    rng = np.random.default_rng(sum(channels))
    inner, outer = channels
    window = Window.read(13, 4, 1, 1, (1, 2))
    weight, bias = rng.normal(size=(4, inner, outer)), rng.normal(size=outer)
    x = rng.normal(size=(3, 13, inner)).astype(np.float32)
    conv = Conv(*(a.astype(np.float32) for a in (weight, bias)), window, 1)
    layer = layer_of(products, ConvLayer, conv, [x.shape[1:]])
    rows = window.out_length
    found, down = passed(layer, x, rows, outer)
    w = conv.weight.astype(np.float64)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 2), (0, 0)))
    wanted, size = np.zeros((3, rows, outer)) + conv.bias, np.zeros((3, rows, outer))
    back, back_size = np.zeros_like(padded), np.zeros_like(padded)
    for j in range(4):
        wanted += padded[:, j : j + rows] @ w[j]
        size += np.abs(padded[:, j : j + rows]) @ np.abs(w[j])
        back[:, j : j + rows] += w[j].sum(axis=1)
        back_size[:, j : j + rows] += np.abs(w[j]).sum(axis=1)
    terms = np.sqrt(4 * inner)  # float32 sums of so many wander by the root of it
    within(found, wanted, size + np.abs(conv.bias), products, terms)
    within(down, back[:, 1:-2], back_size[:, 1:-2], products, np.sqrt(4 * outer))

    flat = x[:, :1]
    dense = Dense(conv.weight[0], conv.bias)
    layer = layer_of(products, DenseLayer, dense, [flat.shape[1:]])
    found, down = passed(layer, flat, 1, outer)
    within(found, flat @ w[0] + conv.bias, np.abs(flat) @ np.abs(w[0]) + np.abs(conv.bias),
           products, terms)  # fmt: skip
    ones = np.ones((3, 1, outer))
    within(down, ones @ w[0].T, ones @ np.abs(w[0]).T, products, np.sqrt(4 * outer))


def within(found, wanted, size, products, terms):
    """Off by no more than the bound, relative to the sum of magnitudes, and by float32's sums."""
    off = np.abs(found - wanted) / size
    assert off.max() <= BOUNDS[products] + terms * 2**-23
    if products == 1 and off.size > 100:
        assert off.max() > 1e-5  # it is not float32


@needs_emulator
@pytest.mark.parametrize(
    "name", ["gelu_erf_legacy.onnx", "average_pool_count_pad_legacy.onnx", "basset_legacy.onnx"]
)
def test_maps_with_less_precision(name):
    """Three products are as good as float32; one is not, and is opt-in for that."""
    plan = plan_for(name, method="gradient", sources=few(model(name).sequence_length))
    x, _ = inputs(plan, 2)
    (wanted, plain, three, one) = (
        np.stack([m.fis for m in run(b, plan, x, None)])
        for b in ("reference", "emulator", "emulator:3xtf32", "emulator:tf32")
    )
    scale = np.abs(wanted).max() or 1.0

    def error(found):
        return np.abs(found - wanted).max() / scale

    assert error(plain) < 1e-5 and error(three) < 1e-5
    assert not np.array_equal(three, plain)
    assert 10 * error(three) < error(one) < 0.3


def test_options_are_known_by_name():
    plan = plan_for("basset_legacy.onnx", sources=[0])
    assert (*select.PRECISIONS,) == (*backend.PRECISIONS,)[1:]
    for name, text in [
        ("cupy:half", "backend='cupy:half': cupy has no option 'half'; use 'cupy', 'cupy:tf32' or "
         "'cupy:3xtf32'"),
        ("numba:tf32", "backend='numba:tf32': numba has no option 'tf32'; use 'numba'"),
        ("auto:tf32", "backend='auto:tf32' is unknown; choose from "),
    ]:  # fmt: skip
        with pytest.raises(SettingsError, match=f"^{re.escape(text)}"):
            select.make_backend(name, plan)


def test_instructions_of_the_gpu_stand_in_one_header():
    for path in sources.folder().glob("*.cuh"):
        assert ("asm" in re.findall(r"\w+", path.read_text())) is (path.name == "port.cuh")
