"""The report in a real browser: it renders, sorts, loads nothing, and can be read by everybody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.page.groups import Found
from bench.page.write import report
from ftc.measurement import Run
from tests.bench.made import CONDITIONS, measurement, run
from tests.bench.pages import HOSTILE, measured, renamed, usual

webdriver = pytest.importorskip("selenium.webdriver", reason="the report's page is checked with selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

WIDE, PHONE = 1100, 390

CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function parts(color) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function behind(element) {
  for (; element; element = element.parentElement) {
    const color = parts(getComputedStyle(element).backgroundColor);
    if (color[3] > 0) return color;
  }
  return [255, 255, 255, 255];
}
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || element.closest("script") || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const color = parts(element.closest("svg") ? style.fill : style.color);
  const [low, high] = [luminance(color), luminance(behind(element))].sort((a, b) => a - b);
  found.push([(high + 0.05) / (low + 0.05), walker.currentNode.data.trim()]);
}
return found.sort((a, b) => a[0] - b[0]);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if program is None or driver is None:
        pytest.skip("no headless browser: apt-get install chromium chromium-driver")
    patch = pytest.MonkeyPatch()
    patch.setenv("SE_OFFLINE", "true")
    patch.setenv("SE_AVOID_STATS", "true")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        yield started
    finally:
        started.quit()
        patch.undo()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the report of some runs; when the test is over, the browser must have had nothing to complain about."""

    def opened(*runs: Run, width: int = WIDE, dark: bool = False, scripts: bool = True) -> Any:
        path = tmp_path / "report.html"
        path.write_text(report(tuple(Found("bench.jsonl", one) for one in runs), "html"))
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.get(path.as_uri())
        return browser

    browser.get_log("browser")
    browser.get_log("performance")
    yield opened
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.get_log("browser") == []
    asked = {one["request"]["url"] for one in events(browser, "Network.requestWillBeSent")}
    assert asked <= {(tmp_path / "report.html").as_uri()}, "the page asked for more than itself"


def events(browser: Any, method: str) -> list[dict[str, Any]]:
    """What the browser has told of its network since it was last asked."""
    told = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [one["params"] for one in told if one["method"] == method]


def column(page: Any, title: str) -> Any:
    headers = page.find_elements(By.CSS_SELECTOR, "thead button")
    return next(header for header in headers if header.text.split("\n")[0] == title)


def names(page: Any) -> list[str]:
    return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "tbody .candidate")]


def sorted_by(page: Any) -> list[tuple[str, str]]:
    headers = page.find_elements(By.CSS_SELECTOR, "th[aria-sort]")
    return [(header.text.split("\n")[0], header.get_attribute("aria-sort")) for header in headers]


def overflow(page: Any) -> int:
    return int(page.execute_script("const e = document.documentElement; return e.scrollWidth - e.clientWidth;"))


def test_it_renders(show: Callable[..., Any]) -> None:
    page = show(usual())
    assert page.title == "torch: benchmark report"
    assert page.find_element(By.TAG_NAME, "h2").text == "int8"
    headings = [heading.text for heading in page.find_elements(By.TAG_NAME, "h3")]
    assert headings == [
        *("Cautions", "Accuracy and latency", "Latency distributions"),
        *("Leaderboard", "Lineage", "Conditions", "Reproduce"),
    ]
    assert names(page) == ["int8", "lite", "onnx", "torch", "wrong", "broken"]
    text = page.find_element(By.TAG_NAME, "main").text
    assert "slower than int8" in text
    assert "drop of 25.00 points exceeds 1" in text
    assert "failed: the process died: killed by signal 9" in text
    assert "quantize-somehow per_channel=true" in text
    assert "Measure again when it is quiet." in text
    drawn = [svg for svg in page.find_elements(By.CSS_SELECTOR, "svg.plot") if svg.is_displayed()]
    assert len(drawn) == 1
    assert len(drawn[0].find_elements(By.CSS_SELECTOR, ".point")) == 5
    assert overflow(page) == 0


def test_it_sorts_by_click(show: Callable[..., Any]) -> None:
    page = show(usual())
    assert sorted_by(page) == [("#", "ascending")]
    column(page, "p50").click()
    assert names(page) == ["wrong", "int8", "lite", "onnx", "torch", "broken"]
    assert sorted_by(page) == [("p50", "ascending")]
    column(page, "p50").click()
    assert names(page) == ["torch", "onnx", "lite", "int8", "wrong", "broken"], "what has no value stays at the end"
    column(page, "accuracy").click()
    assert names(page)[0] == "lite"
    assert sorted_by(page) == [("accuracy", "descending")]
    column(page, "candidate").click()
    assert names(page) == sorted(names(page))


def test_it_sorts_by_keyboard(show: Callable[..., Any]) -> None:
    page = show(usual())
    header = column(page, "size")
    while page.switch_to.active_element != header:
        page.switch_to.active_element.send_keys(Keys.TAB)
        assert page.switch_to.active_element.tag_name != "body", "the header cannot be reached"
    header.send_keys(Keys.ENTER)
    assert names(page)[0] == "broken"
    header.send_keys(Keys.SPACE)
    assert sorted_by(page) == [("size", "descending")]
    assert page.switch_to.active_element == header


