//! Reminders of accounts, sent and read.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::world::{World, admin};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a11_waiting_changes_of_a_manual_account_are_mailed_to_the_global_admin() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world.account("quiet", false).await?;
    world.edit(orchid).await?;
    world.pass(29 * MINUTE, MINUTE).await?;
    assert_eq!(world.server.taken().len(), 0, "somebody may be at work");
    world.pass(2 * MINUTE, MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: changes wait for a sync to Teams"]);
    assert_eq!(world.server.taken().len(), 1, "an account at rest gets none");
    let words = world.server.taken()[0].words();
    for part in [
        "Ana Silva (101): did numbers, extension, since Monday, 2 November 2026, 10:00 CET",
        "Changes of 1 user wait",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    Ok(())
}

#[tokio::test]
async fn a12_a_failed_sync_is_mailed_when_nothing_waits() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: the last sync to Teams failed"]);
    let words = world.server.taken()[0].words();
    assert!(words.contains("Microsoft did not answer for 20 seconds"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a13_the_reminder_has_steps_and_one_link_to_the_right_page() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world.edit(orchid).await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    let words = world.server.taken().first().context("a mail")?.words();
    let (text, html) = words.split_once("text/html").context("both parts")?;
    for part in ["What to do", "  1. Open the account", "  3. Choose Sync Now, then Manual Sync."] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let link = "https://portal.example/accounts/orchid";
    assert!(text.contains(&format!("Open the account:\r\n{link}\r\n")), "{text}");
    assert!(html.contains("<ol>") && html.contains(&format!("href=\"{link}\"")), "{html}");
    assert_eq!(html.matches("href=").count(), 1, "one button");
    Ok(())
}

#[tokio::test]
async fn a14_a15_one_mail_a_day_until_a_sync_succeeds() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world.edit(orchid).await?;
    world.pass(3 * DAY, HOUR).await?;
    // at once, then at 08:00 of the next three days
    let sent = |world: &World| world.subjects(&admin("orchid")).len();
    assert_eq!(sent(&world), 4);
    let times: Vec<String> = world.server.taken().iter().filter_map(|mail| mail.header("date")).collect();
    assert!(times[1].starts_with("Tue, 03 Nov 2026 07:00:00"), "{times:?}");
    assert!(times[3].starts_with("Thu, 05 Nov 2026 07:00:00"), "{times:?}");
    // everything went along, but not for everybody
    world.sync(orchid, "partly").await?;
    world.pass(2 * DAY, HOUR).await?;
    assert_eq!(sent(&world), 6, "partly does not stop them");
    assert!(world.subjects(&admin("orchid"))[5].contains("partly done"));
    // a sync that somebody ended is none
    world.sync(orchid, "cancelled").await?;
    world.pass(DAY, HOUR).await?;
    assert_eq!(sent(&world), 7);
    world.sync(orchid, "succeeded").await?;
    world.pass(3 * DAY, HOUR).await?;
    assert_eq!(sent(&world), 7);
    Ok(())
}

#[tokio::test]
async fn a16_the_mail_says_since_when_the_oldest_change_waits() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world.edit(orchid).await?;
    world.pass(20 * MINUTE, 20 * MINUTE).await?;
    world.edit(orchid).await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    let words = world.server.taken()[0].words();
    assert!(words.contains("Changes saved since Monday, 2 November 2026, 10:00 CET"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a17_a1_what_changes_in_the_tenant_alone_mails_nobody() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "succeeded").await?;
    // a user of the tenant is deleted, another one appears, and a setting was seen to drift
    world
        .run(&format!(
            "insert into sync.discoveries (discovery_id, account_id, job_id, epoch, state, ended_at)
               values (gen_random_uuid(), '{orchid}', gen_random_uuid(), 1, 'complete', now());
             insert into sync.microsoft_users (account_id, microsoft_user, upn, kind, phone_plan, account_enabled, discovery_id, gone_at)
               select '{orchid}', m.microsoft_user, 'ana@orchid.example', 'user', 'enabled', true, gen_random_uuid(), now()
                 from admin.mappings m where m.account_id = '{orchid}';
             insert into sync.users (account_id, pbx_user_id, microsoft_user, settle_issue)
               select '{orchid}', '101', m.microsoft_user, 'number' from admin.mappings m where m.account_id = '{orchid}'"
        ))
        .await?;
    world.pass(7 * DAY, 6 * HOUR).await?;
    assert_eq!(world.server.taken().len(), 0);
    Ok(())
}

#[tokio::test]
async fn the_hour_is_that_of_the_account_and_the_second_contact_joins_after_three_days() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world
        .run(&format!(
            "update admin.accounts set time_zone = 'Asia/Tokyo' where account_id = '{orchid}';
             insert into mail.settings (account_id, hour, updated_at) values ('{orchid}', 20, now());
             insert into mail.recipients (account_id, address, role, added_by, added_at)
             values ('{orchid}', 'desk@orchid.example', 'further', 'test', now()),
                    ('{orchid}', 'boss@orchid.example', 'second_contact', 'test', now())"
        ))
        .await?;
    world.sync(orchid, "failed").await?;
    world.pass(4 * DAY, HOUR).await?;
    let times: Vec<String> = world.server.taken().iter().filter_map(|mail| mail.header("date")).collect();
    assert!(times.iter().skip(2).all(|time| time.contains(" 11:00:00")), "20:00 in Tokyo: {times:?}");
    let counts = |world: &World| {
        [admin("orchid"), "desk@orchid.example".to_owned(), "boss@orchid.example".to_owned()]
            .map(|to| world.subjects(&to).len())
    };
    assert_eq!(counts(&world), [4, 4, 1]);
    assert!(world.server.taken().iter().all(|mail| mail.to.len() == 1), "nobody sees who else gets it");
    Ok(())
}

