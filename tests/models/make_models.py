"""Export the small PyTorch models of this folder, by both of PyTorch's ONNX exporters.

Every model takes one-hot DNA. What is tested is the reading of graphs, so a model is one habit of
the field (a crop, a flip, a kind of pooling, a way to reshape) on a trunk that is as small as can
be, with random weights. The weights are scaled layer by layer on random sequences until
activations spread around zero and gates are mixed, biases are not zero, and BatchNorm statistics
are far from the identity; a file is written only when onnxruntime agrees with PyTorch.

Run with PyTorch, onnx, onnxscript and onnxruntime installed:

    python tests/models/make_models.py                      # all, into this folder
    python tests/models/make_models.py --only prelu gelu_erf --out DIR --opset-dynamo 20

The files' layouts, lengths and batch sizes go to `models.json`, which tests read.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch_models import CASES, Case

HERE = Path(__file__).resolve().parent
MAXIMUM_BYTES = 150_000


def to_layout(x: np.ndarray, layout: str) -> np.ndarray:
    """One-hot (N, 4, L) in the axes that a model wants."""
    n = len(x)
    if layout == "NLC":
        return np.ascontiguousarray(x.transpose(0, 2, 1))
    if layout == "flat_LC":
        return x.transpose(0, 2, 1).reshape(n, -1)
    shapes = {
        "NCL": x.shape,
        "N1CL": (n, 1, *x.shape[1:]),
        "NC1L": (n, 4, 1, x.shape[2]),
        "flat_CL": (n, -1),
    }
    return x.reshape(shapes[layout])


def random_input(n: int, length: int, layout: str, seed: int) -> Tensor:
    """One-hot random sequences in the model's layout."""
    codes = np.random.default_rng(seed).integers(0, 4, size=(n, length))
    one_hot = np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1)
    return torch.from_numpy(to_layout(np.ascontiguousarray(one_hot), layout))


@torch.no_grad()
def scale_weights(module: nn.Module, inputs: Tensor) -> None:
    """Draw BatchNorm statistics, and scale every layer so that its outputs spread by about one.

    Each channel's mean over sequences and positions is moved close to zero, so that a gate behind
    it is open for some inputs and closed for others. Shared layers are scaled on their first call.
    """
    done: set[int] = set()

    def scale(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if id(layer) in done:
            return None
        done.add(id(layer))
        layer.weight.div_(output.std())
        if layer.bias is not None:
            # A dense layer on (N, L, C) has its channels last, a convolution second.
            axes = [
                a for a in range(output.ndim) if a != (output.ndim - 1 if is_dense(layer) else 1)
            ]
            layer.bias.sub_(output.mean(dim=axes)).div_(output.std())
            layer.bias.add_(0.3 * torch.randn_like(layer.bias))
        return layer.forward(*arguments)

    def is_dense(layer: nn.Module) -> bool:
        return isinstance(layer, nn.Linear)

    hooks = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            hooks.append(layer.register_forward_hook(scale))
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(0, 0.4)
            layer.running_var.uniform_(0.4, 1.8)
            layer.weight.uniform_(0.6, 1.5)
            layer.weight[1].neg_()
            layer.bias.normal_(0, 0.3)
    module(inputs)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def assert_healthy(name: str, module: nn.Module, inputs: Tensor) -> None:
    """Every layer's output takes both signs in a fair share, and the outputs differ."""
    shares: list[float] = []
    hooks = [
        layer.register_forward_hook(
            lambda _l, _a, out: shares.append(float((out > 0).double().mean()))
        )
        for layer in module.modules()
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)
    ]
    outputs = module(inputs)
    for hook in hooks:
        hook.remove()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if not all(0.1 < share < 0.9 for share in shares[:-1]):
        raise RuntimeError(f"{name}: share of positive values by layer {shares}")
    for output in outputs:
        if float(output.std(dim=0).min()) < 0.05:
            raise RuntimeError(f"{name}: an output hardly varies: {output.std(dim=0)}")


def strip(model: onnx.ModelProto) -> None:
    """Take out the exporters' notes (stack traces with local paths), which readers ignore."""

    def clear(*messages) -> None:
        for message in messages:
            message.ClearField("metadata_props")
            message.ClearField("doc_string")

    graph = model.graph
    clear(model, graph, *graph.node, *graph.initializer)
    clear(*graph.value_info, *graph.input, *graph.output)
    for function in model.functions:
        clear(function, *function.node)


