"""`dfim-fast info`: what a model is, and what mapping it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o


def info(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]", help="ONNX file, or those of several folds; none: backends alone."
        ),
    ] = None,
    sequence_length: o.SequenceLength = None,
    target: o.Target = "logit",
    strands: o.Strands = "joint",
    output_range: o.OutputRange = None,
    reverse_complement: o.ReverseComplement = False,
    constant: o.Constants = None,
    task: o.Task = None,
    method: o.Method = "deeplift",
    references: o.References = "dinucleotide",
    n_references: o.NReferences = 20,
    maxpool: o.MaxPool = "shap",
    sources: o.Sources = None,
    targets: o.Targets = None,
    window: o.Window = None,
    memory_limit: o.MemoryLimit = None,
    threads: o.Threads = None,
) -> None:
    """Say what a model is: layers, reach, tasks, backends, and the work that its maps take.

    A model with nodes that are not supported is answered with a list of all of them. Of several
    models, folds of one question, each is described. Without a model: which backends can run here,
    and why the others cannot.
    """
    import numpy as np

    from dfim_fast.plan.plan import compares
    from dfim_fast.plan.planner import make_plan
    from dfim_fast.scale.model_info import about, backends

    if not models:
        typer.echo("\n".join(["Backends", *backends()]))
        return
    given = o.references(references)
    network = o.load(
        models, sequence_length, target, strands, output_range, reverse_complement, constant
    )
    if isinstance(given, np.ndarray):
        count = given.shape[-3] if given.ndim in (3, 4) else 1
    else:
        count = n_references if given == "dinucleotide" else 1
    plans = [
        make_plan(
            graph,
            method=method,
            task=network.graph.task_indices(o.task(task, network)),  # type: ignore[arg-type]
            maxpool=maxpool,
            n_references=count if compares(method) else 0,
            sources=o.positions(sources, "--sources"),
            targets=o.positions(targets, "--targets"),
            window=window,
            memory_limit=o.size(memory_limit, "--memory-limit"),
            threads=threads,
        )
        for graph in network.graphs
    ]
    typer.echo("\n".join(about(network, plans)))
