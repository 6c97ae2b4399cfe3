"""The small PyTorch networks that `make_models.py` exports, one per habit of the field.

All take one-hot DNA in a layout stated with the case, and have few channels, 30 to 80 positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """One model and how it is exported.

    Parameters
    ----------
    build : callable
        Takes the length L, returns the module.
    length : int
        Positions of the input.
    layout : str
        Axes of the input: NCL, NLC, N1CL, NC1L, flat_CL (base-major) or flat_LC (position-major).
    batch : int or None
        A fixed batch size; None leaves it free.
    opset : int or None
        Overrides the command line's opset for both exporters.
    exporters : tuple of str
        Which of `legacy`, `dynamo` and `unoptimized` (dynamo without its optimiser) to write.
    free_length : bool
        Leave the length free, too.
    keep_batchnorm : bool
        Stop the legacy exporter from folding BatchNorm into the convolution before it.
    """

    build: Callable[[int], nn.Module]
    length: int
    layout: str = "NCL"
    batch: int | None = None
    opset: int | None = None
    exporters: tuple[str, ...] = ("dynamo", "legacy")
    free_length: bool = False
    keep_batchnorm: bool = False


CASES: dict[str, Case] = {}


def case(name: str, **settings) -> Callable:
    """Enter a module class, or a function of the length, as the case `name`."""

    def enter(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
        if name in CASES:
            raise ValueError(f"case {name!r} is defined twice")
        CASES[name] = Case(build, **settings)
        return build

    return enter


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(x)


def conv_head(activation: nn.Module, length: int, head: str = "dense") -> nn.Module:
    """Two convolutions with `activation` after each, then a dense or a mean head."""
    layers = [nn.Conv1d(4, 8, 7), activation, nn.Conv1d(8, 6, 5, padding=2), activation]
    if head == "dense":
        layers += [nn.MaxPool1d(4), nn.Flatten(), nn.Linear(6 * ((length - 6) // 4), 1)]
    else:
        layers += [Lambda(lambda x: x.mean(dim=2)), nn.Linear(6, 1)]
    return nn.Sequential(*layers)


# --- trunks ------------------------------------------------------------------------------------


@case("basset", length=80)
class Basset(nn.Module):
    """Three blocks of convolution, BatchNorm, ReLU, pooling; two hidden dense layers; three tasks.

    The legacy exporter folds the BatchNorms into the convolutions before them.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv1d(4, 12, 9, padding=4),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.MaxPool1d(3),
            nn.Conv1d(12, 10, 5, padding=2),
            nn.BatchNorm1d(10),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(10, 8, 3, padding=1),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.MaxPool1d(2),
        )
        self.head = nn.Sequential(
            nn.Linear(8 * (length // 3 // 2 // 2), 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(16, 12),
            nn.ReLU(),
            nn.Linear(12, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 3)."""
        return self.head(torch.flatten(self.trunk(x), 1))


@case("dilated_residual", length=64, exporters=("dynamo", "legacy", "unoptimized"))
class DilatedResidual(nn.Module):
    """BPNet in small: padded dilated convolutions added to their input, crop, mean, dense."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 9, padding=4)
        self.layers = nn.ModuleList(
            nn.Conv1d(8, 8, 3, dilation=2**i, padding=2**i) for i in range(1, 4)
        )
        self.count = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.relu(self.first(x))
        for layer in self.layers:
            x = x + F.relu(layer(x))
        x = x[:, :, 6:-7]
        return self.count(x.mean(dim=-1))


@case("dilated_residual_crop", length=61, batch=1)
class DilatedResidualCrop(nn.Module):
    """As BPNet was first written: unpadded layers, the skip connection cropped to fit each time."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 7)
        self.layers = nn.ModuleList(nn.Conv1d(8, 8, 3, dilation=2**i) for i in range(1, 4))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 2)."""
        x = torch.relu(self.first(x))
        for layer in self.layers:
            y = torch.relu(layer(x))
            crop = (x.shape[-1] - y.shape[-1]) // 2
            x = x[:, :, crop:-crop] + y
        return self.out(torch.mean(x, dim=2))


@case("multi_branch", length=60, exporters=("dynamo", "legacy", "unoptimized"))
class MultiBranch(nn.Module):
    """Kernels 3, 5 and 7 side by side, joined along channels."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv1d(4, 4, k, padding=k // 2) for k in (3, 5, 7))
        self.pool = nn.MaxPool1d(5)
        self.dense = nn.Linear(12 * (length // 5), 10)
        self.out = nn.Linear(10, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = torch.cat([F.relu(branch(x)) for branch in self.branches], dim=1)
        return self.out(F.relu(self.dense(self.pool(x).flatten(1))))


@case("siamese", length=48)
@case("siamese_batch_8", length=48, batch=8)
class Siamese(nn.Module):
    """Both strands through the same weights, the outputs averaged."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv1d(4, 8, 9),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(8, 6, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(6 * ((length - 8) // 4 - 2), 8),
            nn.ReLU(),
            nn.Linear(8, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        return (self.network(x) + self.network(x.flip([1, 2]))) / 2


@case("siamese_features", length=41)
class SiameseFeatures(nn.Module):
    """Both strands scanned by the same filters; the second scan is turned back and added."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.pool = nn.MaxPool1d(5)
        self.out = nn.Linear(8 * ((length - 6) // 5), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        forward = F.relu(self.conv(x))
        backward = F.relu(self.conv(torch.flip(x, [1, 2]))).flip(-1)
        return self.out(self.pool(forward + backward).flatten(1))


@case("strided", length=61)
def strided(length: int) -> nn.Module:
    """Strides 2 and 3 instead of pooling; neither divides the length."""
    return nn.Sequential(
        nn.Conv1d(4, 10, 6, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv1d(10, 8, 4, stride=3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * (((length - 2) // 2 + 1 - 4) // 3 + 1), 1),
    )


@case("dilated_grouped", length=50)
def dilated_grouped(length: int) -> nn.Module:
    """Stack a grouped dilated, a depthwise and a pointwise convolution."""
    return nn.Sequential(
        nn.Conv1d(4, 12, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(12, 6, 3, dilation=3, groups=3, padding=3),
        nn.ReLU(),
        nn.Conv1d(6, 12, 3, groups=6, bias=False),
        nn.Conv1d(12, 8, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def same_even(dilation: int) -> Callable[[int], nn.Module]:
    """Pad "same" with even kernels, where one side gets more, and pad explicitly once."""

    def build(length: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv1d(4, 8, 6, padding="same"),
            nn.ReLU(),
            nn.MaxPool1d(2),
            Lambda(lambda x: F.pad(x, (3, 1))),
            nn.Conv1d(8, 6, 4, dilation=dilation, padding="same"),
            nn.ReLU(),
            Lambda(lambda x: x.mean(dim=2)),
            nn.Linear(6, 1),
        )

    return build


CASES["same_even"] = Case(same_even(dilation=1), length=40)
# The legacy exporter writes auto_pad, which onnxruntime refuses beside a dilation.
CASES["same_even_dilated"] = Case(same_even(dilation=2), length=40, exporters=("dynamo",))


@case("gated", length=40)
class Gated(nn.Module):
    """Tanh times sigmoid of two convolutions: the product of two branches."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.value = nn.Conv1d(4, 8, 5)
        self.gate = nn.Conv1d(4, 8, 5)
        self.out = nn.Linear(8 * (length - 4), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        return self.out((torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))).flatten(1))


@case("glu", length=40)
class Glu(nn.Module):
    """A gated linear unit: half of the channels gate the other half."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 12, 7)
        self.second = nn.Conv1d(6, 6, 3)
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        return self.out(self.second(F.glu(self.conv(x), dim=1)).mean(dim=2))


# --- networks of the field, in small -------------------------------------------------------------


@case("chrombpnet", length=64)
class ChromBPNet(nn.Module):
    """Unpadded dilated convolutions, cropped skips; a profile of base resolution, and counts."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 9)
        self.layers = nn.ModuleList(nn.Conv1d(8, 8, 3, dilation=2**i) for i in range(1, 4))
        self.profile = nn.Conv1d(8, 1, 7)
        self.counts = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4, L) to (N, 18) and (N, 1)."""
        x = F.relu(self.first(x))
        for layer in self.layers:
            y = F.relu(layer(x))
            crop = (x.shape[-1] - y.shape[-1]) // 2
            x = x[:, :, crop:-crop] + y
        profile = self.profile(x)[:, 0, 2:-2]
        return profile, self.counts(x.mean(dim=2))


@case("deepstarr", length=64)
def deepstarr(length: int) -> nn.Module:
    """Four padded convolutions with BatchNorm and pools of two; two dense layers; two tasks."""
    layers: list[nn.Module] = []
    for channels, wide, kernel in ((4, 16, 7), (16, 6, 3), (6, 6, 5), (6, 8, 3)):
        layers += [
            nn.Conv1d(channels, wide, kernel, padding=kernel // 2),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.MaxPool1d(2),
        ]
    layers += [nn.Flatten(), nn.Linear(8 * (length // 16), 16), nn.BatchNorm1d(16), nn.ReLU()]
    layers += [nn.Dropout(0.4), nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.4), nn.Linear(16, 2))


@case("deepsea", length=80)
def deepsea(length: int) -> nn.Module:
    """Three convolutions, pools of four, dropout, a hidden dense layer, sigmoid tasks."""
    width = ((length - 7) // 4 - 3) // 4 - 2
    return nn.Sequential(
        nn.Conv1d(4, 10, 8),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Dropout(0.2),
        nn.Conv1d(10, 12, 4),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Dropout(0.2),
        nn.Conv1d(12, 14, 3),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(14 * width, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
        nn.Sigmoid(),
    )


@case("danq_conv", length=75)
def danq_conv(length: int) -> nn.Module:
    """DanQ without its recurrent layer: long filters, a wide pool, dense, sigmoid tasks."""
    return nn.Sequential(
        nn.Conv1d(4, 14, 13),
        nn.ReLU(),
        nn.MaxPool1d(7, 7),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(14 * ((length - 12) // 7), 14),
        nn.ReLU(),
        nn.Linear(14, 3),
        nn.Sigmoid(),
    )


class SqueezeExcitation(nn.Module):
    """Channels weighted by what their means over positions say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, 4), nn.SiLU(), nn.Linear(4, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, L) to the same."""
        return x * self.gate(x.mean(dim=2)).view(x.shape[0], x.shape[1], 1)


@case("legnet", length=40)
class LegNet(nn.Module):
    """SiLU, an inverted bottleneck with squeeze and excitation, joins; the mean over soft bins."""

    def __init__(self, length: int) -> None:
        super().__init__()

        def block(channels: int, wide: int, kernel: int, groups: int = 1) -> list[nn.Module]:
            conv = nn.Conv1d(channels, wide, kernel, padding=kernel // 2, groups=groups, bias=False)
            return [conv, nn.BatchNorm1d(wide), nn.SiLU()]

        self.stem = nn.Sequential(*block(4, 8, 7))
        self.inner = nn.Sequential(
            *block(8, 12, 1), *block(12, 12, 5, groups=12), SqueezeExcitation(12), *block(12, 8, 1)
        )
        self.local = nn.Sequential(*block(16, 10, 3), nn.MaxPool1d(2))
        self.map = nn.Conv1d(10, 8, 1)
        self.bins = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = self.stem(x)
        x = self.map(self.local(torch.cat([x, self.inner(x)], dim=1)))
        shares = F.softmax(self.bins(F.adaptive_avg_pool1d(x, 1).squeeze(-1)), dim=1)
        return (shares * torch.arange(6.0)).sum(dim=1, keepdim=True)


class ConvNextBlock(nn.Module):
    """Depthwise convolution, LayerNorm over channels, two dense layers with GELU, a scaled skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-3)
        self.first = nn.Linear(channels, 2 * channels)
        self.second = nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.linspace(0.3, 1.2, channels))
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, L) to the same."""
        y = self.norm(self.depthwise(x).permute(0, 2, 1))
        y = self.scale * self.second(F.gelu(self.first(y)))
        return x + y.permute(0, 2, 1)


@case("convnext", length=40)
class ConvNext(nn.Module):
    """A stem, a block of the ConvNeXt kind, a norm of the mean."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 5, stride=2)
        self.block = ConvNextBlock(8)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        return self.out(self.norm(self.block(self.stem(x)).mean(dim=2)))


