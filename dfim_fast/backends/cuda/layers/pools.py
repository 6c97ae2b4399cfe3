"""MaxPool and ChannelMax. Winners are found once, on the way up, and kept as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfim_fast.backends.cuda.layers.convolution import sizes
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.max_pool import ChannelMax, MaxPool


@lowers(MaxPool, ChannelMax)
class MaxLayer(Layer):
    """Over positions or over channels: the same kernels but for the place of a winner."""

    pools = True

    def _window(self) -> tuple[str, tuple[Any, ...]]:
        if isinstance(self.op, MaxPool):
            return "max", sizes(self.op.window)
        return "channel_max", ()

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        name, window = self._window()
        self.run(f"{name}_forward", items, value.y, value.won, xs[0], *window)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        name, window = self._window()
        won = at.value.won
        if at.reference is None or at.rs is None or at.rule.maxpool == "deeplift":
            self.run(f"{name}_backward", at.items, dx, at.g, won, *window, add)
            return
        values = (at.xs[0], at.rs[0], at.value.y, at.reference.y, won, at.reference.won)
        epsilon = at.rule.epsilon
        self.run(f"{name}_rescale", at.items, dx, at.g, *values, *window, epsilon, add)
