//! `tandem jobs preview`, `run --preview`, `undo`, `held`, `approve` and `reject`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tandem_domain::Profile;

use crate::lab::{ANA, BEN, Lab, TENANT};
use crate::roles::Role;

/// Two mapped users with numbers in the PBX, and every role.
async fn started() -> Result<(Lab, Role, PgConnection)> {
    let lab = Lab::start().await?;
    let mapping =
        |user: &str, oid| format!("[[account.mapping]]\npbx_user = \"{user}\"\nmicrosoft_user = \"{oid}\"\n");
    let account = format!(
        "[[account]]\nname = \"alpha\"\ntenant = \"{TENANT}\"\nlicences = 2\n{}{}",
        mapping("u1", ANA),
        mapping("u2", BEN)
    );
    lab.good(&["accounts", "apply", &lab.accounts(&account)?])?;
    let mut owner = PgConnection::connect(&lab.pg.url).await?;
    for (user, number) in [("u1", "+12125550101"), ("u2", "+12125550102")] {
        let profile = Profile { did_numbers: vec![number.to_owned()], enabled: true, ..Profile::default() };
        sqlx::query(
            "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
             select account_id, $1, 'pbx', $2, $3 from admin.accounts",
        )
        .bind(user)
        .bind(json!(profile))
        .bind(profile.digest())
        .execute(&mut owner)
        .await?;
    }
    let role = Role::start(&lab, "all")?;
    role.ready().await;
    Ok((lab, role, owner))
}

fn id_after(text: &str, title: &str) -> Result<String> {
    let line =
        text.lines().find(|line| line.starts_with(title)).with_context(|| format!("{title}: {text}"))?;
    Ok(line.trim_start_matches(title).trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_run_and_undone_from_the_terminal() -> Result<()> {
    let (lab, mut role, _owner) = started().await?;
    let shown = lab.good(&["jobs", "preview", "--account", "alpha", "--scope", "all"])?;
    ensure!(shown.contains("2 steps:") && shown.contains("assign_number"), "{shown}");
    let preview = id_after(&shown, "Preview")?;
    let fingerprint = id_after(&shown, "Fingerprint")?;
    let done = lab.good(&["jobs", "run", "alpha", "--preview", &preview, "--reason", "seen", "--wait"])?;
    let (job, state) = done.trim().split_once(' ').context("a job and its state")?;
    ensure!(state == "succeeded", "{done}");
    let json: Value = serde_json::from_str(&lab.good(&["jobs", "show", job, "--output", "json"])?)?;
    assert_eq!(
        (&json["job"]["cause"], &json["job"]["fingerprint"]),
        (&json!("preview"), &json!(fingerprint))
    );
    let told = lab.bad(&["jobs", "run", "--account", "alpha", "--preview", job, "--reason", "x"])?;
    ensure!(told.contains("there is no preview"), "{told}");

    let dry = lab.good(&["jobs", "undo", job, "--dry-run"])?;
    ensure!(dry.contains("unassign_number") && dry.contains(&format!("as it was before job {job}")), "{dry}");
    let preview = id_after(&dry, "Preview")?;
    let undo =
        ["jobs", "undo", job, "--preview", &preview, "--reason", "wrong export", "--person", "Pat", "--wait"];
    let undone = lab.good(&undo)?;
    ensure!(undone.trim().ends_with("succeeded"), "{undone}");
    let account = lab.good(&["accounts", "show", "alpha"])?;
    ensure!(
        account.contains("undone") && account.contains("Pat") && account.contains("wrong export"),
        "{account}"
    );
    assert_eq!(role.stop().await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn held_removals_are_listed_and_decided_from_the_terminal() -> Result<()> {
    let (lab, mut role, mut owner) = started().await?;
    assert!(lab.good(&["jobs", "held"])?.contains("No removals wait"));
    let nobody = "0198c1f4-0000-7000-8000-000000000000";
    for command in ["approve", "reject"] {
        let told = lab.bad(&["jobs", command, nobody, "--reason", "x"])?;
        ensure!(told.contains("there are no held removals"), "{told}");
    }
    let removals = json!([{
        "no": 1, "user": "u1", "oid": ANA, "action": { "kind": "unassign_number", "number": "+12125550101" },
        "before": "+12125550101", "after": null, "reason": "gone", "depends_on": [], "group": null,
    }]);
    let hold = "insert into sync.held (held_id, account_id, job_id, fingerprint, removals)
                select gen_random_uuid(), account_id, gen_random_uuid(), 'f', $1 from admin.accounts";
    sqlx::query(hold).bind(&removals).execute(&mut owner).await?;
    let shown = lab.good(&["jobs", "held", "--account", "alpha"])?;
    ensure!(shown.contains("unassign_number") && shown.contains("Approve until"), "{shown}");
    let held = id_after(&shown, "Held")?;
    // nothing of the kind is due, so nothing is done, and that is said
    let output = lab.run(&["jobs", "approve", &held, "--reason", "right", "--wait"])?;
    let told = String::from_utf8(output.stdout)?;
    ensure!(!output.status.success() && told.contains("plan_changed"), "{told}");
    let done = lab.good(&["jobs", "reject", &held, "--reason", "wrong export", "--person", "Pat"])?;
    ensure!(done.contains("Rejected"), "{done}");
    let again = lab.bad(&["jobs", "reject", &held, "--reason", "wrong export"])?;
    ensure!(again.contains("held_decided") && again.contains("rejected by Pat"), "{again}");
    assert_eq!(role.stop().await?, Some(0));
    Ok(())
}
