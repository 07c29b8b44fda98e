//! `tandem keys` and `tandem accounts app-credential`.

use std::path::Path;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use uuid::{Uuid, uuid};

use crate::lab::{Lab, STRANGER, TENANT};
use crate::roles::Role;

const OWN: Uuid = uuid!("a11ce000-0000-4000-8000-000000000e01");

/// An installation with a section `vault` and no key yet.
async fn lab() -> Result<Lab> {
    let lab = Lab::start().await?;
    let config = std::fs::read_to_string(lab.config())?;
    let vault = "[vault]\nkeyring = \"keyring\"\npublic_key_file = \"sealing.pub\"\n";
    std::fs::write(lab.config(), format!("{config}{vault}"))?;
    Ok(lab)
}

/// Ids of the keys of the ring.
fn keys(lab: &Lab) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(lab.dir.path().join("keyring"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.push(name.strip_suffix(".key").context("only key files")?.to_owned());
    }
    Ok(found)
}

/// The row of a key in `tandem keys list`: made, seals, secrets, tokens.
fn row(list: &str, key: &str) -> Option<(String, String, String)> {
    let line = list.lines().find(|line| line.starts_with(key))?;
    let mut words = line.split_whitespace().rev();
    let (tokens, secrets, seals) = (words.next()?, words.next()?, words.next()?);
    Some((seals.to_owned(), secrets.to_owned(), tokens.to_owned()))
}

