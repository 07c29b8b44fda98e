"""What people do in the portal, in a real browser, with the demo behind it."""

import re
import time

from failures import record
from people import WAIT, enter, pick, sign_in
from playwright.sync_api import expect


def listed(page, account, text):
    """Opens the sync log until its newest row says this; the list itself does not follow."""
    deadline = time.monotonic() + WAIT / 1000
    while True:
        page.goto(f"/accounts/{account}/jobs")
        rows = page.locator("tbody tr")
        if rows.count() and text in rows.first.inner_text():
            return rows.first
        assert time.monotonic() < deadline, page.get_by_role("main").inner_text()
        page.wait_for_timeout(500)


def test_an_edit_in_the_pbx_appears_as_an_auto_job_without_a_click(browser, demo):
    page = sign_in(browser, demo, "gale@alpha")
    page.goto("/accounts/alpha")
    state = page.locator("#live .big .state")
    expect(state).to_have_text("In sync")
    last = page.locator("#h-syncs + dl dd").nth(1)
    before = last.locator("a").get_attribute("href")
    demo.edit("1007", "--number", "+12125550177")
    # nobody reloads the page: it follows
    expect(state).not_to_have_text("In sync")
    expect(last.locator("a")).not_to_have_attribute("href", before)
    expect(last).to_contain_text("Auto, succeeded")
    expect(state).to_have_text("In sync")
    last.locator("a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Auto sync")
    expect(page.get_by_role("region", name="Steps")).to_contain_text("+12125550177")
    expect(page.get_by_role("region", name="Log")).to_contain_text("<00:")


def test_a_manual_sync_asks_for_a_sign_in_and_reports_by_user(browser, demo):
    page = sign_in(browser, demo, "gale@charlie")
    page.goto("/accounts/charlie")
    page.get_by_text(re.compile("^Sync Now")).click()
    expect(page.get_by_role("button", name="Teams")).to_have_count(0)
    page.get_by_role("button", name="Manual Sync").click()
    page.get_by_role("button", name="Sign in with Microsoft").click()
    # once to say who, and again for what the sync may do
    pick(page, "gale@charlie")
    page.wait_for_url(re.compile("login_hint="))
    pick(page, "gale@charlie")
    page.wait_for_url(re.compile("/accounts/charlie|/connect/"))
    listed(page, "charlie", "Manual").get_by_role("link").first.click()
    expect(page.locator("#live .big .state")).to_have_text("Succeeded")
    expect(page.get_by_role("region", name="Steps").locator("tbody tr").first).to_be_visible()


def test_another_account_of_microsoft_is_refused_a_manual_sync(browser, demo):
    page = sign_in(browser, demo, "gale@charlie")
    page.goto("/accounts/charlie")
    page.get_by_text(re.compile("^Sync Now")).click()
    page.get_by_role("button", name="Manual Sync").click()
    page.get_by_role("button", name="Sign in with Microsoft").click()
    pick(page, "rhea@charlie")
    expect(page.get_by_role("main")).not_to_contain_text("has been asked for")
    expect(page.get_by_role("main")).to_contain_text("Code")


def test_an_account_manager_is_refused_a_sync_with_the_reason(browser, demo):
    page = sign_in(browser, demo, "Mia Manager")
    page.goto("/accounts/alpha")
    page.get_by_text(re.compile("^Sync Now")).click()
    expect(page.get_by_text("only the Global Admin linked to the account").first).to_be_visible()
    expect(page.get_by_role("button", name="Teams")).to_have_count(0)
    expect(page.get_by_role("button", name="Manual Sync")).to_have_count(0)


def save_mapping(page, account, user, choice):
    page.goto(f"/accounts/{account}/users?search={user}")
    page.get_by_role("link", name=re.compile("^Change")).first.click()
    page.get_by_role("radio", name=re.compile(re.escape(choice))).check()
    page.get_by_role("button", name="Save").click()


def test_a_leavers_licence_goes_to_somebody_else_after_a_sync(browser, demo):
    page = sign_in(browser, demo, "Adam Admin")
    save_mapping(page, "alpha", "1008", "None")
    page.goto("/accounts/alpha")
    ledger = page.locator("#h-licences + dl dd")
    expect(ledger.nth(1)).to_have_text("7")
    expect(ledger.nth(3)).to_have_text("0")
    page.goto("/accounts/alpha/users?unmapped=yes")
    page.get_by_role("link", name=re.compile("^Change")).first.click()
    page.locator("input[type=radio]:not([disabled]):not([value=none])").first.check()
    page.get_by_role("button", name="Save").click()
    page.goto("/accounts/alpha")
    expect(ledger.nth(1)).to_have_text("8")
    expect(ledger.nth(2)).to_have_text("8")


def test_an_operator_gives_a_reason_before_looking_into_an_account(browser, demo):
    page = sign_in(browser, demo, "Olga Operator")
    page.goto("/accounts/bravo")
    expect(page).to_have_url(re.compile("/enter$"))
    enter(page, "bravo", "ticket 4711")
    expect(page.get_by_text("You are in this account as an operator: ticket 4711")).to_be_visible()