def export(
    module: nn.Module, settings: Case, exporter: str, opset: int, path: Path, outputs: int
) -> None:
    """Write one ONNX file."""
    example = random_input(settings.batch or 2, settings.length, settings.layout, seed=5)
    names = ["output"] if outputs == 1 else [f"output_{i}" for i in range(outputs)]
    position_axis = {"NCL": 2, "NLC": 1}.get(settings.layout)
    common = {"input_names": ["x"], "output_names": names, "opset_version": opset}
    # Both exporters report progress on standard output and advice through warnings.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if exporter == "legacy":
            free = {}
            if settings.batch is None:
                free = {name: {0: "N"} for name in ["x", *names]}
            if settings.free_length:
                free["x"][position_axis] = "L"
            if settings.keep_batchnorm:
                common["training"] = torch.onnx.TrainingMode.PRESERVE
                common["do_constant_folding"] = False
            torch.onnx.export(
                module, (example,), str(path), dynamo=False, dynamic_axes=free or None, **common
            )
        else:
            shape = {}
            if settings.batch is None:
                shape[0] = torch.export.Dim("N")
            if settings.free_length:
                shape[position_axis] = torch.export.Dim("L", min=20)
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=True,
                dynamic_shapes=(shape,) if shape else None,
                optimize=exporter == "dynamo",
                external_data=False,
                verbose=False,
                **common,
            )
    model = onnx.load(path)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


@torch.no_grad()
def assert_same(module: nn.Module, settings: Case, path: Path) -> None:
    """Raise unless onnxruntime and PyTorch give the same outputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n in [settings.batch] if settings.batch else [1, 3]:
        inputs = random_input(n, settings.length, settings.layout, seed=6 + n)
        wanted = module(inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        found = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
        for a, b in zip(wanted, found, strict=True):
            if not np.allclose(a.numpy(), b, rtol=1e-4, atol=1e-5):
                worst = float(np.abs(a.numpy() - b).max())
                raise RuntimeError(f"{path.name}: onnxruntime differs from PyTorch by {worst:.3g}")


def describe(path: Path, settings: Case, opset: int) -> dict:
    """Make the entry of one file in models.json."""
    model = onnx.load(path)
    operators = sorted({node.op_type for node in model.graph.node})
    return {
        "layout": settings.layout,
        "length": settings.length,
        "batch": settings.batch,
        "free_length": settings.free_length,
        "opset": opset,
        "operators": operators,
    }


def main() -> None:
    """Export what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--only", nargs="*", default=sorted(CASES), choices=sorted(CASES))
    parser.add_argument("--opset-legacy", type=int, default=17)
    parser.add_argument("--opset-dynamo", type=int, default=18)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    arguments.out.mkdir(parents=True, exist_ok=True)
    index_path = arguments.out / "models.json"
    index = json.loads(index_path.read_text()) if index_path.exists() else {}
    for name in arguments.only:
        settings = CASES[name]
        # A seed per model: adding one leaves the others' weights as they are.
        torch.manual_seed(zlib.crc32(name.encode()))
        module = settings.build(settings.length).eval()
        inputs = random_input(128, settings.length, settings.layout, seed=1)
        scale_weights(module, inputs)
        assert_healthy(name, module, inputs)
        with torch.no_grad():
            result = module(inputs)
        outputs = len(result) if isinstance(result, tuple) else 1
        for exporter in settings.exporters:
            opset = settings.opset or (
                arguments.opset_legacy if exporter == "legacy" else arguments.opset_dynamo
            )
            suffix = "dynamo_unoptimized" if exporter == "unoptimized" else exporter
            path = arguments.out / f"{name}_{suffix}.onnx"
            export(module, settings, exporter, opset, path, outputs)
            assert_same(module, settings, path)
            size = path.stat().st_size
            if size > MAXIMUM_BYTES:
                raise RuntimeError(f"{path.name} has {size} bytes, more than {MAXIMUM_BYTES}")
            index[path.name] = describe(path, settings, opset)
            print(
                f"{path.name:44s} {size / 1000:6.1f} kB  {' '.join(index[path.name]['operators'])}"
            )
    index_path.write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
