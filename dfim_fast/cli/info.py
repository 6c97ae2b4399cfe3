"""`dfim-fast info`: what a model is, and what mapping it would take."""

from __future__ import annotations

import typer

from dfim_fast.cli import options as o


def info(
    model: o.ModelPath,
    sequence_length: o.SequenceLength = None,
    target: o.Target = "logit",
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

    A model with nodes that are not supported is answered with a list of all of them.
    """
    import numpy as np

    from dfim_fast.maps.model import load_model
    from dfim_fast.plan.planner import make_plan
    from dfim_fast.scale.model_info import about

    given = o.references(references)
    network = load_model(model, target=target, sequence_length=sequence_length)
    if isinstance(given, np.ndarray):
        count = given.shape[-3] if given.ndim in (3, 4) else 1
    else:
        count = n_references if given == "dinucleotide" else 1
    plan = make_plan(
        network.graph,
        method=method,
        task=o.task(task, network),
        maxpool=maxpool,
        n_references=count if method == "deeplift" else 0,
        sources=o.positions(sources, "--sources"),
        targets=o.positions(targets, "--targets"),
        window=window,
        memory_limit=o.size(memory_limit, "--memory-limit"),
        threads=threads,
    )
    typer.echo("\n".join(about(network, plan)))
