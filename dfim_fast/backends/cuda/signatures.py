"""What every kernel takes: one table for the launcher, the bindings and the emulator.

A test compares it with the kernels' sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.errors import BackendError

# How csrc/kernels/view.cuh lays out a View.
VIEW = np.dtype(
    [
        ("own", np.uint64),
        ("base", np.uint64),
        ("start", np.uint64),
        ("source", np.uint64),
        ("owner", np.uint64),
        ("member", np.uint64),
        ("inner", np.uint64),
        ("width", np.int32),
        ("rows", np.int32),
        ("channels", np.int32),
        ("computed", np.int32),
    ]
)
SCALARS = {"int": np.int32, "float": np.float32, "View": VIEW}  # pointers are uint64 addresses


@dataclass(frozen=True)
class Signature:
    """Parameters of one kernel, and the shape of its blocks.

    Attributes
    ----------
    parameters : tuple of (str, str)
        C type and name of each.
    warps : int
        Of a block.
    scratch : int
        Bytes of shared memory that each warp has for itself.
    shared : int
        Bytes of shared memory that the warps of a block share; these kernels have barriers.
    """

    parameters: tuple[tuple[str, str], ...]
    warps: int
    scratch: int = 0
    shared: int = 0

    @property
    def bytes_of_block(self) -> int:
        """All shared memory of a block."""
        return self.shared + self.warps * self.scratch

    def pack(self, kernel: str, values: tuple[Any, ...]) -> list[np.generic]:
        """The arguments as NumPy scalars of the types that the kernel declares.

        Raises
        ------
        BackendError
            For a wrong number of arguments, or one of another type.
        """
        if len(values) != len(self.parameters):
            raise BackendError(
                f"kernel {kernel} takes {len(self.parameters)} arguments and was given "
                f"{len(values)}"
            )
        packed: list[np.generic] = []
        for value, (kind, name) in zip(values, self.parameters, strict=True):
            wanted = SCALARS.get(kind, np.uint64)
            if kind == "View":
                fits = isinstance(value, np.void) and value.dtype == VIEW
            elif kind == "float":
                fits = isinstance(value, (int, float, np.floating))
            else:
                lowest = -(2**31) if kind == "int" else 0
                fits = isinstance(value, (int, np.integer)) and bool(value >= lowest)
            if not fits:
                raise BackendError(
                    f"kernel {kernel}: argument {name} is of type {type(value).__name__}, "
                    f"wanted {kind}"
                )
            packed.append(value if kind == "View" else wanted(value))  # type: ignore[operator]
        return packed


TILE = 4 * 8 * 32  # bytes of scratch that csrc/kernels/tile.cuh works in
TENSOR = 4 * 8 * 36  # and csrc/kernels/tensor.cuh


def _signature(text: str, warps: int = 8, scratch: int = 0) -> Signature:
    """From the parameters as C++ writes them."""
    parts = (part.strip().rsplit(maxsplit=1) for part in text.split(","))
    return Signature(tuple((kind, name) for kind, name in parts), warps, scratch)


KERNELS: dict[str, Signature] = {
    "affine_backward": _signature(
        "View dx, View g, const float* scale, int scale_rows, int scale_channels, int add, int "
        "items"
    ),
    "affine_forward": _signature(
        "View y, View x, const float* scale, int scale_rows, int scale_channels, const float* "
        "shift, int shift_rows, int shift_channels, int items"
    ),
    "average_backward": _signature(
        "View dx, View g, const float* factor, int kernel, int stride, int dilation, int pad, "
        "int add, int items"
    ),
    "average_forward": _signature(
        "View y, View x, const float* factor, int kernel, int stride, int dilation, int pad, "
        "int items"
    ),
    "channel_max_backward": _signature("View dx, View g, View won, int add, int items"),
    "channel_max_forward": _signature("View y, View won, View x, int items"),
    "channel_max_rescale": _signature(
        "View dx, View m, View x, View r, View y, View yr, View won, View lost, float epsilon, "
        "int add, int items"
    ),
    "combine": _signature(
        "View out, View base, const float* basis, const float* coefficients, int total, int "
        "first, int count, int references, int begins, int items"
    ),
    "contribute": _signature(
        "View out, View m, View x, View r, int method, int projected, int references, int items"
    ),
    "conv_backward": _signature(
        "View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad, "
        "int add, int items",
        scratch=TILE,
    ),
    "conv_backward_tf32": _signature(
        "View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad, "
        "int products, int add, int items",
        scratch=TENSOR,
    ),
    "conv_forward": _signature(
        "View y, View x, const float* weight, const float* bias, int kernel, int stride, int "
        "dilation, int pad, int items",
        scratch=TILE,
    ),
    "conv_forward_tf32": _signature(
        "View y, View x, const float* weight, const float* bias, int kernel, int stride, int "
        "dilation, int pad, int products, int items",
        scratch=TENSOR,
    ),
    "dense_backward": _signature("View dx, View g, const float* weight, int add, int items"),
    "dense_forward": _signature(
        "View y, View x, const float* weight, const float* bias, int items",
        scratch=TILE,
    ),
    "dense_forward_tf32": _signature(
        "View y, View x, const float* weight, const float* bias, int products, int items",
        scratch=TENSOR,
    ),
    "differences": _signature(
        "float* out, View v, View base, const int* units, int count, int first, int total, int "
        "references, int items"
    ),
    "differs": _signature(
        "int* flags, View v, View base, const int* first, const int* last, int items"
    ),
    "edit": _signature(
        "View x, View original, const float* columns, const int* first, const int* span, int "
        "room, int items"
    ),
    "features_backward": _signature(
        "View dx, View g, const float* weight, int add, int items",
        scratch=TILE,
    ),
    "features_backward_tf32": _signature(
        "View dx, View g, const float* weight, int products, int add, int items",
        scratch=TENSOR,
    ),
    "fill": _signature("View y, const float* values, int items"),
    "flatten": _signature("View y, View x, int position_fastest, int add, int items"),
    "gate_backward": _signature(
        "View dx, View g, View x, View r, const int* code, const double* table, int steps, int "
        "kink, int against, float epsilon, int add, int items"
    ),
    "gate_forward": _signature(
        "View y, View x, const int* code, const double* table, int steps, int items"
    ),
    "gather": _signature(
        "View y, View x, const int* row_begin, const int* row_list, const int* channel_begin, "
        "const int* channel_list, int add, int items"
    ),
    "grouped_backward": _signature(
        "View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad, "
        "int groups, int add, int items"
    ),
    "grouped_forward": _signature(
        "View y, View x, const float* weight, const float* bias, int kernel, int stride, int "
        "dilation, int pad, int groups, int items"
    ),
    "importance_sums": _signature("float* out, View importance, const float* weight, int items"),
    "joint_backward": _signature(
        "View dx, View g, View a, View b, View c, View ra, View rb, View rc, int kind, float "
        "sign_a, float sign_b, int which, int plain, float epsilon, int add, int items"
    ),
    "joint_forward": _signature(
        "View y, View a, View b, View c, int kind, float sign_a, float sign_b, int items"
    ),
    "lost_groups": _signature(
        "float* out, View importance, const int* place, const int* source, const int* first, "
        "const int* span, const int* columns, int shared, const unsigned char* reach, int "
        "width, int many, int items"
    ),
    "lost_rows": _signature(
        "float* fis, float* error, View importance, const int* place, const int* source, const "
        "int* first, const int* span, const int* columns, int shared, const unsigned char* "
        "reach, int width, const float* weight, int items"
    ),
    "max_backward": _signature(
        "View dx, View g, View won, int kernel, int stride, int dilation, int pad, int add, int"
        " items"
    ),
    "max_forward": _signature(
        "View y, View won, View x, int kernel, int stride, int dilation, int pad, int items"
    ),
    "max_rescale": _signature(
        "View dx, View m, View x, View r, View y, View yr, View won, View lost, int kernel, int"
        " stride, int dilation, int pad, float epsilon, int add, int items"
    ),
    "one_hot": _signature("float* x, const signed char* codes, int length, int items"),
    "own_change": _signature(
        "float* out, View importance, const int* first, const int* span, int items"
    ),
    "pair_up": _signature(
        "int* window, int* reference, int* source, const int* owner, const int* place, int "
        "references, int items"
    ),
    "pick": _signature("float* out, View y, int position, int channel, int items"),
    "segment_backward": _signature(
        "View dx, View g, View x, View r, int kind, int axes, int against, float epsilon, float"
        " spread, int add, int items",
        warps=4,
    ),
    "segment_forward": _signature(
        "View y, View x, int kind, int axes, float spread, int items",
        warps=4,
    ),
    "shuffle": _signature(
        "signed char* shuffled, signed char* edges, const signed char* codes, const unsigned "
        "long long* keys, int length, int shuffles, int items",
        warps=1,
    ),
    "single_units": _signature(
        "View g, const int* units, int count, int shift, int sequences, int references, int items"
    ),
    "unflatten": _signature("View y, View x, int position_fastest, int add, int items"),
    "walk_down": _signature(
        "View out, float* memory, int each, const unsigned long long* tensors, const int* stages, "
        "const int* spans, const int* reads, const float* slopes, int count, int moving, int room, "
        "const float* coefficients, const float* units, int unit_count, int first_sequence, int "
        "sequences, const float* x, const float* r, const float* g, const int* first, const int* "
        "gamma, const int* source, const int* owner, int method, int projected, int shares, int "
        "references, int begin, int batch, int splits, float epsilon, int items",
        warps=4,
    ),
    "walk_far": _signature(
        "View out, const float* coefficients, const float* units, const int* reads, const int* "
        "first, int count, int references, int begin, int items",
        scratch=TILE,
    ),
    "walk_units": _signature(
        "float* out, const float* units, const float* x, const float* r, int length, int count, "
        "int sequences, int method, int projected, int references, int begin, int batch, int items"
    ),
    "walk_up": _signature(
        "View top, float* gained, float* memory, int each, const unsigned long long* tensors, "
        "const int* stages, const int* spans, const float* slopes, int count, int moving, int "
        "room, const float* bias, const float* x, int length, const int* first, const int* gamma, "
        "const int* source, const int* owner, int references, int items",
        warps=4,
    ),
}
