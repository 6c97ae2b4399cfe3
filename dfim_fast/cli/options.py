"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dfim_fast.errors import InputError, SettingsError

if TYPE_CHECKING:
    from dfim_fast.maps.model import Model

_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
LARGEST_SIZE = 1e18  # of any unit
LONGEST = 10**8  # bases; no model reads as many, and a list of more positions fills the memory
_KINDS = ("dinucleotide", "gc", "zeros")

ModelPaths = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="ONNX file, or those of several folds."),
]
SequenceLength = Annotated[
    int | None, typer.Option(min=1, help="Bases, where the model leaves the length open.")
]
Target = Annotated[
    str,
    typer.Option(
        help="logit: score the input of a final Sigmoid or Softmax; output: score its output; "
        "profile, counts: one number of a base-resolution output, its softmax-weighted centred "
        "logits or its (log) counts."
    ),
]
Strands = Annotated[
    str,
    typer.Option(
        help="Channels of a base-resolution output, for profile and counts: joint (one softmax "
        "over all), sum (one each, added up) or separate (a task each)."
    ),
]
OutputRange = Annotated[
    str | None,
    typer.Option(
        metavar="START-END",
        help="Output positions that profile and counts read, from 0 and without the end.  "
        "[default: all]",
    ),
]
ReverseComplement = Annotated[
    bool,
    typer.Option("--reverse-complement", help="Score the mean over both strands."),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--constant",
        metavar="NAME=VALUE",
        help="Hold an input beside the sequence at a number, or at the array in a .npy file, such "
        "as control=0; repeat for several.",
    ),
]
Task = Annotated[
    list[str] | None,
    typer.Option(help="Task to score, by name or number from 0; repeat for several.  [default: 0]"),
]
Method = Annotated[
    str,
    typer.Option(
        help="deeplift, gradient or gradient_corrected; or, slower, deeplift_revealcancel, "
        "revealcancel, guided_backprop or deconv."
    ),
]
References = Annotated[
    str,
    typer.Option(
        help="What DeepLIFT compares with: dinucleotide, gc, zeros, or a .npy file of one-hot "
        "sequences (R, 4, L) or (N, R, 4, L)."
    ),
]
NReferences = Annotated[int, typer.Option(min=1, help="Dinucleotide shuffles a sequence.")]
Window = Annotated[
    int | None,
    typer.Option(min=0, help="Keep targets within this many bases of each source.  [default: all]"),
]
Sources = Annotated[
    str | None,
    typer.Option(
        metavar="RANGES",
        help="Positions to mutate, such as 80-120,150: from 0, the end of a range "
        "left out.  [default: all]",
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        metavar="RANGES", help="Positions whose importance is read, likewise.  [default: all]"
    ),
]
Report = Annotated[
    bool,
    typer.Option("--report/--no-report", help="Write report.html, a page to look at results in."),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Workspace, such as 2GB or 500MB.  [default: 2GB]"),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Processors to use; changes no number.  [default: all]")
]
MaxPool = Annotated[str, typer.Option(help="DeepLIFT's rule for max-pooling: shap or deeplift.")]
Contribution = Annotated[
    str,
    typer.Option(
        help="projected: sums to the difference from the reference; observed: as kundajelab/dfim."
    ),
]
Epsilon = Annotated[
    float,
    typer.Option(help="Below this distance from the reference a multiplier is the derivative."),
]
GC = Annotated[float, typer.Option("--gc", help="GC content of the gc references.")]
BackendName = Annotated[
    str,
    typer.Option(
        "--backend", help="auto, numba, reference, cupy or native; info says which can run."
    ),
]
RegionsBed = Annotated[
    Path | None, typer.Option(help="BED regions; one sequence around the centre of each.")
]
RegionsGenome = Annotated[
    Path | None, typer.Option(help="FASTA the regions are cut from, with its .fai index.")
]
Threshold = Annotated[float, typer.Option(help="Largest p of a hit of --motifs.")]
Flank = Annotated[int, typer.Option(min=0, help="Bases read on each side of a variant; 0 for all.")]
NullModel = Annotated[
    str,
    typer.Option(
        help="empirical: count null values; gaussian: fit them, as the paper does."
    ),
]
Correction = Annotated[
    str, typer.Option(help="bh (Benjamini-Hochberg) or by (Benjamini-Yekutieli).")
]
Alpha = Annotated[float, typer.Option(help="Level of significance.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an earlier result, when this one is complete."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")
]
RandomState = Annotated[int, typer.Option(help="Seed of all shuffles.")]


def positions(text: str | None, option: str) -> list[int] | None:
    """Positions of ranges such as ``80-120,150``, half-open and from 0.

    Raises
    ------
    SettingsError
        If the text is something else.
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r" *([0-9]+)(?: *- *([0-9]+))? *", part)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first + 1
        if match is None or first >= last:
            raise SettingsError(
                f"{option} {text}: {part.strip()!r} is no range of positions; write start-end, "
                "from 0 and without the end, such as 80-120,150"
            )
        if last > LONGEST:
            raise SettingsError(
                f"{option} {text}: {part.strip()!r} goes past {LONGEST:,}, further than any model "
                "reads; write positions of the model's sequence, from 0"
            )
        found += range(first, last)
    return found


def stretch(text: str | None, option: str) -> tuple[int, int] | None:
    """Start and end of a range such as ``100-900``.

    Raises
    ------
    SettingsError
        If the text is something else.
    """
    found = positions(text, option)
    if found is None:
        return None
    if text is not None and "," in text:
        raise SettingsError(f"{option} {text}: give one range, start-end")
    return found[0], found[-1] + 1


def constants(texts: list[str] | None) -> dict[str, Any]:
    """Numbers or arrays by input, of texts such as ``control=0``.

    Raises
    ------
    SettingsError
        If a text is something else, or names an input twice.
    InputError
        If a file cannot be read as one array.
    """
    found: dict[str, Any] = {}
    for text in texts or []:
        name, _, value = text.rpartition("=")
        if not name or not value:
            raise SettingsError(
                f"--constant {text}: write NAME=VALUE, the name of an input of the model and what "
                "to hold it at, such as control=0"
            )
        if name in found:
            raise SettingsError(f"--constant {text}: {name!r} is held already; give it once")
        if value.endswith(".npy"):
            found[name] = array(value)
            continue
        try:
            found[name] = float(value)
        except ValueError:
            raise SettingsError(
                f"--constant {text}: {value!r} is neither a number nor a .npy file"
            ) from None
    return found


def load(
    paths: list[Path],
    sequence_length: int | None,
    target: str,
    strands: str,
    output_range: str | None,
    reverse_complement: bool,
    held: list[str] | None,
) -> Model:
    """The model, or the folds, that the options of a command describe."""
    from dfim_fast.maps.model import load_model

    return load_model(
        paths,
        target=target,
        strands=strands,
        output_range=stretch(output_range, "--output-range"),
        reverse_complement=reverse_complement,
        constants=constants(held),
        sequence_length=sequence_length,
    )


def check_regions(bed: Path | None, genome: Path | None) -> None:
    """Refuse regions without a genome, or a genome without regions.

    Raises
    ------
    SettingsError
    """
    if (bed is None) != (genome is None):
        raise SettingsError(
            "--bed and --genome go together: regions, and the FASTA they are cut from"
        )


def sequences(
    fasta: Path, bed: Path | None, genome: Path | None, length: int
) -> tuple[list[str], list[str]]:
    """Names and sequences, of regions of a genome where these are given, else of a FASTA."""
    if bed is not None and genome is not None:
        from dfim_fast.io.bed import read_regions

        return read_regions(bed, genome, length)
    from dfim_fast.io.fasta import read_fasta

    return read_fasta(fasta)


def size(text: str | None, option: str) -> int | None:
    """Bytes of a size such as ``2GB``.

    Raises
    ------
    SettingsError
        If the text is something else.
    """
    if text is None:
        return None
    match = re.fullmatch(r" *([0-9]+(?:\.[0-9]+)?) *([KMGT]I?)?B? *", text.upper())
    count = float(match[1]) if match else 0.0
    if match is None or not 0 < count < LARGEST_SIZE:
        raise SettingsError(
            f"{option} {text}: is no size; write a number and a unit, such as 2GB, 500MB or 1GiB"
        )
    return int(count * _UNITS[match[2] or ""])


def task(names: list[str] | None, model: Model) -> int | str | list[int | str]:
    """Tasks by name or, where no task has that name, by number."""
    found: list[int | str] = [
        int(name) if name.isascii() and name.isdigit() and name not in model.task_names else name
        for name in names or ["0"]
    ]
    return found[0] if len(found) == 1 else found


def references(text: str) -> Any:
    """A kind of references, or the array in a ``.npy`` file.

    Raises
    ------
    SettingsError
        For an unknown kind.
    InputError
        If the file cannot be read as one array.
    """
    if text in _KINDS:
        return text
    if not text.endswith(".npy"):
        raise SettingsError(
            f"--references {text}: is unknown; choose from {', '.join(_KINDS)} or give a .npy file"
        )
    return array(text, " of references")


def array(text: str, what: str = "") -> Any:
    """The array in a ``.npy`` file.

    Raises
    ------
    InputError
        If it cannot be read as one array.
    """
    import numpy as np

    if not Path(text).is_file():
        raise InputError(f"{text}: no such file{what}; check the path")
    try:
        return np.load(text, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise InputError(
            f"{text}: cannot be read as an array{what}; write one with numpy.save"
        ) from None
