#!/usr/bin/env python3
"""Drives msgraph-sim with Microsoft's own clients.

    check.py PATH-TO-MSGRAPH-SIM

Starts the simulator with TLS on a free port, then uses msal, azure-identity and msgraph-sdk as any application
would. Prints one line per check and exits non-zero if one fails.
"""

import asyncio
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

APP = "a11ce000-0000-4000-8000-00000000a001"
TENANT = "7e4a0000-0000-4000-8000-000000000001"
SECRET = "demo-secret"
SCOPE = "https://graph.microsoft.com/.default"
SIGN_IN_APP = "a11ce000-0000-4000-8000-00000000a002"
BACK = "http://localhost:5000/back"
ADMIN = "gale@contoso.example"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
PHONE_PLAN = "4828c8ec-dc2e-4779-b502-87ac9ce28ab7"
USERS = 25

failures = 0


def check(name, good, detail=""):
    """One line per check."""
    global failures
    if not good:
        failures += 1
    print(f"{'ok  ' if good else 'FAIL'} {name}{' - ' + str(detail) if detail and not good else ''}", flush=True)
    return good


def switchboard(base, context, method, path, body=None):
    """One request to the simulator's own switchboard."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{base}/_sim{path}", data=data, method=method, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, context=context, timeout=10) as reply:
        return json.load(reply)


def check_msal(base, folder):
    """Tokens by secret and by certificate."""
    import msal

    authority = f"{base}/{TENANT}"
    key = (folder / "app-key.pem").read_text()
    certificate = (folder / "app-cert.pem").read_text()
    cases = {
        "secret": SECRET,
        "certificate": {"private_key": key, "public_certificate": certificate, "thumbprint": None},
    }
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    loaded = x509.load_pem_x509_certificate(certificate.encode())
    cases["certificate"]["thumbprint"] = loaded.fingerprint(hashes.SHA1()).hex()
    for name, credential in cases.items():
        app = msal.ConfidentialClientApplication(
            APP,
            client_credential=credential,
            authority=authority,
            instance_discovery=False,
            verify=str(folder / "ca.pem"),
        )
        result = app.acquire_token_for_client([SCOPE])
        check(f"msal: token by {name}", "access_token" in result, result.get("error_description"))
    wrong = msal.ConfidentialClientApplication(
        APP, client_credential="wrong", authority=authority, instance_discovery=False, verify=str(folder / "ca.pem")
    ).acquire_token_for_client([SCOPE])
    check("msal: wrong secret is AADSTS7000215", wrong.get("error_codes") == [7000215], wrong)


class Stay(urllib.request.HTTPRedirectHandler):
    """A browser that shows where it is sent instead of going there."""

    def redirect_request(self, *_):
        return None


def choose(page, context, **fields):
    """Opens a page of the simulator and presses a button on it; gives the fields of the way back."""
    browser = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
    with browser.open(page, timeout=10) as shown:
        text = shown.read().decode()
    check("the page can be read", "<form method=\"post\"" in text and ADMIN in text, text[:200])
    try:
        browser.open(page, urllib.parse.urlencode(fields).encode(), timeout=10)
    except urllib.error.HTTPError as answer:
        location = answer.headers["Location"] or ""
        check("the way back", answer.code == 302 and location.startswith(BACK), (answer.code, location))
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
    raise AssertionError("the page did not send the browser back")


def check_sign_in(base, folder, context):
    """A person signs in through msal: code, PKCE, state and nonce. Gives that person's access token."""
    import msal

    settings = {
        "authority": f"{base}/{TENANT}",
        "instance_discovery": False,
        "verify": str(folder / "ca.pem"),
    }
    app = msal.ConfidentialClientApplication(APP, client_credential=SECRET, **settings)
    flow = app.initiate_auth_code_flow(["User.Read"], redirect_uri=BACK, prompt="select_account")
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(flow["auth_uri"]).query))
    check("msal asks with PKCE, state and nonce", asked["code_challenge_method"] == "S256" and asked["state"] and asked["nonce"], asked)
    answer = choose(flow["auth_uri"], context, person=ADMIN)
    result = app.acquire_token_by_auth_code_flow(flow, answer)
    claims = result.get("id_token_claims", {})
    check("msal: sign-in", (claims.get("tid"), claims.get("preferred_username")) == (TENANT, ADMIN), result)
    check("msal: wids of the ID token", GLOBAL_ADMINISTRATOR in claims.get("wids", []), claims)
    again = app.acquire_token_by_auth_code_flow(flow, answer)
    check("msal: a code is good once", again.get("error_codes") == [54005], again)
    accounts = app.get_accounts()
    check("msal: the account is known", [a["username"] for a in accounts] == [ADMIN], accounts)
    renewed = app.acquire_token_silent_with_error(["User.Read"], account=accounts[0], force_refresh=True) or {}
    check("msal: refresh token", "access_token" in renewed, renewed)

    flow = app.initiate_auth_code_flow(["User.Read"], redirect_uri=BACK)
    denied = app.acquire_token_by_auth_code_flow(flow, choose(flow["auth_uri"], context, deny="1"))
    check("msal: denied", denied.get("error") == "access_denied", denied)
    forged = {**choose(flow["auth_uri"], context, person=ADMIN), "state": "forged"}
    try:
        app.acquire_token_by_auth_code_flow(flow, forged)
        check("msal: a forged state is noticed", False)
    except ValueError:
        check("msal: a forged state is noticed", True)

    public = msal.PublicClientApplication(SIGN_IN_APP, **settings)
    flow = public.initiate_auth_code_flow(["User.Read"], redirect_uri=BACK)
    signed_in = public.acquire_token_by_auth_code_flow(flow, choose(flow["auth_uri"], context, person=ADMIN))
    check("msal: sign-in of a public client", "id_token_claims" in signed_in, signed_in)
    consent = f"{base}/{TENANT}/v2.0/adminconsent?" + urllib.parse.urlencode(
        {"client_id": SIGN_IN_APP, "scope": SCOPE, "redirect_uri": BACK, "state": "s"}
    )
    given = choose(consent, context, person=ADMIN)
    check("admin consent", (given.get("admin_consent"), given.get("tenant")) == ("True", TENANT), given)
    return result.get("access_token", "")