def test_held_removals_are_approved_by_the_global_admin(browser, demo):
    adam = sign_in(browser, demo, "Adam Admin")
    page = sign_in(browser, demo, "gale@alpha")
    page.goto("/accounts/alpha/settings")
    # long enough for one window over all of them
    page.get_by_label("Quiet time in seconds").fill("20")
    page.get_by_label("Longest wait in seconds").fill("40")
    page.locator("#h-windows ~ form").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    for user in ("1001", "1003", "1004", "1006"):
        save_mapping(adam, "alpha", user, "None")
    page.goto("/accounts/alpha")
    expect(page.locator("#live .big .state")).to_have_text("Held", timeout=60_000)
    page.get_by_role("link", name="Look at them").click()
    expect(page.get_by_role("region", name="Held removals")).to_contain_text("Ana Costa, 1001")
    page.get_by_label("Reason").first.fill("they have left")
    page.get_by_role("button", name=re.compile("Approve")).click()
    expect(page.get_by_role("link", name="this sync")).to_be_visible()
    page.goto("/accounts/alpha")
    expect(page.locator("#live .big .state")).to_have_text("In sync")


def test_an_account_is_set_up_from_the_invitation_to_auto_sync(browser, demo):
    olga = sign_in(browser, demo, "Olga Operator")
    enter(olga, "delta", "new customer")
    olga.get_by_role("link", name="Administration").click()
    olga.get_by_label("Licences; never fewer").fill("3")
    olga.get_by_label("Reason").nth(0).fill("contract 12")
    olga.get_by_role("button", name="Set the licences").click()
    expect(olga.get_by_text("0 of 3 are in use")).to_be_visible()
    pbx = olga.locator("section", has=olga.get_by_role("heading", name="PBX"))
    pbx.get_by_label("Domain or key").fill("delta.example.com")
    pbx.get_by_label("Reason").fill("contract 12")
    pbx.get_by_role("button", name="Bind the account").click()
    expect(olga.get_by_text("It is delta.example.com of")).to_be_visible()
    invite = olga.locator("section", has=olga.get_by_role("heading", name="Invite the Global Admin"))
    invite.get_by_label("Who is invited").fill("gale@delta.example.com")
    invite.get_by_label("Microsoft tenant").fill("delta.example.com")
    invite.get_by_label("Reason").fill("new customer")
    invite.get_by_label("Show me the link").check()
    invite.get_by_role("button", name="Invite").click()
    link = olga.get_by_label("Link").input_value()

    gale = browser.new_context(base_url=demo.portal).new_page()
    gale.goto(link)
    gale.get_by_role("button", name="Sign in with Microsoft").click()
    pick(gale, "gale@delta")
    gale.get_by_role("button", name="Go on to Microsoft").click()
    pick(gale, "gale@delta")
    expect(gale.get_by_role("heading", name="Connected")).to_be_visible()

    gale = sign_in(browser, demo, "gale@delta")
    gale.goto("/accounts/delta/settings")
    expect(gale.get_by_role("heading", name="Auto Sync")).to_have_count(0)
    gale.locator("#h-next-gen ~ form").get_by_role("button").click()
    gale.locator("#h-auto-sync ~ form").get_by_role("button").click()
    expect(gale.locator("#h-auto-sync ~ p").first).to_contain_text("It is on")
    gale.goto("/accounts/delta")
    expect(gale.get_by_text("Healthy")).to_be_visible()


def test_an_operator_replays_fifty_failed_jobs_as_one_sync_per_account(browser, demo):
    record(demo, 50, "test_incident", "Service is unavailable")
    page = sign_in(browser, demo, "Olga Operator")
    page.goto("/fleet/jobs?state=failed&q=test_incident")
    page.get_by_role("link", name="Replay all that match").click()
    expect(page.get_by_role("heading", name="Replay 50 syncs")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("They are of 2 accounts")
    page.get_by_label("Name").fill("Service away")
    page.get_by_label("Reason").fill("it is over")
    page.get_by_role("button", name="Replay 50 syncs").click()
    accounts = page.get_by_role("region", name="Accounts").locator("tbody tr")
    expect(accounts).to_have_count(2)
    for row in (accounts.nth(0), accounts.nth(1)):
        expect(row).to_contain_text(re.compile("succeeded", re.IGNORECASE), timeout=90_000)
    gale = sign_in(browser, demo, "gale@bravo")
    listed(gale, "bravo", "Olga Operator").get_by_role("link").first.click()
    expect(gale.get_by_role("main")).to_contain_text("it is over")


def test_a_file_of_mappings_is_looked_at_before_it_is_saved(browser, demo):
    page = sign_in(browser, demo, "Adam Admin")
    page.goto("/accounts/alpha/users")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export as CSV").click()
    path = downloading.value.path()
    page.get_by_role("link", name="Import mappings").click()
    page.get_by_label(re.compile("^File")).set_input_files(path)
    page.get_by_role("button", name="Show what it would do").click()
    expect(page).to_have_url(re.compile("/imports/"))
    # what was exported changes nothing
    expect(page.get_by_role("button", name=re.compile("^Save"))).to_have_count(0)
