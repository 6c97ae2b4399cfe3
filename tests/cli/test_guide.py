"""`dfim-fast guide`: lists the guides, prints one, refuses another."""


def test_guides_are_listed_and_printed(cli):
    listed = cli("guide")
    assert listed.code == 0
    names = [line.split()[0] for line in listed.out.splitlines()]
    assert "references" in names and "Choosing references" in listed.out
    assert cli("guide", "references").out.startswith("# Choosing references\n")
    wrong = cli("guide", "refs")
    assert wrong.code == 2 and "guide 'refs' is not known; choose from " in wrong.err
