//! The other commands of an operator.

use anyhow::Result;

use crate::lab::{Lab, TENANT, said, tandem};

#[tokio::test(flavor = "multi_thread")]
async fn config_check_tells_every_mistake_and_no_secret() -> Result<()> {
    let lab = Lab::bare().await?;
    assert!(lab.good(&["config", "check"])?.contains("is fine"));
    let text = std::fs::read_to_string(lab.config())?
        .replace("environment = \"development\"", "environment = \"production\"\ncolour = \"red\"")
        .replace("secret_file = \"app\"", "secret_file = \"app\"\nclient_secret = \"hunter2\"");
    std::fs::write(lab.config(), text)?;
    let told = lab.bad(&["config", "check"])?;
    for part in ["colour: is not a key", "microsoft.client_secret: unknown field", "teams_sync.ladder_speed"]
    {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_knows_what_is_wrong_and_what_to_do() -> Result<()> {
    let lab = Lab::bare().await?;
    let before = lab.run(&["doctor"])?;
    assert!(!before.status.success());
    assert!(said(&before).contains("run `tandem migrate`"), "{}", said(&before));

    lab.good(&["migrate"])?;
    let account = format!("[[account]]\nname = \"alpha\"\ntenant = \"{TENANT}\"\n");
    lab.good(&["accounts", "apply", &lab.accounts(&account)?])?;
    let well = lab.good(&["doctor"])?;
    for part in [
        "ok       database: PostgreSQL",
        "ok       database: tandem_operator has its rights",
        "ok       nats: clients without credentials are refused",
        "ok       nats: the streams are there",
        "ok       microsoft: a token for the tenant of alpha works",
        "ok       clock: the clock of this machine and Microsoft",
    ] {
        assert!(well.contains(part), "{part} is not in:\n{well}");
    }
    let json: serde_json::Value = serde_json::from_str(&lab.good(&["doctor", "--output", "json"])?)?;
    assert!(json.as_array().is_some_and(|findings| findings.iter().all(|f| f["severity"] != "error")));

    lab.sql("insert into vault.apps (client_id, state, detail, next_probe) values ('app', 'own_fault', 'AADSTS7000222', now())")
        .await?;
    let output = said(&lab.run(&["doctor"])?);
    assert!(
        output.contains("ERROR    microsoft: Microsoft refuses our own credential (app app) since"),
        "{output}"
    );
    assert!(output.contains("AADSTS7000222") && output.contains("renew the certificate"), "{output}");
    let quarantined =
        "insert into sync.accounts (account_id, failures, retry_at, quarantine_reason, quarantined_at)
                       select account_id, 3, now(), 'authorization_revoked', now() from admin.accounts";
    lab.sql(quarantined).await?;
    let shown = lab.good(&["accounts", "show", "alpha"])?;
    assert!(
        shown.contains("taken the consent back") && shown.contains("(3 tries failed); next try"),
        "{shown}"
    );
    lab.sql("update vault.apps set state = 'healthy', next_probe = null").await?;

    lab.sim.shutdown().await;
    let config = lab.dir.path().join("tandem.toml");
    let output = said(&tandem(&["doctor", "--config", &config.to_string_lossy()]).output()?);
    assert!(output.contains("ERROR    microsoft: alpha"), "{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_refuse_an_old_schema() -> Result<()> {
    let lab = Lab::bare().await?;
    for login in ["tandem_detector", "tandem_debouncer", "tandem_teams_sync", "tandem_sync_log"] {
        let role = login.trim_start_matches("tandem_").replace('_', "-");
        let told = lab.bad(&["run", &role, "--health", "127.0.0.1:0"])?;
        assert!(told.contains("run `tandem migrate`"), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failpoints_are_for_development_only() -> Result<()> {
    let lab = Lab::bare().await?;
    let text = std::fs::read_to_string(lab.config())?
        .replace("environment = \"development\"\n", "")
        .replace("secret_file = \"app\"", "federated = { token_file = \"app\" }")
        .replace("ladder_speed = 20", "ladder_speed = 1");
    std::fs::write(lab.config(), text)?;
    let told = lab.bad(&["run", "sync-log", "--failpoint", "wrk.after_claim"])?;
    assert!(told.contains("--failpoint is accepted only"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_nothing_are_answered_clearly() -> Result<()> {
    let lab = Lab::start().await?;
    let nobody = "0198c1f4-0000-7000-8000-000000000000";
    assert!(lab.bad(&["jobs", "show", nobody])?.contains("there is no job"));
    assert!(lab.bad(&["accounts", "show", "nobody"])?.contains("there is no account nobody"));
    assert!(lab.bad(&["jobs", "run", "--account", "nobody", "--reason", "x"])?.contains("no account"));
    assert!(lab.bad(&["sources", "read", "nothing"])?.contains("no detector has a source"));
    assert!(lab.bad(&["jobs", "list", "--since", "yesterday"])?.contains("--since"));
    assert!(lab.good(&["jobs", "list", "--since", "2h", "--output", "json"])?.starts_with("[]"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_integration_does_not_come_back_with_a_file() -> Result<()> {
    let lab = Lab::bare().await?;
    lab.good(&["migrate"])?;
    let file = lab.accounts("[[account]]\nname = \"alpha\"\nlicences = 5\n")?;
    lab.good(&["accounts", "apply", &file])?;
    lab.sql("update admin.accounts set removed_at = now(), licences = 0").await?;
    let told = lab.bad(&["accounts", "apply", &file])?;
    assert!(told.contains("its integration was removed"), "{told}");
    assert!(lab.good(&["accounts", "show", "alpha", "--output", "json"])?.contains("\"licences\": 0"));
    Ok(())
}
