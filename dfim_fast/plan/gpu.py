"""Whether a GPU is worth its start and its launches: counted work against stated rates.

The processors' rates are measured (bench/results/cpu.json). Those of a GPU are assumed, and low for
compute capability 8.0 and newer, so that what is left in doubt stays on the processors: no GPU has
timed this package yet. bench/gpu_check.py measures what is to stand here.
"""

from __future__ import annotations

from dfim_fast.plan.plan import Plan
from dfim_fast.plan.processors import processors
from dfim_fast.plan.walk import walkable

# Planned multiply-adds a second of one thread: the walk of events passes over most of them.
EVENTS, DENSE = 9e10, 1.1e10
EACH = 2e-3  # seconds that a sequence takes on the processors, however little it asks for

START = 2.0  # seconds for the device's context and the kernels, once
LAUNCH = 5e-6  # seconds
# Multiply-adds a second: a tenth of an A100's peak where zeros are multiplied too, and as much more
# as they are worth on the processors where they are passed over.
LAYERS, WALK = 1e12, 8e12
COPIED = 4e9  # bytes a second, from the device into the caller's array


def cpu_seconds(plan: Plan) -> float:
    """Of one sequence, on the plan's threads."""
    rate = EVENTS if plan.strategy == "events" else DENSE
    return EACH + plan.cost.planned / (rate * min(plan.threads, processors()))


def gpu_seconds(plan: Plan) -> float:
    """Of one sequence of several, once the device is ready."""
    tasks, nodes = len(plan.tasks), len(plan.graph.needed(plan.tasks))
    launches = nodes * (1 + tasks) * 2  # originals and mutants, forward and down
    chain = walkable(plan.graph, plan.tasks, plan.cost.mutants)
    rate = LAYERS if isinstance(chain, str) else WALK
    cells = tasks * 4 * plan.targets.size * (1 + (plan.groups > 1))
    return launches * LAUNCH + plan.cost.planned / rate + 4 * cells / COPIED


def pays(plan: Plan, sequences: int | None = None) -> bool:
    """Whether a GPU would be the sooner to end.

    Parameters
    ----------
    plan : Plan
    sequences : int, optional
        How many; None for so many that the start counts for nothing.
    """
    gain = cpu_seconds(plan) - gpu_seconds(plan)
    return gain > 0 if sequences is None else sequences * gain > START
