"""Public names arrive when they are used, and nothing heavy arrives before."""

import importlib
import json

import pytest

import dfim_fast

HEAVY = "matplotlib numba onnx pandas pyarrow pysam scipy statsmodels zarr".split()
LOADED = f"import json, sys; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
COMMANDS = [[], ["info"], ["map"]]


def test_importing_the_package_loads_nothing_heavy(run_python):
    assert json.loads(run_python(f"import dfim_fast\n{LOADED}")) == []


def test_importing_the_package_does_not_even_load_numpy(run_python):
    assert run_python("import dfim_fast, sys; print('numpy' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(["dfim-fast", *command]))
def test_command_line_help_loads_nothing_heavy(run_python, command):
    script = f"""
from typer.testing import CliRunner
from dfim_fast.cli.main import app
result = CliRunner().invoke(app, {[*command, "--help"]})
assert result.exit_code == 0, result.output
assert "Usage" in result.output, result.output
{LOADED}
"""
    assert json.loads(run_python(script)) == []


def test_python_dash_m_is_the_command_line(run_python):
    printed = run_python("", "-m", "dfim_fast", "--help")
    assert "Usage: python -m dfim_fast" in printed


@pytest.mark.parametrize("name", sorted(set(dfim_fast.__all__) - {"__version__"}))
def test_every_public_name_is_the_one_its_module_defines(name):
    value = getattr(dfim_fast, name)
    assert value.__name__ == name
    assert value.__module__.startswith("dfim_fast.")
    assert getattr(importlib.import_module(value.__module__), name) is value


def test_dir_lists_what_has_not_been_imported_yet(run_python):
    listed = run_python("import dfim_fast; print(*dir(dfim_fast))").split()
    assert set(dfim_fast.__all__) <= set(listed)


def test_version_is_the_installed_distribution_s(run_python):
    assert run_python("import dfim_fast; print(dfim_fast.__version__)").strip()[0].isdigit()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dfim_fast' has no attribute 'interactions'"):
        dfim_fast.interactions  # noqa: B018
