"""The `dfim-fast` command: one small module for each subcommand."""

from __future__ import annotations

import atexit
import gc
from typing import Annotated

import typer

from dfim_fast.cli import demo, guide, info, maps, motifs, report, score, variants
from dfim_fast.cli.group import OneLineGroup

app = typer.Typer(
    name="dfim-fast",
    cls=OneLineGroup,
    help="Deep Feature Interaction Maps of DNA sequence models: which bases does a network read "
    "together?",
    add_completion=False,
    # plain help starts in half the time
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo", short_help="Run the whole job on a small model that ships.")(demo.demo)
app.command("guide", short_help="Print one of the guides that ship.")(guide.guide)
app.command("info", short_help="Describe a model, and the work its maps take.")(info.info)
app.command("map", short_help="Map the interactions of sequences, and judge them.")(
    maps.map_sequences
)
app.command("motifs", short_help="Interactions of pairs of motifs, judged.")(motifs.motif_pairs)
app.command("variants", short_help="What variants do to the bases and motifs around them.")(
    variants.variants
)
app.command("score", short_help="Regions of a genome, however many: streamed, resumable.")(
    score.score_regions
)
app.command("report", short_help="The report of a finished run, as one HTML page.")(report.report)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    atexit.register(gc.freeze)  # Python looks for garbage as it ends: half a second for nothing
    if version:
        import dfim_fast

        typer.echo(f"dfim-fast {dfim_fast.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
