"""However a command ends, it is not a traceback."""

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

import dfim_fast
from dfim_fast.errors import ModelError


@pytest.fixture
def ends_with(cli, monkeypatch):
    """Run `info` whose model loads with a given failure."""

    def run(failure):
        def load_model(*_, **__):
            raise failure

        monkeypatch.setattr("dfim_fast.maps.model.load_model", load_model)
        return cli("info", "m.onnx")

    return run


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (ModelError("m: no"), 2, "error: m: no"),
        (
            FileNotFoundError(2, "No such file or directory", "x.fa"),
            2,
            "error: x.fa: No such file or directory",
        ),
        (PermissionError(13, "Permission denied", "x.fa"), 2, "error: x.fa: Permission denied"),
        (
            MemoryError(),
            2,
            "error: not enough memory; use --window, fewer --sources or --targets, or "
            "a lower --memory-limit",
        ),
        (KeyboardInterrupt(), 130, "interrupted; nothing was kept"),
    ],
)
def test_failures_are_one_line(ends_with, failure, code, line):
    ran = ends_with(failure)
    assert (ran.code, ran.out, ran.err) == (code, "", f"dfim-fast: {line}\n")


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(ends_with, monkeypatch):
    ran = ends_with(ZeroDivisionError("division\nby zero"))
    assert ran.code == 1 and len(ran.err.splitlines()) == 1
    assert ran.err.startswith(
        "dfim-fast: error: ZeroDivisionError: division by zero. This is a fault of dfim_fast"
    )
    assert ran.err.endswith("set DFIM_FAST_TRACEBACK=1 to see more, and please report it\n")
    monkeypatch.setenv("DFIM_FAST_TRACEBACK", "1")
    assert "Traceback" in ends_with(ZeroDivisionError("x")).err


def test_our_warnings_are_lines_and_come_once(cli, monkeypatch):
    def load_model(*_, **__):
        for number in (0.5, 1e-3):
            warnings.warn(f"off by {number}", stacklevel=1)
        warnings.warn("something new in a library", DeprecationWarning, stacklevel=1)
        raise ModelError("m: no")

    monkeypatch.setattr("dfim_fast.maps.model.load_model", load_model)
    assert cli("info", "m.onnx").err == (
        "dfim-fast: warning: off by 0.5.\ndfim-fast: error: m: no\n"
    )


def test_version_and_help(cli):
    assert cli("--version").out == f"dfim-fast {dfim_fast.__version__}\n"
    ran = cli()
    assert ran.code == 0 and "Commands:" in ran.out
    for command in ("demo", "info", "map"):
        assert f"  {command} " in ran.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("mpa",), "No such command 'mpa'. Did you mean 'map'? See dfim-fast --help"),
        (("map",), "See dfim-fast map --help"),
        (("info", "a", "--wndow", "3"), "See dfim-fast info --help"),
    ],
)
def test_wrong_usage_is_one_line(cli, arguments, line):
    ran = cli(*arguments)
    assert ran.code == 2 and ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("dfim-fast: error: ") and ran.err.endswith(line + "\n")


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "dfim-fast: interrupted; nothing was kept"),
        (signal.SIGTERM, 143, "dfim-fast: terminated; nothing was kept"),
    ],
)
def test_a_signal_cleans_up(tmp_path, fasta, number, code, line):
    data = os.path.join(os.path.dirname(dfim_fast.__file__), "data")
    command = [
        sys.executable,
        "-P",
        "-m",
        "dfim_fast",
        "map",
        f"{data}/demo.onnx",
        f"{data}/demo.fa",
        "-o",
        str(tmp_path / "out"),
        "--threads",
        "1",
        "--backend",
        "reference",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".out.partial-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err.splitlines()[-1].endswith(line) and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_reader_that_leaves_early_is_no_failure_to_speak_of(model):
    command = f"{sys.executable} -P -m dfim_fast info {model} | head -n 1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr and "Error" not in ran.stderr
