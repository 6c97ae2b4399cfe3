import gzip

import pysam
import pytest

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.bed import read_regions

CHR1 = "ACGTTGCAAGCTCGATTACG"
GENOME = f">chr1 words\n{CHR1[:10]}\n{CHR1[10:].lower()}\n>chr2\nACGRYKNTTT\n>chr3\nACG-TACGTA\n"


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(GENOME)
    pysam.faidx(str(path))
    return path


def _bed(tmp_path, text):
    path = tmp_path / "regions.bed"
    path.write_text(text)
    return path


def test_regions_are_centred(tmp_path, genome):
    bed = _bed(tmp_path, "chr1\t4\t10\nchr1\t6\t7\textra\t.\nchr1\t2\t15\nchr1\t0\t6\nchr1\t14\t20")
    names, sequences = read_regions(bed, genome, 6)
    assert names == ["chr1:4-10", "chr1:3-9", "chr1:5-11", "chr1:0-6", "chr1:14-20"]
    assert sequences == [CHR1[4:10], CHR1[3:9], CHR1[5:11], CHR1[:6], CHR1[14:]]
    names, sequences = read_regions(_bed(tmp_path, "chr1 4 9\nchr1 4 10\nchr1 4 5"), genome, 5)
    assert names == ["chr1:4-9", "chr1:5-10", "chr1:2-7"]
    assert sequences == [CHR1[4:9], CHR1[5:10], CHR1[2:7]]


def test_headers_are_skipped_and_gzip_is_read(tmp_path, genome):
    text = "track name=x\nbrowser position\n#chrom\tstart\tend\n\nchr1\t4\t10\r\n"
    wanted = (["chr1:4-10"], [CHR1[4:10]])
    assert read_regions(_bed(tmp_path, text), genome, 6) == wanted
    zipped = tmp_path / "regions.bed.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    assert read_regions(zipped, str(genome), 6) == wanted


def test_ambiguous_letters_become_n(tmp_path, genome):
    assert read_regions(_bed(tmp_path, "chr2\t0\t10"), genome, 10)[1] == ["ACGNNNNTTT"]


def test_bgzipped_genome(tmp_path, genome):
    zipped = tmp_path / "genome.fa.gz"
    pysam.tabix_compress(str(genome), str(zipped))
    bed = _bed(tmp_path, "chr1\t4\t10")
    with pytest.raises(InputError, match=r"no index genome\.fa\.gz\.fai"):
        read_regions(bed, zipped, 6)
    pysam.faidx(str(zipped))
    assert read_regions(bed, zipped, 6)[1] == [CHR1[4:10]]
    (tmp_path / "genome.fa.gz.gzi").unlink()
    with pytest.raises(InputError, match=r"no index genome\.fa\.gz\.gzi"):
        read_regions(bed, zipped, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "regions.bed: empty; wanted at least one BED region"),
        ("#only\ntrack x\n", "regions.bed: empty; wanted at least one BED region"),
        ("chr1\t4\t10\nchr1\t4\n", "line 2: 2 columns ('chr1\\\\t4'); wanted chrom, start, end"),
        ("chr1\t4\tten\n", "line 1: start '4', end 'ten'; wanted whole numbers"),
        ("chr1\t-4\t10\n", "line 1: start '-4', end '10'"),
        ("chr1\t4.0\t10\n", "line 1: start '4.0'"),
        ("chr1\t4\t4\n", "line 1: chr1:4-4 is empty or reversed"),
        ("chr1\t9\t4\n", "line 1: chr1:9-4 is empty or reversed"),
        ("chr1\t4\t8\n1\t4\t8\n", "line 2: "),
        ("1\t4\t8\n", "has no contig '1' (it has chr1, chr2, chr3, ...)"),
        ("chr1\t8\t21\n", "line 1: chr1:8-21 ends past the end of chr1 (20 bases)"),
        ("chr1\t1\t3\n", "chr1:1-3 centred to 6 bases is chr1:-1-5, outside chr1 (20 bases)"),
        ("chr1\t17\t20\n", "chr1:17-20 centred to 6 bases is chr1:15-21, outside chr1"),
        ("chr3\t0\t6\n", "line 1: chr3:0-6: "),
        ("chr3\t0\t6\n", "gives letter '-', wanted 6 bases of DNA"),
    ],
)
def test_bad_regions(tmp_path, genome, text, message):
    with pytest.raises(InputError) as error:
        read_regions(_bed(tmp_path, text), genome, 6)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_index(tmp_path, genome, capfd):
    bed = _bed(tmp_path, "chr1\t4\t10")
    with pytest.raises(InputError, match=r"absent\.bed: no such BED file"):
        read_regions(tmp_path / "absent.bed", genome, 6)
    with pytest.raises(InputError, match=r"absent\.fa: no such genome file"):
        read_regions(bed, tmp_path / "absent.fa", 6)
    index = tmp_path / "genome.fa.fai"
    index.unlink()
    with pytest.raises(
        InputError, match=r"no index genome\.fa\.fai beside it; run: samtools faidx"
    ):
        read_regions(bed, genome, 6)
    assert not index.exists()
    index.write_text("not an index\n")
    with pytest.raises(InputError, match="cannot be opened as indexed FASTA"):
        read_regions(bed, genome, 6)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("index", "region", "message"),
    [
        ("chr1\t900\t12\t10\t11\n", "chr1\t400\t408", "gives 0 bases, wanted 8 bases of DNA"),
        ("chr1\t100\t90\t100\t101\n", "chr1\t0\t8", "gives 0 bases, wanted 8 bases of DNA"),
        ("chr1\t200\t0\t10\t11\n", "chr1\t0\t8", "gives letter '>'"),
    ],
)
def test_index_of_another_file(tmp_path, genome, capfd, index, region, message):
    (tmp_path / "genome.fa.fai").write_text(index)
    with pytest.raises(InputError) as error:
        read_regions(_bed(tmp_path, region), genome, 8)
    assert message in str(error.value)
    assert "its index may be of another file; run: samtools faidx" in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("length", [0, -6, 6.0, None, True])
def test_bad_length(tmp_path, genome, length):
    with pytest.raises(SettingsError, match=r"length=.*: wanted a whole number, 1 or more"):
        read_regions(_bed(tmp_path, "chr1\t4\t10"), genome, length)
