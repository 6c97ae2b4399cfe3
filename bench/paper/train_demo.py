"""Make the demo model and data of `dfim-fast demo`: a small copy of the paper's section 3.1 task.

Random 200 bp sequences (GC 0.46) carry known motifs at known places. A sequence is positive when it
holds ELF1 and SIX5; a negative holds one of the two or neither. AP1 and TAL1 are distractors that
occur in both classes. A motif may occur twice in one sequence: two ELF1 are no substitute for a
SIX5, so a sum over motifs cannot solve the task and the network has to learn the interaction.

Run with PyTorch and onnx installed, from anywhere:

    python bench/paper/train_demo.py --out DIR

Without --out it writes demo.onnx, demo.fa and demo_motifs.tsv where the package ships them.

It trains on one thread in a few minutes, prints the accuracy on held-out sequences and the
double-mutant in-silico mutagenesis of every motif pair, and refuses to write a model that does not
reach the stated accuracy or whose strongest pair is not ELF1 and SIX5.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

LETTERS = "ACGT"
LENGTH = 200
GC = 0.46
MOTIFS = {
    "ELF1": "AACCCGGAAGTG",
    "SIX5": "AATAGGGTATCATATAT",
    "AP1": "ATGAGTCACC",
    "TAL1": "CTGAACAGATGGTCGG",
}
SEED = 20180908
ACCURACY_WANTED = 0.97
# The strongest other pair has to stay below this share of the ELF1-SIX5 interaction.
OTHER_PAIR_SHARE = 0.2
# Soft labels bound the logit. A hard-label network may go on pushing it by adding up motifs, and a
# sum has no interaction.
SOFT_LABELS = (0.02, 0.98)

Instance = tuple[int, int, str]


def background(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random base codes (0..3 for A, C, G, T) of the stated GC content."""
    probabilities = [(1 - GC) / 2, GC / 2, GC / 2, (1 - GC) / 2]
    return rng.choice(4, size=shape, p=probabilities).astype(np.int8)


def encode(text: str) -> np.ndarray:
    """Base codes of a string over ACGT."""
    return np.array([LETTERS.index(letter) for letter in text], dtype=np.int8)


def embed(rng: np.random.Generator, sequence: np.ndarray, names: list[str]) -> list[Instance]:
    """Write motifs into `sequence` (L,) in place, in random order and without overlap.

    All arrangements are equally likely: the free bases are split into gaps at sorted uniform cuts.
    Returns (start, end, name), 0-based and half-open, in order of position.
    """
    order = [names[i] for i in rng.permutation(len(names))]
    free = len(sequence) - sum(len(MOTIFS[name]) for name in order)
    starts = np.sort(rng.integers(0, free + 1, size=len(order)))
    instances = []
    used = 0
    for cut, name in zip(starts, order, strict=True):
        start = int(cut) + used
        motif = encode(MOTIFS[name])
        sequence[start : start + len(motif)] = motif
        instances.append((start, start + len(motif), name))
        used += len(motif)
    return instances


def draw_motifs(rng: np.random.Generator, positive: bool) -> list[str]:
    """Names of the motifs of one training sequence, repeats included."""

    def copies() -> int:
        return 1 + int(rng.random() < 0.4)

    names = []
    kind = "both" if positive else rng.choice(["ELF1", "SIX5", "neither"], p=[0.375, 0.375, 0.25])
    for name in ("ELF1", "SIX5"):
        if kind in ("both", name):
            names += [name] * copies()
    for name in ("AP1", "TAL1"):
        names += [name] * int(rng.integers(0, 3))
    return names


