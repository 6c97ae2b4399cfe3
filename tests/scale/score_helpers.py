"""A genome, a model and a run over them that the tests of `score` share."""

import os
import signal
from pathlib import Path

import numpy as np
import pysam

import dfim_fast

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"
LENGTH = 44
REGIONS = 9
ALPHA = 0.98  # an untrained model has nothing to call; this calls some and leaves some
SETTINGS = {"method": "gradient", "random_state": 3, "task": [0, 1], "null_regions": 20,
            "top": 10_000, "progress": False, "alpha": ALPHA}  # fmt: skip


def make_genome(folder):
    """Write ``g.fa`` with its index and ``r.bed`` into a folder, and return it."""
    bases = np.random.default_rng(5).choice(list("ACGT"), 600)
    bases[70:73] = "N"
    (folder / "g.fa").write_text(">one\n" + "".join(bases) + "\n")
    pysam.faidx(str(folder / "g.fa"))
    lines = [f"one\t{i * 37}\t{i * 37 + LENGTH}\n" for i in range(REGIONS)]
    (folder / "r.bed").write_text("".join(lines))
    return folder


def run(model, genome, out, **more):
    """Score the regions of `make_genome`."""
    return dfim_fast.score(
        model, genome / "g.fa", out, bed=genome / "r.bed", **{**SETTINGS, **more}
    )


def contents(store):
    """Bytes of every file that may not depend on the day."""
    results = store / "results"
    found = {p.relative_to(store): p.read_bytes() for p in results.rglob("*") if p.is_file()}
    found[Path("settings.json")] = (store / "settings.json").read_bytes()
    return found


def interrupted(kind):
    """A runner whose user presses Ctrl-C when the third chunk has come."""

    class Interrupted(kind):
        def run(self, task, chunks, stop):
            for count, found in enumerate(super().run(task, chunks, stop)):
                if count == 2:
                    os.kill(os.getpid(), signal.SIGINT)
                yield found

    return Interrupted