@case("attention_pool", length=40)
class AttentionPool(nn.Module):
    """Positions weighted by a softmax over them, each channel of its own."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.logits = nn.Conv1d(8, 8, 1)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.relu(self.conv(x))
        return self.out((x * F.softmax(self.logits(x), dim=-1)).sum(dim=2))


# --- activations -------------------------------------------------------------------------------


@case("prelu", length=53)
def prelu(length: int) -> nn.Module:
    """Learn a slope per channel, one of them negative, and one for a whole dense layer."""
    channel, shared = nn.PReLU(8), nn.PReLU()
    with torch.no_grad():
        channel.weight.copy_(torch.linspace(-0.2, 0.6, 8))
    return nn.Sequential(
        nn.Conv1d(4, 8, 7),
        channel,
        nn.MaxPool1d(4),
        nn.Flatten(),
        nn.Linear(8 * ((length - 6) // 4), 9),
        shared,
        nn.Linear(9, 1),
    )


def batchnorm_twice(length: int) -> nn.Module:
    """BatchNorm before the first ReLU and after the second."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 7, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Conv1d(8, 6, 5, padding=2),
        nn.ReLU(),
        nn.BatchNorm1d(6),
        nn.MaxPool1d(3),
        nn.Flatten(),
        nn.Linear(6 * ((length - 6) // 3), 1),
    )


CASES["batchnorm"] = Case(batchnorm_twice, length=37)
CASES["batchnorm_kept"] = Case(
    batchnorm_twice, length=37, keep_batchnorm=True, exporters=("legacy", "unoptimized")
)


def activation_case(name: str, make: Callable[[], nn.Module], length: int, **settings) -> None:
    """Enter two convolutions with the activation that `make` returns."""
    head = settings.pop("head", "dense")
    CASES[name] = Case(lambda length: conv_head(make(), length, head), length=length, **settings)


activation_case("gelu_erf", nn.GELU, 42, opset=20)
activation_case("gelu_tanh", lambda: nn.GELU(approximate="tanh"), 42, opset=20)
# Before opset 20 there is no Gelu: the exporter writes Erf, Mul, Add.
activation_case("gelu_decomposed", nn.GELU, 42, opset=17, exporters=("legacy",))
activation_case("elu", lambda: nn.ELU(alpha=0.7), 37)
activation_case("softplus", nn.Softplus, 41, head="mean")
activation_case("leaky_relu", lambda: nn.LeakyReLU(0.2), 53)
activation_case("relu6", nn.ReLU6, 37)
activation_case("clamp", lambda: Lambda(lambda x: x.clamp(min=0)), 37)
activation_case("hardtanh", lambda: nn.Hardtanh(-0.8, 1.1), 37, head="mean")
activation_case("silu", nn.SiLU, 41)
activation_case("mish", nn.Mish, 41)
activation_case("hardswish", nn.Hardswish, 41)
activation_case("selu", nn.SELU, 37)
activation_case("celu", lambda: nn.CELU(0.6), 37)
activation_case("softplus_beta", lambda: nn.Softplus(beta=3), 41, head="mean")
activation_case(
    "gelu_tanh_decomposed", lambda: nn.GELU("tanh"), 42, opset=17, exporters=("legacy",)
)
activation_case("own_threshold", lambda: Lambda(lambda x: torch.where(x > 0.2, x, 0.3 * x * x)), 37)


def normed(make: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Convolution, the norm that `make` returns for its length, ReLU, mean, dense."""

    def build(length: int) -> nn.Module:
        norm = make(length - 6)
        with torch.no_grad():
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.3)
        return nn.Sequential(
            nn.Conv1d(4, 8, 7), norm, nn.ReLU(), Lambda(lambda x: x.mean(dim=2)), nn.Linear(8, 1)
        )

    return build


CASES["layer_norm_all"] = Case(normed(lambda n: nn.LayerNorm([8, n])), 37)
CASES["instance_norm"] = Case(normed(lambda n: nn.InstanceNorm1d(8, affine=True)), 37)
CASES["group_norm_1"] = Case(normed(lambda n: nn.GroupNorm(1, 8)), 37)


@case("exp_first", length=45)
def exp_first(length: int) -> nn.Module:
    """Exponential activation on the filters that read the sequence, ReLU after."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 7),
        Lambda(torch.exp),
        nn.MaxPool1d(3),
        nn.Conv1d(8, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * ((length - 6) // 3 - 2), 1),
    )


@case("sigmoid_tanh", length=40)
def sigmoid_tanh(length: int) -> nn.Module:
    """Squashing activations inside the trunk, which are not outputs; the output is linear."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 5),
        nn.Sigmoid(),
        nn.AvgPool1d(3),
        nn.Conv1d(8, 6, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(6 * ((length - 4) // 3 - 2), 8),
        nn.Tanh(),
        nn.Linear(8, 1),
    )


# --- pooling and reduction ---------------------------------------------------------------------


def pooled(pool: nn.Module, length: int) -> nn.Module:
    """Convolution, ReLU, `pool`, dense, ReLU, dense."""
    conv = nn.Conv1d(4, 8, 6)
    width = pool(torch.zeros(1, 8, length - 5)).shape[-1]
    return nn.Sequential(
        conv,
        nn.ReLU(),
        pool,
        nn.Flatten(),
        nn.Linear(8 * width, 8),
        nn.ReLU(),
        nn.Linear(8, 1),
    )


def pool_case(name: str, make: Callable[[], nn.Module], length: int, **settings) -> None:
    """Enter a convolution with the pool that `make` returns."""
    CASES[name] = Case(lambda length: pooled(make(), length), length=length, **settings)


pool_case("average_pool_count_pad", lambda: nn.AvgPool1d(4, 3, padding=2), 41)
pool_case(
    "average_pool_no_count_pad",
    lambda: nn.AvgPool1d(4, 3, padding=2, count_include_pad=False),
    41,
)
pool_case("average_pool_ceil", lambda: nn.AvgPool1d(5, ceil_mode=True), 37)
pool_case("max_pool_overlap", lambda: nn.MaxPool1d(4, 2, padding=1), 53)
pool_case("max_pool_ceil", lambda: nn.MaxPool1d(4, 3, padding=2, ceil_mode=True), 53)
pool_case("max_pool_stride_1", lambda: nn.MaxPool1d(3, 1), 37)
pool_case("max_pool_dilated", lambda: nn.MaxPool1d(3, 2, dilation=2), 41)
pool_case("max_pool_gaps", lambda: nn.MaxPool1d(2, 5), 41)


@case("odd_length", length=53)
@case("odd_length_batch_1", length=41, batch=1)
def odd_length(length: int) -> nn.Module:
    """Two rounds of pooling whose last windows the end of the sequence cuts off."""
    first = (length - 4) // 4
    second = (first - 2) // 3
    return nn.Sequential(
        nn.Conv1d(4, 9, 5),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(9, 7, 3),
        nn.ReLU(),
        nn.MaxPool1d(3),
        nn.Flatten(),
        nn.Linear(7 * second, 8),
        nn.ReLU(),
        nn.Linear(8, 1),
    )


def reduced(reduce: Callable[[Tensor], Tensor], width: int = 8) -> Callable[[int], nn.Module]:
    """Convolution, ReLU, a reduction to (N, width), dense."""

    def build(length: int) -> nn.Module:
        return nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), Lambda(reduce), nn.Linear(width, 1))

    return build


CASES["global_average"] = Case(reduced(lambda x: F.adaptive_avg_pool1d(x, 1).flatten(1)), 37)
CASES["global_max"] = Case(reduced(lambda x: F.adaptive_max_pool1d(x, 1).squeeze(-1)), 41)
CASES["global_max_kernel"] = Case(
    reduced(lambda x: F.max_pool1d(x, x.shape[-1]).squeeze(2)), 41, batch=8
)
CASES["reduce_mean"] = Case(reduced(lambda x: x.mean(dim=2)), 41)
CASES["reduce_max"] = Case(reduced(lambda x: x.amax(dim=-1)), 37)
CASES["reduce_max_values"] = Case(reduced(lambda x: x.max(dim=2).values), 37)
CASES["reduce_sum"] = Case(reduced(lambda x: x.sum(dim=2, keepdim=True).flatten(1)), 38)
CASES["free_length"] = Case(reduced(lambda x: x.mean(dim=2)), 45, free_length=True)


@case("reduce_all", length=40)
class ReduceAll(nn.Module):
    """The sum over channels and positions at once: an output of rank one."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.mix = nn.Conv1d(8, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N,)."""
        return self.mix(F.relu(self.conv(x))).sum(dim=(1, 2)) / 10


# --- heads, outputs and inputs -----------------------------------------------------------------


@case("dense_only", length=30)
def dense_only(length: int) -> nn.Module:
    """No convolution: flatten and a multilayer perceptron with BatchNorm and dropout."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(4 * length, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 8),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Linear(8, 1),
    )


@case("linear_only", length=30)
def linear_only(length: int) -> nn.Module:
    """Flatten and one dense layer: no gate, so no interaction anywhere."""
    return nn.Sequential(nn.Flatten(), nn.Linear(4 * length, 2))


@case("two_outputs", length=44)
class TwoOutputs(nn.Module):
    """A head of three columns and, beside it, a head of one from the middle of the trunk."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 5, padding=2)
        self.second = nn.Conv1d(8, 6, 5)
        self.tasks = nn.Linear(6 * ((length - 4) // 4), 3)
        self.count = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4, L) to (N, 3) and (N, 1)."""
        x = F.relu(self.first(x))
        y = F.max_pool1d(F.relu(self.second(x)), 4)
        return self.tasks(y.flatten(1)), self.count(x.mean(2))


def squashed(squash: nn.Module, columns: int) -> Callable[[int], nn.Module]:
    """End a small network in a squashing output."""

    def build(length: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv1d(4, 8, 7),
            nn.ReLU(),
            nn.MaxPool1d(5),
            nn.Flatten(),
            nn.Linear(8 * ((length - 6) // 5), 8),
            nn.ReLU(),
            nn.Linear(8, columns),
            squash,
        )

    return build


CASES["sigmoid_output"] = Case(squashed(nn.Sigmoid(), 2), 46)
CASES["softmax_output"] = Case(squashed(nn.Softmax(dim=1), 3), 46)


@case("two_sigmoids", length=36)
class TwoSigmoids(nn.Module):
    """One output made of two sigmoid columns joined at the end."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.trunk = nn.Conv1d(4, 8, 7)
        self.heads = nn.ModuleList(nn.Linear(8, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 2)."""
        x = F.relu(self.trunk(x)).amax(2)
        return torch.cat([torch.sigmoid(head(x)) for head in self.heads], dim=1)


@case("view_shape", length=40)
@case("view_shape_batch_8", length=40, batch=8)
class ViewShape(nn.Module):
    """Flattening and unflattening by view and reshape with sizes asked of the tensor."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 5)
        self.dense = nn.Linear(6 * ((length - 4) // 3), 6 * 5)
        self.mix = nn.Conv1d(6, 4, 3)
        self.out = nn.Linear(4 * 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.max_pool1d(F.relu(self.conv(x)), 3)
        x = F.relu(self.dense(x.view(x.shape[0], -1)))
        x = F.relu(self.mix(x.reshape(x.size(0), 6, -1)))
        return self.out(x.reshape(x.shape[0], x.shape[1] * x.shape[2]))


@case("pointwise_linear", length=38)
class PointwiseLinear(nn.Module):
    """A dense layer on each position's channels, through a permutation and back."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.dense = nn.Linear(8, 6)
        self.out = nn.Linear(6 * (length - 6), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.relu(self.conv(x)).permute(0, 2, 1)
        x = F.relu(self.dense(x)).transpose(1, 2)
        return self.out(x.flatten(start_dim=1))


@case("position_major_flat", length=38)
class PositionMajorFlat(nn.Module):
    """Flattened in the order (position, channel), as Keras does."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.hidden = nn.Linear(8 * ((length - 6) // 4), 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.max_pool1d(F.relu(self.conv(x)), 4).transpose(1, 2)
        return self.out(F.relu(self.hidden(x.reshape(x.shape[0], -1))))


@case("conv2d_n1cl", length=42, layout="N1CL")
def conv2d_n1cl(length: int) -> nn.Module:
    """DeepSEA's older relatives: (N, 1, 4, L), the first kernel spans the four bases."""
    return nn.Sequential(
        nn.Conv2d(1, 8, (4, 7)),
        nn.ReLU(),
        nn.MaxPool2d((1, 3)),
        nn.Conv2d(8, 6, (1, 3), padding=(0, 1)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * ((length - 6) // 3), 1),
    )


@case("conv2d_nc1l", length=42, layout="NC1L")
def conv2d_nc1l(length: int) -> nn.Module:
    """DeepSEA: (N, 4, 1, L), kernels of height one."""
    return nn.Sequential(
        nn.Conv2d(4, 8, (1, 7)),
        nn.ReLU(),
        nn.MaxPool2d((1, 4), (1, 4)),
        nn.Conv2d(8, 6, (1, 3)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * ((length - 6) // 4 - 2), 2),
    )


@case("conv2d_unsqueeze", length=40)
class Conv2dUnsqueeze(nn.Module):
    """(N, 4, L) made two-dimensional inside the network and flattened back to one dimension."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, (4, 7))
        self.second = nn.Conv1d(8, 6, 3)
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, L) to (N, 1)."""
        x = F.relu(self.first(x.unsqueeze(1))).squeeze(2)
        return self.out(F.relu(self.second(x)).mean(dim=2))


@case("input_nlc", length=40, layout="NLC")
class InputNLC(nn.Module):
    """(N, L, 4), permuted first."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 7)
        self.out = nn.Linear(8 * ((length - 6) // 3), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, 4) to (N, 1)."""
        return self.out(F.max_pool1d(F.relu(self.conv(x.permute(0, 2, 1))), 3).flatten(1))


@case("input_flat_cl", length=40, layout="flat_CL")
class InputFlatCL(nn.Module):
    """(N, 4L), viewed as (N, 4, L)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.conv = nn.Conv1d(4, 8, 7)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4L) to (N, 1)."""
        return self.out(F.relu(self.conv(x.view(-1, 4, self.length))).amax(dim=2))


@case("input_flat_lc", length=40, layout="flat_LC")
class InputFlatLC(nn.Module):
    """(N, 4L), viewed as (N, L, 4)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.conv = nn.Conv1d(4, 8, 7)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4L) to (N, 1)."""
        x = x.view(x.shape[0], self.length, 4).transpose(1, 2)
        return self.out(F.relu(self.conv(x)).mean(dim=2))


# --- other opsets ------------------------------------------------------------------------------

# Axes are attributes in opset 11 and inputs from 13 (Squeeze, Unsqueeze, ReduceSum) or 18 (the
# other reductions).
for _name, _exporter, _opset in (
    ("conv2d_unsqueeze", "legacy", 11),
    ("view_shape", "legacy", 11),
    ("reduce_sum", "legacy", 11),
    ("relu6", "legacy", 11),
    ("convnext", "legacy", 16),  # LayerNormalization came with opset 17
    ("siamese", "legacy", 11),
    ("multi_branch", "legacy", 13),
    ("dilated_residual", "legacy", 13),
    ("conv2d_unsqueeze", "legacy", 20),
    ("dilated_residual", "dynamo", 20),
    ("dilated_residual", "dynamo", 23),
    ("view_shape", "dynamo", 23),
):
    CASES[f"{_name}_opset_{_opset}"] = replace(CASES[_name], opset=_opset, exporters=(_exporter,))
