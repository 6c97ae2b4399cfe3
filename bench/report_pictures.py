"""Pictures of a report as people meet it: on a desktop, in the dark, on a phone, on paper.

    python bench/report_pictures.py RUN      # a folder that dfim-fast demo made

Writes bench/results/report/*.png, by playwright and the Chromium of this machine. Fails where the
page complains of anything.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from machine import ROOT
from playwright.sync_api import sync_playwright

OUT = ROOT / "bench" / "results" / "report"
PAPER = 794  # A4 at 96 dots per inch
# name -> width, height of the picture, colour scheme, on paper, and the section it starts at
PICTURES = {
    "desktop": (1366, 1830, "light", False, None),
    "dark": (1366, 1370, "dark", False, "explore"),
    "phone": (390, 1560, "light", False, "explore"),
    "print": (PAPER, 1123, "light", True, None),
    "motifs": (1366, 1120, "light", False, "pairs"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"),
                                          args=["--no-sandbox"])
        for name, (width, height, scheme, paper, section) in PICTURES.items():
            context = browser.new_context(viewport={"width": width, "height": 900}, offline=True,
                                          color_scheme=scheme)
            page = context.new_page()
            page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto((given.run / "report.html").resolve().as_uri())
            page.wait_for_selector(".tracks .plotly")
            for chart in page.locator("[data-chart]").all():
                chart.scroll_into_view_if_needed()
            if paper:
                page.emulate_media(media="print")
                page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.wait_for_timeout(500)
            top = 0 if section is None else page.locator(f"#{section}").evaluate(
                "part => part.getBoundingClientRect().top + scrollY")
            page.screenshot(path=OUT / f"{name}.png", full_page=True,
                            clip={"x": 0, "y": top, "width": width, "height": height})
            context.close()
        browser.close()
    if complaints:
        raise SystemExit("\n".join(complaints))


if __name__ == "__main__":
    main()
