//! Accounts of a test: a tenant in the simulator, mapped users, and edits of their profiles.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_domain::{AccountId, ObjectId, PbxUserId, Profile};
use tandem_outbox::Announcer;
use tandem_store::change::{ChangeKind, NewChange, record};
use tandem_store::{Login, outbox};
use uuid::Uuid;

use crate::Tester;

/// An account with its tenant.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its short name.
    pub name: String,
    /// Its tenant.
    pub tenant: Uuid,
    number: u32,
}

/// A user as Teams shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamsUser {
    /// Primary number.
    pub number: Option<String>,
    /// Enterprise Voice.
    pub voice: bool,
}

impl Account {
    /// The i-th PBX user, from 1.
    #[must_use]
    pub fn user(&self, i: u32) -> PbxUserId {
        PbxUserId(format!("ext-{i:05}"))
    }

    /// The Microsoft user it is mapped to.
    #[must_use]
    pub fn oid(&self, i: u32) -> ObjectId {
        ObjectId(Uuid::from_u128(
            0x0a00_0000_0000_4000_8000_0000_0000_0000 | (u128::from(self.number) << 32) | u128::from(i),
        ))
    }

    /// Sign-in name of the Microsoft user.
    #[must_use]
    pub fn upn(&self, i: u32) -> String {
        format!("user{i}@{}.example", self.name)
    }

    /// A number of this account, from the ranges reserved for fiction, widened by an extension.
    #[must_use]
    pub fn telephone(&self, i: u32) -> String {
        format!("+1212555{:02}{:02}", 1, i % 100)
            + &if i < 100 { String::new() } else { format!("{:04}", i / 100) }
    }

    /// A profile with that number.
    #[must_use]
    pub fn profile(&self, i: u32, number: Option<&str>) -> Profile {
        Profile {
            display_name: Some(format!("User {i}")),
            email: Some(self.upn(i)),
            did_numbers: number.map(str::to_owned).into_iter().collect(),
            extension: Some(format!("{}", 1000 + i)),
            enabled: true,
            ..Profile::default()
        }
    }
}

impl Tester {
    /// Makes an account with `users` mapped users, Auto Sync on, and a tenant that has consented. Nobody has a
    /// number yet.
    ///
    /// # Errors
    /// When database or simulator refuse it.
    pub async fn account(&mut self, users: u32) -> Result<Account> {
        self.accounts += 1;
        let account = Account {
            id: AccountId(Uuid::from_u128(
                0xacc0_0000_0000_4000_8000_0000_0000_0000 | u128::from(self.accounts),
            )),
            name: format!("account{}", self.accounts),
            tenant: Uuid::from_u128(0x7e0a_0000_0000_4000_8000_0000_0000_0000 | u128::from(self.accounts)),
            number: self.accounts,
        };
        self.tenant(&account, users).await?;
        sqlx::query("insert into admin.accounts (account_id, name, label, auto_sync, licences) values ($1, $2, $2, true, $3)")
            .bind(account.id.0)
            .bind(&account.name)
            .bind(i32::try_from(users)? + 10)
            .execute(&self.admin)
            .await?;
        sqlx::query("insert into change.generations (account_id) values ($1)")
            .bind(account.id.0)
            .execute(&self.admin)
            .await?;
        sqlx::query(
            "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by) values ($1, $2, $3, 'healthy', 'test')",
        )
        .bind(account.id.0)
        .bind(account.tenant)
        .bind(msgraph_sim::DEMO_APP.to_string())
        .execute(&self.admin)
        .await?;
        let ids: Vec<String> = (1..=users).map(|i| account.user(i).0).collect();
        let oids: Vec<Uuid> = (1..=users).map(|i| account.oid(i).0).collect();
        let profiles: Vec<Value> = (1..=users).map(|i| json!(account.profile(i, None))).collect();
        let digests: Vec<i64> = (1..=users).map(|i| account.profile(i, None).digest()).collect();
        sqlx::query(
            "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
             select $1, u.id, 'test', u.profile, u.digest from unnest($2::text[], $3::jsonb[], $4::bigint[]) as u (id, profile, digest)",
        )
        .bind(account.id.0)
        .bind(&ids)
        .bind(profiles)
        .bind(digests)
        .execute(&self.admin)
        .await?;
        sqlx::query(
            "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
             select $1, u.id, u.oid, 'voice' from unnest($2::text[], $3::uuid[]) as u (id, oid)",
        )
        .bind(account.id.0)
        .bind(&ids)
        .bind(oids)
        .execute(&self.admin)
        .await?;
        Ok(account)
    }

    async fn tenant(&self, account: &Account, users: u32) -> Result<()> {
        let people: Vec<Value> = (1..=users)
            .map(|i| {
                json!({ "id": account.oid(i).0, "userPrincipalName": account.upn(i), "usageLocation": "US",
                        "phonePlan": "Enabled", "knownToTeams": true, "accountEnabled": true })
            })
            .collect();
        let tenant = json!({
            "displayName": account.name, "domains": [format!("{}.example", account.name)], "country": "US",
            "policies": [
                { "type": "OnlineVoiceRoutingPolicy", "name": "Provider-US" },
                { "type": "TeamsCallingPolicy", "name": "Tandem-PBX-Voicemail" },
            ],
            "users": people,
            "consents": [{ "appId": msgraph_sim::DEMO_APP }],
        });
        self.switch(reqwest::Method::PUT, &format!("tenants/{}", account.tenant), Some(&tenant)).await?;
        Ok(())
    }

