"""Memory of one run, kept between runs of the same shape."""

from __future__ import annotations

from math import prod
from threading import Lock

from dfim_fast.backends.numba_cpu.events.finish import GROUP
from dfim_fast.backends.numba_cpu.events.layout import SLACK, Builder, aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.work import Crew
from dfim_fast.ops.base import Array

LARGE = 64 << 20  # bytes of a blob, above which a thread walks one mutant at a time
LARGEST = 256 << 20  # floats that are set aside before they are needed
REST = 64 << 20  # bytes that a program keeps for later calls
PIECE = 64  # most positions that a thread takes at a time


class Memory:
    """Blobs of one run: activations of the sequence and its references, and one Work per thread."""

    def __init__(self, builder: Builder, references: int, threads: int) -> None:
        self.builder = builder
        self.acts = [aligned(builder.floats + SLACK) for _ in range(1 + references)]
        self.quotients = [aligned(builder.floats + SLACK) for _ in range(references)]
        self.winners = [aligned(builder.winners + SLACK) for _ in range(1 + references)]
        self.upstream: list[Array] = []
        self.spare: list[Array] = []
        self.lent: dict[int, Array] = {}  # by what owns the memory of all its views
        self.lock = Lock()
        group = GROUP if builder.floats * 4 <= LARGE else 1
        self.crews = [Crew(builder, group) for _ in range(threads)]
        self.works = [crew.works[0] for crew in self.crews]
        self.group = group

    @property
    def bytes(self) -> int:
        """The most that it takes: what was never written takes none."""
        arrays = [*self.acts, *self.quotients, *self.winners, *self.upstream, *self.spare]
        works = [a for crew in self.crews for work in crew.works for a in work.owned]
        return sum(a.nbytes for a in arrays + works)

    def upstreams(self, count: int) -> list[Array]:
        """Blobs for what arrives at every node."""
        while len(self.upstream) < count:
            self.upstream.append(aligned(self.builder.floats + SLACK))
        return self.upstream[:count]

    def large(self, shape: tuple[int, ...], longest: int = 0) -> Array:
        """Memory that may hold anything, until it is given back.

        Runs to come will ask for a last axis of ``longest`` at most. What is never written takes no
        memory, so room for the largest run costs nothing, and the system need not clear it again.
        """
        size = prod(shape)
        with self.lock:
            fits = [(len(array), i) for i, array in enumerate(self.spare) if size <= len(array)]
            if fits:
                array = self.spare.pop(min(fits)[1])
            else:
                most = size // max(1, shape[-1]) * whole_vectors(longest)
                array = aligned(max(size, min(most, LARGEST)))
            self.lent[id(array.base)] = array
        return array[:size].reshape(shape)

    def give_back(self, *arrays: Array) -> None:
        """Keep what ``large`` lent for the next who asks."""
        with self.lock:
            self.spare += [self.lent.pop(id(array.base)) for array in arrays]

    def give_all_back(self) -> None:
        """Keep all that ``large`` lent."""
        self.spare += self.lent.values()
        self.lent.clear()


class Memories:
    """Memory of earlier runs, by their shape; several threads may take it and give it back."""

    def __init__(self) -> None:
        self._idle: dict[tuple[int, int], list[Memory]] = {}

    def take(self, builder: Builder, references: int, threads: int) -> Memory:
        """Memory for a run that no other run is using."""
        try:
            return self._idle[references, threads].pop()
        except (KeyError, IndexError):
            return Memory(builder, references, threads)

    def give_back(self, references: int, threads: int, memory: Memory) -> None:
        """Keep it for a later run of the same shape."""
        self._idle.setdefault((references, threads), []).append(memory)

    def rest(self) -> None:
        """No more runs for now: keep what small maps need, let go of the rest."""
        left = REST
        for shape, idle in list(self._idle.items()):
            kept = []
            for memory in idle:
                left -= memory.bytes
                if left >= 0:
                    kept.append(memory)
            self._idle[shape] = kept


def piece_of(many: int, threads: int) -> int:
    """Mutants that a thread takes at a time: whole positions, and enough pieces for all threads."""
    if threads == 1:
        return max(1, many)
    return GROUP * max(1, min(PIECE, -(-many // (4 * threads * GROUP))))
