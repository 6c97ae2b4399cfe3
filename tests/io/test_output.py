"""Results appear whole under their name, or not at all."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from dfim_fast.errors import OutputError
from dfim_fast.io.output import check_new, new_file, new_folder
from dfim_fast.io.score_store import ScoreStore

MARK = "maps.zarr"


def fill(folder, text="new"):
    (folder / MARK).write_text(text)


def earlier(path):
    path.mkdir()
    fill(path, "old")
    return path


def test_the_folder_appears_at_the_end_and_nothing_else_stays(tmp_path):
    with new_folder(tmp_path / "out", MARK) as folder:
        fill(folder)
        assert not (tmp_path / "out").exists()
        assert folder.name == f".out.partial-{os.getpid()}"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / MARK).read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), new_folder(tmp_path / "out", MARK) as folder:
        fill(folder)
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_an_existing_result_is_refused(tmp_path):
    out = earlier(tmp_path / "out")
    with pytest.raises(OutputError) as caught:
        check_new(out, MARK)
    assert str(caught.value) == (
        f"{out}: exists already; choose another folder or pass --overwrite"
    )
    with pytest.raises(OutputError, match="exists already"), new_folder(out, MARK):
        raise AssertionError("must not come here")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwrite_replaces_only_at_the_end(tmp_path):
    out = earlier(tmp_path / "out")
    with pytest.raises(ValueError), new_folder(out, MARK, overwrite=True):
        raise ValueError
    assert (out / MARK).read_text() == "old"
    with new_folder(out, MARK, overwrite=True) as folder:
        fill(folder)
        assert (out / MARK).read_text() == "old"
    assert (out / MARK).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwrite_never_touches_what_is_no_result(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    with pytest.raises(OutputError) as caught, new_folder(home, MARK, overwrite=True):
        raise AssertionError("must not come here")
    assert str(caught.value) == (
        f"{home}: is no earlier result (it holds no maps.zarr), so --overwrite leaves it alone; "
        "remove it yourself or choose another folder"
    )
    link = tmp_path / "link"
    link.symlink_to(earlier(tmp_path / "real"))
    with pytest.raises(OutputError, match="is no earlier result"):
        check_new(link, MARK, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is no earlier result"):
        check_new(tmp_path / "file", MARK, overwrite=True)


def test_overwrite_takes_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out", MARK, overwrite=True) as folder:
        fill(folder)
    assert (tmp_path / "out" / MARK).exists()


def test_a_second_run_on_one_folder_is_refused_at_once(tmp_path):
    out = tmp_path / "out"
    with new_folder(out, MARK) as folder:
        fill(folder)
        with pytest.raises(OutputError) as caught, new_folder(out, MARK):
            raise AssertionError("must not come here")
        assert str(caught.value) == (
            f"{out}: another run is writing it; wait for that one or choose another folder"
        )
        with new_folder(tmp_path / "other", MARK) as other:
            fill(other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_what_a_killed_run_left_is_taken_over(tmp_path):
    (tmp_path / ".out.lock").write_text("")
    stale = tmp_path / ".out.partial-999999"
    stale.mkdir()
    fill(stale)
    kept = earlier(tmp_path / ".out.partial-1-old")
    with new_folder(tmp_path / "out", MARK) as folder:
        assert not stale.exists()
        fill(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept.name, "out"]


def test_without_locks_the_second_meets_the_first_at_the_rename(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="exists already"), new_folder(out, MARK) as folder:
        fill(folder)
        earlier(out)
    assert (out / MARK).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_no_folder_to_stand_in(tmp_path):
    out = tmp_path / "a" / "out"
    with pytest.raises(OutputError) as caught, new_folder(out, MARK):
        raise AssertionError("must not come here")
    assert str(caught.value) == (
        f"{out}: the folder {tmp_path / 'a'} does not exist; make it first"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(tmp_path, number):
    out = tmp_path / "out"
    with pytest.raises(OutputError) as caught, new_folder(out, MARK) as folder:
        fill(folder)
        raise OSError(number, "full")
    assert str(caught.value) == (
        f"{out}: the disk is full; nothing was kept: free some space, or choose another folder or "
        "fewer sequences"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_names_the_hidden_folder_is_put_into_our_words(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OutputError) as caught, new_folder(out, MARK) as folder:
        raise OutputError(f"figure {folder}/x.png: no") from OSError(errno.ENOSPC, "full")
    assert str(caught.value).startswith(f"{out}: the disk is full; nothing was kept")
    with pytest.raises(OutputError, match=r"^figure x: no$"), new_folder(out, MARK):
        raise OutputError("figure x: no")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(OutputError) as caught, new_folder(out, MARK):
        raise AssertionError("must not come here")
    monkeypatch.undo()
    assert str(caught.value) == (
        f"{out}: cannot be written (Permission denied); nothing was kept: check the folder and its "
        "permissions"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def disk(monkeypatch):
    """What was forced to the disk, and renamed, in order."""
    said = []

    def watched(name, place):
        real = getattr(os, name)

        def call(*given):
            said.append((name if name == "fsync" else "rename", place(given)))
            return real(*given)

        monkeypatch.setattr(os, name, call)

    watched("fsync", lambda given: Path(os.readlink(f"/proc/self/fd/{given[0]}")))
    for name in ("rename", "replace"):
        watched(name, lambda given: Path(given[1]))
    return said


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, disk):
    with new_file(tmp_path / "a.txt") as partial:
        partial.write_text("all")
    assert disk == [("fsync", partial), ("rename", tmp_path / "a.txt"), ("fsync", tmp_path)]


@pytest.mark.parametrize("kind", ["folder", "store"])
def test_all_of_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, disk, kind):
    def fill_deep(folder):
        (folder / MARK / "c").mkdir(parents=True)
        (folder / "b.txt").write_text("b")
        (folder / MARK / "c" / "0").write_text("0")
        return {folder, folder / "b.txt", folder / MARK, *(folder / MARK).rglob("*")}

    if kind == "folder":
        target = tmp_path / "out"
        with new_folder(target, MARK) as folder:
            inside = fill_deep(folder)
    else:
        store = ScoreStore(tmp_path / "store")
        target = store.results
        with store.open({}, resume=False), store.new_results() as folder:
            disk.clear()
            inside = fill_deep(folder)
    forced = [path for what, path in disk[:5]]
    assert [what for what, _ in disk[:5]] == ["fsync"] * 5
    assert set(forced) == inside
    assert [path.name in ("b.txt", "0") for path in forced] == [True, True, False, False, False]
    assert disk[5:] == [("rename", target), ("fsync", target.parent)]
