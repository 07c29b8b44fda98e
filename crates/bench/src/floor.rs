//! The floor: what a plain program does with the same events on the same servers.
//!
//! It upserts them in batches of 500 rows into one table through sqlx, with four writers, each event with its whole
//! profile. Nothing is compared, counted, logged or announced.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fleet::{Event, Fleet};

/// Rows of one statement, here and where changes are recorded.
pub(crate) const BATCH: usize = 500;
/// Writers, here and where changes are recorded.
pub(crate) const WRITERS: usize = 4;

const TABLE: &str = "drop table if exists public.floor;
    create table public.floor (
      account_id uuid not null, pbx_user_id text not null, source text not null, profile json not null,
      digest bigint not null, updated_at timestamptz not null default now(), primary key (account_id, pbx_user_id))";

const UPSERT: &str = "insert into public.floor as f (account_id, pbx_user_id, source, profile, digest)
    select a, u, 'floor', p, d from unnest($1::uuid[], $2::text[], $3::text[]::json[], $4::bigint[]) as i (a, u, p, d)
    on conflict (account_id, pbx_user_id) do update
       set source = excluded.source, profile = excluded.profile, digest = excluded.digest, updated_at = now()";

#[derive(Default)]
struct Rows {
    accounts: Vec<Uuid>,
    users: Vec<String>,
    profiles: Vec<String>,
    digests: Vec<i64>,
}

/// Events per second. The table starts empty.
pub(crate) async fn events_per_s(owner: &PgPool, fleet: &Fleet, events: &[Event]) -> Result<f64> {
    sqlx::raw_sql(TABLE).execute(owner).await?;
    let mut batches: Vec<Vec<Rows>> = (0..WRITERS).map(|_| Vec::new()).collect();
    for (at, events) in split(events).into_iter().enumerate() {
        batches[at] = events.chunks(BATCH).map(|events| rows(fleet, events)).collect();
    }
    let owner = Arc::new(owner.clone());
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for batches in batches {
        let owner = Arc::clone(&owner);
        writers.spawn(async move {
            for rows in batches {
                sqlx::query(UPSERT)
                    .bind(rows.accounts)
                    .bind(rows.users)
                    .bind(rows.profiles)
                    .bind(rows.digests)
                    .execute(owner.as_ref())
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let seconds = began.elapsed().as_secs_f64();
    sqlx::raw_sql("drop table public.floor").execute(owner.as_ref()).await?;
    Ok(events.len() as f64 / seconds)
}

/// The events of each writer: whole accounts, so that no two writers wait for each other's rows.
pub(crate) fn split(events: &[Event]) -> [Vec<Event>; WRITERS] {
    let mut parts: [Vec<Event>; WRITERS] = Default::default();
    for event in events {
        parts[event.account % WRITERS].push(*event);
    }
    parts
}

fn rows(fleet: &Fleet, events: &[Event]) -> Rows {
    let mut rows = Rows::default();
    for event in events {
        let profile = Fleet::profile(event.user, event.version);
        rows.accounts.push(fleet.accounts[event.account].0);
        rows.users.push(Fleet::user(event.user).0);
        rows.digests.push(profile.digest());
        rows.profiles.push(json!(profile).to_string());
    }
    rows
}
