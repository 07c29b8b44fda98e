"""Every page: no violation of accessibility, no error in the console, no sideways scrolling; pictures on demand."""

import pathlib

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import PAGES, ids, import_of, name_of
from people import enter, sign_in

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


@pytest.fixture(scope="module")
def found(browser, demo):
    # a bulk act that there is not shows how the page refuses
    bulk = "019a0000-0000-7000-8000-000000000001"
    upload = import_of(sign_in(browser, demo, "Adam Admin"))
    return {**ids(sign_in(browser, demo, "gale@alpha")), "import": upload, "bulk": bulk}


@pytest.fixture(scope="module")
def seats(browser, demo):
    """One browser for each person, kept while pages are looked at."""
    seats = {}

    def seat(who):
        if who not in seats:
            page = sign_in(browser, demo, who) if who else browser.new_context(base_url=demo.portal).new_page()
            page.problems = []
            page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            seats[who] = page
        return seats[who]

    return seat


@pytest.mark.parametrize("route, who, account", PAGES, ids=[name_of(*page) for page in PAGES])
def test_page(route, who, account, found, seats, request):
    page = seats(who)
    if who == "Olga Operator" and account and not route.endswith("/enter"):
        enter(page, account)
    page.problems.clear()
    folder = request.config.getoption("--screenshots")
    wrong = []
    for look, settings in LOOKS.items():
        page.set_viewport_size(settings["viewport"])
        page.emulate_media(color_scheme=settings["color_scheme"])
        page.goto(route.format(account=account, **found))
        if folder:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name_of(route, who, account)}-{look}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            wrong.append(f"{look}: {wide} pixels wider than the window")
        if look != "phone":
            violations = Axe().run(page).response["violations"]
            wrong += [f"{look}: {v['id']}: {v['help']}: {[n['html'] for n in v['nodes']]}" for v in violations]
    # a page that refuses answers 404 or 409, which a console notes
    wrong += [problem for problem in page.problems if "the server responded with a status of 4" not in problem]
    assert not wrong, "\n".join(wrong)
