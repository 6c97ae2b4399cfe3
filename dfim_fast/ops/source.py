"""The sequence itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dfim_fast.ops.base import Operator, Shape


@dataclass(frozen=True, eq=False)
class Input(Operator):
    """One-hot DNA, (positions, 4)."""

    linear: ClassVar[bool] = True
    length: int

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.length, 4
