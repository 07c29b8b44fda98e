"""Every page of the portal, by the route that shows it, with somebody who may see it."""

import re

# route, who looks at it (None: nobody is signed in), the account; ids come from `ids`
PAGES = [
    ("/sign-in", None, None),
    ("/signed-out", None, None),
    ("/accounts", "Mia Manager", None),
    ("/accounts", "Olga Operator", None),
    ("/accounts/{account}", "gale@alpha", "alpha"),
    ("/accounts/{account}", "Adam Admin", "alpha"),
    ("/accounts/{account}", "gale@charlie", "charlie"),
    ("/accounts/{account}/enter", "Olga Operator", "bravo"),
    ("/accounts/{account}/users", "Adam Admin", "alpha"),
    ("/accounts/{account}/users/{user}", "gale@alpha", "alpha"),
    ("/accounts/{account}/users/{user}/mapping", "Adam Admin", "alpha"),
    ("/accounts/{account}/proposals", "Adam Admin", "alpha"),
    ("/accounts/{account}/jobs", "gale@alpha", "alpha"),
    ("/accounts/{account}/jobs/{job}", "gale@alpha", "alpha"),
    ("/accounts/{account}/jobs/{job}/replay", "gale@alpha", "alpha"),
    ("/accounts/{account}/held", "gale@alpha", "alpha"),
    ("/accounts/{account}/requests/{request}", "gale@alpha", "alpha"),
    ("/accounts/{account}/settings", "gale@alpha", "alpha"),
    ("/accounts/{account}/settings", "Adam Admin", "alpha"),
    ("/accounts/{account}/imports", "Adam Admin", "alpha"),
    ("/accounts/{account}/imports/{import}", "Adam Admin", "alpha"),
    ("/accounts/{account}/jobs/{job}/cancel", "gale@alpha", "alpha"),
    ("/accounts/{account}/mail", "gale@alpha", "alpha"),
    ("/accounts/{account}/administration", "Olga Operator", "delta"),
    ("/provider/accounts", "Olga Operator", None),
    ("/fleet", "Olga Operator", None),
    ("/fleet/detector", "Olga Operator", None),
    ("/fleet/jobs", "Olga Operator", None),
    ("/fleet/bulk", "Olga Operator", None),
    ("/fleet/bulk/new", "Olga Operator", None),
    ("/fleet/bulk/{bulk}", "Olga Operator", None),
    ("/tokens", "Mia Manager", None),
    ("/no-such-page", "Adam Admin", None),
]


def ids(page):
    """Ids of things that the demo has in alpha, found as the Global Admin finds them."""
    page.goto("/accounts/alpha/users")
    user = last_part(page.locator("tbody th a").first)
    page.goto("/accounts/alpha/jobs")
    job = last_part(page.locator("tbody th a").first)
    page.goto("/accounts/alpha")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url(re.compile("/requests/"))
    request = page.url.rsplit("/", 1)[1]
    page.get_by_text("This is the plan").wait_for()
    return {"user": user, "job": job, "request": request}


def import_of(page):
    """A file that Adam has uploaded and not saved."""
    page.goto("/accounts/alpha/imports")
    row = b"pbx_user,microsoft_user,service,number\r\nnobody,ana@alpha.example.com,voice,\r\n"
    page.get_by_label(re.compile("^File")).set_input_files({"name": "mappings.csv", "mimeType": "text/csv", "buffer": row})
    page.get_by_role("button", name="Show what it would do").click()
    page.wait_for_url(re.compile("/imports/"))
    return page.url.rsplit("/", 1)[1]


def last_part(link):
    return link.get_attribute("href").rsplit("/", 1)[1]


def name_of(route, who, account):
    """A name for files."""
    words = [word for word in re.split(r"[/{}\W]+", route) if word and word != "account"]
    return "-".join([*(words or ["overview"]), *([account] if account else []), (who or "nobody").split("@")[0].split()[0].lower()])