def test_a_point_tells_what_it_is_by_pointer_and_by_keyboard(show: Callable[..., Any]) -> None:
    page = show(usual())
    tip = page.find_element(By.ID, "tip")
    assert not tip.is_displayed()
    point = page.find_element(By.CSS_SELECTOR, ".plot.wide .point.won")
    webdriver.ActionChains(page).move_to_element(point.find_element(By.TAG_NAME, "path")).perform()
    assert tip.text.split("\n")[0] == "1. int8"
    webdriver.ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert not tip.is_displayed()
    page.execute_script("arguments[0].focus()", point)
    assert "accuracy 94.00 %" in tip.text
    point.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


def test_hostile_names_stay_text(show: Callable[..., Any]) -> None:
    made = renamed(renamed(usual(), "int8", HOSTILE), "broken", HOSTILE + "2")
    page = show(made)
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert len(page.find_elements(By.TAG_NAME, "script")) == 1
    assert page.find_element(By.TAG_NAME, "h2").text == HOSTILE
    assert names(page)[0] == HOSTILE
    page.execute_script("arguments[0].focus()", page.find_element(By.CSS_SELECTOR, ".plot.wide .point.won"))
    assert HOSTILE in page.find_element(By.ID, "tip").text


def test_the_policy_holds_what_escaping_would_let_through(show: Callable[..., Any], browser: Any) -> None:
    page = show(usual())
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i);"
    )
    assert page.execute_script("return window.hacked") is None
    said = " ".join(entry["message"] for entry in browser.get_log("browser"))
    assert "script-src" in said
    assert "default-src" in said
    assert {one.get("blockedReason") for one in events(browser, "Network.loadingFailed")} == {"csp"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_every_text_can_be_told_from_what_is_behind_it(show: Callable[..., Any], dark: bool, width: int) -> None:
    contrasts = show(usual(), usual(id="b", ended=False), width=width, dark=dark).execute_script(CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= 4.5, contrasts[0]


def test_on_a_phone_nothing_is_wider_than_the_screen(show: Callable[..., Any]) -> None:
    long = "a-name-that-goes-on-and-on-" * 8
    page = show(renamed(renamed(usual(), "int8", long), "broken", long.replace("-", "")), width=PHONE)
    assert page.execute_script("return innerWidth") == PHONE
    assert overflow(page) == 0
    assert page.find_element(By.CSS_SELECTOR, ".plot.narrow").is_displayed()
    assert not page.find_element(By.CSS_SELECTOR, ".plot.wide").is_displayed()
    column(page, "p50").click()
    assert names(page)[0] == "wrong"


def test_it_can_be_read_without_scripts(show: Callable[..., Any]) -> None:
    page = show(usual(), scripts=False)
    assert names(page) == ["int8", "lite", "onnx", "torch", "wrong", "broken"]
    assert page.find_elements(By.CSS_SELECTOR, "thead button") == []
    assert page.find_element(By.CSS_SELECTOR, "svg.plot.wide").is_displayed()


def test_two_sets_of_conditions_have_a_section_each(show: Callable[..., Any]) -> None:
    older = replace(usual(id="b"), started="2025-01-01T00:00:00+00:00", conditions=replace(CONDITIONS, threads=1))
    page = show(older, usual())
    titles = [title.text for title in page.find_elements(By.CSS_SELECTOR, ".conditions-title")]
    assert titles == ["Conditions 1 of 2: torch", "Conditions 2 of 2: torch"]
    assert "threads: 1 then, 2 now" in page.find_elements(By.CSS_SELECTOR, ".group")[1].text
    assert len(page.find_elements(By.TAG_NAME, "table")) == 2
    tables = page.find_elements(By.TAG_NAME, "table")
    tables[1].find_element(By.CSS_SELECTOR, "thead button").click()
    assert tables[0].find_element(By.CSS_SELECTOR, "th[aria-sort]").get_attribute("aria-sort") == "ascending"
    ids = page.execute_script("return [...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
    named = "return [...document.querySelectorAll('[aria-labelledby]')].flatMap(e => e.ariaLabelledByElements.length)"
    assert 0 not in page.execute_script(named)


def test_one_candidate_and_a_baseline_that_wins(show: Callable[..., Any]) -> None:
    page = show(run(measured("torch", 9_000_000, 5)))
    assert names(page) == ["torch"]
    page = show(run(measured("torch", 9_000_000, 5), measured("onnx", 4_000_000, 5), measured("int8", 6_000_000, 6)))
    assert page.find_element(By.TAG_NAME, "h2").text == "onnx"
    assert "nothing inside the accuracy budget was shown to be faster." in page.find_element(By.TAG_NAME, "main").text


def test_runs_that_were_killed_and_runs_that_failed(show: Callable[..., Any]) -> None:
    page = show(usual(ended=False))
    assert page.find_element(By.CSS_SELECTOR, ".verdict .kicker").text == "Interrupted run"
    assert page.find_elements(By.CSS_SELECTOR, ".point.won") == []
    page = show(run(measurement("torch", None, failure="no such file"), measurement("onnx", None, failure="killed")))
    assert page.find_element(By.TAG_NAME, "h2").text.startswith("No winner: ")
    assert "failed: no such file" in page.find_element(By.TAG_NAME, "main").text
