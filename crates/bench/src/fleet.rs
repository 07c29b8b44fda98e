//! Accounts, their users, and what changes about them.

use std::collections::BTreeSet;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sqlx::PgPool;
use tandem_domain::{AccountId, PbxUserId, Profile};
use tandem_store::change::{ChangeKind, NewChange};
use time::OffsetDateTime;
use uuid::Uuid;

/// Rows of one seeding statement.
const ROWS: usize = 5_000;
const SEED: u64 = 20_261_101;

/// The same accounts and events in every run.
pub(crate) struct Fleet {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) users: u32,
}

/// A change of one user. The version makes each differ from the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) account: usize,
    pub(crate) user: u32,
    pub(crate) version: u32,
}

impl Fleet {
    /// `accounts` accounts of `users` users each.
    pub(crate) fn new(accounts: usize, users: u32) -> Self {
        let mut random = StdRng::seed_from_u64(SEED);
        let accounts = (0..accounts)
            .map(|_| AccountId(uuid::Builder::from_random_bytes(random.random()).into_uuid()))
            .collect();
        Self { accounts, users }
    }

    /// Key of a user, as long as FusionPBX's.
    pub(crate) fn user(user: u32) -> PbxUserId {
        PbxUserId(Uuid::from_u128(0xe000_0000_0000_4000_8000_0000_0000_0000 | u128::from(user)).to_string())
    }

    /// A profile of 300 bytes or a little more.
    pub(crate) fn profile(user: u32, version: u32) -> Profile {
        Profile {
            display_name: Some(format!("User {user:05}")),
            email: Some(format!("u{user:05}@pbx.example")),
            extension: Some(format!("{}", 10_000 + user)),
            forward_all: (version > 0).then(|| format!("{}", 20_000 + version)),
            enabled: true,
            ..Profile::default()
        }
    }

    /// What the detector tells of an event.
    pub(crate) fn change(&self, event: Event, at: OffsetDateTime) -> NewChange {
        let before = Self::profile(event.user, event.version - 1);
        let after = Self::profile(event.user, event.version);
        let fields = before.changed_fields(&after);
        NewChange {
            account: self.accounts[event.account],
            user: Some(Self::user(event.user)),
            kind: ChangeKind::Updated,
            before: Some(before.pick(&fields)),
            after: Some(after.pick(&fields)),
            fields,
            detected_at: at,
            saved_at: None,
        }
    }

    /// `bulks` bulks for each account, of `size` different users each: those that change often are in most of them,
    /// as a Zipf distribution has it.
    pub(crate) fn bulks(&self, bulks: u32, size: usize) -> Vec<Vec<Event>> {
        let mut random = StdRng::seed_from_u64(SEED + 1);
        let mut weights = Vec::new();
        let mut sum = 0.0;
        for rank in 1..=self.users {
            sum += 1.0 / f64::from(rank);
            weights.push(sum);
        }
        let mut all = Vec::new();
        for version in 1..=bulks {
            for account in 0..self.accounts.len() {
                let mut chosen = BTreeSet::new();
                while chosen.len() < size {
                    let at = random.random::<f64>() * sum;
                    let rank = weights.partition_point(|weight| *weight < at);
                    chosen.insert(u32::try_from(rank).unwrap_or(0).min(self.users - 1));
                }
                all.push(chosen.into_iter().map(|user| Event { account, user, version }).collect());
            }
        }
        all
    }

    /// Accounts with Auto Sync that had changes before, and a mapping for every user, so that every change opens a
    /// window.
    pub(crate) async fn seed(&self, owner: &PgPool) -> Result<()> {
        for (at, accounts) in self.accounts.chunks(ROWS).enumerate() {
            let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
            let names: Vec<String> = (0..ids.len()).map(|i| format!("a{}", at * ROWS + i)).collect();
            sqlx::query(
                "with fresh as (
                   insert into admin.accounts (account_id, name, label, auto_sync, licences)
                   select id, name, name, true, $3 from unnest($1::uuid[], $2::text[]) as a (id, name) returning account_id),
                 counted as (insert into change.generations (account_id) select account_id from fresh)
                 insert into queue.windows (account_id) select account_id from fresh",
            )
            .bind(&ids)
            .bind(&names)
            .bind(i32::try_from(self.users)?)
            .execute(owner)
            .await?;
        }
        let mut seeding = owner.acquire().await?;
        // the count of licences is right by construction; checking it 100,000 times would take longer than the run
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut *seeding).await?;
        let users: Vec<String> = (0..self.users).map(|user| Self::user(user).0).collect();
        for accounts in self.accounts.chunks((ROWS / users.len()).max(1)) {
            let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
            sqlx::query(
                "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
                 select a, u, gen_random_uuid(), 'voice' from unnest($1::uuid[]) a, unnest($2::text[]) u",
            )
            .bind(&ids)
            .bind(&users)
            .execute(&mut *seeding)
            .await?;
        }
        sqlx::raw_sql("set session_replication_role = default").execute(&mut *seeding).await?;
        Ok(())
    }

    /// The users' profiles as they are before the first event.
    pub(crate) async fn seed_profiles(&self, owner: &PgPool) -> Result<()> {
        let users: Vec<String> = (0..self.users).map(|user| Self::user(user).0).collect();
        let profiles: Vec<Profile> = (0..self.users).map(|user| Self::profile(user, 0)).collect();
        let digests: Vec<i64> = profiles.iter().map(Profile::digest).collect();
        let texts: Vec<String> = profiles.iter().map(|profile| json!(profile).to_string()).collect();
        for accounts in self.accounts.chunks((ROWS / users.len()).max(1)) {
            let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
            sqlx::query(
                "insert into pbx.profiles (account_id, pbx_user_id, source, profile, digest)
                 select a, u.id, 'push', u.profile::json, u.digest
                   from unnest($1::uuid[]) a, unnest($2::text[], $3::text[], $4::bigint[]) as u (id, profile, digest)",
            )
            .bind(&ids)
            .bind(&users)
            .bind(&texts)
            .bind(&digests)
            .execute(owner)
            .await?;
        }
        Ok(())
    }
}
