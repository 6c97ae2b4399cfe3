"""The table of operators in the guide of that name, made from the registry.

What is read, and as what, is seen on the graphs that tests/ops/operator_cases.py keeps of every
operator: which rule multiplies, and how the operators that it is read as can be computed.

    python bench/operators.py            # writes it between the markers
    python bench/operators.py --check    # changes nothing; fails if the guide says something else
    python bench/operators.py --print    # prints it
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from table import ROOT, placed

from dfim_fast.backends.numba_cpu.events.layout import unsupported
from dfim_fast.graph.graph import Graph, GraphNode, Task
from dfim_fast.graph.reader import Importer
from dfim_fast.graph.source import input_specs
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Operator, Shape
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.registry import readers
from dfim_fast.ops.source import Input
from dfim_fast.ops.window import Window
from dfim_fast.plan.cones import split

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from ops.operator_cases import CASES, Case

PAGE = ROOT / "dfim_fast" / "guides" / "operators.md"
BEGIN, END = "<!-- operators -->", "<!-- /operators -->"
NOTHING = "only moves data: nothing to compute"
WAYS = ("events", "windows", "whole")  # fastest first


def alone(op: Operator, shapes: list[Shape]) -> Graph:
    """The operator on convolutions of the sequence, or on means of them where it reads one row."""
    length = max(rows for rows, _ in shapes)
    nodes = [GraphNode("x", Input(length), (), (length, 4))]
    inputs = []
    for rows, channels in shapes:
        conv = Conv(np.ones((1, 4, channels)), np.zeros(channels), Window(1, 1, 1, 0, length))
        nodes.append(GraphNode("conv", conv, (0,), (length, channels)))
        if rows < length:
            mean = AveragePool(Window(length, length, 1, 0, 1), np.full((1, 1), 1 / length))
            nodes.append(GraphNode("mean", mean, (len(nodes) - 1,), (1, channels)))
        inputs.append(len(nodes) - 1)
    nodes.append(GraphNode("op", op, tuple(inputs), op.output_shape(*shapes)))
    return Graph(tuple(nodes), (Task("op", len(nodes) - 1, 0, 0),))


def way(graph: Graph) -> str:
    """How the task of a graph can be computed."""
    if unsupported(graph, [0]) is None:
        return WAYS[0]
    return WAYS[2] if isinstance(split(graph, (0,)), str) else WAYS[1]


def seen(case: Case) -> tuple[set[str], set[str]]:
    """Rules of the operators that a case's node is read as, and the slowest of their ways.

    Both are empty where it is read as none.
    """
    proto = case.model(case.lengths[-1])
    spec = input_specs(proto, case.name, None)[-1 if "position_major" in case.name else 0]
    nodes = Importer(proto, spec).nodes
    made = [(n.op, [nodes[i].shape for i in n.inputs]) for n in nodes if n.name == "node"]
    ways = [way(alone(op, shapes)) for op, shapes in made]
    return {op.in_words for op, _ in made}, set(sorted(ways, key=WAYS.index)[-1:])


def table() -> str:
    """Markdown between the markers: one line for all operators that are treated alike."""
    rules: dict[str, set[str]] = {name: set() for name in readers()}
    ways: dict[str, set[str]] = {name: set() for name in readers()}
    for case in CASES.values():
        if case.op_type in rules:  # some are there for constants alone
            found, how = seen(case)
            rules[case.op_type] |= found
            ways[case.op_type] |= how
    alike: dict[tuple[str, str], list[str]] = {}
    for name in sorted(rules):
        rule = "; ".join(sorted(rules[name], key=lambda text: (len(text), text))) or NOTHING
        how = ", ".join(w for w in WAYS if w in (ways[name] or WAYS[:1]))
        alike.setdefault((rule, how), []).append(name)
    lines = ["| ONNX operators | DeepLIFT multiplier | computed by |", "|---|---|---|"]
    for (rule, how), names in sorted(alike.items(), key=lambda item: (-len(item[1]), item[1])):
        lines.append(f"| {', '.join(names)} | {rule} | {how} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--print", action="store_true")
    given = parser.parse_args()
    if given.print:
        print(table())
        return
    before = PAGE.read_text(encoding="utf-8")
    wanted = placed(before, table(), BEGIN, END)
    if given.check and wanted != before:
        raise SystemExit("the guide differs from the registry; run python bench/operators.py")
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
