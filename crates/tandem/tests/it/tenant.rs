//! Microsoft's side of an account: its users, what travels there, what has to be made there once, and what the doctor
//! finds.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::lab::{ANA, BEN, Lab, TENANT, said};
use crate::roles::Role;

/// Changes the world of the simulator.
async fn world(lab: &Lab, path: &str, body: &Value) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = lab.sim.base_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await?;
    let body = body.to_string();
    let head = format!(
        "PUT /_sim/tenants/{TENANT}{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

fn account(licences: u32, mappings: &str) -> String {
    format!(
        "[[account]]\nname = \"alpha\"\nsource = \"pbx\"\naccount_key = \"k1\"\ntenant = \"{TENANT}\"\n\
         licences = {licences}\nvoice_routing_policy = \"Provider-US\"\ndial_plan = \"Provider-Dial\"\n{mappings}\
         [[account.policy_rule]]\nwhen = {{ set = {{ field = \"voicemail_enabled\" }} }}\n\
         policy_type = \"TeamsCallingPolicy\"\npolicy_name = \"Tandem-PBX-Voicemail\"\n"
    )
}

fn mapping(user: &str, upn: &str) -> String {
    format!("[[account.mapping]]\npbx_user = \"{user}\"\nupn = \"{upn}@customer.example\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_every_user_on_the_list_can_be_picked() -> Result<()> {
    let lab = Lab::start().await?;
    let users = json!({ "users": [
        { "userPrincipalName": "cleo@customer.example", "displayName": "Cleo \u{1b}[31m", "phonePlan": "Warning" },
        { "userPrincipalName": "dan@customer.example", "phonePlan": "none" },
    ] });
    world(&lab, "", &users).await?;
    lab.good(&["accounts", "apply", &lab.accounts(&account(3, &mapping("u1", "ana")))?])?;
    let nothing = lab.good(&["accounts", "users", "alpha"])?;
    assert!(nothing.contains("Nobody has read the users of this tenant yet"), "{nothing}");

    let mut role = Role::start(&lab, "all")?;
    role.ready().await;
    let run = [
        "jobs",
        "run",
        "--account",
        "alpha",
        "--full",
        "--reason",
        "list the users",
        "--wait",
        "--timeout",
        "25s",
    ];
    lab.run(&run)?;
    let text = lab.good(&["accounts", "users", "alpha"])?;
    for part in
        ["complete: 4 users on ", "no: has no Phone System plan", "plan_in_grace", "Cleo \u{fffd}[31m"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let list: Value = serde_json::from_str(&lab.good(&[
        "accounts",
        "users",
        "alpha",
        "--eligible",
        "--output",
        "json",
    ])?)?;
    assert_eq!(list["lists"][0]["state"], "complete");
    let listed = list["users"].as_array().context("users")?;
    let names: Vec<&str> = listed.iter().filter_map(|user| user["upn"].as_str()?.split('@').next()).collect();
    assert_eq!(names, ["ana", "ben", "cleo"]);
    let unmapped =
        lab.good(&["accounts", "users", "alpha", "--eligible", "--unmapped", "--search", "BEN"])?;
    assert!(unmapped.contains("ben@customer.example") && !unmapped.contains("ana@"), "{unmapped}");

    // each of them can be picked, the one in its grace period too; whoever is not eligible cannot
    let all: String = names.iter().zip(1..).map(|(name, i)| mapping(&format!("u{i}"), name)).collect();
    lab.good(&["accounts", "apply", &lab.accounts(&account(3, &all))?])?;
    let told = lab.bad(&["accounts", "apply", &lab.accounts(&account(3, &mapping("u1", "dan")))?])?;
    assert!(told.contains("no user dan@customer.example with a working Phone System plan"), "{told}");
    let job = lab.good(&["jobs", "list", "--account", "alpha", "--type", "manual", "--output", "json"])?;
    let job: Value = serde_json::from_str(&job)?;
    let shown = lab.good(&["jobs", "show", job[0]["job_id"].as_str().context("a job")?])?;
    assert!(shown.contains("GRAPH> Enabled users: total=4, licensed=4, phoneSystem=3,"), "{shown}");
    assert_eq!(role.stop().await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_the_ledger_shows_who_gave_and_who_got_a_licence() -> Result<()> {
    let lab = Lab::start().await?;
    lab.good(&["accounts", "apply", &lab.accounts(&account(1, &mapping("u1", "ana")))?])?;
    let told = lab.bad(&[
        "accounts",
        "apply",
        &lab.accounts(&account(1, &(mapping("u1", "ana") + &mapping("u2", "ben"))))?,
    ])?;
    assert!(told.contains("1 licences do not cover 2 mappings"), "{told}");
    lab.good(&["accounts", "apply", &lab.accounts(&account(1, &mapping("u2", "ben")))?])?;
    let ledger: Value =
        serde_json::from_str(&lab.good(&["accounts", "ledger", "alpha", "--output", "json"])?)?;
    let steps: Vec<Value> = ledger
        .as_array()
        .context("a list")?
        .iter()
        .map(|entry| json!([entry["step"], entry["pbx_user_id"], entry["microsoft_user"], entry["used"]]))
        .collect();
    assert_eq!(
        steps,
        [json!(["given", "u1", ANA, 1]), json!(["taken", "u1", ANA, 0]), json!(["given", "u2", BEN, 1])]
    );
    let text = lab.good(&["accounts", "ledger", "alpha"])?;
    assert!(text.contains("taken") && text.contains("1 of 1 licences used"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_is_told_with_the_rules_of_the_account() -> Result<()> {
    let lab = Lab::start().await?;
    lab.good(&["accounts", "apply", &lab.accounts(&account(1, ""))?])?;
    let rows: Value =
        serde_json::from_str(&lab.good(&["accounts", "coverage", "alpha", "--output", "json"])?)?;
    let of = |field: &str| rows.as_array().and_then(|rows| rows.iter().find(|row| row["field"] == field));
    assert_eq!(of("did_numbers").context("a row")?["pushed"], json!(["as number"]));
    assert_eq!(of("forward_all").context("a row")?["pushed"], json!(["kept in the PBX"]));
    let voicemail = of("voicemail_enabled").context("a row")?;
    assert_eq!(voicemail["pushed"], json!(["as policy, by a rule"]));
    assert_eq!(voicemail["rules"], json!(["1: TeamsCallingPolicy Tandem-PBX-Voicemail"]));
    assert!(lab.good(&["accounts", "coverage", "alpha"])?.contains("kept in the PBX"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p24_the_script_wants_the_pbx_first_and_then_names_everything() -> Result<()> {
    let lab = Lab::start().await?;
    let unbound = account(1, "").replace("source = \"pbx\"\naccount_key = \"k1\"\n", "");
    lab.good(&["accounts", "apply", &lab.accounts(&unbound)?])?;
    let told = lab.bad(&["tenant", "setup-script", "alpha"])?;
    assert!(told.contains("bound to no PBX; set the PBX side up first"), "{told}");

    lab.good(&["accounts", "apply", &lab.accounts(&account(1, ""))?])?;
    let script = lab.good(&["tenant", "setup-script", "alpha", "--gateway", "sbc.provider.example"])?;
    for part in [
        "$GatewayFqdn = 'sbc.provider.example'",
        &format!("-ne '{TENANT}'"),
        "New-CsOnlinePSTNGateway",
        "New-CsOnlineVoiceRoute -Identity 'Provider-US'",
        "New-CsOnlineVoiceRoutingPolicy -Identity 'Provider-US'",
        "New-CsTenantDialPlan -Identity 'Provider-Dial'",
        "New-CsTeamsCallingPolicy -Identity 'Tandem-PBX-Voicemail' -AllowVoicemail AlwaysDisabled",
    ] {
        assert!(script.contains(part), "{part} is not in:\n{script}");
    }
    assert!(
        lab.bad(&["tenant", "setup-script", "alpha", "--gateway", "x'; y"])?.contains("a full host name")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_one_account() -> Result<()> {
    let lab = Lab::start().await?;
    let policies = json!({ "policies": [{ "type": "OnlineVoiceRoutingPolicy", "name": "Provider-US" }] });
    world(&lab, "", &policies).await?;
    let mappings = mapping("u1", "ana") + &mapping("u2", "ben");
    lab.good(&["accounts", "apply", &lab.accounts(&account(2, &mappings))?])?;
    world(&lab, &format!("/users/{BEN}"), &json!({ "phonePlan": "Deleted" })).await?;
    world(&lab, &format!("/users/{ANA}"), &json!({ "phonePlan": "Warning" })).await?;
    let output = lab.run(&["doctor", "--account", "alpha"])?;
    let told = said(&output);
    assert!(!output.status.success(), "{told}");
    for part in [
        "warning  account: no user of pbx/k1 has been seen yet",
        "ok       account: the authorization is healthy",
        "ok       account: every permission was there",
        "ok       account: the tenant is ",
        "ok       account: OnlineVoiceRoutingPolicy Provider-US is there",
        "ERROR    account: TenantDialPlan Provider-Dial is not in the tenant",
        "ERROR    account: TeamsCallingPolicy Tandem-PBX-Voicemail is not in the tenant",
        "tandem tenant setup-script alpha",
        "note     account: Graph shows that policies of these names are there and no more",
        "ok       account: 1 of 2 mapped users are eligible",
        "ERROR    account: mapped, but not eligible: ben@customer.example has lost the Phone System plan",
        "ana@customer.example (the Phone System plan is in its grace period)",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }

    let rest = json!({ "policies": [
        { "type": "TenantDialPlan", "name": "Provider-Dial" },
        { "type": "TeamsCallingPolicy", "name": "Tandem-PBX-Voicemail" },
    ] });
    world(&lab, "", &rest).await?;
    for user in [ANA, BEN] {
        world(&lab, &format!("/users/{user}"), &json!({ "phonePlan": "Enabled" })).await?;
    }
    let well = lab.good(&["doctor", "--account", "alpha"])?;
    assert!(well.contains("2 of 2 mapped users are eligible") && !well.contains("ERROR"), "{well}");
    let told = said(&lab.run(&["doctor", "--account", "nobody"])?);
    assert!(told.contains("there is no account nobody"), "{told}");
    Ok(())
}
