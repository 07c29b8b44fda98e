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
import urllib.request

APP = "a11ce000-0000-4000-8000-00000000a001"
TENANT = "7e4a0000-0000-4000-8000-000000000001"
SECRET = "demo-secret"
SCOPE = "https://graph.microsoft.com/.default"
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


async def check_graph(base, folder):
    """Reads and writes through msgraph-sdk."""
    import httpx
    from azure.identity.aio import CertificateCredential
    from kiota_abstractions.api_error import APIError
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.generated.admin.teams.policy.user_assignments.microsoft_graph_teams_administration_assign.assign_post_request_body import (
        AssignPostRequestBody,
    )
    from msgraph.generated.admin.teams.telephone_number_management.number_assignments.microsoft_graph_teams_administration_assign_number.assign_number_post_request_body import (
        AssignNumberPostRequestBody,
    )
    from msgraph.generated.models.teams_administration.number_type import NumberType
    from msgraph.generated.models.teams_administration.teams_policy_user_assignment import TeamsPolicyUserAssignment
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder
    from msgraph_core import GraphClientFactory

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
    client = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(verify=trust), host=base)
    auth = AzureIdentityAuthenticationProvider(credential, scopes=[SCOPE], allowed_hosts=["127.0.0.1"])
    adapter = GraphRequestAdapter(auth, client)
    adapter.base_url = f"{base}/v1.0"
    graph = GraphServiceClient(request_adapter=adapter)

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
            app = {"displayName": "check", "secrets": [SECRET], "certificates": [certificate]}
            switchboard(base, trust, "PUT", f"/apps/{APP}", app)
            switchboard(base, trust, "POST", f"/tenants/{TENANT}/users/bulk", {"count": USERS})
            check_msal(base, folder)
            asyncio.run(check_graph(base, folder))
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
