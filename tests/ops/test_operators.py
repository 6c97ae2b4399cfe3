"""Every check of an operator, over the one table of operator_cases.py.

Values are compared with onnxruntime and onnx's evaluator; gradients with finite differences;
multipliers with summation-to-delta; cones with what random perturbations can be seen to change;
the numba kernels with the formulas they stand for.
"""

import importlib
import inspect
import pkgutil
from functools import cache
from itertools import product

import numpy as np
import pytest
from ops.operator_cases import CASES
from ops.slow_pool import slow_pool, windows_of
from oracles.onnx_truth import run, run_double

import dfim_fast.ops
from dfim_fast.backends.numba_cpu.overrides import OVERRIDES
from dfim_fast.backends.passes import Passes
from dfim_fast.graph.heads import Head
from dfim_fast.graph.reader import Importer, read_graph
from dfim_fast.graph.source import input_specs
from dfim_fast.ops.absolute import Abs
from dfim_fast.ops.base import Elementwise, Joint, Operator, Rule
from dfim_fast.ops.clip import Clip
from dfim_fast.ops.elu import Elu
from dfim_fast.ops.hard_sigmoid import HardSigmoid, HardSwish
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.log_sum_exp import LogSumExp
from dfim_fast.ops.max_pool import ChannelMax, MaxPool
from dfim_fast.ops.maximum import Maximum
from dfim_fast.ops.multiply import Multiply
from dfim_fast.ops.normalize import Normalize
from dfim_fast.ops.over_axes import OverAxes
from dfim_fast.ops.profile import Profile
from dfim_fast.ops.registry import readers
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.softmax import Softmax
from dfim_fast.ops.source import Input
from dfim_fast.ops.step import Step
from dfim_fast.ops.where import Where
from dfim_fast.ops.window import Window

RUNS = [(name, length) for name, case in CASES.items() for length in case.lengths]
MEANS = (Multiply, Where, Normalize, Softmax)  # multipliers by means over x and r, never near
# What onnx's own evaluator gets wrong or does not do; onnxruntime stands alone there.
UNTOLD = (
    *(name for name, case in CASES.items() if case.op_type == "MaxPool" or case.opset < 11),
    *("Softmax-all_opset_11", "LogSoftmax-all_opset_11", "Pad-channels_and_crop"),
)
each_case = pytest.mark.parametrize("name", CASES)


@cache
def imported(name: str, length: int):
    """The operators that a case leads to, as read and simplified: (operator, input shapes)."""
    proto = CASES[name].model(length)
    importer = Importer(
        proto, input_specs(proto, name, None)[-1 if "position_major" in name else 0]
    )
    assert not importer.problems
    simple = read_graph(proto, name, Head("output")).nodes
    ops = {}
    for nodes in (importer.nodes, simple):
        for n in nodes[1:]:
            ops[id(n.op)] = n.op, [nodes[i].shape for i in n.inputs]
    return list(ops.values())


def operators(name: str, longest: int = 1000):
    """(operator, random inputs (3, L, C), random generator) for each operator and length."""
    for length in sorted({min(n, longest) for n in CASES[name].lengths}):
        for op, shapes in imported(name, length):
            rng = np.random.default_rng([length, len(shapes)])
            yield op, drawn(name, op, [(3, *s) for s in shapes], rng), rng


def drawn(name: str, op: Operator, shapes, rng) -> list[np.ndarray]:
    """Random inputs that the operator is defined for."""
    xs = [rng.normal(size=s) for s in shapes]
    return valid(op, [np.abs(x) + 0.3 for x in xs] if CASES[name].positive else xs)


def valid(op: Operator, xs) -> list[np.ndarray]:
    """The inputs, a condition made 0 or 1, and the second sequence's the first's opposite."""
    if not isinstance(op, Where):
        return list(xs)
    chosen = xs[0] > 0.5
    chosen[1:2] = ~chosen[:1]
    return [chosen.astype(xs[0].dtype), *xs[1:]]


