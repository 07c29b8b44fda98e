"""One demo and one browser for all walks."""

import re

import pytest
from demo import Demo
from people import launch, sign_in
from playwright.sync_api import expect, sync_playwright


def pytest_addoption(parser):
    parser.addoption("--tandem", default="target/debug/tandem", help="the program")
    parser.addoption("--screenshots", help="folder for pictures of every page; without it none are made")


@pytest.fixture(scope="session")
def demo(request, browser):
    demo = Demo(request.config.getoption("--tandem"))
    try:
        read_the_tenant(browser, demo)
        yield demo
    finally:
        demo.stop()


def read_the_tenant(browser, demo):
    """A full sync lists the Microsoft users of alpha, so that somebody can be mapped."""
    page = sign_in(browser, demo, "gale@alpha")
    page.goto("/accounts/alpha")
    page.get_by_text(re.compile("^Sync Now")).click()
    page.get_by_role("button", name="Teams").click()
    expect(page.locator("#h-syncs + dl")).to_contain_text("Manual, succeeded")
    page.context.close()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()