def simulate(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, L) and labels (n,), half of them positive."""
    codes = background(rng, (n, LENGTH))
    labels = rng.permutation(np.arange(n) % 2 == 0)
    for sequence, label in zip(codes, labels, strict=True):
        embed(rng, sequence, draw_motifs(rng, bool(label)))
    return codes, labels


def demo_set(
    rng: np.random.Generator, positives: int = 40, negatives: int = 10
) -> tuple[list[str], np.ndarray, list[list[Instance]]]:
    """Sequences for the demo: every positive holds each of the four motifs exactly once.

    So all pairs of motifs occur equally often. The negatives lack ELF1, SIX5 or both.
    """
    codes = background(rng, (positives + negatives, LENGTH))
    names, instances = [], []
    negative_kinds = itertools.cycle((["ELF1"], ["SIX5"], []))
    for i, sequence in enumerate(codes):
        if i < positives:
            names.append(f"positive_{i + 1:02d}")
            chosen = list(MOTIFS)
        else:
            names.append(f"negative_{i - positives + 1:02d}")
            chosen = [*next(negative_kinds), "AP1", "TAL1"]
        instances.append(embed(rng, sequence, chosen))
    return names, codes, instances


def one_hot(codes: np.ndarray) -> torch.Tensor:
    """Codes (N, L) to one-hot (N, 4, L) float32."""
    return torch.from_numpy(np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1).copy())


class DemoNet(nn.Module):
    """One-hot (N, 4, 200) to one logit (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 24, 19)
        self.pool = nn.MaxPool1d(10)
        self.hidden = nn.Linear(24 * 18, 48)
        self.logit = nn.Linear(48, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logit of the class ELF1-and-SIX5."""
        x = self.pool(torch.relu(self.conv(x))).flatten(1)
        return self.logit(torch.relu(self.hidden(x)))


class Exported(nn.Module):
    """The network as users export theirs: with a sigmoid on top."""

    def __init__(self, network: DemoNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probability of the class ELF1-and-SIX5, (N, 1)."""
        return torch.sigmoid(self.network(x))


def train(rng: np.random.Generator, epochs: int, per_epoch: int, batch: int) -> DemoNet:
    """Train on sequences that are drawn afresh each epoch, so none can be learnt by heart."""
    network = DemoNet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (per_epoch // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    loss_of = nn.BCEWithLogitsLoss()
    low, high = SOFT_LABELS
    for epoch in range(epochs):
        codes, labels = simulate(rng, per_epoch)
        inputs = one_hot(codes)
        wanted = torch.from_numpy(np.where(labels, high, low).astype(np.float32))[:, None]
        total = 0.0
        for start in range(0, per_epoch, batch):
            optimiser.zero_grad()
            loss = loss_of(network(inputs[start : start + batch]), wanted[start : start + batch])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * batch / per_epoch
        print(f"epoch {epoch + 1:2d}/{epochs}: loss {total:.4f}", flush=True)
    return network.eval()


@torch.no_grad()
def logits(network: DemoNet, codes: np.ndarray, batch: int = 512) -> np.ndarray:
    """Logits (N,) of codes (N, L)."""
    parts = [network(one_hot(codes[i : i + batch]))[:, 0] for i in range(0, len(codes), batch)]
    return torch.cat(parts).double().numpy()


def pair_interactions(
    rng: np.random.Generator,
    network: DemoNet,
    codes: np.ndarray,
    instances: list[list[Instance]],
    draws: int = 8,
) -> dict[tuple[str, str], np.ndarray]:
    """Double-mutant in-silico mutagenesis of every pair of motifs that occur once per sequence.

    A mutant has the motif's span redrawn from the background. The interaction is the joint effect
    minus the sum of the two single effects, each an original minus a mutant logit, averaged over
    `draws` backgrounds shared by the single and the joint mutants.

    Returns (N,) per pair.
    """
    original = logits(network, codes)
    n = len(codes)

    def effect(*names: str) -> np.ndarray:
        mutants = np.repeat(codes[:, None], draws, axis=1)
        for i, (found, motif_names) in enumerate(zip(instances, names_by_sequence, strict=True)):
            for name in names:
                start, end, _ = found[motif_names.index(name)]
                mutants[i, :, start:end] = fill[i, :, start:end]
        mutant = logits(network, mutants.reshape(n * draws, LENGTH)).reshape(n, draws)
        return original - mutant.mean(axis=1)

    names_by_sequence = [[name for _, _, name in found] for found in instances]
    fill = background(rng, (n, draws, LENGTH))
    single = {name: effect(name) for name in MOTIFS}
    return {
        (a, b): effect(a, b) - single[a] - single[b] for a, b in itertools.combinations(MOTIFS, 2)
    }


def export(network: DemoNet, path: Path) -> None:
    """Write the network with its sigmoid as one ONNX file, opset 17, free batch size."""
    torch.onnx.export(
        Exported(network).eval(),
        (torch.zeros(2, 4, LENGTH),),
        str(path),
        opset_version=17,
        dynamo=False,
        input_names=["sequence"],
        output_names=["ELF1_and_SIX5"],
        dynamic_axes={"sequence": {0: "N"}, "ELF1_and_SIX5": {0: "N"}},
    )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def write_sequences(
    out: Path, names: list[str], codes: np.ndarray, instances: list[list[Instance]]
) -> None:
    """Write demo.fa and demo_motifs.tsv."""
    with (out / "demo.fa").open("w", newline="\n") as handle:
        for name, sequence in zip(names, codes, strict=True):
            handle.write(f">{name}\n{''.join(LETTERS[code] for code in sequence)}\n")
    with (out / "demo_motifs.tsv").open("w", newline="\n") as handle:
        handle.write("sequence\tstart\tend\tname\n")
        for name, found in zip(names, instances, strict=True):
            for start, end, motif in found:
                handle.write(f"{name}\t{start}\t{end}\t{motif}\n")


def main() -> None:
    """Train, check and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default_out = Path(__file__).resolve().parents[2] / "dfim_fast" / "data"
    parser.add_argument("--out", type=Path, default=default_out)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--per-epoch", type=int, default=20_480)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    train_rng, test_rng, demo_rng, ism_rng = np.random.default_rng(arguments.seed).spawn(4)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {platform.machine()}")
    begin = time.perf_counter()
    network = train(train_rng, arguments.epochs, arguments.per_epoch, arguments.batch)
    print(f"trained in {time.perf_counter() - begin:.0f} s")

    codes, labels = simulate(test_rng, 10_000)
    scores = logits(network, codes)
    accuracy = float(((scores > 0) == labels).mean())
    print(f"held-out accuracy {accuracy:.4f} on {len(codes):,} sequences")
    print(
        f"logit: positives {scores[labels].mean():+.2f} (sd {scores[labels].std():.2f}), "
        f"negatives {scores[~labels].mean():+.2f} (sd {scores[~labels].std():.2f})"
    )
    if accuracy < ACCURACY_WANTED:
        raise SystemExit(f"accuracy {accuracy:.4f} is below {ACCURACY_WANTED}: nothing written")

    test_names, test_codes, test_instances = demo_set(test_rng, positives=400, negatives=0)
    pairs = pair_interactions(ism_rng, network, test_codes, test_instances)
    print(f"double-mutant interaction over {len(test_names)} positives (mean, sd, mean absolute):")
    for (a, b), values in sorted(pairs.items(), key=lambda item: -np.abs(item[1]).mean()):
        print(
            f"  {a:>4s} {b:<4s} {values.mean():+8.3f} {values.std():7.3f} "
            f"{np.abs(values).mean():7.3f}"
        )
    size = {pair: float(np.abs(values).mean()) for pair, values in pairs.items()}
    wanted = size.pop(("ELF1", "SIX5"))
    runner_up = max(size, key=lambda pair: size[pair])
    print(f"next strongest {'-'.join(runner_up)}: {size[runner_up] / wanted:.1%} of ELF1-SIX5")
    if size[runner_up] > OTHER_PAIR_SHARE * wanted:
        raise SystemExit("ELF1-SIX5 is not clearly the strongest pair: nothing written")

    arguments.out.mkdir(parents=True, exist_ok=True)
    export(network, arguments.out / "demo.onnx")
    names, codes, instances = demo_set(demo_rng)
    write_sequences(arguments.out, names, codes, instances)
    right = int(((logits(network, codes) > 0) == [n.startswith("pos") for n in names]).sum())
    print(f"demo set: {right} of {len(names)} sequences classified correctly")


if __name__ == "__main__":
    main()
