"""Small results, section after section in one buffer, so that they leave the device together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device


class Sheet:
    """Float32 arrays by name.

    Parameters
    ----------
    device : Device
    shapes : mapping of str to tuple of int
    """

    def __init__(self, device: Device, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.device, self.shapes = device, dict(shapes)
        self.begins, floats = {}, 0
        for name, shape in self.shapes.items():
            self.begins[name] = floats
            floats += prod(shape)
        self.floats = floats
        self.buffer = device.allocate(4 * floats)

    def part(self, name: str, *index: int) -> Buffer:
        """Memory of an array, or of all that lies behind some of its leading indices."""
        shape = self.shapes[name]
        each = prod(shape[len(index) :])
        number = int(np.ravel_multi_index(index, shape[: len(index)])) if index else 0
        return self.buffer.part(4 * (self.begins[name] + number * each), 4 * each)

    def fetch(self) -> Callable[[], dict[str, np.ndarray]]:
        """Begin to copy everything out; the call that is returned ends it."""
        ended = self.device.fetch(self.buffer, np.empty(self.floats, np.float32))

        def end() -> dict[str, np.ndarray]:
            whole = ended()
            return {
                name: whole[self.begins[name] :][: prod(shape)].reshape(shape)
                for name, shape in self.shapes.items()
            }

        return end
