//! `tandem accounts`.

use anyhow::Result;

use crate::lab::{ANA, APP, BEN, Lab, STRANGER, TENANT, WEAK};

fn account(name: &str, more: &str) -> String {
    format!("[[account]]\nname = \"{name}\"\n{more}\n")
}

fn mapping(user: &str, oid: uuid::Uuid) -> String {
    format!("[[account.mapping]]\npbx_user = \"{user}\"\nmicrosoft_user = \"{oid}\"\n")
}

fn show(lab: &Lab, name: &str) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&lab.good(&["accounts", "show", name, "--output", "json"])?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_applied_once_and_again_changes_nothing() -> Result<()> {
    let lab = Lab::start().await?;
    let text = account(
        "alpha",
        &format!(
            "label = \"Alpha\"\nsource = \"pbx\"\naccount_key = \"k1\"\ntenant = \"{TENANT}\"\nlicences = 2\n\
             auto_sync = true\nquiet = \"1s\"\nvoice_routing_policy = \"Provider-US\"\n{}{}\
             [[account.mapping]]\npbx_user = \"u2\"\nupn = \"Ben@customer.example\"\nnumber = \"+12125550102\"\n\
             [[account.policy_rule]]\nwhen = {{ set = {{ field = \"voicemail_enabled\" }} }}\n\
             policy_type = \"TeamsCallingPolicy\"\npolicy_name = \"Tandem-PBX-Voicemail\"\n",
            "",
            mapping("u1", ANA)
        ),
    );
    let file = lab.accounts(&text)?;
    let dry = lab.good(&["accounts", "apply", &file, "--dry-run"])?;
    assert!(dry.contains("alpha: would change"), "{dry}");
    assert!(!lab.good(&["accounts", "list"])?.contains("alpha"));

    let done = lab.good(&["accounts", "apply", &file, "--person", "tester"])?;
    assert!(done.contains("alpha: saved, at generation 3"), "{done}");
    let stored = show(&lab, "alpha")?;
    assert_eq!(stored["gen"], 3);
    assert_eq!(stored["authorization"]["state"], "healthy");
    assert_eq!(stored["authorization"]["bound_by"], "tester");
    assert_eq!(stored["authorization"]["client_id"], APP.to_string());
    assert_eq!(stored["mappings"][1]["microsoft_user"], BEN.to_string());
    assert_eq!(stored["mappings"][1]["number"], "+12125550102");
    assert_eq!(stored["quiet_ms"], 1000);
    assert_eq!(stored["policy_rules"][0]["policy_name"], "Tandem-PBX-Voicemail");

    let again = lab.good(&["accounts", "apply", &file])?;
    assert!(again.contains("alpha: as stored"), "{again}");
    assert_eq!(show(&lab, "alpha")?["gen"], 3);

    // two users swap their Microsoft users: one save, two changes
    let swapped = text
        .replace(&ANA.to_string(), &BEN.to_string())
        .replace("upn = \"Ben@customer.example\"", "upn = \"ana@customer.example\"");
    let done = lab.good(&["accounts", "apply", &lab.accounts(&swapped)?])?;
    assert!(done.contains("at generation 5"), "{done}");

    // everything off again; fewer licences in the same save
    let bare = account("alpha", &format!("label = \"Alpha\"\ntenant = \"{TENANT}\"\nlicences = 0"));
    let done = lab.good(&["accounts", "apply", &lab.accounts(&bare)?])?;
    assert!(done.contains("- mapping u1") && done.contains("~ auto_sync: true -> false"), "{done}");
    assert_eq!(show(&lab, "alpha")?["mappings"].as_array().map(Vec::len), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idea18_a_file_that_says_nothing_of_a_pause_leaves_it() -> Result<()> {
    let lab = Lab::start().await?;
    let text = |more: &str| account("alpha", &format!("licences = 2\n{more}"));
    let paused = text("pause = { until = \"2036-12-27T00:00:00Z\", reason = \"the customer moves\" }");
    lab.good(&["accounts", "apply", &lab.accounts(&paused)?])?;
    let done = lab.good(&["accounts", "apply", &lab.accounts(&text(""))?])?;
    assert!(done.contains("alpha: as stored"), "{done}");
    lab.good(&["accounts", "apply", &lab.accounts(&text("label = \"Alpha\""))?])?;
    let stored = show(&lab, "alpha")?;
    assert_eq!(
        (&stored["label"], &stored["paused"]["reason"]),
        (&"Alpha".into(), &"the customer moves".into())
    );
    // the end of a pause that the file names is the one that counts
    let over = text("pause = { until = \"2026-01-01T00:00:00Z\", reason = \"moved\" }");
    lab.good(&["accounts", "apply", &lab.accounts(&over)?])?;
    assert_eq!(show(&lab, "alpha")?["paused"]["until"], "2026-01-01T00:00:00Z");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_told_and_nothing_is_saved() -> Result<()> {
    let lab = Lab::start().await?;
    let text = [
        account("good", "licences = 1"),
        account("Bad Name", ""),
        account(
            "beta",
            &format!(
                "licences = 1\nauto_sync = true\nmax_wait = \"9m\"\nshared_number = \"0212\"\ncolour = 1\nsource = \"pbx\"\n{}{}{}",
                mapping("u1", ANA),
                mapping("u1", ANA),
                "[[account.policy_rule]]\nwhen = { set = { field = \"shoe_size\" } }\npolicy_type = \"T\"\npolicy_name = \"P\"\n"
            ),
        ),
        account("gamma", &format!("tenant = \"{STRANGER}\"")),
        account("gamma2", &format!("tenant = \"{STRANGER}\"")),
        account("beta2", "licences = 1\n[[account.mapping]]\nextension = \"1001\"\n"),
    ]
    .concat();
    let file = lab.accounts(&text)?;
    let told = lab.bad(&["accounts", "apply", &file])?;
    for part in [
        "account[1].name: is 1 to 63 lower-case letters",
        "account[beta].colour: unknown field `colour`",
        "account[beta].mapping[1]: another mapping has the same PBX user",
        "account[beta].mapping[1]: another mapping has the same Microsoft user",
        "account[beta].policy_rule[0].when: there is no profile field shoe_size",
        "account[gamma2].tenant: account[gamma] has the same",
        "account[gamma].tenant:",
        "account[beta2].mapping[0]: needs one of microsoft_user and upn",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    // an unknown key hides the section; without it the values are checked
    let told = lab.bad(&["accounts", "apply", &lab.accounts(&text.replace("colour = 1\n", ""))?])?;
    for part in [
        "account[beta].licences: 1 licences do not cover 2 mappings",
        "account[beta].auto_sync: needs a tenant",
        "account[beta].max_wait: is above",
        "account[beta].shared_number",
        "account[beta].source: source and account_key belong together",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(!lab.good(&["accounts", "list"])?.contains("good"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_bound_to_one_account_and_only_when_proved() -> Result<()> {
    let lab = Lab::start().await?;
    let of = |name: &str, tenant: uuid::Uuid| account(name, &format!("tenant = \"{tenant}\""));
    let told = lab.bad(&["accounts", "apply", &lab.accounts(&of("alpha", STRANGER))?])?;
    assert!(told.contains("account[alpha].tenant"), "{told}");
    let done = lab.good(&["accounts", "apply", &lab.accounts(&of("alpha", WEAK))?])?;
    assert!(done.contains("authorization weakened") && done.contains("permissions missing"), "{done}");
    assert_eq!(show(&lab, "alpha")?["authorization"]["state"], "weakened");
    assert_eq!(show(&lab, "alpha")?["authorization"]["reason"], "permission_missing");
    assert_eq!(show(&lab, "alpha")?["parked"], "not_authorized");
    let text = lab.good(&["accounts", "show", "alpha"])?;
    for part in ["weakened since 2", "lacks a permission", "has to consent again", "Looked at again"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let told = lab.bad(&["accounts", "apply", &lab.accounts(&of("beta", WEAK))?])?;
    assert!(told.contains("account[beta].tenant: belongs to the account alpha"), "{told}");
    let bound = |name: &str| account(name, "source = \"pbx\"\naccount_key = \"k1\"");
    lab.good(&["accounts", "apply", &lab.accounts(&bound("gamma"))?])?;
    let told = lab.bad(&["accounts", "apply", &lab.accounts(&bound("delta"))?])?;
    assert!(told.contains("account[delta].account_key: belongs to the account gamma"), "{told}");
    // leaving a tenant in which nothing stands is fine
    let done = lab.good(&["accounts", "apply", &lab.accounts(&account("alpha", ""))?])?;
    assert!(done.contains("- tenant"), "{done}");
    assert!(show(&lab, "alpha")?["authorization"].is_null());
    Ok(())
}
