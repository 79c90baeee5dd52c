"""Pages in a real Chromium without a window: Snakemake's report, its menus clicked through, and others."""

import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# without a sandbox, for containers run as root; and nothing is fetched
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,950",
)  # fmt: skip
PATIENCE = 30  # seconds, on a busy machine
STILL = """
const style = document.createElement("style");
style.textContent = "* { transition: none !important; animation: none !important; }";
document.head.append(style);
"""
READY = """
const shown = document.querySelector("#app .grow > * > img, #app .grow > iframe");
return shown !== null && shown.getAttribute("src") === app.state.contentPath
    && (shown.tagName === "IFRAME" || (shown.complete && shown.naturalWidth > 0));
"""
LOOK = """
const shown = document.querySelector("#app .grow > * > img, #app .grow > iframe");
const box = shown.getBoundingClientRect();
return {width: shown.naturalWidth || box.width, height: shown.naturalHeight || box.height, top: box.top};
"""
READ = """
const texts = [...document.querySelectorAll("p, td, th, li")];
const sizes = texts.map(text => parseFloat(getComputedStyle(text).fontSize));
return {text: document.body.innerText, font: Math.min(...sizes),
        overflows: document.documentElement.scrollWidth > window.innerWidth};
"""


class Shown(NamedTuple):
    """What the page shows of one result: pixels; of a page also its text and smallest font."""

    width: float
    height: float
    top: float
    text: str = ""
    font: float = 0
    overflows: bool = False


def missing() -> list[str]:
    """Return which programs and packages are not there."""
    there = {
        "chromium": browser(),
        "chromedriver": shutil.which("chromedriver"),
        "selenium": importlib.util.find_spec("selenium"),
    }
    return [name for name, found in there.items() if not found]


def browser() -> str | None:
    """Return the first of the browsers that is there."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address at which a folder is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(address: str, folder: Path) -> Iterator["Page"]:
    """Yield the page at an address, opened; the browser's files and screenshots go to `folder`."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(browser())
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.implicitly_wait(PATIENCE)
        driver.get(address)
        driver.execute_script(STILL)
        yield Page(driver, folder)
    finally:
        driver.quit()


class Page:
    """The open page; all but `errors` is of a report."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self.folder = driver, folder

    def landing(self) -> str:
        """Return the text that the report opens with."""
        return self._find("#app .prose").text

    def errors(self) -> list[str]:
        """Return the errors of the console so far."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def all_results(self) -> dict[str, Shown]:
        """Click through all menus; returns what is shown, by the path of the result."""
        found: dict[str, Shown] = {}
        for category in sorted(self.driver.execute_script("return Object.keys(categories)")):
            self._click(f"//nav//*[normalize-space(text())='{category}']")
            rows = len(self.driver.find_elements("css selector", "nav tbody tr"))
            for row in range(1, rows + 1):
                self._click(f"(//nav//tbody/tr)[{row}]//a")
                path = self.driver.execute_script("return app.state.resultPath")
                found[path] = self._look()
                self.driver.save_screenshot(str(self.folder / f"{len(found):02d}-{Path(path).stem}.png"))
            self.driver.execute_script("document.querySelector('nav').scrollTop = 0")
            self._click("(//nav//nav//a)[1]")  # home
        return found

    def _look(self) -> Shown:
        self._wait(lambda driver: driver.execute_script(READY))
        frame = self._find("#app .grow > * > img, #app .grow > iframe")
        seen = self.driver.execute_script(LOOK)
        if frame.tag_name != "iframe":
            return Shown(**seen)
        self.driver.switch_to.frame(frame)
        self._find("h1")
        read = self.driver.execute_script(READ)
        self.driver.switch_to.default_content()
        return Shown(**seen, **read)

    def _find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def _click(self, path: str) -> None:
        from selenium.webdriver.support.expected_conditions import element_to_be_clickable

        self._wait(element_to_be_clickable(("xpath", path))).click()

    def _wait(self, condition: Any) -> Any:
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, PATIENCE).until(condition)
