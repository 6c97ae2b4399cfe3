"""`python -m dfim_fast`: the command line where its script is not on PATH."""

from dfim_fast.cli.main import app

if __name__ == "__main__":
    app(prog_name="python -m dfim_fast")
