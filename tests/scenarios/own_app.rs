//! Customers' own app registrations: sealed, opened by teams-sync, used for their account and no other.

use anyhow::Result;
use msgraph_sim::make_cert;
use reqwest::Method;
use serde_json::{Value, json};
use tandem_domain::TenantId;
use tandem_graph::CertificatePem;
use tandem_store::Login;
use tandem_store::vault::{self, NewSecret};
use tandem_teams_sync::pack_app_credential;
use tandem_tests::{Account, Tester};
use tandem_vault::{Binding, Keyring, Sealer};
use uuid::Uuid;

const N1: &str = "+12125550101";
const OWN: Uuid = Uuid::from_u128(0xa11c_e000_0000_4000_8000_0000_0000_0e01);

/// The tenant takes the consent to the provider's app back.
async fn without_the_provider(tester: &Tester, account: &Account) -> Result<()> {
    let path = format!("tenants/{}/consent?appId={}", account.tenant, msgraph_sim::DEMO_APP);
    tester.switch(Method::DELETE, &path, None).await.map(|_| ())
}

/// Registers an app of the customer's own, consented to in its tenant.
async fn register(tester: &Tester, account: &Account, app: Uuid) -> Result<CertificatePem> {
    let folder = tempfile::tempdir()?;
    make_cert(folder.path())?;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name));
    let certificate =
        CertificatePem { cert_pem: read("app-cert.pem")?, key_pem: read("app-key.pem")?.into() };
    let spec = json!({ "appId": app, "displayName": "Own", "certificates": [certificate.cert_pem] });
    tester.switch(Method::PUT, &format!("apps/{app}"), Some(&spec)).await?;
    let path = format!("tenants/{}/consent", account.tenant);
    tester.switch(Method::POST, &path, Some(&json!({ "appId": app }))).await?;
    Ok(certificate)
}

/// Seals and keeps a credential for an account, as `tandem accounts app-credential set` does.
async fn keep(tester: &Tester, account: &Account, app: Uuid, certificate: &CertificatePem) -> Result<()> {
    let tenant = TenantId(account.tenant);
    let sealer = Sealer::new(Keyring::load(tester.keyring.path())?.newest());
    let binding = Binding::app_credential(account.id, tenant);
    let sealed = sealer.seal(&binding, &pack_app_credential(&app.to_string(), certificate))?;
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.keep").await?;
    let secret = NewSecret {
        account: account.id,
        kind: binding.kind().as_str(),
        tenant,
        key_id: &sealed.key_id().to_string(),
        sealed: sealed.as_bytes(),
        label: &app.to_string(),
        not_after: Some(certificate.check()?.not_after),
        person: "test",
    };
    vault::keep_secret(&mut tx, &secret).await?;
    tx.commit().await?;
    sqlx::query("update vault.authorizations set client_id = $2 where account_id = $1")
        .bind(account.id.0)
        .bind(app.to_string())
        .execute(&tester.admin)
        .await?;
    store.close().await;
    Ok(())
}

