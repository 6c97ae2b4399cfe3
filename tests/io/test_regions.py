import pickle

import numpy as np
import pysam
import pytest
from io_files import write_two_bit

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.bed import read_regions
from dfim_fast.io.regions import read_windows

CHR1 = "ACGTTGCAAGCTCGATTACG"
CHR2 = "ACGNNNNTTT"


@pytest.fixture(params=["fasta", "bgzip", "2bit"])
def genome(tmp_path, request):
    if request.param == "2bit":
        path = tmp_path / "genome.2bit"
        write_two_bit(path, {"chr1": CHR1, "chr2": CHR2})
        return path
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHR1}\n>chr2\n{CHR2.replace('N', 'R', 1)}\n")
    if request.param == "bgzip":
        pysam.tabix_compress(str(path), str(path) + ".gz")
        path = tmp_path / "genome.fa.gz"
    pysam.faidx(str(path))
    return path


def _bed(tmp_path, *lines):
    path = tmp_path / "regions.bed"
    path.write_text("\n".join("\t".join(map(str, line)) for line in lines) + "\n")
    return path


def _reverse(bases):
    return bases[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_every_kind_of_genome_gives_the_same(tmp_path, genome):
    bed = _bed(tmp_path, ("chr1", 4, 10), ("chr2", 0, 10), ("chr1", 14, 20))
    names, sequences = read_regions(bed, genome, 6)
    assert names == ["chr1:4-10", "chr2:2-8", "chr1:14-20"]
    assert sequences == [CHR1[4:10], CHR2[2:8], CHR1[14:]]


def test_tiles_cover_a_longer_region_and_the_last_ends_with_it(tmp_path, genome):
    bed = _bed(tmp_path, ("chr1", 1, 15), ("chr1", 3, 9), ("chr1", 8, 10))
    windows = read_windows(bed, genome, 6, fit="tile")
    assert list(windows.start) == [1, 7, 9, 3, 6]
    assert list(windows.region) == [0, 0, 0, 1, 2]
    assert windows.sequences(1, 3) == [CHR1[7:13], CHR1[9:15]]
    assert list(read_windows(bed, genome, 6, fit="tile", stride=4).start) == [1, 5, 9, 3, 6]


def test_ends_of_a_contig(tmp_path, genome):
    bed = _bed(tmp_path, ("chr1", 0, 2), ("chr1", 8, 12), ("chr1", 18, 20))
    padded = read_windows(bed, genome, 8, ends="pad")
    assert padded.sequences() == ["NNN" + CHR1[:5], CHR1[6:14], CHR1[15:] + "NNN"]
    assert [padded.name(row) for row in range(3)] == ["chr1:-3-5", "chr1:6-14", "chr1:15-23"]
    skipped = read_windows(bed, genome, 8, ends="skip")
    assert (list(skipped.start), list(skipped.region), skipped.skipped) == ([6], [1], 2)
    with pytest.raises(InputError, match=r"line 1: chr1:0-2 centred to 8 bases is chr1:-3-5"):
        read_windows(bed, genome, 8)
    with pytest.raises(InputError, match="all 2 windows of 8 bases leave their contigs"):
        read_windows(_bed(tmp_path, ("chr1", 0, 2), ("chr1", 19, 20)), genome, 8, ends="skip")
    whole = read_windows(_bed(tmp_path, ("chr1", 0, 1)), genome, 60, ends="pad")
    assert whole.sequences() == ["N" * 30 + CHR1 + "N" * 10]


def test_strands(tmp_path, genome):
    bed = _bed(tmp_path, ("chr1", 4, 10, "a", 0, "+"), ("chr1", 4, 10, "b", 0, "-"))
    assert read_windows(bed, genome, 6).sequences() == [CHR1[4:10]] * 2
    stranded = read_windows(bed, genome, 6, strands="bed")
    assert stranded.sequences() == [CHR1[4:10], _reverse(CHR1[4:10])]
    assert [stranded.name(row) for row in (0, 1)] == ["chr1:4-10", "chr1:4-10(-)"]
    both = read_windows(bed, genome, 6, strands="both")
    assert both.sequences() == [CHR1[4:10], _reverse(CHR1[4:10])] * 2
    assert list(both.region) == [0, 0, 1, 1]
    for row, sequence in enumerate(both.sequences()):
        at = both.places(np.full(6, row), np.arange(6))
        bases = "".join(CHR1[i] for i in at)
        assert sequence == (bases.translate(str.maketrans("ACGT", "TGCA")) if row % 2 else bases)
    with pytest.raises(InputError, match=r"line 1: strand ''; strands='bed' wants \+ or -"):
        read_windows(_bed(tmp_path, ("chr1", 4, 10)), genome, 6, strands="bed")


def test_windows_travel_to_another_process(tmp_path, genome):
    windows = read_windows(_bed(tmp_path, ("chr1", 4, 10), ("chr1", 5, 11)), genome, 6)
    assert pickle.loads(pickle.dumps(windows)).sequences(1) == [CHR1[5:11]]
    genome.unlink()
    with pytest.raises(InputError, match="no such genome file"):
        windows.sequences()


def test_refusals(tmp_path, genome):
    bed = _bed(tmp_path, ("chr1", 4, 10))
    for options, message in (
        ({"fit": "middle"}, "fit='middle': choose from centre, tile"),
        ({"ends": ""}, "ends='': choose from error, pad, skip"),
        ({"strands": "-"}, "strands='-': choose from forward, bed, both"),
        ({"fit": "tile", "stride": 0}, "stride=0: wanted a whole number, 1 or more"),
        ({"stride": 3}, "stride=3: goes with fit='tile' only"),
    ):
        with pytest.raises(SettingsError) as error:
            read_windows(bed, genome, 6, **options)
        assert message in str(error.value)
    with pytest.raises(InputError, match="has no contig 'chr9'"):
        read_windows(_bed(tmp_path, ("chr9", 4, 10)), genome, 6)


def test_a_two_bit_file_that_ends_early(tmp_path):
    path = tmp_path / "genome.2bit"
    write_two_bit(path, {"chr1": CHR1, "chr2": CHR2 * 10})
    path.write_bytes(path.read_bytes()[: -len(CHR2) * 2])
    bed = _bed(tmp_path, ("chr1", 4, 10), ("chr2", len(CHR2) * 9, len(CHR2) * 9 + 6))
    text = r"line 2: chr2:\d+-\d+: .*genome.2bit gives 0 bases, .*: make it with faToTwoBit"
    with pytest.raises(InputError, match=text):
        read_windows(bed, path, 6).sequences()


@pytest.mark.parametrize("keep", [4, 15, 40])
def test_damaged_two_bit(tmp_path, keep):
    path = tmp_path / "genome.2bit"
    write_two_bit(path, {"chr1": CHR1 * 10, "chr2": CHR2})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"genome\.2bit") as error:
        read_windows(_bed(tmp_path, ("chr1", 4, 10)), path, 6).sequences()
    assert "\n" not in str(error.value)
