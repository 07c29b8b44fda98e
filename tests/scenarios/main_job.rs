//! The main job: saved changes travel into the tenant.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tandem_testkit::eventually;
use tandem_tests::Tester;

#[tokio::test(flavor = "multi_thread")]
async fn e2_e19_e30_one_change_is_one_job_and_one_assign() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(5).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    let user = tester.teams(&account, 1).await?;
    assert_eq!(user.number.as_deref(), Some("+12125550101"));
    assert!(user.voice);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    assert_eq!(tester.requests("unassignNumber").await?.len(), 0);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_changes_of_users_without_mapping_open_no_window() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    sqlx::query("delete from admin.mappings where pbx_user_id = 'ext-00002'").execute(&tester.admin).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    assert!(tester.jobs(&account).await?.is_empty());
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_ten_thousand_changes_inside_one_window_are_one_job() -> Result<()> {
    let mut tester = Tester::start().await?;
    // a busy machine takes its time to save them, and they are to come inside one window all the same
    tester.timing.quiet = time::Duration::seconds(15);
    tester.timing.max_wait = time::Duration::minutes(10);
    let account = tester.account(40).await?;
    tester.all_roles().await?;
    for round in 0..250_u32 {
        let numbers: Vec<String> =
            (1..=40).map(|i| account.telephone(if round % 2 == 0 { i } else { i + 40 })).collect();
        let edits: Vec<(u32, Option<&str>)> =
            numbers.iter().zip(1..).map(|(number, i)| (i, Some(number.as_str()))).collect();
        tester.save(&account, &edits).await?;
    }
    tester.at_rest().await;
    assert_eq!(tester.count("select gen from change.generations").await?, 10_000);
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 40);
    assert_eq!(tester.teams(&account, 7).await?.number, Some(account.telephone(47)));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e12_a_steady_trickle_never_postpones_past_max_wait() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.all_roles().await?;
    // the quiet period never passes between two of these, so only the longest wait can cut
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut i = 0;
    while tokio::time::Instant::now() < until {
        tick.tick().await;
        i += 1;
        tester.save(&account, &[(1 + i % 3, Some(account.telephone(i).as_str()))]).await?;
    }
    let late = tester
        .count("select count(*) from queue.jobs where due_at > first_change_at + interval '1500 ms'")
        .await?;
    assert_eq!(late, 0);
    assert!(tester.jobs(&account).await?.len() >= 3, "one job per longest wait");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_and_rings_come_true() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(6).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=6).map(|i| account.telephone(i)).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let initial: Vec<(u32, Option<&str>)> = (1..=6).map(|i| (i, Some(numbers[i as usize - 1]))).collect();
    tester.save(&account, &initial).await?;
    tester.at_rest().await;
    // a swap of 1 and 2, and a ring of 3, 4, 5, 6
    let edits = [
        (1, Some(numbers[1])),
        (2, Some(numbers[0])),
        (3, Some(numbers[3])),
        (4, Some(numbers[4])),
        (5, Some(numbers[5])),
        (6, Some(numbers[2])),
    ];
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    let found = tester.numbers(&account, 6).await?;
    let found: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
    assert_eq!(found, [numbers[1], numbers[0], numbers[3], numbers[4], numbers[5], numbers[2]]);
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn unmapping_and_deletion_take_the_number_off() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=3).map(|i| account.telephone(i)).collect();
    let edits: Vec<(u32, Option<&str>)> =
        numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    tester.unmap(&account, 1).await?;
    tester.delete(&account, 2).await?;
    tester.at_rest().await;
    assert_eq!(tester.numbers(&account, 3).await?, [None, None, Some(numbers[2].clone())]);
    assert_eq!(tester.count("select count(*) from sync.standing").await?, 1);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_policies_follow_their_rules() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester
        .rules(
            &account,
            &[json!({
                "when": { "set": { "field": "voicemail_enabled" } },
                "policy_type": "TeamsCallingPolicy", "policy_name": "Tandem-PBX-Voicemail",
            })],
        )
        .await?;
    sqlx::query("update admin.accounts set voice_routing_policy = 'Provider-US'")
        .execute(&tester.admin)
        .await?;
    tester.all_roles().await?;
    let mut profile = account.profile(1, Some("+12125550101"));
    profile.voicemail_enabled = true;
    tester.save_profiles(&account, &[(1, profile.clone())]).await?;
    tester.at_rest().await;
    assert_eq!(
        tester.policies(&account, 1).await?,
        ["OnlineVoiceRoutingPolicy Provider-US", "TeamsCallingPolicy Tandem-PBX-Voicemail"]
    );
    profile.voicemail_enabled = false;
    tester.save_profiles(&account, &[(1, profile)]).await?;
    tester.at_rest().await;
    assert_eq!(tester.policies(&account, 1).await?, ["OnlineVoiceRoutingPolicy Provider-US"]);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1, "the number was left alone");
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_names_the_holder_and_leaves_it_alone() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    tester.stranger(&account, "guest-desk@account1.example", "+12125550101").await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101")), (2, Some("+12125550102"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["partly"]);
    let (code, detail): (String, String) =
        sqlx::query_as("select code, detail from sync.users where pbx_user_id = 'ext-00001'")
            .fetch_one(&tester.admin)
            .await?;
    assert_eq!(code, "number_held_by_unmanaged_user");
    assert!(detail.contains("guest-desk@account1.example"), "{detail}");
    assert_eq!(tester.requests("unassignNumber").await?.len(), 0);
    assert_eq!(
        tester.teams(&account, 2).await?.number.as_deref(),
        Some("+12125550102"),
        "the rest of the job went on"
    );
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_removals_are_held_and_the_rest_goes_on() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(8).await?;
    tester.all_roles().await?;
    let numbers: Vec<String> = (1..=8).map(|i| account.telephone(i)).collect();
    let edits: Vec<(u32, Option<&str>)> =
        numbers.iter().zip(1..).map(|(n, i)| (i, Some(n.as_str()))).collect();
    tester.save(&account, &edits).await?;
    tester.at_rest().await;
    let other = account.telephone(50);
    tester.save(&account, &[(1, None), (2, None), (3, None), (4, None), (5, Some(&other))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded", "partly"]);
    assert_eq!(
        tester
            .count("select json_array_length(removals)::bigint from sync.held where closed_at is null")
            .await?,
        4
    );
    let found = tester.numbers(&account, 5).await?;
    assert_eq!(found[..4].iter().flatten().count(), 4, "nobody lost a number");
    assert_eq!(found[4], Some(other));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_a_request_syncs_everything_and_is_manual() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(3).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    // somebody takes the number away in Teams; that alone starts nothing
    tester.take_away(&account, "+12125550101").await?;
    tester.request(&account, "all").await?;
    tester.at_rest().await;
    let types: Vec<String> =
        sqlx::query_scalar("select job_type from log.jobs order by job_id").fetch_all(&tester.admin).await?;
    assert_eq!(types, ["auto", "manual"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn e21_e26_with_auto_sync_off_changes_wait() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(2).await?;
    sqlx::query("update admin.accounts set auto_sync = false").execute(&tester.admin).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    eventually(Duration::from_secs(10), || async {
        let waiting = tester
            .count("select count(*) from queue.windows where first_change_at is not null and due_at is null");
        (waiting.await.ok()? == 1).then_some(())
    })
    .await;
    assert!(tester.jobs(&account).await?.is_empty());
    // switched on, what waits is due at once
    tester.setting(&account, "auto_sync", "update admin.accounts set auto_sync = true").await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_debouncers_and_two_workers_share_the_work() -> Result<()> {
    let mut tester = Tester::start().await?;
    let mut accounts = Vec::new();
    for _ in 0..12 {
        accounts.push(tester.account(2).await?);
    }
    tester.all_roles().await?;
    tester.debouncer().await?;
    tester.teams_sync(&tandem_tests::fast_sync("worker-2")).await?;
    for round in 1..=3 {
        for account in &accounts {
            let (one, two) = (account.telephone(round), account.telephone(round + 50));
            tester.save(account, &[(1, Some(&one)), (2, Some(&two))]).await?;
        }
    }
    tester.at_rest().await;
    for account in &accounts {
        assert_eq!(tester.teams(account, 1).await?.number, Some(account.telephone(3)));
    }
    tester.finish().await
}
