//! People who sign in for a sync: the part that a page plays, with the same calls.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tandem_domain::job::JobScope;
use tandem_domain::{ObjectId, TenantId};
use tandem_graph::UserToken;
use tandem_store::Login;
use tandem_store::admin::requests;
use tandem_store::vault::NewJobToken;
use tandem_vault::{Binding, Keyring, Sealed, Sealer};
use url::Url;
use uuid::Uuid;

use crate::{Account, Tester};

const BACK: &str = "http://localhost:51234/back";
const VERIFIER: &str = "a-verifier-of-a-test-that-is-long-enough-0123456789";
/// SHA-256 of the verifier.
const CHALLENGE: &str = "cWe03uQVtIlxZ1m39bfQq3akJgApFc7NtYhFbcfolck";
const SCOPE: &str = "openid profile User.Read.All TeamsUserConfiguration.Read.All \
                     TeamsTelephoneNumber.ReadWrite.All TeamsPolicyUserAssign.ReadWrite.All";

/// A sealed token as a test hands it in.
#[derive(Debug)]
pub struct HandedIn {
    /// The tenant that the row names.
    pub tenant: TenantId,
    /// The person that the row names.
    pub oid: ObjectId,
    /// The token, sealed.
    pub sealed: Sealed,
}

impl Tester {
    /// A Global Administrator of the account's tenant who is no PBX user; gives the object id.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn global_admin(&self, account: &Account, name: &str) -> Result<ObjectId> {
        let upn = format!("{name}@{}.example", account.name);
        let addition = json!({ "users": [{ "userPrincipalName": upn, "roles": ["Global Administrator"] }] });
        let path = format!("tenants/{}", account.tenant);
        self.switch(Method::PUT, &path, Some(&addition)).await?;
        let found = self.switch(Method::GET, &format!("{path}/users/{upn}"), None).await?;
        let id = found["id"].as_str().context("the user has an id")?;
        Ok(ObjectId(Uuid::parse_str(id)?))
    }

    /// The tenant has never consented to application permissions; people may sign in.
    ///
    /// # Errors
    /// When simulator or database refuse it.
    pub async fn only_sign_in(&self, account: &Account) -> Result<()> {
        self.consent(account, Some(&[])).await?;
        for sql in [
            "update vault.authorizations set state = 'none' where account_id = $1",
            "update admin.accounts set auto_sync = false where account_id = $1",
        ] {
            sqlx::query(sql).bind(account.id.0).execute(&self.admin).await?;
        }
        Ok(())
    }

    /// Signs a person in with code and PKCE, as a page does; gives the delegated access token.
    ///
    /// # Errors
    /// When the login refuses.
    pub async fn sign_in(&self, account: &Account, person: ObjectId) -> Result<SecretString> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let app = msgraph_sim::DEMO_APP.to_string();
        let base = format!("{}/{}/oauth2/v2.0", self.sim.base_url(), account.tenant);
        let page = Url::parse_with_params(
            &format!("{base}/authorize"),
            [
                ("client_id", app.as_str()),
                ("response_type", "code"),
                ("redirect_uri", BACK),
                ("scope", SCOPE),
                ("state", "s"),
                ("nonce", "n"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
            ],
        )?;
        let reply = http.post(page).form(&[("person", person.0.to_string())]).send().await?;
        let location = reply.headers().get("location").context("the page sends back")?.to_str()?.to_owned();
        let back = Url::parse(&location)?;
        let code = back.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        let code = code.with_context(|| format!("a code in {location}"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", app.as_str()),
            ("client_secret", "demo-secret"),
            ("code", code.as_str()),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        let reply = http.post(format!("{base}/token")).form(&form).send().await?;
        let status = reply.status();
        let answer: Value = reply.json().await?;
        ensure!(status.is_success(), "the token endpoint answered {status}: {answer}");
        ensure!(answer.get("refresh_token").is_none(), "nobody asked for a refresh token");
        Ok(answer["access_token"].as_str().context("an access token")?.into())
    }

    /// Seals a token for a request, as a page does.
    ///
    /// # Errors
    /// When the token cannot be read.
    pub fn seal(&self, account: &Account, request: Uuid, token: &SecretString) -> Result<HandedIn> {
        let read = UserToken::new(token.expose_secret().into())?;
        let (tenant, oid) = (TenantId(read.tenant()), ObjectId(read.person()));
        let binding = Binding::job_token(account.id, tenant, request, oid);
        let sealer = Sealer::new(Keyring::load(self.keyring.path())?.newest());
        Ok(HandedIn { tenant, oid, sealed: sealer.seal(&binding, token)? })
    }

    /// Keeps a request with its token, in one transaction.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn hand_in(
        &self,
        account: &Account,
        request: Uuid,
        token: &SecretString,
        handed_in: &HandedIn,
        scope: JobScope,
    ) -> Result<()> {
        let store = self.store(Login::Operator);
        let mut tx = store.begin("test.sync_now").await?;
        let new = NewJobToken {
            request,
            account: account.id,
            tenant: handed_in.tenant,
            oid: handed_in.oid,
            key_id: &handed_in.sealed.key_id().to_string(),
            sealed: handed_in.sealed.as_bytes(),
            expires_at: UserToken::new(token.expose_secret().into())?.expires(),
        };
        requests::ask_signed_in(&mut tx, &new, scope, "gale", "test").await?;
        tx.commit().await?;
        store.close().await;
        Ok(())
    }

    /// Presses *Sync Now* with a token; gives the request.
    ///
    /// # Errors
    /// When the token cannot be read or the database refuses it.
    pub async fn sync_now(&self, account: &Account, scope: JobScope, token: &SecretString) -> Result<Uuid> {
        let ctx = self.context();
        let request = ctx.ids.v7(&ctx.clock);
        let handed_in = self.seal(account, request, token)?;
        self.hand_in(account, request, token, &handed_in, scope).await?;
        Ok(request)
    }

    /// Error codes of the account's jobs, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn job_codes(&self, account: &Account) -> Result<Vec<Option<String>>> {
        let query =
            sqlx::query_scalar("select error_code from queue.jobs where account_id = $1 order by queued_at");
        Ok(query.bind(account.id.0).fetch_all(&self.admin).await?)
    }
}
