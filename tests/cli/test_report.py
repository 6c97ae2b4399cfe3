"""`dfim-fast report`: writes the page again, and refuses what is no run."""


def test_a_report_is_written_at_the_end_of_a_run_and_on_request(cli, tmp_path, model, fasta):
    given = ("--n-references", 2, "--sources", "4-6", "--threads", 1, "--figures", 0)
    ran = cli("map", model, fasta, "-o", "out", *given)
    assert ran.code == 0, ran.err
    page = tmp_path / "out" / "report.html"
    assert f"  out/{page.name}: all of this to look at" in ran.out
    first = page.read_bytes()
    page.unlink()
    ran = cli("report", "out")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"out/report.html: {len(first) / 1e6:.1f} MB; open it in a browser\n"
    assert page.read_bytes() == first
    assert cli("report", "out", "--quiet").out == ""


def test_what_is_no_run_is_refused(cli, tmp_path):
    ran = cli("report", ".")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("dfim-fast: error: .: holds no finished run of map, motifs, ")
    assert not list(tmp_path.iterdir())