/// The apps behind the requests that reached a tenant's Graph.
async fn apps(tester: &Tester, account: &Account) -> Result<Vec<String>> {
    let log = tester.switch(Method::GET, "requests?limit=100000", None).await?;
    let mut found: Vec<String> = log["requests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|r| r["tenant"] == json!(account.tenant) && r["status"] != json!(401))
        .filter_map(|r| r["app"].as_str().map(str::to_owned))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_own_app_is_used_for_that_account_alone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (with, without) = (tester.account(1).await?, tester.account(1).await?);
    without_the_provider(&tester, &with).await?;
    let certificate = register(&tester, &with, OWN).await?;
    keep(&tester, &with, OWN, &certificate).await?;
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.all_roles().await?;
    for account in [&with, &without] {
        tester.save(account, &[(1, Some(N1))]).await?;
    }
    tester.at_rest().await;
    for account in [&with, &without] {
        assert_eq!(tester.jobs(account).await?, ["succeeded"]);
    }
    assert_eq!(apps(&tester, &with).await?, [OWN.to_string()]);
    assert_eq!(apps(&tester, &without).await?, [msgraph_sim::DEMO_APP.to_string()]);

    // a new credential is taken up without a restart
    let other = Uuid::from_u128(OWN.as_u128() + 1);
    let certificate = register(&tester, &with, other).await?;
    keep(&tester, &with, other, &certificate).await?;
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.save(&with, &[(1, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    assert_eq!(apps(&tester, &with).await?, [other.to_string()]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f67_a_lost_key_parks_the_account_and_nobody_else() -> Result<()> {
    let mut tester = Tester::start().await?;
    let (with, without) = (tester.account(1).await?, tester.account(1).await?);
    let certificate = register(&tester, &with, OWN).await?;
    keep(&tester, &with, OWN, &certificate).await?;
    let lost = Keyring::load(tester.keyring.path())?.newest();
    let file = tester.keyring.path().join(format!("{}.key", lost.id()));
    let kept = std::fs::read(&file)?;
    Keyring::add(tester.keyring.path(), lost.created() + 1)?;
    std::fs::remove_file(&file)?;
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.debouncer().await?;
    // the first automatic new try comes after six seconds
    let settings =
        tandem_teams_sync::TeamsSyncSettings { ladder_speed: 300, ..tandem_tests::fast_sync("worker-1") };
    tester.teams_sync(&settings).await?;
    tester.sync_log().await?;
    for account in [&with, &without] {
        tester.save(account, &[(1, Some(N1))]).await?;
    }
    tester.until("select count(*) from queue.jobs where finished_at is not null", 2).await;
    assert_eq!(tester.job_codes(&with).await?, [Some("sealing_key_missing".to_owned())]);
    assert_eq!(tester.jobs(&without).await?, ["succeeded"]);
    assert_eq!(apps(&tester, &with).await?, Vec::<String>::new(), "nothing was asked of Graph");
    // the key file comes back: the account goes on by itself
    std::fs::write(&file, kept)?;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&with).await?.last().map(String::as_str), Some("succeeded"));
    tester.finish().await
}

/// Each way in which a sealed credential does not open has its code; nothing is asked of Microsoft, nothing is written in
/// plaintext, an alarm is counted, the neighbour goes on, and so does the account once its secret opens.
// one thread, so that the log can be captured
#[tokio::test]
async fn f67_what_does_not_open_parks_its_account_with_a_code() -> Result<()> {
    let logs = tandem_testkit::capture_logs();
    let mut tester = Tester::start().await?;
    tester.patience = std::time::Duration::from_secs(120);
    let fine = tester.account(1).await?;
    let (changed, moved, foreign) =
        (tester.account(1).await?, tester.account(1).await?, tester.account(1).await?);
    for (account, n) in [&changed, &moved, &foreign].into_iter().zip(1..) {
        let app = Uuid::from_u128(OWN.as_u128() + n);
        let certificate = register(&tester, account, app).await?;
        keep(&tester, account, app, &certificate).await?;
    }
    let admin = tester.admin.clone();
    let of = async |account: &Account| -> Result<Vec<u8>> {
        let query = sqlx::query_scalar("select sealed from vault.secrets where account_id = $1");
        Ok(query.bind(account.id.0).fetch_one(&admin).await?)
    };
    let put = async |account: &Account, sealed: &[u8]| -> Result<()> {
        let query = sqlx::query("update vault.secrets set sealed = $2 where account_id = $1");
        query.bind(account.id.0).bind(sealed).execute(&admin).await?;
        Ok(())
    };
    let kept = [of(&changed).await?, of(&moved).await?, of(&foreign).await?];
    // one bit of the ciphertext; the ciphertext of another account; one sealed to a key that this keyring never had
    let mut bits = kept[0].clone();
    *bits.last_mut().expect("bytes") ^= 1;
    put(&changed, &bits).await?;
    put(&moved, &kept[2]).await?;
    let elsewhere = tempfile::tempdir()?;
    let stranger = Sealer::new(Keyring::add(elsewhere.path(), 1_700_000_000)?);
    let binding = Binding::app_credential(foreign.id, TenantId(foreign.tenant));
    put(&foreign, stranger.seal(&binding, &"anything".to_owned().into())?.as_bytes()).await?;
    tester.switch(Method::DELETE, "requests", None).await?;
    tester.debouncer().await?;
    let settings =
        tandem_teams_sync::TeamsSyncSettings { ladder_speed: 2000, ..tandem_tests::fast_sync("worker-1") };
    tester.teams_sync(&settings).await?;
    tester.sync_log().await?;
    for account in [&fine, &changed, &moved, &foreign] {
        tester.save(account, &[(1, Some(N1))]).await?;
    }
    tester.until("select count(distinct account_id) from queue.jobs where finished_at is not null", 4).await;
    let code = async |account: &Account| Ok::<_, anyhow::Error>(tester.job_codes(account).await?[0].clone());
    assert_eq!(code(&changed).await?.as_deref(), Some("sealed_secret_unusable"));
    assert_eq!(code(&moved).await?.as_deref(), Some("sealed_secret_unusable"));
    assert_eq!(code(&foreign).await?.as_deref(), Some("sealing_key_missing"));
    assert_eq!(tester.jobs(&fine).await?, ["succeeded"]);
    for account in [&changed, &moved, &foreign] {
        assert_eq!(apps(&tester, account).await?, Vec::<String>::new(), "nothing was asked of Graph");
        let alarm = logs.text().lines().any(|line| {
            line.contains("a sealed secret cannot be used") && line.contains(&account.id.to_string())
        });
        assert!(alarm, "an operator is told");
    }
    for (account, sealed) in [&changed, &moved, &foreign].into_iter().zip(&kept) {
        put(account, sealed).await?;
    }
    tester.at_rest().await;
    for account in [&changed, &moved, &foreign] {
        assert_eq!(tester.jobs(account).await?.last().map(String::as_str), Some("succeeded"));
    }
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e9_nobody_but_teams_sync_may_read_what_is_sealed() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(1).await?;
    let certificate = register(&tester, &account, OWN).await?;
    keep(&tester, &account, OWN, &certificate).await?;
    for login in Login::ALL {
        let store = tester.store(login);
        for sql in ["select sealed from vault.secrets", "select sealed from vault.job_tokens"] {
            let mut tx = store.begin_for("test.look", account.id).await?;
            let rows = sqlx::query(sql).fetch_all(&mut *tx).await;
            if login == Login::TeamsSync {
                assert_eq!(rows?.len(), usize::from(sql.contains("secrets")));
                continue;
            }
            let refused = rows.map(|rows| rows.len()).expect_err("the sealed bytes are not for this login");
            let code = refused.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{login:?}: {sql}");
        }
        store.close().await;
    }
    // what may be seen names the key and the app, and nothing of the credential
    let store = tester.store(Login::Operator);
    let mut tx = store.begin("test.look").await?;
    let seen = vault::secret(&mut tx, account.id, "app_credential").await?;
    assert_eq!(seen.map(|seen| seen.label), Some(OWN.to_string()));
    drop(tx);
    store.close().await;
    let dump: Vec<Value> =
        sqlx::query_scalar("select to_jsonb(s) from vault.secrets s").fetch_all(&tester.admin).await?;
    assert!(!json!(dump).to_string().contains("PRIVATE"), "not even the owner finds the key");
    tester.abandon().await;
    Ok(())
}