@each_case
def test_values_equal_onnxruntime_and_the_onnx_evaluator(name):
    case = CASES[name]
    for length in case.lengths:
        proto = case.model(length)
        graph = read_graph(proto, name, Head("output"))
        x = np.random.default_rng(length).normal(size=(2, 4, length)).astype(np.float32)
        layout = "flat_LC" if name.endswith("split_flat_position_major") else case.layout
        passes = Passes(graph, tuple(range(len(graph.tasks))))
        found = passes.scores(passes.forward(x.astype(np.float64).swapaxes(1, 2))).T
        (single,) = run(proto, x, layout)
        assert found.shape == (2, single.size // 2)
        np.testing.assert_allclose(found, single.reshape(2, -1), rtol=1e-4, atol=1e-5)
        if name not in UNTOLD:
            (double,) = run_double(proto, x, layout)
            # float64 both; the evaluator keeps attributes, and functions that are put together
            # again their constants, as the file's float32
            double = double.reshape(2, -1)
            np.testing.assert_allclose(found, double, rtol=1e-7, atol=3e-8 * np.abs(double).max())


@each_case
def test_shape_rule_and_precision(name):
    for op, xs, _ in operators(name):
        for dtype in (np.float64, np.float32):
            own, inputs = op.astype(dtype), [x.astype(dtype) for x in xs]
            y = own.forward(inputs)
            assert y.shape[1:] == op.output_shape(*(x.shape[1:] for x in xs))
            grads = own.gradient(np.ones_like(y), inputs, y)
            rs = [x[::-1] for x in inputs]
            grads += own.rescale(np.ones_like(y), inputs, rs, y, y[::-1], Rule())
            assert {a.dtype for a in (y, *grads)} == {np.dtype(dtype)}
            assert [g.shape for g in grads] == [x.shape for x in inputs] * 2
        assert op.multiply_adds(*(x.shape[1:] for x in xs)) >= 0
        assert op.describe()


@each_case
def test_gradient_equals_finite_differences(name):
    for op, xs, rng in operators(name):
        y = op.forward(xs)
        g = rng.normal(size=y.shape)
        grads = op.gradient(g, xs, y)
        step = 1e-6  # no input lies that close to a kink
        for i, grad in enumerate(grads):
            d = rng.normal(size=xs[i].shape)
            above, below = (
                op.forward([x + sign * step * d if j == i else x for j, x in enumerate(xs)])
                for sign in (1, -1)
            )
            slope = (g * (above - below)).sum(axis=(1, 2)) / (2 * step)
            wanted = (grad * d).sum(axis=(1, 2))
            scale = np.abs(grad * d).sum(axis=(1, 2)) + 1e-3
            np.testing.assert_allclose(slope / scale, wanted / scale, atol=2e-7)


@each_case
def test_multipliers_sum_to_delta(name):
    """sum m_in (x - r) = sum m_out (y - y_r): what Rescale is made for."""
    for op, xs, rng in operators(name):
        rs = drawn(name, op, [x.shape for x in xs], rng)
        y, yr = op.forward(xs), op.forward(rs)
        m = rng.normal(size=y.shape)
        found = op.rescale(m, xs, rs, y, yr, Rule())
        below = sum((f * (x - r)).sum(axis=(1, 2)) for f, x, r in zip(found, xs, rs, strict=True))
        above = (m * (y - yr)).sum(axis=(1, 2))
        scale = np.abs(m * (y - yr)).sum(axis=(1, 2)) + 1e-9
        np.testing.assert_allclose(below / scale, above / scale, atol=1e-11)


@each_case
def test_absolute_weights_are_those_of_the_operator_without_sign(name):
    """What RevealCancel asks of linear operators, output by output, both ways."""
    for op, xs, rng in operators(name, longest=30):
        if not op.linear:
            continue
        y, absolute = op.forward(xs), op.absolute()
        for _ in range(3):
            row, channel = rng.integers(y.shape[1]), rng.integers(y.shape[2])
            g = np.zeros_like(y)
            g[:, row, channel] = 1
            weights = [np.abs(w) for w in op.gradient(g, xs, y)]
            for found, wanted in zip(absolute.gradient(g, xs, y), weights, strict=True):
                np.testing.assert_array_equal(found, wanted)
            total = sum((w * x).sum(axis=(1, 2)) for w, x in zip(weights, xs, strict=True))
            np.testing.assert_allclose(absolute.forward(xs)[:, row, channel], total, atol=1e-12)


@each_case
@pytest.mark.parametrize("maxpool", ["shap", "deeplift"])
def test_multipliers_at_the_reference_are_the_gradient(name, maxpool):
    rule = Rule(maxpool=maxpool)
    for op, xs, rng in operators(name):
        y = op.forward(xs)
        m = rng.normal(size=y.shape)
        # closer than epsilon counts as equal
        for rs in (xs, valid(op, [x + 0.4e-6 * rng.choice([-1, 1], x.shape) for x in xs])):
            found = op.rescale(m, xs, rs, y, op.forward(rs), rule)
            for f, wanted in zip(found, op.gradient(m, xs, y), strict=True):
                if isinstance(op, MEANS):
                    # as far off as the mean over x and r is from x, times a slope's own slope
                    scale = np.abs(wanted).max(initial=1)
                    np.testing.assert_allclose(f, wanted, rtol=0, atol=1e-4 * scale)
                else:
                    np.testing.assert_array_equal(f, wanted)


@each_case
def test_a_batch_equals_one_by_one(name):
    for op, xs, rng in operators(name):
        rs = drawn(name, op, [x.shape for x in xs], rng)
        y, yr = op.forward(xs), op.forward(rs)
        m = rng.normal(size=y.shape)
        together = [y, *op.gradient(m, xs, y), *op.rescale(m, xs, rs, y, yr, Rule())]
        for b in range(len(y)):
            one = [x[b : b + 1] for x in xs]
            r = [a[b : b + 1] for a in rs]
            mb, yb, yrb = m[b : b + 1], y[b : b + 1], yr[b : b + 1]
            alone = [
                op.forward(one),
                *op.gradient(mb, one, yb),
                *op.rescale(mb, one, r, yb, yrb, Rule()),
            ]
            for a, t in zip(alone, together, strict=True):
                # matrix products may round by their number of rows
                np.testing.assert_allclose(a[0], t[b], rtol=1e-12, atol=1e-12)


@each_case
def test_a_batch_of_none(name):
    """A sequence of N alone has no mutants."""
    for op, xs, _ in operators(name, longest=13):
        none = [x[:0] for x in xs]
        y = op.forward(none)
        assert y.shape == (0, *op.output_shape(*(x.shape[1:] for x in xs)))
        grads = op.gradient(y, none, y) + op.rescale(y, none, [x[:1] for x in xs], y, y, Rule())
        assert [g.shape for g in grads] == [x.shape for x in none] * 2


@each_case
def test_cone_rules_equal_brute_force(name):
    """spread: the outputs that change with an input row; collect: the rows a gradient reaches."""
    for op, xs, rng in operators(name, longest=13):
        lengths = [x.shape[1] for x in xs]
        y = op.forward(xs)
        reads = [np.zeros((n, y.shape[1]), bool) for n in lengths]  # input row -> output row
        passes_on = [np.zeros((n, y.shape[1]), bool) for n in lengths]
        signs = (1,) if CASES[name].positive and not isinstance(op, Where) else (1, -1)
        for i, n in enumerate(lengths):
            for p, sign in product(range(n), signs):
                # large values win pools and open gates, whatever stands beside them
                changed = [x.copy() for x in xs]
                changed[i][:, p] += sign * (30 + rng.random(changed[i][:, p].shape))
                changed = valid(op, changed)
                reads[i][p] |= (op.forward(changed) != y).any(axis=(0, 2))
                rows = np.eye(y.shape[1])[:, :, None] * (1 + rng.random(y.shape[2]))
                for b in (0, 1):
                    many = [c[b : b + 1].repeat(len(rows), 0) for c in changed]
                    after = op.forward(many)
                    rs = [a[:1] for a in drawn(name, op, [x.shape for x in xs], rng)]
                    for grads in (
                        op.gradient(rows, many, after),
                        op.rescale(rows, many, rs, after, op.forward(rs), Rule()),
                    ):
                        for j, grad in enumerate(grads):
                            passes_on[j] |= (grad != 0).any(axis=2).T
        for i, n in enumerate(lengths):
            masks = [
                np.eye(n, dtype=bool) if j == i else np.zeros((n, k), bool)
                for j, k in enumerate(lengths)
            ]
            np.testing.assert_array_equal(op.spread(masks), reads[i])
            np.testing.assert_array_equal(
                op.collect(np.eye(y.shape[1], dtype=bool), lengths)[i], passes_on[i].T
            )
        nothing = [np.zeros((1, n), bool) for n in lengths]
        everything = [np.ones((1, n), bool) for n in lengths]
        assert not op.spread(nothing).any()
        np.testing.assert_array_equal(
            op.spread(everything)[0], np.logical_or.reduce([r.any(0) for r in reads])
        )


@each_case
def test_numba_kernels_equal_the_formulas(name):
    """On the same float32 numbers, so that both take the same decisions."""
    for op, xs, rng in operators(name):
        xs = [x.astype(np.float32) for x in xs]
        rs = [x[:1][:, ::-1].copy() for x in xs]  # one reference for the whole tile
        wide = [x.astype(np.float64) for x in xs]
        wide_r = [r.astype(np.float64) for r in rs]
        y, yr = op.forward(wide), op.forward(wide_r)
        m = rng.normal(size=y.shape).astype(np.float32)
        single = op.astype(np.float32)
        low_y, low_yr = y.astype(np.float32), yr.astype(np.float32)
        calls = {
            "forward": ((xs,), [y]),
            "gradient": ((m, xs, low_y), op.gradient(m.astype(np.float64), wide, y)),
        }
        for maxpool in ("shap", "deeplift"):
            rule = Rule(maxpool=maxpool)
            wanted = op.rescale(m.astype(np.float64), wide, wide_r, y, yr, rule)
            calls[f"rescale {maxpool}"] = ((m, xs, rs, low_y, low_yr, rule), wanted)
        for key, (arguments, wanted) in calls.items():
            kernel = OVERRIDES.get((type(op), key.split()[0]))
            if kernel is None:
                continue
            found = kernel(single, *arguments)
            for f, w in zip([found] if key == "forward" else found, wanted, strict=True):
                assert f.dtype == np.float32
                np.testing.assert_allclose(f, w, rtol=1e-5, atol=1e-5 * np.abs(w).max(initial=0))


# --- the table itself ----------------------------------------------------------------------------


def uncovered(known: set[str]) -> set[str]:
    """ONNX operators that no entry of the table is for."""
    return known - {case.op_type for case in CASES.values()}


def test_every_reader_has_a_case():
    assert uncovered(set(readers())) == set()
    assert uncovered({"Relu", "Conv3000"}) == {"Conv3000"}


def test_every_operator_class_is_reached_by_a_case():
    classes = set()
    for module in pkgutil.iter_modules(dfim_fast.ops.__path__):
        for item in vars(importlib.import_module(f"dfim_fast.ops.{module.name}")).values():
            if inspect.isclass(item) and issubclass(item, Operator):
                classes.add(item)
    reached = {type(op) for name, length in RUNS for op, _ in imported(name, length)}
    bases = {Operator, Elementwise, Joint, OverAxes}
    assert classes - reached - bases - {Input, Profile} == set()


def test_every_numba_kernel_is_reached_by_a_case():
    reached = {type(op) for name, length in RUNS for op, _ in imported(name, length)}
    assert {kind for kind, _ in OVERRIDES} <= reached


def test_two_readers_for_one_operator_are_refused():
    from dfim_fast.ops.registry import reads

    with pytest.raises(ValueError, match="two readers for the ONNX operator Relu"):
        reads("Relu")(lambda node: None)


# --- conventions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "slope"),
    [
        (Relu(), 0.0),
        (LeakyRelu(np.full((1, 1), 0.2)), 0.2),
        (LeakyRelu(np.full((1, 1), -0.3)), -0.3),
        (Elu(0.7), 0.7),
        (Elu(1.5, scale=2.0), 3.0),  # SELU
        (Elu(0.4, rate=2.5), 1.0),  # CELU
        (Abs(), 0.0),
        (Clip(np.zeros((1, 1)), np.ones((1, 1))), 0.0),
        (Clip(np.full((1, 1), -1.0), np.zeros((1, 1))), 0.0),
        (HardSigmoid(0.2, 0.0), 0.0),
        (HardSigmoid(0.2, 1.0), 0.0),
        (Step("GreaterOrEqual", np.zeros((1, 1))), 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_derivative_at_the_kink(op, slope, dtype):
    own, x = op.astype(dtype), np.zeros((1, 2, 3), dtype)
    g = np.full_like(x, 2)
    (found,) = own.gradient(g, [x], own.forward([x]))
    np.testing.assert_allclose(found, 2 * slope, rtol=1e-6)
    (found,) = own.rescale(g, [x], [x], x, x, Rule())
    np.testing.assert_allclose(found, 2 * slope, rtol=1e-6)
    kernel = OVERRIDES.get((type(op), "gradient"))
    if kernel and dtype is np.float32:
        np.testing.assert_array_equal(kernel(own, g, [x], x)[0], 2 * slope)
        kernel = OVERRIDES[type(op), "rescale"]
        np.testing.assert_array_equal(kernel(own, g, [x], [x], x, x, Rule())[0], 2 * slope)


def test_derivatives_of_hard_swish_at_its_kinks():
    np.testing.assert_array_equal(HardSwish().slope(np.array([-3.0, 0, 3])), [0, 0.5, 1])


def test_of_equal_branches_the_first_wins():
    x = np.array([[[1.0, 2, 3]]])
    for sign in (1.0, -1.0):
        op = Maximum(sign)
        for first, second in ((x, x.copy()), (x[:, :, :1], x)):
            g = np.ones_like(op.forward([first, second]))
            a, b = op.gradient(g, [first, second], op.forward([first, second]))
            won = first >= second if sign > 0 else first <= second
            assert a.sum() == won.sum() > 0
            np.testing.assert_array_equal(b, ~won)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-3])
def test_epsilon_parts_derivative_from_quotient(epsilon):
    """Just below epsilon: the derivative at x. Just above: the quotient, here across the kink."""
    x = np.array([[[0.4 * epsilon], [0.6 * epsilon]]])
    r = np.array([[[-0.5 * epsilon], [-0.5 * epsilon]]])
    rule = Rule(epsilon)
    (found,) = Relu().rescale(np.ones_like(x), [x], [r], x, r, rule)
    np.testing.assert_allclose(found[0, :, 0], [1, 0.6 / 1.1], rtol=1e-12)
    low = [a.astype(np.float32) for a in (np.ones_like(x), x, r)]
    (found,) = OVERRIDES[Relu, "rescale"](Relu(), low[0], [low[1]], [low[2]], None, None, rule)
    np.testing.assert_allclose(found[0, :, 0], [1, 0.6 / 1.1], rtol=1e-6)


def test_smooth_quotients_keep_their_digits_in_float32():
    """Differences of 1e-5 leave two digits of a float32 quotient; the rule is to keep them all."""
    x = np.linspace(-3, 3, 50, dtype=np.float32).reshape(1, 50, 1)
    r = x + np.float32(1e-5)
    for name in (
        *("Sigmoid", "Tanh", "Softplus", "Exp", "Elu", "Gelu", "Selu", "Celu", "Mish", "Swish"),
        *("HardSwish", "HardSigmoid", "Clip", "Erf", "Pow"),
    ):
        (op, _), *_ = imported(next(n for n in CASES if n.startswith(f"{name}-")), 127)
        op = op.astype(np.float32)
        found = op.quotient(x, r, 1e-6)
        wide = op.astype(np.float64).quotient(x.astype(np.float64), r.astype(np.float64), 1e-6)
        np.testing.assert_allclose(found, wide, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_piecewise_linear_quotients_keep_their_digits_in_float32(sign):
    """On one side of the kink a quotient is the slope, however near x and r are."""
    x = sign * np.linspace(1, 3, 50, dtype=np.float32).reshape(1, 50, 1)
    op = LeakyRelu(np.full((1, 1), 0.3)).astype(np.float32)
    found = op.quotient(x, x + np.float32(2e-6), 1e-6)
    np.testing.assert_array_equal(found, np.float32(1 if sign > 0 else 0.3))


# --- max pooling against a slow loop -------------------------------------------------------------

WINDOWS = [
    Window.read(13, k, s, d, p)
    for k, s, d, p in [
        (3, 3, 1, (0, 0)),
        (4, 2, 1, (1, 2)),
        (3, 1, 1, (1, 1)),
        (2, 5, 1, (0, 0)),
        (3, 2, 2, (2, 2)),
        (13, 13, 1, (0, 0)),
        (1, 2, 1, (0, 0)),
    ]
]


def pool_inputs(kind: str, rng):
    """x, r (2, 13, 3): random; all negative; full of ties; partly equal or nearly equal."""
    x, r = rng.normal(size=(2, 2, 13, 3))
    if kind == "negative":
        return x - 20, r - 20
    if kind == "ties":
        return np.round(x), np.round(r)
    if kind == "near":
        r = np.where(rng.random(r.shape) < 0.5, x + rng.choice([0, 5e-7, -5e-7], x.shape), r)
    return x, r


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("kind", ["random", "negative", "ties", "near"])
@pytest.mark.parametrize("rule", ["shap", "deeplift"])
def test_max_pool_multipliers_equal_the_slow_loop(window, kind, rule):
    rng = np.random.default_rng(3)
    x, r = pool_inputs(kind, rng)
    op = MaxPool(window)
    y, yr = op.forward([x]), op.forward([r])
    m = rng.normal(size=y.shape)
    (found,) = op.rescale(m, [x], [r], y, yr, Rule(1e-6, rule))
    (gradient,) = op.gradient(m, [x], y)
    windows = windows_of(
        13, window.out_length, window.kernel, window.stride, window.dilation, window.pad
    )
    for b, c in np.ndindex(2, 3):
        wanted = slow_pool(m[b, :, c], x[b, :, c], r[b, :, c], windows, 1e-6, rule)
        np.testing.assert_allclose(found[b, :, c], wanted, rtol=1e-12, atol=1e-12)
        wanted = slow_pool(m[b, :, c], x[b, :, c], r[b, :, c], windows, 1e-6, "deeplift")
        np.testing.assert_allclose(gradient[b, :, c], wanted, rtol=1e-12, atol=1e-12)
        low = [a[b : b + 1].astype(np.float32) for a in (m, x, r, y, yr)]
        kernel = OVERRIDES[MaxPool, "rescale"]
        (quick,) = kernel(op, low[0], [low[1]], [low[2]], low[3], low[4], Rule(1e-6, rule))
        exact = [a.astype(np.float64) for a in low]
        wanted = slow_pool(
            exact[0][0, :, c],
            exact[1][0, :, c],
            exact[2][0, :, c],
            windows,
            float(np.float32(1e-6)),
            rule,
        )
        np.testing.assert_allclose(quick[0, :, c], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["random", "ties", "near"])
def test_channel_max_multipliers_equal_the_slow_loop(kind):
    rng = np.random.default_rng(4)
    x, r = (a.swapaxes(1, 2) for a in pool_inputs(kind, rng))  # 13 channels
    op = ChannelMax()
    y, yr = op.forward([x]), op.forward([r])
    m = rng.normal(size=y.shape)
    for rule in ("shap", "deeplift"):
        (found,) = op.rescale(m, [x], [r], y, yr, Rule(1e-6, rule))
        for b, p in np.ndindex(2, 3):
            wanted = slow_pool(m[b, p], x[b, p], r[b, p], [list(range(13))], 1e-6, rule)
            np.testing.assert_allclose(found[b, p], wanted, rtol=1e-12, atol=1e-12)


def test_the_first_of_equal_values_wins():
    x = np.array([1.0, 5, 5, 2, 5]).reshape(1, 5, 1)
    op = MaxPool(Window(3, 1, 1, 0, 3))
    g = np.array([1.0, 10, 100]).reshape(1, 3, 1)
    wanted = [0, 11, 100, 0, 0]
    assert op.gradient(g, [x], op.forward([x]))[0].ravel().tolist() == wanted
    low = [a.astype(np.float32) for a in (g, x, op.forward([x]))]
    found = OVERRIDES[MaxPool, "gradient"](op, low[0], [low[1]], low[2])
    assert found[0].ravel().tolist() == wanted


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_log_sum_exp_multipliers_are_those_of_its_three_steps(axes):
    """exp, the sum, log: a quotient for each; and the same far beyond where exp overflows."""
    rng = np.random.default_rng(2)
    x, r = rng.normal(size=(2, 3, 5, 4))
    x[0, 0, 0] = r[0, 0, 0]
    op, m = LogSumExp(axes), rng.normal(size=LogSumExp(axes).forward([x]).shape)
    wide, base = np.exp(x).sum(axes, keepdims=True), np.exp(r).sum(axes, keepdims=True)
    slope = np.exp(x)
    terms = np.divide(np.exp(x) - np.exp(r), x - r, out=slope, where=x != r)
    wanted = m * (np.log(wide) - np.log(base)) / (wide - base) * terms
    for shift in (0.0, 5000.0):
        xs, rs = [x + shift], [r + shift]
        found = op.rescale(m, xs, rs, op.forward(xs), op.forward(rs), Rule())
        np.testing.assert_allclose(found[0], wanted, rtol=1e-9)


def test_convolution_counts_its_multiply_adds():
    (op, shapes), *_ = imported("Conv-stride_2", 127)
    assert op.multiply_adds(*shapes) == ((127 + 3 - 3) // 2 + 1) * 3 * 4 * 3
    (op, shapes), *_ = imported("Conv-depthwise", 127)
    assert op.multiply_adds(*shapes) == 127 * 4 * 8
    (op, shapes), *_ = imported("Gemm-plain", 127)
    assert op.multiply_adds(*shapes) == 4 * 127 * 3
