"""Browsers, and the people who sit in front of them."""

import os
import re
import shutil

from playwright.sync_api import expect

MICROSOFT = {"gale"}
WAIT = 30_000  # milliseconds until something that takes seconds has happened, on a busy machine

expect.set_options(timeout=WAIT)


def launch(playwright):
    """Debian's Chromium; root has no use for its sandbox."""
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium, args=arguments)


def pick(page, name):
    """Chooses a person on the simulator's page."""
    page.get_by_role("button", name=re.compile(re.escape(name))).click()


def sign_in(browser, demo, name, **context):
    """A new browser in which somebody is signed in: a sign-in name at Microsoft, or a name at the provider."""
    page = browser.new_context(base_url=demo.portal, **context).new_page()
    page.goto("/sign-in")
    if "@" in name:
        page.get_by_role("button", name="Sign in with Microsoft").click()
    else:
        page.get_by_role("button", name="Sign in at your provider").click()
    pick(page, name)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def enter(page, account, reason="ticket 17"):
    """An operator enters an account."""
    page.goto(f"/accounts/{account}")
    if page.url.endswith("/enter"):
        page.get_by_label("Reason").fill(reason)
        page.get_by_role("button", name="Enter").click()
