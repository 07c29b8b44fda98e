//! The outbox beside mail servers that behave in every way.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tandem_notifier::{Carrier, Smtp};
use tandem_testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::server::Manner;
use crate::world::{World, admin, smtp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn pair(kind: &str, outcome: &str) -> (String, String) {
    (kind.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn i28_two_notifiers_side_by_side_send_once() -> Result<()> {
    let mut world = World::start().await?;
    for n in 0..12 {
        let account = world.account(&format!("account-{n}"), true).await?;
        world.sync(account, "failed").await?;
    }
    let other = world.another(Carrier::Smtp(Smtp::new(smtp(world.server.port))?))?;
    for _ in 0..3 {
        let (one, two) = tokio::join!(world.notifier.look(), other.look());
        one?;
        two?;
    }
    let mails = world.server.taken();
    assert_eq!(mails.len(), 12);
    let mut to: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    to.sort();
    to.dedup();
    assert_eq!(to.len(), 12, "each once");
    Ok(())
}

#[tokio::test]
async fn i28_b39_names_with_line_breaks_make_no_header() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world
        .run(&format!(
            "update admin.accounts set label = E'Evil\\r\\nBcc: eve@evil.example\\r\\n\\r\\n<script>' where account_id = '{orchid}';
             update pbx.profiles set profile = json_build_object('display_name', E'<b>\"x\"\\nhttps://evil.example') where account_id = '{orchid}'"
        ))
        .await?;
    world.edit(orchid).await?;
    world.pass(HOUR, 10 * MINUTE).await?;
    let mail = &world.server.taken()[0];
    assert_eq!(mail.header("bcc"), None);
    assert_eq!(mail.to.len(), 1);
    let words = mail.words();
    let (_, html) = words.split_once("text/html").context("an HTML part")?;
    assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
    assert!(!words.contains("https://evil.example"), "no mail program makes a link of it: {words}");
    Ok(())
}

#[tokio::test]
async fn i28_mail_goes_to_addresses_of_the_account_only() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    let other = world.account("other", true).await?;
    world
        .run(&format!(
            "insert into mail.recipients (account_id, address, role, added_by, added_at)
             values ('{other}', 'desk@other.example', 'further', 'test', now())"
        ))
        .await?;
    world.sync(orchid, "failed").await?;
    world.pass(MINUTE, MINUTE).await?;
    let mails = world.server.taken();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, [format!("RCPT TO:<{}>", admin("orchid"))]);
    Ok(())
}

#[tokio::test]
async fn f15_a_mail_whose_answer_was_lost_is_not_sent_again_that_day() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.server.behave(&[Manner::Silence]);
    world.pass(6 * HOUR, 10 * MINUTE).await?;
    assert_eq!(world.server.taken().len(), 1, "it arrived, although nobody told us");
    assert_eq!(world.outcomes().await?, [pair("reminder", "unknown")]);
    world.pass(DAY, HOUR).await?;
    assert_eq!(world.server.taken().len(), 2, "the next day has its own");
    Ok(())
}

#[tokio::test]
async fn f15_a_notifier_that_died_while_it_sent_leaves_the_mail_unknown() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.notifier.watch.sweep().await?;
    // what a process leaves behind that died between the words and the answer
    world
        .run("update mail.deliveries set outcome = 'sending', claim = gen_random_uuid(), claimed_until = now() - interval '1 s',
                     handed_at = '2026-11-02 09:00+00', tries = 1")
        .await?;
    world.pass(6 * HOUR, 10 * MINUTE).await?;
    assert_eq!(world.server.taken().len(), 0);
    assert_eq!(world.outcomes().await?, [pair("reminder", "unknown")]);
    Ok(())
}

#[tokio::test]
async fn f15_a_claim_that_lapsed_before_the_words_left_is_free_again() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.notifier.watch.sweep().await?;
    world
        .run("update mail.deliveries set claim = gen_random_uuid(), claimed_until = clock_timestamp() + interval '1 h'")
        .await?;
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.server.taken().len(), 0, "somebody else has it");
    world.run("update mail.deliveries set claimed_until = clock_timestamp() - interval '1 s'").await?;
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.server.taken().len(), 1);
    Ok(())
}