class Fixed:
    """A credential that has a token already."""

    def __init__(self, token):
        self.token = token

    async def get_token(self, *_, **__):
        from azure.core.credentials import AccessToken

        return AccessToken(self.token, int(time.time()) + 3000)

    async def close(self):
        pass


async def check_person(base, folder, token):
    """The person behind a delegated token through msgraph-sdk."""
    graph, client = graph_client(base, folder, Fixed(token))
    me = await graph.me.get()
    check("/me", me.user_principal_name == ADMIN, me)
    roles = await graph.me.transitive_member_of.graph_directory_role.get()
    found = [role.role_template_id for role in roles.value]
    check("/me/transitiveMemberOf, cast to directoryRole", found == [GLOBAL_ADMINISTRATOR], found)
    memberships = await graph.me.transitive_member_of.get()
    check("/me/transitiveMemberOf", type(memberships.value[0]).__name__ == "DirectoryRole", memberships.value)
    await client.aclose()


def graph_client(base, folder, credential):
    """Microsoft's client, and the connection below it."""
    import httpx
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.graph_request_adapter import options
    from msgraph_core import GraphClientFactory

    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    # the options with which the library replaces its own name for /me; it adds them itself to a client it makes
    client = GraphClientFactory.create_with_default_middleware(
        client=httpx.AsyncClient(verify=trust), host=base, options=options
    )
    auth = AzureIdentityAuthenticationProvider(credential, scopes=[SCOPE], allowed_hosts=["127.0.0.1"])
    adapter = GraphRequestAdapter(auth, client)
    adapter.base_url = f"{base}/v1.0"
    return GraphServiceClient(request_adapter=adapter), client


