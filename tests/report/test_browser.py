"""The page in headless Chromium: it loads without a complaint, its table and its map work."""

import shutil

import pytest

from dfim_fast.io.store import MapStore

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install '.[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as started:
        # no sandbox: tests may run as root, and open no page but their own
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page_of(browser):
    """Open a report, without a network; at the end nothing may have been complained about."""
    complaints, contexts = [], []

    def open_report(run, **settings):
        context = browser.new_context(
            viewport={"width": 1200, "height": 900}, offline=True, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto((run / "report.html").as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []


# Height of the letter at a position in one of the three tracks, of five traces each.
HEIGHT = """([track, position]) => {
  const found = document.querySelector(".tracks").data.slice(5 * track, 5 * track + 5)
    .flatMap(({ x, y }) => y.filter((_, i) => x[i] !== null && Math.abs(x[i] - position) < 0.5));
  return found.reduce((most, y) => (Math.abs(y) > Math.abs(most) ? y : most), 0);
}"""


def columns_of(page, table, name):
    """Texts of a column of the rows that a table shows."""
    heads = page.locator(f'[data-table="{table}"] th button').all_inner_texts()
    at = next(i for i, head in enumerate(heads) if head.rstrip(" ▾▴") == name)
    return page.locator(f'[data-table="{table}"] tbody td:nth-child({at + 1})').all_inner_texts()


def test_the_table_sorts_filters_and_leads_to_the_map(page_of, map_run):
    page = page_of(map_run)
    page.wait_for_selector(".readout b")
    count = page.locator('[data-table="interactions"] [data-count]')
    rows = count.inner_text()
    page.locator("th button", has_text="bp away").first.click()
    far = [int(text) for text in columns_of(page, "interactions", "bp away")]
    assert far == sorted(far, reverse=True)
    page.locator("th button", has_text="bp away").first.click()
    near = [int(text) for text in columns_of(page, "interactions", "bp away")]
    assert near == sorted(near) and near[0] < far[0]
    page.locator('[data-table="interactions"] [data-filter]').fill("three")
    assert set(columns_of(page, "interactions", "sequence")) == {"three"}
    assert count.inner_text() != rows
    row = page.locator('[data-table="interactions"] tbody tr').nth(2)
    sequence, mutant, target = row.locator("td").all_inner_texts()[:3]
    row.locator("button").focus()
    page.keyboard.press("Enter")
    change = f"source {mutant[:-1]} → {mutant[-1]}"
    page.wait_for_function(f"document.querySelector('.readout b').textContent === {change!r}")
    assert f"target {target}" in page.locator(".readout").inner_text()
    chosen = page.locator("[data-view]").evaluate("box => box.selectedOptions[0].text")
    assert chosen.startswith(sequence)


def test_the_cursor_says_what_the_store_holds_and_moves_the_tracks(page_of, map_run):
    page = page_of(map_run)
    page.wait_for_selector(".tracks .plotly")
    page.locator("[data-source]").fill("9")
    page.locator("[data-target]").fill("12")
    page.locator("[data-target]").press("Enter")
    page.wait_for_function("document.querySelector('.readout').textContent.includes('9 →')")
    text = page.locator(".readout").inner_text()
    view = page.evaluate("DATA.explorer.views[document.querySelector('[data-view]').value].name")
    task = page.evaluate("DATA.explorer.views[document.querySelector('[data-view]').value].task")
    store = MapStore.open(map_run / "maps.zarr")
    n, k = store.names.index(view), store.attributes["task_names"].index(task)
    fis = store.sequence(n).fis[k, 0, 9, :, 12]
    strongest = fis[abs(fis).argmax()]
    found = float(text.split("FIS ")[1].split(" ")[0].replace("−", "-"))
    largest = float(abs(store.sequence(n).fis[k, 0]).max())
    assert found == pytest.approx(float(strongest), rel=0.01, abs=largest / 2000)

    def tracks():
        return page.evaluate("JSON.stringify(document.querySelector('.tracks').data[10].y)")

    page.locator(".map").focus()
    page.keyboard.press("Home")  # the strongest of all: its tracks are not empty
    page.wait_for_timeout(200)
    before, text = tracks(), page.locator(".readout").inner_text()
    target = int(text.split("target ")[1].split(" ")[0][1:])
    original, mutant, lost = (page.evaluate(HEIGHT, [track, target]) for track in range(3))
    assert lost == pytest.approx(float(text.split("FIS ")[1].split(" ")[0].replace("−", "-")), 0.01)
    assert original - mutant == pytest.approx(lost, abs=1e-6) and lost != 0
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(200)
    assert page.locator(".readout").inner_text() != text and tracks() != before


def test_hovering_shows_a_cell_until_one_is_clicked(page_of, map_run):
    page = page_of(map_run)
    page.wait_for_selector(".map .plotly")
    page.locator(".map").scroll_into_view_if_needed()
    page.locator(".map").focus()
    page.keyboard.press("Escape")
    box = page.locator(".map .nsewdrag").first.bounding_box()
    at = (box["x"] + 0.31 * box["width"], box["y"] + 0.22 * box["height"])
    page.mouse.move(*at)
    page.mouse.move(at[0] + 3, at[1] + 3)
    page.wait_for_function("getComputedStyle(document.querySelector('.tip')).display === 'block'")
    shown = page.locator(".tip").inner_text().split("\n")
    assert shown[0].startswith("source ") and page.locator(".readout b").inner_text() == shown[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_in_light_and_dark_and_on_a_phone(
    page_of, map_run, motif_run, window_run, scheme
):
    for run in (map_run, motif_run, window_run):
        page = page_of(run, color_scheme=scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        for chart in page.locator("[data-chart]").all():
            chart.scroll_into_view_if_needed()
            chart.locator(".main-svg").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ink = page.locator(".ytitle").first.evaluate("text => getComputedStyle(text).fill")
        assert (ink == "rgb(232, 234, 238)") == (scheme == "dark")


def test_paper_has_all_charts_within_its_width(page_of, map_run, tmp_path):
    page = page_of(map_run, color_scheme="dark")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    assert page.evaluate("later.size") == 0  # those far down were drawn for it, too
    widths = "[...document.querySelectorAll('.chart')].map((box) => box._fullLayout.width)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert set(page.evaluate(widths)) == {690}
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{widths}.every((width) => width !== 690)")
