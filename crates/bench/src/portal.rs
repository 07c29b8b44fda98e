//! Pages of an account with 10,000 users: how long the server takes, and how large they are. A second account of that
//! size has no mapping yet.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tandem_consent::Secret;
use tandem_debouncer::DebouncerSettings;
use tandem_portal::{ClaimRules, Parts, PortalSettings, Windows};
use tandem_runtime::{Clock, Ids};
use tandem_store::Login;
use tandem_store::portal::sessions;
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::report::{percentile, say};
use crate::servers::{Servers, Stage, context, end};

const USERS: u32 = 10_000;
/// How often each page is asked for.
const TIMES: usize = 40;

/// The worst page of one run.
pub(crate) struct Run {
    pub(crate) p95_ms: f64,
    pub(crate) kb: f64,
}

/// Asks for every page in turn, as an Admin of the account, over loopback.
pub(crate) async fn run(servers: &Servers) -> Result<Run> {
    let stage = servers.stage().await?;
    let fleet = Fleet::new(2, USERS);
    fleet.seed(&stage.owner).await?;
    fleet.seed_profiles(&stage.owner).await?;
    let (clock, ids) = (Clock::system(), Ids::random());
    let (job, person) = (ids.v7(&clock), ids.v7(&clock));
    tandem_store::log::make_months(&stage.store(Login::SyncLog)).await?;
    furnish(&stage, &fleet, job, person).await?;
    stage.settle().await?;
    let secret = Secret::new()?;
    let store = stage.store(Login::Portal);
    let (now, hour) = (clock.now(), time::Duration::hours(1));
    let mut tx = store.begin("bench.session").await?;
    sessions::open(&mut tx, &secret.hash(), (person, false), now, (hour, hour)).await?;
    tx.commit().await?;
    let ctx = context();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = Url::parse(&format!("http://localhost:{}/", listener.local_addr()?.port()))?;
    let parts = Parts {
        store,
        fleet: stage.store(Login::PortalFleet),
        operators: stage.store(Login::PortalProvider),
        microsoft: None,
        provider: None,
        app: "bench".to_owned(),
        sealing_key: None,
        subjects: stage.subjects.clone(),
    };
    let settings = PortalSettings {
        listen: listener.local_addr()?,
        base: base.clone(),
        claims: ClaimRules::default(),
        windows: Windows { usual: DebouncerSettings::default().timing, longest: time::Duration::minutes(4) },
        embed: None,
        mail: None,
    };
    let router = tandem_portal::router(&ctx, parts, &settings);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let user = Fleet::user(5_000);
    let mut run = Run { p95_ms: 0.0, kb: 0.0 };
    for path in [
        "accounts".to_owned(),
        "accounts/a0".to_owned(),
        "accounts/a0/live".to_owned(),
        "accounts/a0/users".to_owned(),
        "accounts/a0/users?search=9876".to_owned(),
        "accounts/a0/users?search=nobody".to_owned(),
        "accounts/a0/users?unmapped=yes".to_owned(),
        format!("accounts/a0/users/{user}"),
        format!("accounts/a0/users/{user}/mapping"),
        "accounts/a0/proposals".to_owned(),
        "accounts/a1/proposals".to_owned(),
        "accounts/a1/users?unmapped=yes".to_owned(),
        "accounts/a0/jobs".to_owned(),
        format!("accounts/a0/jobs/{job}"),
        "accounts/a0/settings".to_owned(),
        "api/v1/accounts/a0/users".to_owned(),
    ] {
        let (times, bytes) = ask(&base.join(&path)?, &secret).await?;
        let (p50, p95) = (percentile(&times, 0.5), percentile(&times, 0.95));
        say(&format!("  {path}: p50 {p50:.1} ms, p95 {p95:.1} ms, {:.1} KB", bytes / 1e3));
        run = Run { p95_ms: run.p95_ms.max(p95), kb: run.kb.max(bytes / 1e3) };
    }
    serving.abort();
    end(&ctx).await?;
    servers.clear(stage).await?;
    Ok(run)
}

/// Milliseconds of each request, and the size of the answer.
async fn ask(url: &Url, secret: &Secret) -> Result<(Vec<f64>, f64)> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
    let mut times = Vec::new();
    let mut bytes = 0;
    // the first few fill caches of statements and pages
    for turn in 0..TIMES + 3 {
        let began = Instant::now();
        let answer =
            http.get(url.clone()).header("cookie", format!("tandem={}", secret.text())).send().await?;
        ensure!(answer.status().is_success(), "{url}: {}", answer.status());
        bytes = answer.bytes().await?.len();
        if turn >= 3 {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        // not one burst: what the allocator and the database tidy up between requests is theirs to do then
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((times, f64::from(u32::try_from(bytes).context("a page")?)))
}

/// What an account of this size has besides users: somebody who looks, the tenant's users, what stands in Teams, and a
/// year of syncs, the newest of which has a thousand steps.
async fn furnish(stage: &Stage, fleet: &Fleet, job: Uuid, person: Uuid) -> Result<()> {
    let [account, fresh] = fleet.accounts[..] else { bail!("two accounts") };
    let owner = &stage.owner;
    for statement in [
        "delete from admin.mappings where account_id = $1",
        "insert into sync.microsoft_users (account_id, microsoft_user, upn, kind, phone_plan, account_enabled, discovery_id)
         select $1, gen_random_uuid(), profile ->> 'email', 'user', 'enabled', true, $1 from pbx.profiles where account_id = $1",
    ] {
        sqlx::query(statement).bind(fresh.0).execute(owner).await?;
    }
    for (statement, id) in [
        (
            "with p as (insert into admin.people (person_id, issuer, subject, name, created_at)
                        values ($2, 'provider', 'bench', 'bench', now() - interval '1 hour') returning person_id)
             insert into admin.memberships (account_id, person_id, role, source, granted_by)
             select account_id, person_id, 'account_admin', 'claims', 'bench' from p, admin.accounts where $1::uuid is not null",
            person,
        ),
        (
            "insert into sync.microsoft_users (account_id, microsoft_user, upn, display_name, kind, phone_plan, account_enabled, discovery_id)
             select $1, microsoft_user, 'u' || right(pbx_user_id, 6) || '@tenant.example', 'User', 'user', 'enabled', true, $2
               from admin.mappings where account_id = $1",
            job,
        ),
        (
            "insert into sync.standing (account_id, microsoft_user, pbx_user_id, number)
             select account_id, microsoft_user, pbx_user_id, '+12125550100' from admin.mappings
              where account_id = $1 and $2::uuid is not null",
            job,
        ),
        (
            "insert into log.jobs (job_id, account_id, job_type, scope, state, cause, queued_at, started_at, finished_at, event_number)
             select case i when 0 then $2 else (left($2::text, 24) || lpad(to_hex(i), 12, '0'))::uuid end, $1, 'auto', 'changed', 'succeeded', 'window', now(), now(), now(), 1000
               from generate_series(0, 999) i",
            job,
        ),
        (
            "insert into log.steps (job_id, number, account_id, at, kind, pbx_user_id, action, outcome, before, after, reason, data)
             select $2, i, $1, now(), 'step', m.pbx_user_id, 'assign_number', 'done', '+12125550100', '+12125550101', 'the PBX gives the user this number', '{}'
               from generate_series(1, 1000) i, lateral (select pbx_user_id from admin.mappings where account_id = $1 offset i limit 1) m",
            job,
        ),
    ] {
        sqlx::query(statement).bind(account.0).bind(id).execute(owner).await?;
    }
    Ok(())
}
