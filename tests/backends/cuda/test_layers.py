"""Every operator's kernels against its float64 formulas, on the emulator."""

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from ops.operator_cases import CASES
from ops.test_operators import operators

from dfim_fast.backends.cuda.emulator import EmulatorDevice
from dfim_fast.backends.cuda.layers.all import layer_of
from dfim_fast.backends.cuda.layers.convolution import tiles
from dfim_fast.backends.cuda.layers.layer import Arriving, Value
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.base import Rule

LONGEST = 130  # positions: odd sizes and more than four warps' lanes, in little time


@pytest.fixture(scope="module")
def device() -> EmulatorDevice:
    return EmulatorDevice()


def whole(device, x: np.ndarray) -> View:
    """All rows of x (B, L, C), each item's own."""
    return View(*x.shape[1:], x.shape[1], device.upload(np.ascontiguousarray(x, np.float32)))


def read(device, view: View, items: int) -> np.ndarray:
    assert view.own is not None
    return device.read(view.own, (items, view.rows, view.channels))


def close(found: np.ndarray, wanted: np.ndarray, what: str) -> None:
    scale = np.abs(wanted).max(initial=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6 * scale, err_msg=what)


@needs_emulator
@pytest.mark.parametrize("channels", [(1, 1), (5, 63), (33, 65)], ids=str)
@pytest.mark.parametrize("window", [(3, 1, 1, 1), (4, 2, 3, 2)], ids=str)
def test_tiles_give_the_bits_of_single_rows(channels, window, device):
    """Tiles of rows and the plain loop add in one order, at edges and over padding too."""
    c_in, c_out = channels
    kernel, stride, dilation, pad = window
    rng = np.random.default_rng(c_in)
    x = whole(device, rng.normal(size=(3, 21, c_in)))
    rows = (21 + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
    weight, bias = rng.normal(size=(kernel, c_in, c_out)), rng.normal(size=c_out)
    kept = [device.upload(np.ascontiguousarray(a, np.float32))
            for a in (weight, weight.swapaxes(1, 2), bias)]  # fmt: skip
    up, down, shift = (buffer.address for buffer in kept)
    found = []
    for name, groups, warps in (("conv", (), tiles), ("grouped", (1,), lambda rows, _: rows)):
        y, dx = (whole(device, np.zeros((3, *s))) for s in ((rows, c_out), (21, c_in)))
        device.launch(
            f"{name}_forward", 3 * warps(rows, c_out), y.pack(), x.pack(), up, shift, *window,
            *groups, 3,
        )  # fmt: skip
        device.launch(
            f"{name}_backward", 3 * warps(21, c_in), dx.pack(), y.pack(), down, *window, *groups,
            0, 3,
        )  # fmt: skip
        found.append((read(device, y, 3), read(device, dx, 3)))
    for tiled, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(tiled, plain)
        assert np.abs(plain).max() > 0


@needs_emulator
@pytest.mark.parametrize("name", CASES)
def test_kernels_equal_the_formulas(name, device):
    for op, xs, rng in operators(name, LONGEST):
        xs = [x.astype(np.float32) for x in xs]
        rs = [x[::-1].copy() for x in xs]
        op = op.astype(np.float32)
        wide, wide_r = ([a.astype(np.float64) for a in part] for part in (xs, rs))
        exact = op.astype(np.float64)
        y, yr = exact.forward(wide), exact.forward(wide_r)
        items, shapes = len(xs[0]), [x.shape[1:] for x in xs]
        kind = layer_of(op)
        assert kind is not None, type(op)
        assert kind.unsupported(op) is None
        layer = kind(device, op, shapes)

        def up(inputs, y=y, layer=layer, items=items):
            empty = np.full(y.shape, np.nan, np.float32)
            value = Value(whole(device, empty), whole(device, empty) if layer.pools else None)
            layer.forward(items, value, inputs)
            return value

        inputs, references = ([whole(device, a) for a in part] for part in (xs, rs))
        value, reference = up(inputs), up(references)
        close(read(device, value.y, items), y, f"{op} forward")
        m = rng.normal(size=y.shape).astype(np.float32)
        wide_m = m.astype(np.float64)
        rules = {"gradient": None, "shap": Rule(), "deeplift": Rule(maxpool="deeplift")}
        for which, rule in rules.items():
            at = Arriving(
                items,
                whole(device, m),
                tuple(inputs),
                value,
                None if rule is None else tuple(references),
                None if rule is None else reference,
                rule or Rule(),
            )
            wanted = (
                exact.gradient(wide_m, wide, y)
                if rule is None
                else exact.rescale(wide_m, wide, wide_r, y, yr, rule)
            )
            for j, down in enumerate(wanted):
                dx = whole(device, np.full(down.shape, np.nan, np.float32))
                layer.backward(at, j, dx, False)
                close(read(device, dx, items), down, f"{op} {which} input {j}")
                layer.backward(at, j, dx, True)  # the same once more, on top
                close(read(device, dx, items), 2 * down, f"{op} {which} input {j}, added")
