"""Every way a command can fail, as one line on stderr and an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from dfim_fast.errors import DfimError

WRONG_INPUT, FAULT, INTERRUPTED = 2, 1, 130
TRACEBACK = "DFIM_FAST_TRACEBACK"  # set it to see where a failure came from


class Terminated(SystemExit):
    """Another process asked for an end; the exit code says with which signal."""


class OneLineGroup(TyperGroup):
    """A group of commands that never ends in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; `DfimError` and what the machine does wrong end it with one line."""
        with _plain_warnings(), _terminable():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as stop:
                text = str(stop) or "interrupted; nothing was kept"
                raise _failed(text, INTERRUPTED) from None
            except Terminated:
                _say("terminated; nothing was kept")
                raise
            except DfimError as error:
                raise _failed(str(error), WRONG_INPUT) from None
            except BrokenPipeError:  # the reader, such as head, has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(FAULT) from None
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                raise _failed(f"{where}{error.strerror or error}", WRONG_INPUT) from None
            except MemoryError:
                raise _failed(
                    "not enough memory; use --window, fewer --sources or --targets, or a lower "
                    "--memory-limit",
                    WRONG_INPUT,
                ) from None
            except Exception as error:
                if _is_usage(error) or isinstance(error, typer.Exit | typer.Abort):
                    raise
                raise _failed(_fault(error), FAULT) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run; wrong usage is one line too."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            if not _is_usage(error):
                raise
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "dfim-fast"
            found: Any = error
            _say(f"error: {_one_line(found.format_message())} See {path} --help")
            code = WRONG_INPUT
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _is_usage(error: BaseException) -> bool:
    # typer has its own copy of click or uses the real one, by version; both have this method
    return hasattr(error, "format_message")


def _failed(text: str, code: int) -> typer.Exit:
    """Print a failure; the exception to raise."""
    if os.environ.get(TRACEBACK):
        traceback.print_exc()
    _say(f"error: {text}" if code != INTERRUPTED else text)
    return typer.Exit(code)


def _say(text: str) -> None:
    """Print a line to stderr, below any progress bar."""
    print(f"dfim-fast: {text}", file=sys.stderr, flush=True)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?")) else text + "."


def _fault(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "dfim_fast" in f.filename]
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return (
        f"{_one_line(f'{type(error).__name__}: {error}')} This is a fault of dfim_fast{where}; "
        f"set {TRACEBACK}=1 to see more, and please report it"
    )


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show our own warnings as one line, each once; leave out those of libraries."""
    seen: set[str] = set()

    def show(message: Any, category: Any, *_: Any, **__: Any) -> None:
        text = str(message)
        kind = re.sub(r"[-+.\de]+", "#", text)  # the same warning with another number
        if category is UserWarning and kind not in seen:
            seen.add(kind)
            _say(f"warning: {_one_line(text)}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


@contextmanager
def _terminable() -> Iterator[None]:
    """End as Ctrl-C does, cleaning up, when a scheduler or a closed terminal ends the run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        raise Terminated(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler or signal.SIG_DFL)
