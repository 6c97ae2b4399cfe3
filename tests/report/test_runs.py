"""A finished run becomes one page that holds its numbers, and nothing else reaches out of it."""

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfim_fast.errors import OutputError
from dfim_fast.io.run_record import recording
from dfim_fast.io.store import MapStore
from dfim_fast.maps.model import load_model
from dfim_fast.report import write_report
from dfim_fast.report.render import letters
from dfim_fast.scale.map_run import run_maps

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"
EVIL = "</script><img src=x onerror=alert(1)>"
MARKUP = re.compile(r"<script>.*?</script>", re.DOTALL)


def page_of(run):
    text = (run / "report.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(data[1])


def test_the_table_of_a_map_run_is_that_of_its_parquet(map_run):
    text, data = page_of(map_run)
    table = pd.read_parquet(map_run / "interactions.parquet")
    pairs = table.drop_duplicates(["task", "sequence", "source", "target"])
    shown = data["tables"]["interactions"]
    names = [column["name"] for column in shown["columns"]]
    rows = pd.DataFrame([row[: len(names)] for row in shown["rows"]], columns=names)
    assert len(rows) == min(len(pairs), 2000)
    own = pairs.head(len(rows)).reset_index(drop=True)
    np.testing.assert_allclose(rows["fis"], own["fis"], rtol=1e-4)
    np.testing.assert_allclose(rows["q"], own["q"], rtol=1e-4)
    assert rows["significant"].tolist() == own["significant"].tolist()
    change = own["source_base"] + own["source"].astype(str) + own["mutant"]
    assert rows["change"].tolist() == change.tolist()
    links = [row[-1] for row in shown["rows"]]
    assert links[0] == own.loc[0, ["sequence", "task", "source", "mutant", "target"]].tolist()
    for what in ("two_outputs_dynamo.onnx", "random_state 0", "Conv", "numpy ", "summation-to-"):
        assert what in text
    assert {"distance-0", "null-0", "p-1", "qq-1", "delta-0", "aggregate-1"} <= set(data["charts"])


def test_no_name_of_a_user_becomes_markup_and_nothing_is_fetched(map_run, motif_run):
    for run in (map_run, motif_run):
        text, data = page_of(run)
        own = MARKUP.sub("", text)
        assert "<img" not in own and own.count("</script>") == 1  # that of the data
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", own)
        assert EVIL in json.dumps(data)  # it is there, as text
        assert text.count("</script>") == 3  # plotly.js itself holds none


def test_a_run_without_rows_has_a_report_too(tmp_path):
    out = tmp_path / "out"
    settings = {"method": "gradient", "sources": [4], "threads": 1}
    run_maps(load_model(MODEL), ["one"], ["ACGT" * 11], out, settings=settings, top=0, figures=0,
             progress=False)  # fmt: skip
    text, data = page_of(out)
    assert "The table of this run is empty" in text and data["explorer"] is None
    assert "distance" in data["charts"] and "aggregate" not in data["charts"]


def test_motif_pairs_and_both_nulls(motif_run):
    _, data = page_of(motif_run)
    table = pd.read_parquet(motif_run / "motif_pairs.parquet")
    assert len(data["tables"]["pair-rows"]["rows"]) == len(table)
    kinds = {tuple(row[:2]) for row in data["tables"]["kinds"]["rows"]}
    assert kinds == set(zip(table["source"], table["target"], strict=True))
    assert {"matrix", "strips", "pair-distance", "null-dinucleotide"} <= set(data["charts"])


def test_a_thousand_sequences_stay_small(map_run, tmp_path, monkeypatch):
    names = [f"s{i}" for i in range(1000)]
    opened = MapStore.open(map_run / "maps.zarr")

    # the same three maps over and over, under a thousand names
    class Many(MapStore):
        names = property(lambda self: names)

        def __len__(self):
            return 1000

        def sequence(self, n):
            one = super().sequence(n % 3)
            one.names = [names[n]]
            return one

    monkeypatch.setattr(MapStore, "open", lambda *_: Many(opened.group))
    table = pd.read_parquet(map_run / "interactions.parquet")
    table = pd.concat([table.assign(sequence=name) for name in names[:200]], ignore_index=True)
    out = tmp_path / "out"
    shutil.copytree(map_run, out)
    table.to_parquet(out / "interactions.parquet")
    assert write_report(out).stat().st_size < 20_000_000


def test_the_same_run_gives_the_same_page(map_run, tmp_path):
    shutil.copytree(map_run, tmp_path / "out")
    before = (map_run / "report.html").read_bytes()
    assert write_report(tmp_path / "out").read_bytes() == before


def test_what_was_warned_of_stands_on_top(map_run, tmp_path):
    shutil.copytree(map_run, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    record["warnings"] = ["importance does not add up & more"]
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    text = write_report(tmp_path / "out").read_text()
    assert "<li>importance does not add up &amp; more</li>" in text
    (tmp_path / "out" / "run.json").unlink()  # as older versions left it
    assert "Warnings</h2>" not in write_report(tmp_path / "out").read_text()


def test_warnings_are_recorded_and_still_shown():
    import warnings

    with pytest.warns(UserWarning, match="look out|own") as shown, recording("map") as record:
        warnings.warn("look out", stacklevel=1)
        warnings.warn("look out", stacklevel=1)
        warnings.warn("a library's own", UnicodeWarning, stacklevel=1)
    assert record.warnings == ["look out"] and len(shown) >= 2
    record.add_null("t", [0.0, np.nan, 1.0], [2.0])
    (null,) = record.nulls
    assert (sum(null["null"]), sum(null["scores"])) == (2, 1)
    assert (null["edges"][0], null["edges"][-1]) == (0.0, 2.0)


def test_what_is_no_run_is_refused_in_one_line(tmp_path, map_run, monkeypatch):
    with pytest.raises(OutputError, match="there is no such folder"):
        write_report(tmp_path / "none")
    with pytest.raises(OutputError, match="holds no finished run of map, motifs, variants, score"):
        write_report(tmp_path)
    (tmp_path / "motif_pairs.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(OutputError, match=r"motif_pairs.parquet: is no table of dfim_fast"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(OutputError, match=r"run.json: is not what a run writes"):
        write_report(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    shutil.copytree(map_run, tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("as it was")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match=r"report.html: the disk is full; nothing was kept"):
        write_report(tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out" / "report.html").read_text() == "as it was"


def test_letters_are_closed_outlines_of_the_unit_square():
    for base, polygons in letters().items():
        points = np.concatenate([np.array(polygon) for polygon in polygons])
        assert points.min(axis=0).tolist() == [0, 0] and points.max(axis=0).tolist() == [1, 1], base
        assert all(polygon[0] == polygon[-1] for polygon in polygons)