#[tokio::test]
async fn f68_two_days_without_a_mail_server_end_in_one_mail() -> Result<()> {
    let mut world = World::start().await?;
    let (orchid, lily) = (world.account("orchid", true).await?, world.account("lily", true).await?);
    world.sync(orchid, "failed").await?;
    world.sync(lily, "failed").await?;
    world.server.down(true);
    world.pass(2 * DAY, HOUR).await?;
    assert_eq!(world.server.taken().len(), 0);
    let waiting = world.outcomes().await?;
    assert_eq!(waiting, [pair("reminder", "waiting"), pair("reminder", "waiting")], "no pile");
    // one of them is well again before its mail could go out
    world.sync(lily, "succeeded").await?;
    world.server.down(false);
    world.pass(2 * HOUR, 10 * MINUTE).await?;
    // how long a server that was away is left alone grows with the real time that this took
    eventually(Duration::from_secs(60), || async {
        world.notifier.look().await.ok()?;
        (!world.subjects(&admin("orchid")).is_empty()).then_some(())
    })
    .await;
    assert_eq!(world.subjects(&admin("orchid")).len(), 1);
    assert_eq!(world.subjects(&admin("lily")).len(), 0, "a reminder without a cause does not go out");
    Ok(())
}

#[tokio::test]
async fn f68_a_greylist_and_a_full_disk_are_waited_for() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.server.behave(&[Manner::Greylist, Manner::Full, Manner::Closing]);
    world.pass(MINUTE, MINUTE).await?;
    assert_eq!(world.outcomes().await?, [pair("reminder", "waiting")]);
    world.pass(4 * MINUTE, MINUTE).await?;
    assert_eq!(world.server.seen(), 2, "after 1 and 5 minutes");
    world.pass(HOUR, MINUTE).await?;
    assert_eq!(world.outcomes().await?, [pair("reminder", "sent")]);
    assert_eq!((world.server.taken().len(), world.server.seen()), (1, 4));
    Ok(())
}

#[tokio::test]
async fn f68_a_refusal_is_kept_and_not_repeated_for_ever() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.server.behave(&[Manner::NoSuchUser, Manner::Spam, Manner::NoSuchUser]);
    world.pass(DAY / 2, HOUR).await?;
    assert_eq!(world.server.seen(), 1, "not again that day");
    let reply: String =
        sqlx::query_scalar("select reply from mail.deliveries").fetch_one(&mut world.owner).await?;
    assert!(reply.contains("no such user"), "{reply}");
    world.pass(5 * DAY, HOUR).await?;
    assert_eq!(world.server.seen(), 3, "three refusals, then the address is left alone");
    // saved anew it is tried again
    world
        .run(&format!(
            "insert into mail.recipients (account_id, address, role, added_by, added_at)
             values ('{orchid}', '{}', 'global_admin', 'test', '{}')",
            admin("orchid"),
            world.now()
        ))
        .await?;
    world.pass(DAY, HOUR).await?;
    assert_eq!(world.server.taken().len(), 1);
    Ok(())
}

#[tokio::test]
async fn f68_what_is_returned_goes_to_the_bounce_address() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.pass(MINUTE, MINUTE).await?;
    let mail = &world.server.taken()[0];
    assert!(mail.from.starts_with("MAIL FROM:<bounces@provider.example>"), "{}", mail.from);
    assert_eq!(mail.header("from").as_deref(), Some("\"Example Telecom\" <tandem@provider.example>"));
    assert_eq!(mail.header("auto-submitted").as_deref(), Some("auto-generated"));
    Ok(())
}

#[tokio::test]
async fn a_stop_hands_back_what_was_claimed() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    world.notifier.watch.sweep().await?;
    let stop = CancellationToken::new();
    stop.cancel();
    world.notifier.courier.round(&stop).await?;
    assert_eq!(world.server.seen(), 0);
    assert_eq!(world.notifier.look().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_folder_gets_a_file_for_each_mail() -> Result<()> {
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    let folder = tandem_testkit::TempDir::new()?;
    let notifier = world.another(Carrier::Folder(folder.path().join("mail")))?;
    assert_eq!(notifier.look().await?, 1);
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mail"))?.collect::<Result<_, _>>()?;
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(files[0].path())?;
    assert!(text.contains("Subject: The orchid: the last sync to Teams failed"), "{text}");
    Ok(())
}