    /// Saves profiles as the detector does: profiles, changes and announcement in one transaction.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn save(&self, account: &Account, edits: &[(u32, Option<&str>)]) -> Result<i64> {
        let profiles: Vec<(u32, Profile)> =
            edits.iter().map(|(i, number)| (*i, account.profile(*i, *number))).collect();
        self.save_profiles(account, &profiles).await
    }

    /// Saves whole profiles.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn save_profiles(&self, account: &Account, profiles: &[(u32, Profile)]) -> Result<i64> {
        let ctx = self.context();
        let store = self.store(Login::Detector);
        let mut tx = store.begin("test.save").await?;
        let mut changes = Vec::new();
        for (i, profile) in profiles {
            let before: Value = sqlx::query_scalar(
                "select profile from pbx.profiles where account_id = $1 and pbx_user_id = $2",
            )
            .bind(account.id.0)
            .bind(account.user(*i).0)
            .fetch_one(&mut *tx)
            .await?;
            let before: Profile = serde_json::from_value(before)?;
            let fields = before.changed_fields(profile);
            if fields.is_empty() {
                continue;
            }
            sqlx::query("update pbx.profiles set profile = $3, digest = $4, updated_at = now() where account_id = $1 and pbx_user_id = $2")
                .bind(account.id.0)
                .bind(account.user(*i).0)
                .bind(sqlx::types::Json(profile))
                .bind(profile.digest())
                .execute(&mut *tx)
                .await?;
            changes.push(NewChange {
                account: account.id,
                user: Some(account.user(*i)),
                kind: ChangeKind::Updated,
                before: Some(before.pick(&fields)),
                after: Some(profile.pick(&fields)),
                fields,
                detected_at: ctx.clock.now(),
                saved_at: None,
            });
        }
        let recorded = record(&mut tx, "test", &changes).await?;
        let generation = recorded.first().context("nothing changed")?.generation;
        let users: Vec<PbxUserId> = changes.iter().filter_map(|c| c.user.clone()).collect();
        let announcer = Announcer::new(self.subjects(), "test", &ctx);
        let now = ctx.clock.now();
        outbox::put(&mut tx, &announcer.changed(account.id, generation, &users, now, now)?).await?;
        tx.commit().await?;
        store.close().await;
        Ok(generation)
    }

    /// What Teams shows of a user.
    ///
    /// # Errors
    /// When the simulator does not know it.
    pub async fn teams(&self, account: &Account, i: u32) -> Result<TeamsUser> {
        let path = format!("tenants/{}/users/{}", account.tenant, account.oid(i).0);
        let user = self.switch(reqwest::Method::GET, &path, None).await?;
        let number = user["numbers"].as_array().and_then(|numbers| {
            numbers
                .iter()
                .find_map(|n| n["telephoneNumber"].as_str().or_else(|| n.as_str()))
                .map(str::to_owned)
        });
        Ok(TeamsUser { number, voice: user["enterpriseVoice"].as_bool().unwrap_or(false) })
    }

    /// Numbers of the users 1 to `users` in Teams.
    ///
    /// # Errors
    /// When the simulator does not know one.
    pub async fn numbers(&self, account: &Account, users: u32) -> Result<Vec<Option<String>>> {
        let mut numbers = Vec::new();
        for i in 1..=users {
            numbers.push(self.teams(account, i).await?.number);
        }
        Ok(numbers)
    }
}

/// Verbs beside the saving of profiles.
impl Tester {
    /// Sets the policy rules of an account before anything happens.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn rules(&self, account: &Account, rules: &[Value]) -> Result<()> {
        for (position, rule) in rules.iter().enumerate() {
            sqlx::query("insert into admin.policy_rules (account_id, position, rule) values ($1, $2, $3)")
                .bind(account.id.0)
                .bind(i32::try_from(position)?)
                .bind(rule)
                .execute(&self.admin)
                .await?;
        }
        Ok(())
    }

    /// A person asks for a sync.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn request(&self, account: &Account, scope: &str) -> Result<()> {
        sqlx::query("insert into admin.requests (request_id, account_id, kind, scope, person) values (gen_random_uuid(), $1, 'sync', $2, 'test')")
            .bind(account.id.0)
            .bind(scope)
            .execute(&self.admin)
            .await?;
        Ok(())
    }

    /// A user of the tenant outside the managed set, holding a number.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn stranger(&self, account: &Account, upn: &str, number: &str) -> Result<()> {
        let addition = json!({
            "users": [{ "userPrincipalName": upn, "usageLocation": "US", "phonePlan": "Enabled", "knownToTeams": true, "accountEnabled": true }],
            "numbers": [{ "telephoneNumber": number, "numberType": "directRouting", "assignedTo": upn }],
        });
        self.switch(reqwest::Method::PUT, &format!("tenants/{}", account.tenant), Some(&addition)).await?;
        Ok(())
    }

    /// An administrator takes a number away in Teams.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn take_away(&self, account: &Account, number: &str) -> Result<()> {
        let path = format!("tenants/{}/numbers/{}", account.tenant, number.replace('+', "%2B"));
        self.switch(reqwest::Method::DELETE, &path, None).await?;
        Ok(())
    }

    /// Policies assigned to a user itself, as `type name`, sorted.
    ///
    /// # Errors
    /// When the simulator does not know the user.
    pub async fn policies(&self, account: &Account, i: u32) -> Result<Vec<String>> {
        let path = format!("tenants/{}/users/{}", account.tenant, account.oid(i).0);
        let user = self.switch(reqwest::Method::GET, &path, None).await?;
        let policies = user["policies"].as_object().cloned().unwrap_or_default();
        let mut found: Vec<String> = policies
            .iter()
            .filter_map(|(kind, policy)| Some(format!("{kind} {}", policy["direct"].as_str()?)))
            .collect();
        found.sort();
        Ok(found)
    }
}
