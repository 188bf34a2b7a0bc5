"""Opens the built site in headless Chromium, as a reader would, and looks for what is broken.

Every page, in a wide window on light and in a narrow one on dark: no console error, nothing
fetched from elsewhere, no picture missing or only named, no formula of size 0, nothing wider than
the window. Then the search and the way from link to link, by the keyboard alone. It needs
playwright and a Chromium: that of the system, or playwright's own. Where there is none it says so
and does nothing.

    make -C docs html && python .ci/site.py
    python .ci/site.py --shots FOLDER     pictures of some pages as well
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SITE = Path(__file__).parents[1] / "docs" / "build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
WINDOWS = {"wide": (1280, 900), "narrow": (390, 844)}
LOOKS = (("wide", "light"), ("narrow", "dark"))
SHOWN = ("index", "tutorial/lecture", "gallery/choosing", "gallery/ioffe_szegedy",
         "numerics", "speed",
         "gallery/pytorch", "gallery/processes", "reference/made/every_option",
         "reference/made/BatchNorm2d", "reference/made/features", "coming", "search")  # fmt: skip
FAULTS = """() => {
    const faults = [];
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 1) faults.push(`${wide} px wider than the window`);
    for (const text of document.querySelectorAll(".bd-article-container")) {
        const more = text.scrollWidth - text.clientWidth;
        if (more > 1) faults.push(`the text is ${more} px wider than its column`);
    }
    for (const image of document.images)
        if (image.complete && !image.naturalWidth) faults.push(`no picture: ${image.src}`);
    for (const output of document.querySelectorAll(".cell_output pre"))
        if (/^<[A-Z].*>$/.test(output.textContent.trim()))
            faults.push(`named and not shown: ${output.textContent}`);
    for (const formula of document.querySelectorAll("math")) {
        const box = formula.getBoundingClientRect();
        if (formula.checkVisibility() && (!box.width || !box.height))
            faults.push(`a formula of no size: ${formula.textContent}`);
    }
    return faults;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *about: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client: Any) -> None:
        """A browser that leaves a page before all of it has come is no fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the folder, for as long as it lasts."""
    handler = functools.partial(Quiet, directory=str(folder))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pages() -> list[str]:
    """Every page, without its ending."""
    found = (path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html"))
    return sorted(name for name in found if not name.startswith("_"))


class Visit:
    """A page of a browser, and the faults that were seen through it.

    Nothing intercepts requests, which would keep the browser from caching: what is elsewhere cannot
    be resolved (`BROWSER`), and to ask for it is a fault.
    """

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page()
        self.address, self.how, self.faults, self.at = address, "", [], ""
        self.wear(*LOOKS[0])
        self.page.on("console", lambda m: m.type == "error" and self.fault(f"console: {m.text}"))
        self.page.on("pageerror", lambda error: self.fault(f"script: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)

    def wear(self, window: str, scheme: str) -> None:
        """Another size of the window, and another scheme of colours."""
        width, height = WINDOWS[window]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)
        self.how = f"{window}, {scheme}"

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.fault(f"fetched from elsewhere: {request.url}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # by leaving the page
            self.fault(f"not loaded: {request.url}")

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.at} ({self.how}): {what}")

    def open(self, name: str) -> None:
        self.at = name
        self.page.goto(f"{self.address}/{name}.html", wait_until="load")

    def look(self, name: str, shots: Path | None = None) -> None:
        """Open a page and look at it in each way."""
        self.wear(*LOOKS[0])
        self.open(name)
        for window, scheme in LOOKS:
            self.wear(window, scheme)
            for fault in self.page.evaluate(FAULTS):
                self.fault(fault)
            if shots and name in SHOWN:
                path = shots / f"{name.replace('/', '.')}.{window}.{scheme}.png"
                self.page.screenshot(path=path, full_page=window == "wide")

    def search(self, words: str, page: str) -> None:
        """The search finds a page, by the keyboard alone: to the field, the words, Enter."""
        self.open("index")
        self.at = f"search for {words}"
        self.page.keyboard.press("Control+k")
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")
        try:
            self.page.wait_for_selector(f'#search-results a[href*="{page}"]', timeout=20_000)
        except Exception:
            self.fault(f"{page} is not found")

    def skip(self, name: str) -> None:
        """The first Tab is at a link past the navigation, and Enter goes there."""
        self.open(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.press("Enter")
        inside = """() => document.activeElement.closest("main") !== null
            || location.hash === "#main-content" """
        if not self.page.evaluate(inside):
            self.fault("the first Tab and Enter do not go past the navigation")

    def walk(self, name: str, steps: int = 12) -> None:
        """Tab goes from one thing to the next, each in sight and marked; Enter follows a link."""
        self.open(name)
        seen = []
        for _ in range(steps):
            self.page.keyboard.press("Tab")
            seen.append(
                self.page.evaluate("""() => {
                const at = document.activeElement, style = getComputedStyle(at);
                const box = at.getBoundingClientRect();
                const marked = style.outlineStyle !== "none" || style.boxShadow !== "none";
                const shown = at.checkVisibility() && box.width && box.height;
                return [at.outerHTML.slice(0, 200), marked && !!shown];
            }""")
            )
        if len({html for html, _ in seen}) < steps - 1:
            self.fault("Tab goes nowhere")
        for html, marked in seen[1:]:  # the first is the link past the navigation
            if not marked:
                self.fault(f"where the keyboard is cannot be seen: {html}")
        self.open(name)
        link = self.page.locator("article a.reference.internal").first
        link.focus()
        try:
            with self.page.expect_navigation(timeout=20_000):
                self.page.keyboard.press("Enter")
        except Exception:
            self.fault("Enter does not follow a link")


def check(shots: Path | None) -> list[str]:
    """All faults."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, served(SITE) as address:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=BROWSER)
        visit = Visit(browser, address)
        for name in pages():
            visit.look(name, shots)
        visit.wear(*LOOKS[0])
        visit.search("GroupNorm", "GroupNorm")
        visit.search("running statistics", "lecture")
        for name in ("index", "reference/made/BatchNorm2d"):
            visit.skip(name)
            visit.walk(name)
        browser.close()
    return visit.faults


def missing() -> str | None:
    """What is missing for the check, if anything."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return 'no playwright; pip install ".[browser]"'
    if not any(map(shutil.which, BROWSERS)):
        with sync_playwright() as playwright:
            if not Path(playwright.chromium.executable_path).exists():
                return f"no Chromium: none of {', '.join(BROWSERS)} on PATH, nor playwright's own"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shots", type=Path, metavar="FOLDER", help="where pictures of pages go")
    arguments = parser.parse_args()
    if reason := missing():
        print(f"the site was not opened in a browser: {reason}")
        return 0
    if not (SITE / "index.html").exists():
        print("no site in docs/build/html; run: make -C docs html", file=sys.stderr)
        return 2
    if arguments.shots:
        arguments.shots.mkdir(parents=True, exist_ok=True)
    faults = check(arguments.shots)
    print(*faults, f"{len(pages())} pages in Chromium: {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
