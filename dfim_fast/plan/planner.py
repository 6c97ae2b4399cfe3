"""From a graph and what is asked of it to a Plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dfim_fast.errors import SettingsError
from dfim_fast.graph.cone import reach
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Elementwise, Rule
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.pad import Pad
from dfim_fast.plan.cones import Cones, cones, hulls
from dfim_fast.plan.cost import Cost, pass_cost
from dfim_fast.plan.plan import CONTRIBUTIONS, MAXPOOLS, METHODS, Plan
from dfim_fast.plan.processors import processors
from dfim_fast.plan.rules import choose_rule, why_whole

DEFAULT_MEMORY = 2_000_000_000  # bytes of workspace
REFERENCE_BYTES = 16  # of a position of one reference: four bases in float32
TILE_BYTES = 8_000_000  # activations of one tile: near the cache, large enough for the products
TILE_RANGE = (4, 64)  # mutants
KEPT = 4  # studies of a graph, each as large as a mask
# Mutants of a sequence up to which whole passes cost less than carrying a hidden head's basis down
# the trunk; measured on the SPI1, embedded-motif and DeepSTARR-shaped models.
FEW = 16
CONE_SHARE = 0.8  # of a whole pass: above it windows cost more to handle than they save


def choose(name: str, value: str, allowed: Sequence[str]) -> str:
    """An option that is one of a few words.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if value not in allowed:
        raise SettingsError(f"{name}={value!r} is unknown; choose from " + ", ".join(allowed))
    return value


def positions(name: str, wanted: Sequence[int] | np.ndarray | None, length: int) -> np.ndarray:
    """Source or target positions, checked; all of them for None.

    Raises
    ------
    SettingsError
        For positions that repeat or lie outside the sequence.
    """
    if wanted is None:
        return np.arange(length)
    found = np.atleast_1d(np.asarray(wanted))
    if found.size == 0 or found.ndim != 1 or found.dtype.kind not in "iu":
        raise SettingsError(
            f"{name} must be a list of at least one whole position, 0 to {length - 1}"
        )
    outside = found[(found < 0) | (found >= length)]
    if outside.size:
        raise SettingsError(
            f"{name} holds position {outside[0]}, outside the sequence; wanted 0 to {length - 1}"
        )
    if len(np.unique(found)) != len(found):
        raise SettingsError(f"{name} names a position twice; list each once")
    return found.astype(np.int64)


def target_table(
    sources: np.ndarray, targets: np.ndarray, window: int | None, length: int
) -> np.ndarray:
    """Target positions (S, W) of each source, -1 where there is none."""
    if window is None:
        return np.broadcast_to(targets, (len(sources), len(targets)))
    table = sources[:, None] + np.arange(-window, window + 1)[None]
    wanted = np.zeros(length, bool)
    wanted[targets] = True
    inside = (table >= 0) & (table < length)
    return np.where(inside & wanted[np.clip(table, 0, length - 1)], table, -1)


