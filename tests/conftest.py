"""What every test may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED_DATA = Path(
    os.environ.get("DFIM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for shared data, and skip the marked ones where there is none."""
    absent = pytest.mark.skip(
        reason="no ../shared/data beside the repository, nor DFIM_SHARED_DATA"
    )
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_data")
        if item.get_closest_marker("shared_data") and not SHARED_DATA.is_dir():
            item.add_marker(absent)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real models and sequences, which are no part of the repository."""
    return SHARED_DATA


@pytest.fixture
def run_python():
    """Run a script in a fresh interpreter that sees the same packages; return what it printed.

    Extra positional arguments replace `-c script`; keywords are environment variables.
    """

    def run(script: str, *arguments: str, **environment: str) -> str:
        # -P: the working directory is the repository, whose source folder must not hide the
        # installed package.
        command = [sys.executable, "-P", *(arguments or ("-c", script))]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=300,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run
