"""The page in a real browser: with and without JavaScript, live, escaped, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fakes.published import HOST, MAC, Published, digest_of, node_document, token_of
from tests.fakes.server import TOKEN, Server, running_server

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
WAIT = 60_000  # ms; a noisy machine is slow to draw
EVIL = "<script>document.title='evil'</script><img src=x onerror=alert(1)>"
OTHER = "52:54:00:00:00:02"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("page") / "store") as running:
        yield running


@pytest.fixture
def tree(server) -> Published:
    """The published tree, fresh for each test: two nodes, the site."""
    published = Published(server.directory)
    published.publish(node_document(), b"{}")
    published.publish(
        node_document("n2.example", OTHER, role="control-plane", digest=digest_of("other"))
    )
    published.publish_site()
    return published


def open_page(browser: Browser, server: Server, **options: Any) -> Page:
    """The page, logged in. A console error or a violated policy fails the test at its end."""
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label("Operator's token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Nodes").wait_for()
    return page


def open_page_with_token(browser: Browser, server: Server) -> Page:
    """The page without a log-in, of which a browser has only some in a minute."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    page = browser.new_context(extra_http_headers=headers).new_page()
    page.set_default_timeout(WAIT)
    page.goto(server.url)
    return page


def report(server: Server, state: str, host: str = HOST, mac: str = MAC, **more: Any) -> None:
    answer = requests.post(
        f"{server.url}/status/{mac}",
        json={"state": state, "generation": 1, **more},
        headers={"Authorization": f"Bearer {token_of(host, 1)}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def boot(server: Server, mac: str = MAC, **query: str) -> None:
    query = {"arch": "x86_64", **query}
    assert requests.get(f"{server.url}/boot/{mac}", params=query, timeout=60).status_code == 200


def test_a_stranger_sees_the_login_form_and_a_wrong_token_says_so(browser, server, tree):
    page = browser.new_page()
    page.goto(server.url)
    assert page.url.endswith("/login")
    page.get_by_label("Operator's token").fill("not the token")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for(timeout=WAIT)
    assert page.get_by_text(HOST).count() == 0


def test_the_page_is_complete_without_javascript(browser, server, tree):
    boot(server, "de-ad-be-ef-00-01", manufacturer="Example Inc.")
    boot(server)
    page = open_page(browser, server, java_script_enabled=False)
    row = page.locator(f"[id='node-{HOST}']")
    for text in (HOST, "worker", "x86-64", digest_of("g1")[:12], "install script served"):
        assert text in row.inner_text()
    assert "control-plane" in page.locator("[id='node-n2.example']").inner_text()
    assert "Example Inc." in page.get_by_role("table").nth(1).inner_text()
    row.get_by_text("Timeline and history").click()
    assert row.get_by_role("heading", name="Audit trail").is_visible()


def test_a_report_changes_the_page_without_a_reload(browser, server, tree):
    page = open_page(browser, server)
    page.locator("#link[data-state=live]").wait_for()
    boot(server, OTHER)
    row = page.locator("[id='node-n2.example']")
    row.get_by_text("Timeline and history").click()
    for state in ("installing", "installed", "booted"):
        report(server, state, "n2.example", OTHER, digest=digest_of("other"), simulated=True)
        row.locator(f".state.{state}").wait_for()
    row.get_by_text("simulated", exact=True).wait_for()
    assert row.locator("details").get_attribute("open") is not None, "an open timeline stays open"


def test_a_machine_is_followed_into_the_cluster_without_a_reload(browser, server, tree):
    report(server, "booted", "n2.example", OTHER, digest=digest_of("other"))
    page = open_page_with_token(browser, server)
    page.locator("#link[data-state=live]").wait_for()
    row = page.locator("[id='node-n2.example']")
    row.get_by_text("Timeline and history").click()
    for state in ("initialising", "joining", "joined", "ready"):
        report(server, state, "n2.example", OTHER, message=f"{state} by the test")
        row.locator(f".state.{state}").wait_for()
        row.get_by_text(f": {state} by the test").first.wait_for()
    report(server, "failed", "n2.example", OTHER, stage="cluster", message="lost", log="its log")
    row.locator(".state.failed").wait_for()
    row.locator(".diagnosis", has_text="It failed in the cluster: lost").wait_for()
    row.get_by_role("heading", name="Last lines of what failed in the cluster").wait_for()
    assert "initialised kubernetes" in row.inner_text()


def test_the_stage_stays_visible_beside_what_is_to_be_installed_or_restarted(browser, server, tree):
    report(server, "booted", "n2.example", OTHER, digest=digest_of("other"))
    report(server, "ready", "n2.example", OTHER)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{server.url}/api/nodes/n2.example/reboot"
    assert requests.post(url, headers=headers, timeout=60).status_code == 200
    tree.publish(node_document("n2.example", OTHER, role="control-plane", generation=2))
    page = open_page_with_token(browser, server)
    state = page.locator("[id='node-n2.example'] td").nth(2).inner_text()
    assert state.split("\n") == ["armed", "ready in the cluster", "to restart"]
    requests.delete(url, headers=headers, timeout=60)


def test_what_machines_say_is_text_and_never_markup(browser, server, tree):
    page = open_page(browser, server)
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text))
    page.on("dialog", lambda dialog: broken.append(dialog.message))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.locator("#link[data-state=live]").wait_for()
    boot(server, "de-ad-be-ef-00-02", manufacturer=EVIL, product=EVIL, serial=EVIL)
    boot(server)
    report(server, "failed", message=EVIL, log=EVIL)
    row = page.locator(f"[id='node-{HOST}']")
    row.locator(".state.failed").wait_for()
    page.get_by_role("cell", name=EVIL).first.wait_for()
    assert "onerror=alert(1)" in row.locator(".diagnosis").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "test · Kindling" and broken == []


def test_headings_captions_and_names_carry_the_structure(browser, server, tree):
    page = open_page(browser, server)
    names = [h.inner_text() for h in page.get_by_role("heading", level=2).all()]
    assert names == ["Nodes", "Unknown machines", "Artifacts"]
    assert page.get_by_role("heading", level=1).inner_text() == "Kindling"
    tables = page.get_by_role("table").all()
    assert tables and all(table.locator("caption").count() == 1 for table in tables)
    assert page.locator("html").get_attribute("lang") == "en"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser, server, tree, scheme):
    """WCAG AA: 4.5 to 1, for the colours that the browser computed."""
    for state in ("booted", "ready" if scheme == "light" else "joining"):
        report(server, state, "n2.example", OTHER, digest=digest_of("other"))
    page = open_page(browser, server, color_scheme=scheme)
    page.locator(".state.ready, .state.joining").first.wait_for()
    weak = page.evaluate(CONTRAST)
    assert weak == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(browser, server, tree, width):
    page = open_page(browser, server, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_logging_out_ends_the_session_in_this_browser(browser, server, tree):
    page = open_page(browser, server)
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Operator's token").wait_for()
    page.goto(server.url)
    assert page.url.endswith("/login")


CONTRAST = """
() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((v) => {
      const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      const parts = numbers(colour);
      if (parts.length === 3 || parts[3] > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return weak;
}
"""