def whole_number(name: str, value: object, least: int) -> int:
    """An option that counts something.

    Raises
    ------
    SettingsError
        If it is no whole number or below ``least``.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise SettingsError(f"{name}={value!r}: wanted a whole number, {least} or more")
    return int(value)


def available_threads(threads: int | None = None) -> int:
    """Threads to use: as asked, else the processors this process may run on."""
    if threads is not None:
        return whole_number("threads", threads, 1)
    return processors()


def tile_size(
    graph: Graph, nodes: tuple[int, ...], budget: int, threads: int
) -> tuple[int, int, int]:
    """Mutants in a tile, threads that the budget has room for, and the bytes that both take."""
    activations = graph.values(nodes)
    widest = max(graph.values([i]) for i in nodes)
    # float32 activations and their gradients, and padded or float64 copies of the widest layer
    each = 4 * (2 * activations + 6 * widest)
    if each > budget:
        raise SettingsError(
            f"memory_limit of {budget / 1e6:.3g} MB is too small for this model; it needs at least "
            f"{each / 1e6:.3g} MB: raise it"
        )
    tile = int(np.clip(TILE_BYTES // max(4 * activations, 1), *TILE_RANGE))
    # rather fewer threads than smaller tiles
    tile = min(tile, budget // each)
    threads = min(threads, budget // (each * tile))
    return tile, threads, each * tile * threads


def choose_strategy(
    graph: Graph,
    tasks: tuple[int, ...],
    sources: np.ndarray,
    targets: np.ndarray,
    work: int,
    rule: Rule,
) -> tuple[Cones | None, str, str]:
    """The cones if they save enough to pay for their bookkeeping, the strategy, and why."""
    found = cones(graph, tasks, sources, targets)
    if isinstance(found, str):
        return None, "whole", found
    why = why_whole(graph, rule, found)
    if why is not None:
        return None, "whole", why
    forward, backward = found.multiply_adds(graph)
    share = (forward + backward) / max(2 * work, 1)
    held = f"a mutant's windows hold {100 * share:.2g}% of a pass"
    why = dense_reason(graph, found) or gate_reason(rule)
    if why is None:
        return found, "events", f"{held}, and most of them are zeros that ReLUs leave exact"
    if share > CONE_SHARE:
        return None, "whole", held
    return found, "cones", f"{held}; {why}"


def dense_reason(graph: Graph, found: Cones) -> str | None:
    """What a walk of events could not do, or would gain nothing by; None for all others."""
    for i in found.split.trunk:
        op, name = graph.nodes[i].op, graph.nodes[i].name
        gate = isinstance(op, Elementwise) and op.piecewise_linear
        if not (op.linear or gate or isinstance(op, MaxPool)):
            return f"{name!r} leaves no exact zeros"
        if isinstance(op, Pad):
            return f"{name!r} has no events"
    for i in found.split.head:
        op, name = graph.nodes[i].op, graph.nodes[i].name
        if not op.linear and not isinstance(op, Elementwise):
            return f"{name!r} has no events"
    return None


def gate_reason(rule: Rule) -> str | None:
    """Why the walk of events does not know a rule for gates, or None."""
    return None if rule.gates == "gradient" else f"{rule.gates} has no walk of events"


Study = tuple[np.ndarray, Cones | None, str, str]
_studies: WeakKeyDictionary[Graph, dict[Any, Study]] = WeakKeyDictionary()


def study(
    graph: Graph,
    tasks: tuple[int, ...],
    sources: np.ndarray,
    targets: np.ndarray,
    work: int,
    rule: Rule,
) -> Study:
    """What the architecture connects (K, S, T), and the cones, strategy and reason chosen."""
    # the columns of one output share their cones
    ends = {(graph.tasks[t].node, graph.tasks[t].position): t for t in tasks}
    by_end = {end: reach(graph, graph.tasks[t], sources, targets) for end, t in ends.items()}
    reachable = np.stack([by_end[graph.tasks[t].node, graph.tasks[t].position] for t in tasks])
    return reachable, *choose_strategy(graph, tasks, sources, targets, work, rule)


def remembered(graph: Graph, key: Any, make: Callable[[], Study]) -> Study:
    """The study of an earlier call with the same key: it can take longer than a map."""
    kept = _studies.setdefault(graph, {})
    if key not in kept:
        if len(kept) >= KEPT:
            kept.pop(next(iter(kept)))
        kept[key] = make()
    return kept[key]


def planned_work(
    graph: Graph, tasks: tuple[int, ...], found: Cones | None, work: int, mutants: int, count: int
) -> int:
    """Multiply-adds of a plan, without what exact zeros and far parts add or save."""
    backs = len(tasks) * max(count, 1)
    if found is None:
        return work * mutants * (1 + backs) + work * count
    forward, backward = found.multiply_adds(graph)
    return int(mutants * (forward + backs * backward) + work * (1 + count + backs))


def make_plan(
    graph: Graph,
    *,
    method: str = "deeplift",
    task: int | str | list[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    n_references: int = 0,
    sources: Sequence[int] | np.ndarray | None = None,
    targets: Sequence[int] | np.ndarray | None = None,
    window: int | None = None,
    memory_limit: int | None = None,
    threads: int | None = None,
) -> Plan:
    """Decide everything that does not depend on the sequences.

    Raises
    ------
    SettingsError
        For an unknown option, task or position, or a memory limit that nothing fits into.
    """
    choose("method", method, METHODS)
    choose("contribution", contribution, CONTRIBUTIONS)
    choose("maxpool", maxpool, MAXPOOLS)
    if not isinstance(epsilon, (int, float, np.number)) or not 0 < epsilon < np.inf:
        raise SettingsError(f"epsilon={epsilon!r} must be positive; the default is 1e-6")
    if window is not None:
        window = whole_number("window", window, 0)
        if window >= graph.length:
            raise SettingsError(
                f"window={window} is wider than the sequence of {graph.length} bases; leave it "
                f"out for all targets, or use at most {graph.length - 1}"
            )
    tasks = tuple(graph.task_indices(task))
    where = positions("sources", sources, graph.length)
    table = target_table(where, positions("targets", targets, graph.length), window, graph.length)
    nodes = graph.needed(tasks)
    budget = (
        DEFAULT_MEMORY if memory_limit is None else whole_number("memory_limit", memory_limit, 1)
    )
    tile, n_threads, workspace = tile_size(graph, nodes, budget, available_threads(threads))
    held = REFERENCE_BYTES * n_references * graph.length
    if held > budget:
        raise SettingsError(
            f"{n_references} references of a sequence take {held / 1e6:.3g} MB, more than the "
            f"memory_limit of {budget / 1e6:.3g} MB; use fewer of them"
        )
    work, mutants = pass_cost(graph, tasks), 3 * len(where)
    backward = work * mutants * len(tasks) * max(n_references, 1)
    forward = work * mutants * max(n_references, 1)
    read = None if targets is None else np.asarray(targets).tobytes()
    rule = choose_rule(graph, nodes, method, epsilon, maxpool)
    key = (tasks, where.tobytes(), read, window, bool(rule.revealed), rule.gates)
    reachable, found, strategy, reason = remembered(
        graph, key, lambda: study(graph, tasks, where, table, work, rule)
    )
    planned = planned_work(graph, tasks, found, work, mutants, n_references)
    return Plan(
        graph=graph,
        tasks=tasks,
        method=method,
        contribution=contribution,
        rule=rule,
        n_references=n_references,
        sources=where,
        targets=table,
        reach=reachable,
        tile=tile,
        threads=n_threads,
        memory_limit=budget,
        workspace=workspace,
        cost=Cost(mutants, forward, backward, planned),
        cones=found,
        strategy=strategy,
        reason=reason,
    )


def plan_spans(plan: Plan, start: np.ndarray, width: np.ndarray, targets: np.ndarray) -> Plan:
    """The plan with the spans of one sequence as its sources, whatever its own were.

    Parameters
    ----------
    plan : Plan
    start, width : ndarray (M,)
    targets : ndarray (W,) or (M, W) of int
        Positions to read for each span; -1 for none.
    """
    table = np.broadcast_to(targets, (len(start), np.shape(targets)[-1]))
    windows = plan.cones
    if windows is not None:
        trunk, widest = windows.split.trunk, int(width.max(initial=1))
        windows = Cones(windows.split, *hulls(plan.graph, trunk, start, table, widest))
    reachable = np.ones((len(plan.tasks), *table.shape), bool)
    return replace(plan, sources=start, targets=table, reach=reachable, cones=windows)
