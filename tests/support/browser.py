"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
NO_BROWSER = "" if CHROMIUM else "Chromium is not installed (Debian: chromium)"
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-sandbox",
]  # fmt: skip


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A headless browser that asks nobody else for anything. `flags`: more of its command line."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


#: How htmx tells that a page took a request back: a newer one came, or the page was left. Faults are `sendError` and `timeout`.
TAKEN_BACK = ("htmx:afterRequest,", "htmx:sendAbort,")


def complaints_of(page: Page, *, at: str = "", kinds: tuple[str, ...] = ("error", "warning")) -> list[str]:
    """What the browser complains of on this page from now on; only what comes from an address with `at` in it."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        is_from_there = not at or at in message.location.get("url", "")
        if message.type in kinds and is_from_there and not message.text.startswith(TAKEN_BACK):
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def sign_in(page: Page, url: str, email: str, password: str) -> None:
    """Through the site's own page."""
    page.goto(f"{url}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.locator("main form:has(input[name=password]) button[type=submit]").first.click()
    page.wait_for_url(lambda address: "/login" not in address)


def compute_in(lab: Page, password: str) -> None:
    """On a lab's page: sign in with its password, and run a cell of a new notebook."""
    lab.wait_for_selector("input[type=password]", timeout=30_000)
    assert "token" not in lab.url
    lab.fill("input[type=password]", password)
    lab.keyboard.press("Enter")
    lab.locator('.jp-LauncherCard[data-category="Notebook"]').first.click(timeout=60_000)
    cell = lab.locator(".jp-Notebook .jp-Cell .cm-content").first
    # As a person does: what is typed or run while the notebook is still connecting to its kernel may be lost.
    expect(lab.get_by_role("button", name="| Idle")).to_be_visible(timeout=60_000)
    cell.click(timeout=60_000)
    lab.keyboard.type("print(6*7)")
    expect(cell).to_have_text("print(6*7)")
    lab.keyboard.press("Shift+Enter")
    expect(lab.locator(".jp-OutputArea-output").first).to_have_text("42", timeout=60_000)
