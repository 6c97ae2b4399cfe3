"""The code of the guides runs as it stands, each guide in an empty folder and a process of its own.

A guide's blocks are run in order, Python in one namespace. Blocks in other languages, and indented
lines, are only read.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dfim_fast

GUIDES = sorted((Path(dfim_fast.__file__).parent / "guides").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDED = re.compile(r"^(?:import|from) (torch|keras|xarray|dask|cupy)\b", re.MULTILINE)
# Runs the blocks that it is given; a failing line is told with the guide's own line number.
RUNNER = """
import json, subprocess, sys
name, blocks = json.load(sys.stdin)
space = {"__name__": "__main__"}
for language, line, text in blocks:
    if language == "python":
        exec(compile("\\n" * line + text, name, "exec"), space)
    else:
        subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
"""


def blocks_of(text):
    """Language, lines before it, and text of each block that runs."""
    return [
        (match[1], text[: match.start(2)].count("\n"), match[2])
        for match in BLOCK.finditer(text)
        if match[1] in ("python", "bash")
    ]


def run(name, blocks, folder):
    """Run blocks in a folder, with the command line of this interpreter on PATH."""
    import json

    command = folder / "bin" / "dfim-fast"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dfim_fast "$@"\n')
    command.chmod(0o755)
    root = str(Path(dfim_fast.__file__).parents[1])
    environment = {
        **os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    work = folder / "work"
    work.mkdir()
    return subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps([name, blocks]), cwd=work,
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_a_guide_runs_as_it_stands(guide, tmp_path):
    blocks = blocks_of(guide.read_text(encoding="utf-8"))
    if not blocks:
        pytest.skip("a guide without code")
    needed = sorted({name for _, _, text in blocks for name in NEEDED.findall(text)})
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"this guide needs {', '.join(missing)}, which is not installed")
    done = run(guide.name, blocks, tmp_path)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_a_wrong_line_is_found_and_named(tmp_path):
    text = "# A guide\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n"
    done = run("wrong.md", blocks_of(text), tmp_path)
    assert done.returncode != 0 and 'File "wrong.md", line 8' in done.stderr


def test_there_is_a_guide_for_each_question():
    assert {"from_pytorch", "from_keras", "references", "significance", "adding_an_operator"} <= {
        path.stem for path in GUIDES
    }
