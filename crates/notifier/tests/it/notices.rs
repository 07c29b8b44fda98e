//! Mails that are sent once: Auto Sync, quarantines, invitations, incidents, tests.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tandem_domain::AccountId;
use tandem_domain::mail::Address;
use tandem_store::Login;
use tandem_store::mail::invite::{self, NewInvitation};

use crate::server::Manner;
use crate::world::{World, admin, store};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn auto_sync_switched_on_and_off_is_told_once() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    let now = world.now();
    let date =
        format!("update vault.authorization_history set at = '{now}' where subject <> 'authorization'");
    world
        .run(&format!("update admin.accounts set auto_sync = true where account_id = '{orchid}'; {date}"))
        .await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: Auto Sync is on"]);
    world
        .run(&format!(
            "update admin.accounts set auto_sync = false where account_id = '{orchid}';
             insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, at)
             values ('{orchid}', 'auto_sync', 'on', 'off', 'authorization_revoked', '{now}')"
        ))
        .await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid"))[1..], ["The orchid: Auto Sync was switched off"]);
    Ok(())
}

#[tokio::test]
async fn a_quarantine_is_told_once_per_reason_and_on_days_1_14_and_27() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    let enter = |now, from: &str, reason: &str| {
        format!(
            "update sync.accounts set quarantine_reason = '{reason}', quarantined_at = coalesce(quarantined_at, '{now}'),
                    failures = 1, retry_at = '{now}' where account_id = '{orchid}';
             insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, at)
             values ('{orchid}', 'quarantine', '{from}', 'quarantine', '{reason}', '{now}')"
        )
    };
    let now = world.now();
    world.run(&enter(now, "none", "too_many_failures")).await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    let own = |world: &World| world.subjects(&admin("orchid"));
    assert_eq!(own(&world), ["The orchid: automatic syncs have stopped"]);
    let now = world.now();
    world.run(&enter(now, "quarantine", "authorization_revoked")).await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    assert_eq!(own(&world).len(), 2, "another reason, another mail");
    world.pass(28 * DAY, 6 * HOUR).await?;
    let days: Vec<String> =
        own(&world).into_iter().filter(|subject| subject.contains("no automatic sync")).collect();
    assert_eq!(
        days,
        ["1 day", "14 days", "27 days"].map(|days| format!("The orchid: no automatic sync for {days}"))
    );
    Ok(())
}

#[tokio::test]
async fn a_quarantine_that_is_over_before_its_mail_is_not_told() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    let now = world.now();
    world
        .run(&format!(
            "insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, at)
             values ('{orchid}', 'quarantine', 'none', 'quarantine', 'too_many_failures', '{now}')"
        ))
        .await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    assert_eq!(world.server.taken().len(), 0);
    Ok(())
}

#[tokio::test]
async fn p11_p15_b40_an_invitation_has_steps_and_a_link_of_48_hours_that_only_the_mail_knows() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    invite_by_mail(&world, orchid, "gale@orchid.example").await?;
    // the first try comes to nothing: its link must be good for nobody
    world.server.behave(&[Manner::Greylist]);
    world.pass(10 * MINUTE, MINUTE).await?;
    let words = world.server.taken().first().context("an invitation")?.words();
    for part in
        ["What to do", "  2. Sign in at Microsoft", "call support", "within minutes", "after 24 hours"]
    {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let link = words.split("https://portal.example/connect/").nth(1).context("a link")?;
    let secret: String =
        link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    let hours: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from expires_at - created_at)::float8 / 3600 from admin.connect_links order by created_at",
    )
    .fetch_all(&mut world.owner)
    .await?;
    assert_eq!(hours.len(), 2, "each try has a link of its own");
    assert!(hours[0] < 0.1 && (hours[1] - 48.0).abs() < 0.01, "{hours:?}");
    // the secret is nowhere in the database
    let rows: Vec<String> = sqlx::query_scalar(
        "select m::text from mail.mails m union all select d::text from mail.deliveries d union all select l::text from admin.connect_links l",
    )
    .fetch_all(&mut world.owner)
    .await?;
    assert!(secret.len() > 40 && rows.iter().all(|row| !row.contains(&secret)), "{secret}");
    Ok(())
}

