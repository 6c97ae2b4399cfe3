"""The cases that every benchmark shares: layers, initialisation, seed, sequences.

``TRAINED`` cases read published weights and real sequences from a data folder beside the
repository, and are skipped, with the reason, where it is absent. ``SHAPES`` have the layers and
sizes of published networks but drawn weights (He's initialisation, `layers.draw`) and random
sequences: no trained weights ship with them. Trained networks are sparser, so that the engine
gains more on them than on these shapes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from layers import (
    AveragePool,
    BatchNorm,
    Centre,
    Conv,
    Dense,
    Exp,
    Flatten,
    Gelu,
    Layer,
    Layers,
    MaxPool,
    Mean,
    Relu,
    Residual,
    Weights,
    draw,
    read,
    to_onnx,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BATCH = 32  # sequences
REFERENCES = 10  # dinucleotide shuffles, for DeepLIFT


@dataclass(frozen=True)
class Case:
    """One network with its sequences.

    Attributes
    ----------
    name, title : str
        For the command line, and for the table.
    layers : tuple of Layer
    length : int
        Positions of a sequence.
    wanted : tuple of (str, float)
        The methods to measure ("gradient", "deeplift"), each with the ratio to its peer that is
        aimed at; the ratio is only noted down.
    seed : int
        Of drawn weights and random sequences.
    model, fasta : str or None
        Trained weights and real sequences, relative to DATA.
    """

    name: str
    title: str
    layers: Layers
    length: int
    wanted: tuple[tuple[str, float], ...]
    seed: int = 0
    model: str | None = None
    fasta: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods to measure."""
        return tuple(method for method, _ in self.wanted)

    @property
    def trained(self) -> bool:
        """Whether the weights are those of a trained network."""
        return self.model is not None

    @property
    def missing(self) -> str | None:
        """Why the case cannot run here, or None."""
        for name in (self.model, self.fasta):
            if name is not None and not (DATA / name).is_file():
                return f"no ../shared/data/{name} beside the repository"
        return None

    def weights(self) -> Weights:
        """Read or drawn; kept, and not to be changed."""
        return _weights(self)

    def onnx(self) -> onnx.ModelProto:
        """The model that dfim_fast loads: the published file, or the drawn network."""
        if self.model is not None:
            return onnx.load(str(DATA / self.model))
        return to_onnx(self.layers, self.weights(), self.length)

    def sequences(self, count: int = BATCH) -> list[str]:
        """The first real sequences of the right length without N, or random ones."""
        if self.fasta is None:
            rng = np.random.default_rng([self.seed, 1])
            codes = rng.choice(4, (count, self.length), p=[0.29, 0.21, 0.21, 0.29])
            return ["".join(row) for row in np.array(list("ACGT"))[codes]]
        from dfim_fast.io.fasta import read_fasta

        _, found = read_fasta(DATA / self.fasta)
        upper = (s.upper() for s in found)
        return [s for s in upper if len(s) == self.length and not set(s) - set("ACGT")][:count]

    def digest(self) -> str:
        """A name for exactly these weights: 16 hex digits."""
        content = hashlib.sha256()
        for own in self.weights():
            for name in sorted(own):
                content.update(np.ascontiguousarray(own[name], np.float32).tobytes())
        return content.hexdigest()[:16]


@cache
def _weights(case: Case) -> Weights:
    if case.model is not None:
        return read(case.layers, DATA / case.model)
    return draw(case.layers, case.length, case.seed)


def repeated(*layers: Layer, times: int) -> Layers:
    """The same layers several times."""
    return layers * times


def tal_shape(length: int) -> Case:
    """The TAL/GATA layers at any length, drawn weights: for growth with the length."""
    return Case(f"tal_shape_{length}", f"TAL/GATA-shaped, {length} bp", TAL_LAYERS, length,
                (("gradient", 0.0),), seed=11)


TAL_LAYERS: Layers = (
    *repeated(Conv(25, 10, same=False), Relu(), times=5), MaxPool(25), Flatten(), Dense(3))

TRAINED = (
    Case("tal_gata", "TAL/GATA: 5 conv 25 x 10, pool 25; 1 kb", TAL_LAYERS, 1000,
         (("gradient", 150.0), ("deeplift", 600.0)), model="tal_gata/model.onnx",
         fasta="genome/human_1kb_10000.fa.gz"),
    Case("embedded_motifs", "Embedded motifs: conv 40 x 19, pool 10, dense 250; 200 bp",
         (Conv(40, 19, same=False), Relu(), MaxPool(10), Flatten("LC"), Dense(250), Relu(),
          Dense(1)), 200,
         (("gradient", 25.0), ("deeplift", 200.0)), model="embedded_motifs/model.onnx",
         fasta="embedded_motifs/sequences.fa.gz"),
    Case("spi1", "SPI1: 3 conv 50 x 15, BN, pool 40, dense 50; 1 kb",
         (Conv(50, 15), BatchNorm(), Relu(), Conv(50, 15), BatchNorm(), Relu(), Conv(50, 13),
          BatchNorm(), Relu(), MaxPool(40), Flatten("LC"), Dense(50), BatchNorm(), Relu(),
          Dense(1)), 1000,
         (("gradient", 100.0), ("deeplift", 300.0)), model="spi1_bqtl/model.onnx",
         fasta="spi1_bqtl/sequences.fa"),
)

SHAPES = (
    Case("deepstarr", "DeepSTARR-shaped: conv 256/60/60/120, dense 256 x 2; 249 bp",
         (Conv(256, 7), BatchNorm(), Relu(), MaxPool(2), Conv(60, 3), BatchNorm(), Relu(),
          MaxPool(2), Conv(60, 5), BatchNorm(), Relu(), MaxPool(2), Conv(120, 3), BatchNorm(),
          Relu(), MaxPool(2), Flatten(), Dense(256), BatchNorm(), Relu(), Dense(256), BatchNorm(),
          Relu(), Dense(2)), 249, (("gradient", 40.0),), seed=1),
    Case("basset", "Basset-shaped: conv 300/200/200, dense 1000 x 2; 1 kb",
         (Conv(300, 19, same=False), BatchNorm(), Relu(), MaxPool(3), Conv(200, 11, same=False),
          BatchNorm(), Relu(), MaxPool(4), Conv(200, 7, same=False), BatchNorm(), Relu(),
          MaxPool(4), Flatten(), Dense(1000), BatchNorm(), Relu(), Dense(1000), BatchNorm(),
          Relu(), Dense(18)), 1000, (("gradient", 20.0),), seed=2),
    Case("bpnet", "BPNet-shaped: conv 64 x 21, eight dilated residual; 2114 bp",
         (Conv(64, 21), Relu(),
          *(Residual((Conv(64, 3, dilation=2**i), Relu())) for i in range(1, 9)),
          Centre(1000), Mean(), Dense(1)), 2114, (("gradient", 5.0),), seed=3),
    Case("gelu", "GELU trunk: 3 conv 64 x 9, average pool 10, dense 64; 500 bp",
         (*repeated(Conv(64, 9), Gelu(), times=3), AveragePool(10), Flatten(), Dense(64), Gelu(),
          Dense(1)), 500, (("gradient", 5.0),), seed=4),
    Case("exp", "exp, then GELU: 3 conv 64 x 9, average pool 10, dense 64; 500 bp",
         (Conv(64, 9), Exp(), *repeated(Conv(64, 9), Gelu(), times=2), AveragePool(10), Flatten(),
          Dense(64), Gelu(), Dense(1)), 500, (("gradient", 5.0),), seed=5),
)

CASES = {case.name: case for case in (*TRAINED, *SHAPES)}
