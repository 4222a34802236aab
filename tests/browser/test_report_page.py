"""The HTML report as people meet it: in a browser, on a phone, by keyboard, in the dark, without JavaScript."""

from __future__ import annotations

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from pyk8s.verify.model import Status
from tests.browser.conftest import Browser
from tests.sample_report import sample

FOCUSED = """
const at = document.activeElement;
const style = getComputedStyle(at);
return [at.tagName.toLowerCase(), at.id || at.dataset.status || at.className, style.outlineStyle, style.outlineWidth];
"""
CONTRASTS = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = numbers(colour).slice(0, 3).map((one) => {
    const part = one / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (numbers(colour)[3] !== 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = [];
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility() || element.tagName === "SCRIPT") continue;
  const style = getComputedStyle(element);
  const colour = element.ownerSVGElement ? style.fill : style.color;
  if (element.tagName === "title") continue;
  const [one, other] = [light(colour), light(behind(element))].sort((a, b) => b - a);
  found.push([(one + 0.05) / (other + 0.05), element.outerHTML.slice(0, 120)]);
}
return found;
"""


def shown(driver: Chrome) -> list[WebElement]:
    return [row for row in driver.find_elements(By.CSS_SELECTOR, ".check") if row.is_displayed()]


def button(driver: Chrome, status: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, f"button[data-status='{status}']")


def test_the_console_stays_empty_and_nothing_is_asked_for_but_the_page(browser: Browser) -> None:
    driver = browser.look()
    driver.find_element(By.ID, "unfold").click()
    button(driver, "failed").click()
    assert driver.get_log("browser") == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [browser.url]


def test_what_a_command_said_is_not_run(browser: Browser) -> None:
    driver = browser.look()
    assert "<script>alert(1)</script>" in driver.find_element(By.ID, "open-unreachable").text
    assert len(driver.find_elements(By.TAG_NAME, "script")) == 1


def test_every_failed_or_left_out_check_is_visible_without_a_click(browser: Browser) -> None:
    driver = browser.look()
    for one in sample().outcomes:
        if one.status is Status.FAILED or one.left_out:
            article = driver.find_element(By.ID, f"open-{one.check.name}")
            assert article.find_elements(By.XPATH, "ancestor::details") == []
            assert article.find_element(By.CLASS_NAME, "detail").is_displayed()
            assert one.detail.splitlines()[0] in article.text
            if one.timeline:
                assert article.find_element(By.CSS_SELECTOR, ".timeline .gap").is_displayed()


def test_a_row_of_a_failed_check_leads_to_it(browser: Browser) -> None:
    driver = browser.look()
    driver.find_element(By.CSS_SELECTOR, "a.row[href='#open-unreachable']").click()
    assert driver.execute_script("return document.querySelector(':target').id") == "open-unreachable"


def test_every_passed_check_opens_and_closes(browser: Browser) -> None:
    driver = browser.look()
    row = driver.find_element(By.XPATH, "//div[@class='check'][.//code='fault-0']")
    detail = row.find_element(By.CLASS_NAME, "detail")
    assert not detail.is_displayed()
    row.find_element(By.TAG_NAME, "summary").click()
    assert detail.is_displayed()
    assert row.find_element(By.CSS_SELECTOR, ".timeline .mark").is_displayed()


def test_filters_by_status_component_and_text_work_together_and_are_counted(browser: Browser) -> None:
    driver = browser.look()
    count, total = driver.find_element(By.ID, "shown"), len(sample().outcomes)
    assert (len(shown(driver)), count.text) == (total, f"{total} of {total} checks shown")
    button(driver, "failed").click()
    assert button(driver, "failed").get_attribute("aria-pressed") == "true"
    assert {row.get_attribute("data-status") for row in shown(driver)} == {"failed"}
    button(driver, "left out").click()
    assert count.text == f"3 of {total} checks shown"
    Select(driver.find_element(By.ID, "component")).select_by_visible_text("faults")
    assert [row.find_element(By.TAG_NAME, "code").text for row in shown(driver)] == ["fault-1"]
    assert len([one for one in driver.find_elements(By.CSS_SELECTOR, "section.component") if one.is_displayed()]) == 1
    driver.find_element(By.CSS_SELECTOR, "button[type='reset']").click()
    assert count.text == f"{total} of {total} checks shown"
    driver.find_element(By.ID, "text").send_keys("KUBECTL said")
    assert [row.find_element(By.TAG_NAME, "code").text for row in shown(driver)] == ["talks-much"]
    driver.find_element(By.ID, "text").send_keys(" and nothing more")
    assert (shown(driver), count.text) == ([], f"0 of {total} checks shown")


def test_the_tab_key_reaches_every_filter_and_the_checks_with_a_visible_focus(browser: Browser) -> None:
    driver = browser.look()
    reached = []
    for _press in range(25):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        tag, name, outline, width = driver.execute_script(FOCUSED)
        reached.append((tag, name))
        assert outline != "none", (tag, name)
        assert float(width.removesuffix("px")) >= 2, (tag, name)
    assert reached[0] == ("a", "skip")
    filters = [("button", kind) for kind in ("failed", "left out", "skipped", "passed")]
    filters += [("select", "component"), ("input", "text"), ("button", "unfold")]
    for one in (*filters, ("summary", "row")):
        assert one in reached
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    assert driver.execute_script("return document.activeElement.parentElement.open") is True


def test_a_filter_is_switched_by_the_space_bar(browser: Browser) -> None:
    driver = browser.look()
    driver.execute_script("arguments[0].focus()", button(driver, "skipped"))
    ActionChains(driver).send_keys(Keys.SPACE).perform()
    assert [row.find_element(By.TAG_NAME, "code").text for row in shown(driver)] == ["one-worker"]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways_however_much_is_unfolded(browser: Browser, width: int) -> None:
    driver = browser.look(width=width)
    driver.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1] <= width


def test_labels_and_lanes_of_a_chart_fit_a_phone(browser: Browser) -> None:
    driver = browser.look(width=360)
    for part in driver.find_elements(By.CSS_SELECTOR, "#open-fault-1 .timeline > div > span"):
        place = part.rect
        assert 0 <= place["x"] < place["x"] + place["width"] <= 360
    lane = driver.find_element(By.CSS_SELECTOR, "#open-fault-1 .lane")
    assert lane.rect["width"] > 250


def test_the_dark_scheme_has_a_dark_page_and_light_text(browser: Browser) -> None:
    asked = "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    light = browser.look(scheme="light").execute_script(asked)
    dark = browser.look(scheme="dark").execute_script(asked)
    assert light != dark
    brightness = [sum(int(part) for part in colour[4:-1].split(",")) for colour in (*light, *dark)]
    assert brightness[0] > brightness[1]
    assert brightness[2] < brightness[3]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(browser: Browser, scheme: str) -> None:
    driver = browser.look(scheme=scheme)
    driver.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    button(driver, "passed").click()
    found = driver.execute_script(CONTRASTS)
    assert len(found) > 500
    assert [one for one in found if one[0] < 4.5] == []


def test_without_javascript_everything_is_there_but_the_filters(browser: Browser) -> None:
    driver = browser.look(script=False)
    try:
        assert len(shown(driver)) == len(sample().outcomes)
        assert not driver.find_element(By.ID, "filters").is_displayed()
    finally:
        browser.look()