/// An app of the customer's own with certificate and key in files, consented to in a tenant.
async fn register(lab: &Lab, tenant: Uuid) -> Result<(String, String)> {
    let folder = lab.dir.path().join("own");
    msgraph_sim::make_cert(&folder)?;
    let text = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (cert, key) = (text("app-cert.pem"), text("app-key.pem"));
    for file in [&cert, &key] {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    let spec = json!({ "certificates": [std::fs::read_to_string(&cert)?] });
    let http = reqwest::Client::new();
    let sim = format!("{}/_sim", lab.sim.base_url());
    for (method, path, body) in [
        (Method::PUT, format!("apps/{OWN}"), spec),
        (Method::POST, format!("tenants/{tenant}/consent"), json!({ "appId": OWN })),
    ] {
        http.request(method, format!("{sim}/{path}")).json(&body).send().await?.error_for_status()?;
    }
    Ok((cert, key))
}

/// Whether a text stands in a file anywhere below a folder.
fn stands(folder: &Path, text: &str) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            stands(&path, text)?
        } else {
            String::from_utf8_lossy(&std::fs::read(&path)?).contains(text)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn i19_keys_are_made_changed_and_dropped() -> Result<()> {
    let lab = lab().await?;
    assert!(lab.bad(&["keys", "list"])?.contains("keyring"));
    lab.good(&["keys", "new"])?;
    let first = keys(&lab)?.pop().context("a key")?;
    assert_eq!(row(&lab.good(&["keys", "list"])?, &first), Some(("yes".into(), "0".into(), "0".into())));

    let file = lab.accounts("[[account]]\nname = \"alpha\"\nlicences = 1\n")?;
    lab.good(&["accounts", "apply", &file])?;
    let (cert, key) = register(&lab, STRANGER).await?;
    let own = OWN.to_string();
    let set =
        ["accounts", "app-credential", "set", "alpha", "--client-id", &own, "--cert", &cert, "--key", &key];
    assert!(lab.bad(&set)?.contains("--tenant"), "an account that is bound to no tenant");
    let stranger = STRANGER.to_string();
    let said = lab.good(&[&set[..], &["--tenant", &stranger]].concat())?;
    assert!(said.contains("healthy"), "{said}");

    lab.good(&["keys", "new"])?;
    let second = keys(&lab)?.into_iter().find(|key| *key != first).context("a second key")?;
    let list = lab.good(&["keys", "list"])?;
    assert_eq!(row(&list, &first), Some(("no".into(), "1".into(), "0".into())), "{list}");
    assert_eq!(row(&list, &second), Some(("yes".into(), "0".into(), "0".into())), "{list}");
    let moved = lab.dir.path().join("keyring").join(format!("{first}.key"));
    let away = lab.dir.path().join("away");
    std::fs::rename(&moved, &away)?;
    assert!(lab.bad(&["keys", "list"])?.contains("lacks keys"));
    assert!(lab.bad(&["keys", "reseal"])?.contains(&first), "it names the key that is missing");
    std::fs::rename(&away, &moved)?;
    assert!(lab.good(&["keys", "reseal"])?.starts_with("1 sealed anew"));
    assert!(lab.good(&["keys", "reseal"])?.starts_with("0 sealed anew"), "again changes nothing");
    assert_eq!(row(&lab.good(&["keys", "list"])?, &first), Some(("no".into(), "0".into(), "0".into())));
    std::fs::remove_file(&moved)?;
    let list = lab.good(&["keys", "list"])?;
    assert_eq!(row(&list, &second), Some(("yes".into(), "1".into(), "0".into())), "{list}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e9_an_app_credential_goes_in_and_never_comes_out() -> Result<()> {
    let lab = lab().await?;
    lab.good(&["keys", "new"])?;
    let file = lab.accounts(&format!(
        "[[account]]\nname = \"alpha\"\ntenant = \"{TENANT}\"\n[[account]]\nname = \"beta\"\n"
    ))?;
    lab.good(&["accounts", "apply", &file])?;
    let (cert, key) = register(&lab, TENANT).await?;
    let own = OWN.to_string();
    let set = |name: &'static str, cert: &str, key: &str, more: &[&str]| -> Vec<String> {
        let own = own.as_str();
        let words =
            ["accounts", "app-credential", "set", name, "--client-id", own, "--cert", cert, "--key", key];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let good = |words: Vec<String>| lab.good(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let bad = |words: Vec<String>| lab.bad(&words.iter().map(String::as_str).collect::<Vec<_>>());
    // mistakes store nothing
    assert!(bad(set("alpha", &cert, &cert, &[]))?.contains("key"), "a certificate is no key");
    assert!(bad(set("nobody", &cert, &key, &[]))?.contains("no account"));
    assert!(bad(set("alpha", &cert, &key, &["--tenant", &STRANGER.to_string()]))?.contains("is bound to"));
    assert!(
        bad(set("beta", &cert, &key, &["--tenant", &TENANT.to_string()]))?
            .contains("another account may have the tenant")
    );
    assert!(!lab.good(&["accounts", "show", "alpha"])?.contains("Own app"));

    let said = good(set("alpha", &cert, &key, &[]))?;
    let shown = lab.good(&["accounts", "show", "alpha"])?
        + &lab.good(&["accounts", "show", "alpha", "--output", "json"])?;
    assert!(shown.contains("Own app") && shown.contains(&own), "{shown}");
    // a line of the key, which stands in its file and nowhere else
    let pem = std::fs::read_to_string(&key)?;
    let secret = pem.lines().nth(2).context("a PEM file has lines")?;
    assert!(!said.contains(secret) && !shown.contains(secret));
    std::fs::remove_file(&key)?;
    assert!(!stands(lab.dir.path(), secret)?, "it was copied beside the configuration");

    // the file of accounts leaves it alone
    lab.good(&["accounts", "apply", &file])?;
    assert!(lab.good(&["accounts", "show", "alpha"])?.contains("Own app"));
    lab.good(&["accounts", "app-credential", "remove", "alpha"])?;
    assert!(lab.bad(&["accounts", "app-credential", "remove", "alpha"])?.contains("no app of its own"));
    lab.good(&["accounts", "apply", &file, "--prove"])?;
    assert!(!lab.good(&["accounts", "show", "alpha"])?.contains("Own app"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_an_own_app_is_applied_and_examined_as_that_app() -> Result<()> {
    let lab = lab().await?;
    lab.good(&["keys", "new"])?;
    let bare = lab.accounts("[[account]]\nname = \"alpha\"\nlicences = 1\n")?;
    lab.good(&["accounts", "apply", &bare])?;
    // a tenant that has consented to this app, and never to the provider's
    let (cert, key) = register(&lab, STRANGER).await?;
    let (own, stranger) = (OWN.to_string(), STRANGER.to_string());
    let set =
        ["accounts", "app-credential", "set", "alpha", "--client-id", &own, "--cert", &cert, "--key", &key];
    lab.good(&[&set[..], &["--tenant", &stranger]].concat())?;
    let world = json!({
        "users": [{ "userPrincipalName": "cleo@stranger.example", "phonePlan": "Enabled" }],
        "policies": [{ "type": "OnlineVoiceRoutingPolicy", "name": "Provider-US" }],
    });
    let sim = format!("{}/_sim/tenants/{STRANGER}", lab.sim.base_url());
    let http = reqwest::Client::new();
    http.put(&sim).json(&world).send().await?.error_for_status()?;
    let file = lab.accounts(&format!(
        "[[account]]\nname = \"alpha\"\ntenant = \"{STRANGER}\"\nlicences = 1\nvoice_routing_policy = \"Provider-US\"\n\
         [[account.mapping]]\npbx_user = \"u1\"\nupn = \"Cleo@stranger.example\"\n"
    ))?;
    let told = lab.bad(&["accounts", "apply", &file])?;
    assert!(told.contains("teams_sync_silent") && told.contains("start teams-sync"), "{told}");

    let mut role = Role::start(&lab, "teams-sync")?;
    role.ready().await;
    let said = lab.good(&["accounts", "apply", &file, "--prove"])?;
    assert!(said.contains("+ mapping u1 = ") && said.contains("authorization healthy"), "{said}");
    assert!(lab.good(&["accounts", "show", "alpha"])?.contains("Own app"), "a proof leaves it alone");
    let told = crate::lab::said(&lab.run(&["doctor", "--account", "alpha"])?);
    for part in [
        format!("ok       account: teams-sync speaks to it as the account's own app {OWN}"),
        "ok       account: OnlineVoiceRoutingPolicy Provider-US is there".to_owned(),
        "ok       account: 1 of 1 mapped users are eligible".to_owned(),
    ] {
        assert!(told.contains(&part), "{part} is not in:\n{told}");
    }
    // what was read names people, and is not kept
    let pool = sqlx::PgPool::connect(&lab.pg.url).await?;
    let kept: i64 = sqlx::query_scalar("select count(*) from sync.looks").fetch_one(&pool).await?;
    assert_eq!(kept, 0);

    // the customer takes the consent back: said with its code, and nothing is stored
    let consent = format!("{sim}/consent?appId={OWN}");
    http.delete(consent).send().await?.error_for_status()?;
    let told = lab.bad(&["accounts", "apply", &file, "--prove"])?;
    assert!(told.contains("authorization_revoked"), "{told}");
    let told = crate::lab::said(&lab.run(&["doctor", "--account", "alpha"])?);
    assert!(told.contains("ERROR    account: alpha: authorization_revoked"), "{told}");
    let state: String = sqlx::query_scalar("select state from vault.authorizations").fetch_one(&pool).await?;
    assert_eq!(state, "healthy", "a look decides nothing; the canary does");
    pool.close().await;
    assert_eq!(role.stop().await?, Some(0));
    Ok(())
}
