"""`dfim-fast guide`: the guides that ship with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from dfim_fast.errors import SettingsError


def guide(
    name: Annotated[str | None, typer.Argument(
        metavar="[NAME]", help="Guide to print.  [default: list them]")] = None,
) -> None:  # fmt: skip
    """Print a guide, as Markdown: from PyTorch or Keras, references, significance and others."""
    from importlib.resources import files

    folder = files("dfim_fast") / "guides"
    texts = {
        path.name.removesuffix(".md"): path.read_text(encoding="utf-8")
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".md")
    }
    if name is None:
        width = max(map(len, texts))
        for each, text in texts.items():
            typer.echo(f"{each:{width}s}  {text.splitlines()[0].lstrip('# ')}")
        return
    if name not in texts:
        raise SettingsError(f"guide {name!r} is not known; choose from {', '.join(texts)}")
    typer.echo(texts[name], nl=False)
