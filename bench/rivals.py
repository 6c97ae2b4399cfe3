"""Further tools that people use for the same question, each called as its own manual says.

Those of `peers` and these have one interface: made from a case and references (R, 4, L), called
with mutants (M, 4, L) and a batch size, they return the importance (M, L) of the observed bases.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from cases import Case
from peers import DEEPLIFT_BATCHES, torch_module
from torch import nn

ISM_BATCHES = (32, 128, 512)
SHAP_BATCHES = (1, 4)  # mutants at a time; shap itself takes one after the other


class Captum:
    """DeepLIFT by captum, every mutant with every reference."""

    name = "captum DeepLift"
    batches: Sequence[int] = DEEPLIFT_BATCHES

    def __init__(self, case: Case, references: np.ndarray) -> None:
        from captum.attr import DeepLift

        self.module = torch_module(case)
        self.references = torch.from_numpy(references)
        self.method = DeepLift(self.module)

    def __call__(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Importance (M, L) of the observed bases of x (M, 4, L), task 0."""
        found, count = [], len(self.references)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the hooks that it sets, each time
            for part in x.split(max(1, batch // count)):
                own = part.repeat_interleave(count, 0).requires_grad_(True)
                base = self.references.repeat(len(part), 1, 1)
                scores = self.method.attribute(own, base, target=0).detach()
                found.append(scores.sum(1).reshape(len(part), count, -1).mean(1))
        return torch.cat(found)


class _First(nn.Module):
    """Task 0 of a network, as a column."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)[:, :1]


class Shap:
    """DeepLIFT by shap's DeepExplainer, the references as its background."""

    name = "shap DeepExplainer"
    batches: Sequence[int] = SHAP_BATCHES

    def __init__(self, case: Case, references: np.ndarray) -> None:
        import shap

        self.module = torch_module(case)
        self.references = torch.from_numpy(references)
        self.explainer = shap.DeepExplainer(_First(self.module), self.references)

    def __call__(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Importance (M, L) of the observed bases of x (M, 4, L), task 0."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = self.explainer.shap_values(x, check_additivity=False)
        found = torch.from_numpy(np.asarray(scores, np.float32))
        return found.reshape(len(x), *x.shape[1:]).sum(1)


class Forward:
    """In-silico mutagenesis by onnxruntime: scores of all mutants, no importance, no map."""

    name = "onnxruntime, forward part only"
    batches: Sequence[int] = ISM_BATCHES
    references = None

    def __init__(self, case: Case, references: np.ndarray | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.module = torch_module(case)
        self.session = onnxruntime.InferenceSession(_exported(case), options)

    def __call__(self, x: torch.Tensor, batch: int) -> torch.Tensor:
        """Scores (M, 1) of x (M, 4, L), task 0."""
        found = [
            self.session.run(None, {"x": part.numpy()})[0][:, :1] for part in x.split(batch)
        ]
        return torch.from_numpy(np.concatenate(found))


def _exported(case: Case) -> bytes:
    """The peers' own module as ONNX: scored before any last sigmoid, as everything here."""
    import io

    buffer = io.BytesIO()
    shape = torch.zeros(1, 4, case.length)
    torch.onnx.export(torch_module(case), (shape,), buffer, input_names=["x"], dynamo=False,
                      dynamic_axes={"x": {0: "n"}}, opset_version=17)
    return buffer.getvalue()