#[tokio::test]
async fn an_operators_pause_and_a_known_fault_change_the_text_and_not_the_mail() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world
        .run(&format!(
            "update admin.accounts set paused_until = '2026-11-20', pause_reason = 'moving the numbers' where account_id = '{orchid}';
             insert into vault.apps (client_id, state, next_probe) values ('app', 'own_fault', now())"
        ))
        .await?;
    world.sync(orchid, "failed").await?;
    world.pass(2 * DAY, HOUR).await?;
    assert_eq!(world.server.taken().len(), 3);
    let words = world.server.taken()[2].words();
    for part in [
        "Example Telecom has taken the account in hand",
        "moving the numbers",
        "Example Telecom knows of this problem",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    Ok(())
}

#[tokio::test]
async fn held_removals_and_a_dead_authorization_are_causes_in_one_mail() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    let now = world.now();
    world
        .run(&format!(
            "insert into sync.held (held_id, account_id, job_id, fingerprint, removals, created_at)
               values (gen_random_uuid(), '{orchid}', gen_random_uuid(), 'f', '[1, 2, 3]', '{now}');
             update vault.authorizations set state = 'revoked' where account_id = '{orchid}';
             update vault.authorizations set since = '{now}' where account_id = '{orchid}'"
        ))
        .await?;
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: Auto Sync cannot sign in to Microsoft"]);
    let words = world.server.taken()[0].words();
    assert!(words.contains("3 removals are held back"), "{words}");
    assert!(words.contains("the tenant has taken the consent back"), "{words}");
    assert!(words.contains("https://portal.example/accounts/orchid/settings"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a11_a_job_that_may_not_start_does_not_hide_that_changes_wait() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.edit(orchid).await?;
    // the job was cut and waits, because our own credential is refused
    world
        .run(&format!(
            "update queue.windows set first_change_at = null, last_change_at = null where account_id = '{orchid}';
             insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, parked)
             values (gen_random_uuid(), '{orchid}', 'auto', 'changed', 'queued', 'window', now(), 'own_credential')"
        ))
        .await?;
    world.pass(23 * HOUR, HOUR).await?;
    assert_eq!(world.server.taken().len(), 0);
    world.pass(2 * HOUR, HOUR).await?;
    assert_eq!(world.subjects(&admin("orchid")), ["The orchid: changes wait for a sync to Teams"]);
    Ok(())
}