async fn invite_by_mail(world: &World, account: AccountId, to: &str) -> Result<()> {
    let new = NewInvitation {
        id: world.ctx.ids.v7(&world.ctx.clock),
        account,
        invited: "Gale".to_owned(),
        to: Address::parse(to)?,
        expected_tenant: None,
        made_by: "an operator".to_owned(),
    };
    let operators = store(&world.pg, Login::PortalProvider);
    let mut tx = operators.begin_for("test.invite", account).await?;
    invite::invite(&mut tx, &new, world.now()).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn b40_an_invitation_that_counts_no_more_makes_no_link() -> Result<()> {
    let mut world = World::start().await?;
    let (orchid, peony) = (world.account("orchid", false).await?, world.account("peony", false).await?);
    invite_by_mail(&world, orchid, "old@orchid.example").await?;
    invite_by_mail(&world, orchid, "new@orchid.example").await?;
    invite_by_mail(&world, peony, "gale@peony.example").await?;
    world.run(&format!("update admin.accounts set removed_at = now() where account_id = '{peony}'")).await?;
    world.pass(10 * MINUTE, MINUTE).await?;
    let to: Vec<String> = world.server.taken().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to.len(), 1, "{to:?}");
    assert!(to[0].contains("new@orchid.example"), "{to:?}");
    let noted: Vec<(bool, bool, String)> = sqlx::query_as(
        "select d.address = 'new@orchid.example', l.expires_at > now(), d.outcome
           from admin.invitations i left join admin.connect_links l using (link_hash) join mail.deliveries d using (mail_id)
          where link_hash is not null",
    )
    .fetch_all(&mut world.owner)
    .await?;
    assert_eq!(noted, [(true, true, "sent".to_owned())]);
    let links: i64 =
        sqlx::query_scalar("select count(*) from admin.connect_links").fetch_one(&mut world.owner).await?;
    assert_eq!(links, 1, "the others have none");
    Ok(())
}

#[tokio::test]
async fn p11_nobody_is_invited_to_what_the_provider_has_removed_meanwhile() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    invite_by_mail(&world, orchid, "gale@orchid.example").await?;
    world.run("update admin.accounts set removed_at = now()").await?;
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.server.taken().len(), 0);
    assert_eq!(world.outcomes().await?, [("invitation".to_owned(), "superseded".to_owned())]);
    let links: i64 =
        sqlx::query_scalar("select count(*) from admin.connect_links").fetch_one(&mut world.owner).await?;
    assert_eq!(links, 0);
    Ok(())
}

#[tokio::test]
async fn what_one_kind_of_mail_cannot_read_keeps_no_other_kind_back() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    let now = world.now();
    // a cause that this version does not know, as a newer process beside it may write
    world
        .run(&format!(
            "insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, at)
               values ('{orchid}', 'quarantine', 'none', 'quarantine', 'of_tomorrow', '{now}')"
        ))
        .await?;
    world.sync(orchid, "failed").await?;
    world.clock.advance(HOUR);
    assert!(world.notifier.watch.sweep().await.is_err(), "it is told");
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from mail.mails").fetch_all(&mut world.owner).await?;
    assert_eq!(kinds, ["reminder"]);
    Ok(())
}

#[tokio::test]
async fn idea12_an_incident_is_one_mail_to_the_operators_and_none_to_customers() -> Result<()> {
    let mut world = World::start().await?;
    for n in 0..4 {
        let account = world.account(&format!("account-{n}"), false).await?;
        let job = world.sync(account, "failed").await?;
        world
            .run(&format!("update log.jobs set failures = '{{transient-0badc0de}}' where job_id = '{job}'"))
            .await?;
    }
    world
        .run("insert into log.failures (fingerprint, code, text) values ('transient-0badc0de', 'transient', 'Service is unavailable')")
        .await?;
    world.pass(20 * MINUTE, MINUTE).await?;
    assert_eq!(world.subjects("noc@provider.example"), ["Incident: transient, 4 jobs of 4 accounts"]);
    assert_eq!(world.server.taken().len(), 1, "customers get none of it");
    world.pass(DAY, HOUR).await?;
    assert_eq!(world.subjects("noc@provider.example").len(), 1, "once per fingerprint");
    // their daily reminder says that somebody is at it
    let reminders: Vec<_> =
        world.server.taken().into_iter().filter(|mail| !mail.to[0].contains("noc@")).collect();
    assert!(reminders.len() >= 4);
    for mail in reminders {
        assert!(mail.words().contains("Example Telecom knows of this problem"), "{}", mail.words());
    }
    Ok(())
}

#[tokio::test]
async fn a_test_mail_goes_to_everybody_who_would_get_a_reminder() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    let portal = store(&world.pg, Login::Portal);
    let id = world.ctx.ids.v7(&world.ctx.clock);
    let mut tx = portal.begin_for("test.mail", orchid).await?;
    let asked = invite::test_mail(&mut tx, orchid, id, "Gale", world.now()).await?;
    tx.commit().await?;
    assert_eq!(asked, 1);
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: test mail"]);
    Ok(())
}