async def check_graph(base, folder):
    """Reads and writes through msgraph-sdk."""
    from azure.identity.aio import CertificateCredential
    from kiota_abstractions.api_error import APIError
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.admin.teams.policy.user_assignments.microsoft_graph_teams_administration_assign.assign_post_request_body import (
        AssignPostRequestBody,
    )
    from msgraph.generated.admin.teams.telephone_number_management.number_assignments.microsoft_graph_teams_administration_assign_number.assign_number_post_request_body import (
        AssignNumberPostRequestBody,
    )
    from msgraph.generated.models.teams_administration.number_type import NumberType
    from msgraph.generated.models.teams_administration.teams_policy_user_assignment import TeamsPolicyUserAssignment
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder

    pem = (folder / "app-key.pem").read_bytes() + (folder / "app-cert.pem").read_bytes()
    credential = CertificateCredential(
        TENANT,
        APP,
        certificate_data=pem,
        authority=base,
        disable_instance_discovery=True,
        connection_verify=str(folder / "ca.pem"),
    )
    token = await credential.get_token(SCOPE)
    check("azure-identity: token by certificate", bool(token.token))

    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    graph, client = graph_client(base, folder, credential)

    organization = await graph.organization.get()
    check("organization", organization.value[0].id == TENANT)

    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
        filter=f"assignedPlans/any(p:p/servicePlanId eq {PHONE_PLAN} and p/capabilityStatus eq 'Enabled')",
        select=["id", "userPrincipalName", "assignedPlans"],
        count=True,
        top=10,
    )
    configuration = RequestConfiguration(query_parameters=query)
    configuration.headers.add("ConsistencyLevel", "eventual")
    page = await graph.users.get(request_configuration=configuration)
    found, pages, count = {}, 0, page.odata_count
    while page:
        pages += 1
        found.update({user.user_principal_name: user for user in page.value})
        link = page.odata_next_link
        # the link carries the query, the header has to be sent again
        again = RequestConfiguration()
        again.headers.add("ConsistencyLevel", "eventual")
        page = await graph.users.with_url(link).get(request_configuration=again) if link else None
    check("licensed users over pages", (count, len(found), pages) == (USERS + 3, USERS + 3, 3), (count, len(found), pages))
    ana = found["ana@contoso.example"]
    check("assigned plans", any(str(p.service_plan_id) == PHONE_PLAN for p in ana.assigned_plans))

    teams = graph.admin.teams
    all_of_them = await teams.user_configurations.get()
    check("userConfigurations", len(all_of_them.value) == USERS + 4, len(all_of_them.value))
    before = await teams.user_configurations.by_teams_user_configuration_id(ana.id).get()
    check("voice is off", before.id == ana.id and before.is_enterprise_voice_enabled is False, before)

    body = AssignNumberPostRequestBody(
        telephone_number="+12125550101;ext=1001", assignment_target_id=ana.id, number_type=NumberType.DirectRouting
    )
    management = teams.telephone_number_management
    await management.number_assignments.microsoft_graph_teams_administration_assign_number.post(body)
    # the generated client does not hand out the Location header of a 202, so the switchboard names the operation
    operations = switchboard(base, trust, "GET", f"/tenants/{TENANT}/operations")["operations"]
    for _ in range(100):
        operation = await management.operations.by_telephone_number_long_running_operation_id(
            operations[0]["id"]
        ).get()
        if operation.status not in ("notStarted", "running") and operation.status.value not in ("notStarted", "running"):
            break
        await asyncio.sleep(0.05)
    check("operation succeeded", operation.status.value == "succeeded", operation)
    check("operation of one number", operation.numbers[0].status.value == "succeeded", operation)
    after = await teams.user_configurations.by_teams_user_configuration_id(ana.id).get()
    numbers = [number.telephone_number for number in after.telephone_numbers]
    check("number and voice are on", (numbers, after.is_enterprise_voice_enabled) == (["+12125550101;ext=1001"], True), numbers)
    inventory = await management.number_assignments.get()
    entry = inventory.value[0]
    check("inventory names the holder", entry.assignment_target_id == ana.id and entry.number_type == NumberType.DirectRouting)

    kind = "OnlineVoiceRoutingPolicy"
    ids = await teams.policy.microsoft_graph_teams_administration_get_policy_id_with_type_with_name(
        name="Provider-US", type=kind
    ).get()
    check("getPolicyId", ids.value[0].name == "Tag:Provider-US")
    assignment = TeamsPolicyUserAssignment(user_id=ana.id, policy_type=kind, policy_id=ids.value[0].policy_id)
    builder = teams.policy.user_assignments.microsoft_graph_teams_administration_assign
    await builder.post(AssignPostRequestBody(value=[assignment]))
    after = await teams.user_configurations.by_teams_user_configuration_id(ana.id).get()
    effective = {a.policy_type: a.policy_assignment.policy_id for a in after.effective_policy_assignments}
    check("policy is effective", effective == {kind: ids.value[0].policy_id}, effective)

    try:
        await teams.user_configurations.by_teams_user_configuration_id("00000000-0000-4000-8000-000000000009").get()
        check("unknown user is an error", False)
    except APIError as error:
        check("unknown user is an error", error.response_status_code == 404, error)

    dan = switchboard(base, trust, "GET", f"/tenants/{TENANT}/users/dan@contoso.example")["id"]
    switchboard(base, trust, "DELETE", f"/tenants/{TENANT}/users/{dan}")
    deleted = await graph.directory.deleted_items.graph_user.get()
    check("deleted users", [(u.id, bool(u.deleted_date_time)) for u in deleted.value] == [(dan, True)], deleted.value)
    item = await graph.directory.deleted_items.by_directory_object_id(dan).get()
    check("a deleted user", type(item).__name__ == "User" and item.user_principal_name == "dan@contoso.example", item)
    switchboard(base, trust, "POST", f"/tenants/{TENANT}/users/{dan}/restore", {})
    await credential.close()
    await client.aclose()


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([binary, "make-cert", folder], check=True)
        # requests lets this variable overrule what a session was told to trust
        os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")
        listen = ["--listen", "127.0.0.1:0", "--tls", folder / "tls-cert.pem", folder / "tls-key.pem"]
        sim = subprocess.Popen([binary, *listen], stdout=subprocess.PIPE, text=True)
        try:
            base = sim.stdout.readline().split()[-1]
            trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            certificate = (folder / "app-cert.pem").read_text()
            app = {
                "displayName": "check",
                "secrets": [SECRET],
                "certificates": [certificate],
                "redirectUris": ["http://localhost/back"],
                "groupMembershipClaims": "DirectoryRole",
                "scopes": ["User.Read"],
            }
            switchboard(base, trust, "PUT", f"/apps/{APP}", app)
            switchboard(base, trust, "POST", f"/tenants/{TENANT}/users/bulk", {"count": USERS})
            check_msal(base, folder)
            asyncio.run(check_graph(base, folder))
            token = check_sign_in(base, folder, trust)
            asyncio.run(check_person(base, folder, token))
        finally:
            sim.terminate()
            ended = sim.wait(timeout=10)
        check("the simulator ends cleanly", ended == 0, ended)
    if failures:
        print(f"{failures} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.path.exists(sys.argv[1]):
        sys.exit(__doc__)
    sys.exit(main())
