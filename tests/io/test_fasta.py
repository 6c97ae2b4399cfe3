import gzip

import pytest

from dfim_fast.errors import InputError
from dfim_fast.io.fasta import read_fasta

TEXT = ">first some words\nACGT\nacgn\n\n>second\nTTTT\n"
WANTED = (["first", "second"], ["ACGTACGN", "TTTT"])


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + TEXT.rstrip().encode(),
        TEXT.replace("words", "w\u00f6rds").encode(),
    ],
)
def test_plain_and_gzipped(tmp_path, content):
    plain, zipped = tmp_path / "a.fa", tmp_path / "a.fa.gz"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    assert read_fasta(plain) == WANTED
    assert read_fasta(str(zipped)) == WANTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; wanted at least one FASTA record"),
        (b"\n\n", "empty; wanted at least one FASTA record"),
        (b"ACGT\n", "line 1: starts with 'ACGT'; FASTA starts with a line >name"),
        (b"\n;note\n>a\nA\n", "line 2: starts with ';note'"),
        (b">a\n>b\nACGT\n", "record 'a' has no sequence"),
        (b">a\nACGT\n>b\n", "record 'b' has no sequence"),
        (b">a\nAC\n>\nAC\n", "line 3: a record without a name"),
        (b">a\nA\n>b\nC\n>a x\nG\n", "line 5: the name 'a' was used in line 1"),
        (b">a\nAC\n>b\nACG\nTRA\n", "record 'b', position 4 (0-based): letter 'R' is not one of"),
        (b">a\nAC GT\n", "record 'a', position 2 (0-based): letter ' '"),
        (b">a\nAC\0GT\n", "not a text file; wanted FASTA"),
        (b"\x89PNG\xff\xfe", "not a text file; wanted FASTA"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "damaged gzip file"),
        (gzip.compress(b"\x80" * 9, mtime=0), "not a text file; wanted FASTA"),
        (b"\x1f\x8b\x08rubbish, not gzip", "damaged gzip file"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "x.fa"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_fasta(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"absent\.fa: no such FASTA file"):
        read_fasta(tmp_path / "absent.fa")
    with pytest.raises(InputError, match="is a directory, wanted a FASTA file"):
        read_fasta(tmp_path)
