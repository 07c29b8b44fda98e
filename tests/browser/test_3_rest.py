"""The REST API against its own document: whatever is sent, the answer is one that the document describes."""

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pages import ids
from people import sign_in
from playwright.sync_api import expect
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# what is sent may be refused by a rule that no schema can tell, and an answer to it is judged alike
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="session")
def seat(browser, demo):
    """The Global Admin's session, with the header that shows that a post is meant."""
    page = sign_in(browser, demo, "gale@alpha")
    known = ids(page)
    page.goto("/accounts/alpha")
    mark = page.locator("input[name=mark]").first.get_attribute("value")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies(demo.portal)}
    return known, {"cookies": cookies, "headers": {"x-csrf-token": mark}}


@pytest.fixture(scope="session")
def document(demo, seat):
    schema = schemathesis.openapi.from_url(f"{demo.portal}/api/v1/openapi.json")
    known, _ = seat

    @schema.hook
    def map_path_parameters(context, parameters):
        """Made-up accounts are not there; what is behind the guard wants to be met."""
        there = {"account": "alpha", "user": known["user"], "job": known["job"]}
        return {name: there.get(name, value) for name, value in (parameters or {}).items()}

    return schema


api = schemathesis.pytest.from_fixture("document")


@api.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_in_the_document(case, seat):
    _, who = seat
    case.call_and_validate(checks=CHECKS, **who)


def test_what_was_sent_left_the_account_well(browser, demo):
    page = sign_in(browser, demo, "gale@alpha")
    page.goto("/accounts/alpha")
    expect(page.locator("#live .big .state")).to_have_text(re.compile("In sync|Landing|Syncing|Changes queued|Held"))
