"""A small model, sequences, and a way to run the command line in this process."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dfim_fast.cli.main import app

MODELS = Path(__file__).resolve().parents[1] / "models"
SEQUENCES = [
    "ACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCA",
    "TTGACNACGGATTACAGGATCCAACGTACGTTGCATGCAACGTG",
]


@dataclass
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run `dfim-fast` with some arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def model():
    """Path of a model of 44 bases with four tasks."""
    return MODELS / "two_outputs_dynamo.onnx"


@pytest.fixture
def fasta(tmp_path):
    """Path of two sequences, one with an N, in a folder of their own."""
    path = tmp_path / "given" / "sequences.fa"
    path.parent.mkdir()
    path.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    return path
