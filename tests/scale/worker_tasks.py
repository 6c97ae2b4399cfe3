"""Tasks for the tests of runners: plain ones, and ones that take their worker down."""

import os
import signal
import sys
import time
from pathlib import Path

import dfim_fast
from dfim_fast.errors import InputError
from dfim_fast.scale.score_work import RegionWork


class Square:
    """Squares numbers; says which process did it and with how many threads."""

    threads = 0

    def __init__(self, folder):
        self.folder = Path(folder)
        self.ready = False

    def setup(self):
        self.ready = True
        (self.folder / f"setup-{os.getpid()}").touch(exist_ok=False)

    def __call__(self, chunk):
        assert self.ready
        return chunk**2, self.threads, os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


class Dying(Square):
    """Kills its process at the first sight of some chunks, or at every one."""

    def __init__(self, folder, chunks, always=False):
        super().__init__(folder)
        self.chunks, self.always = chunks, always

    def __call__(self, chunk):
        seen = self.folder / f"seen-{chunk}"
        if chunk in self.chunks and (self.always or not seen.exists()):
            seen.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(chunk)


class Refusing(Square):
    def __call__(self, chunk):
        raise InputError(f"chunk {chunk}: not wanted")


class Unreadable(Square):
    def __call__(self, chunk):
        raise PermissionError(13, "Permission denied", "g.fa")


class Slow(Square):
    def __call__(self, chunk):
        time.sleep(60)


class DyingRegions(RegionWork):
    """Regions whose worker is killed at the first sight of some of them.

    Environment variables say which, and whether its whole job dies, since they reach a worker
    however it is started.
    """

    def __call__(self, chunk):
        seen = Path(os.environ["DYING_FOLDER"]) / f"seen-{chunk[0]}"
        if str(chunk[0]) in os.environ["DYING_CHUNKS"].split(",") and not seen.exists():
            seen.touch()
            if "DYING_JOB" in os.environ:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(chunk)


def lose_package():
    """The worker no longer finds dfim_fast."""
    sys.modules["was_dfim_fast"] = sys.modules.pop("dfim_fast")
    sys.modules["dfim_fast"] = None  # what import meets where it is not installed


def find_package():
    """It does again."""
    sys.modules["dfim_fast"] = sys.modules.pop("was_dfim_fast")


def set_version(version):
    """The worker's dfim_fast says it is another; returns what it said before."""
    before, dfim_fast.__version__ = dfim_fast.__version__, version
    return before
