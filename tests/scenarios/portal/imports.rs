//! Mappings as a file: what is uploaded is looked at, and then saved as a whole or not at all.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_tests::{Browser, Page};

use super::world::{World, hidden, mark};

const IMPORTS: &str = "/accounts/account1/imports";

async fn mappings(world: &World) -> Result<Vec<(String, Option<String>)>> {
    let query = "select pbx_user_id, number from admin.mappings where account_id = $1 order by 1";
    Ok(sqlx::query_as(query).bind(world.first.id.0).fetch_all(&world.tester.admin).await?)
}

async fn upload(world: &World, browser: &mut Browser, file: &str) -> Result<Page> {
    let form = browser.go(&world.page(IMPORTS)).await?;
    let sent = browser.upload(&form.url, &mark(&form)?, "../../etc/con.csv", file.as_bytes()).await?;
    browser.follow(sent).await
}

/// Confirms a preview that is open.
async fn confirm(browser: &mut Browser, page: &Page, removals: bool) -> Result<Page> {
    let (mark, version) = (mark(page)?, hidden(page, "version")?);
    let mut fields = vec![("mark", mark.as_str()), ("version", version.as_str())];
    if removals {
        fields.push(("removals", "meant"));
    }
    browser.once(Method::POST, &page.url, &fields).await
}

fn rows(world: &World, users: &[(u32, Option<u32>)]) -> String {
    let row = |(user, to): &(u32, Option<u32>)| {
        format!("{},{}\n", world.first.user(*user), to.map(|to| world.first.upn(to)).unwrap_or_default())
    };
    users.iter().fold("pbx_user,microsoft_user\n".to_owned(), |file, one| file + &row(one))
}

#[tokio::test(flavor = "multi_thread")]
async fn b38_b54_a_file_is_looked_at_saved_once_and_carried_by_the_next_sync() -> Result<()> {
    let mut world = World::start().await?;
    world.tester.auto_sync(&world.first, false).await?;
    world.start_with(&[1], 3).await?;
    for i in 1..=3 {
        world.listed(i, None).await?;
    }
    world.tester.all_roles().await?;
    let mut browser = world.sign_in("adam").await?;
    let file = rows(&world, &[(1, None), (2, Some(2)), (3, Some(3))]);
    let preview = upload(&world, &mut browser, &file).await?;
    for text in
        ["<dt>add</dt><dd>2</dd>", "<dt>unassign</dt><dd>1</dd>", "Save 3 mappings", &world.first.upn(3)]
    {
        preview.says(text)?;
    }
    let again = upload(&world, &mut browser, &file).await?;
    assert_eq!(mappings(&world).await?.len(), 1, "looking saves nothing");
    let saved = confirm(&mut browser, &preview, false).await?;
    browser.follow(saved).await?.says("Saved: 3 mappings")?;
    let after = vec![("ext-00002".to_owned(), None), ("ext-00003".to_owned(), None)];
    assert_eq!(mappings(&world).await?, after);
    // the same preview again is the same save, and the same file again would do something else
    browser.go(&preview.url).await?.says("Saved: 3 mappings")?;
    let twice = confirm(&mut browser, &preview, false).await?;
    browser.follow(twice).await?.says("Saved: 3 mappings")?;
    assert_eq!(confirm(&mut browser, &again, false).await?.code()?, "version_stale");
    browser.go(&again.url).await?.says("The file changes nothing")?;
    // each mapping is one change and one record, as if it had been saved singly
    assert_eq!(
        world.tester.count("select count(*) from change.log where kind in ('mapped', 'unmapped')").await?,
        3
    );
    assert_eq!(world.audited(world.first.id.0).await?, vec!["save_mapping allowed"; 3]);
    let gathered = "select count(*) from queue.windows where first_change_at is not null";
    world.tester.until(gathered, 1).await;
    world.tester.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn b54_what_has_changed_since_the_preview_is_shown_anew_and_what_was_cut_off_is_nothing() -> Result<()>
{
    let world = World::start().await?;
    world.start_with(&[], 5).await?;
    for i in 1..=3 {
        world.listed(i, None).await?;
    }
    let mut browser = world.sign_in("adam").await?;
    let preview = upload(&world, &mut browser, &rows(&world, &[(1, Some(1)), (2, Some(2))])).await?;
    let mut mia = world.sign_in("mia").await?;
    assert_eq!(world.choose(&mut mia, 1, Some(3)).await?.status, 303);
    let stale = confirm(&mut browser, &preview, false).await?;
    assert_eq!((stale.code()?.as_str(), stale.status.as_u16()), ("version_stale", 412));
    assert_eq!(mappings(&world).await?.len(), 1);
    let anew = browser.go(&preview.url).await?;
    anew.says("<dt>change</dt><dd>1</dd>")?;
    assert_eq!(confirm(&mut browser, &anew, false).await?.status, 303);
    assert_eq!(mappings(&world).await?.len(), 2);
    // the preview of somebody's file is nothing in another account, and nothing an hour later
    let form = browser.go(&world.page(IMPORTS)).await?;
    let mark = mark(&form)?;
    let part = "--edge\r\nContent-Disposition: form-data; name=\"mark\"\r\n\r\n";
    let file = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\npbx_user";
    let kind = "multipart/form-data; boundary=edge";
    let count = "select count(*) from admin.imports";
    let before = world.tester.count(count).await?;
    let cut = browser.post(&form.url, kind, format!("{part}{mark}\r\n{file}").into_bytes()).await?;
    assert_eq!(cut.code()?, "bad_input");
    for (made_up, code) in [("x", "form_stale"), ("", "form_stale")] {
        let page = browser.upload(&form.url, made_up, "x.csv", b"pbx_user,microsoft_user\nx,y\n").await?;
        assert_eq!(page.code()?, code);
    }
    let bare = browser.post(&form.url, kind, format!("{file}\r\n--edge--\r\n").into_bytes()).await?;
    assert_eq!(bare.code()?, "form_stale", "the file before the mark");
    assert_eq!(world.tester.count(count).await?, before);
    let preview = upload(&world, &mut browser, &rows(&world, &[(3, Some(1))])).await?;
    let elsewhere = world.page(&preview.url.path().replace("account1", "account2"));
    assert_eq!(mia.go(&elsewhere).await?.status.as_u16(), 404);
    world.hand.advance(std::time::Duration::from_secs(20 * 60));
    for _ in 0..2 {
        browser.go(&preview.url).await?.says("Nothing has been saved")?;
        world.hand.advance(std::time::Duration::from_secs(21 * 60));
    }
    assert_eq!(browser.go(&preview.url).await?.code()?, "not_found");
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b46_b50_long_files_and_one_bad_row_of_many_save_nothing() -> Result<()> {
    let world = World::of(12).await?;
    world.start_with(&[], 20).await?;
    for i in 1..=11 {
        world.listed(i, None).await?;
    }
    let mut browser = world.sign_in("adam").await?;
    let all: Vec<(u32, Option<u32>)> = (1..=12).map(|i| (i, Some(i))).collect();
    let preview = upload(&world, &mut browser, &rows(&world, &all)).await?;
    preview.says("1 rows cannot be used, so nothing can be saved")?;
    preview.says("<code>microsoft_user_unknown</code>")?;
    ensure!(!preview.text.contains("Save 1"), "there is nothing to press");
    // whoever presses nevertheless is refused
    let me: Value = serde_json::from_str(&browser.go(&world.page("/api/v1/me")).await?.text)?;
    let import = preview.url.path().rsplit('/').next().context("an id")?;
    let api = world.page(&format!("/api/v1/accounts/account1/imports/{import}"));
    let told: Value = serde_json::from_str(&browser.go(&api).await?.text)?;
    assert_eq!(
        (&told["clean"], &told["rows"][11]["code"]),
        (&json!(false), &json!("microsoft_user_unknown"))
    );
    let cookie = format!("tandem={}", browser.cookie(&world.base, "tandem").context("a session")?);
    let token = me["csrf_token"].as_str().context("a token")?;
    let request = world.tester.http.post(api).header("cookie", &cookie).header("x-csrf-token", token);
    let answer = request.json(&json!({ "version": told["version"] })).send().await?;
    assert_eq!(answer.status().as_u16(), 409);
    assert!(answer.text().await?.contains("import_not_clean"));
    assert_eq!(mappings(&world).await?, []);
    // more than is read: the answer may be lost with the connection, the file is never kept
    let long = "x".repeat(8 * 1024 * 1024);
    let form = browser.go(&world.page(IMPORTS)).await?;
    if let Ok(page) = browser.upload(&form.url, &mark(&form)?, "x.csv", long.as_bytes()).await {
        assert_eq!((page.code()?.as_str(), page.status.as_u16()), ("too_large", 413));
    }
    let odd = upload(&world, &mut browser, "pbx_user;microsoft_user\n\"x").await?;
    assert_eq!((odd.code()?.as_str(), odd.status.as_u16()), ("quote_open", 422));
    odd.says("Line 2: ")?;
    assert_eq!(world.tester.count("select count(*) from admin.imports").await?, 1);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b52_many_removals_are_said_and_have_to_be_meant() -> Result<()> {
    let world = World::of(5).await?;
    let mut browser = world.sign_in("adam").await?;
    let none: Vec<(u32, Option<u32>)> = (1..=5).map(|i| (i, None)).collect();
    let preview = upload(&world, &mut browser, &rows(&world, &none)).await?;
    preview.says("5 users would lose their mapping.")?;
    preview.says("it holds these removals until somebody approves them")?;
    assert_eq!(confirm(&mut browser, &preview, false).await?.code()?, "import_removes_many");
    assert_eq!(mappings(&world).await?.len(), 5);
    let saved = confirm(&mut browser, &preview, true).await?;
    browser.follow(saved).await?.says("Saved: 5 mappings")?;
    assert_eq!(mappings(&world).await?, []);
    world.tester.abandon().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b53_numbers_of_another_account_are_refused_without_saying_whose() -> Result<()> {
    let world = World::start().await?;
    world.start_with(&[], 5).await?;
    for i in 1..=2 {
        world.listed(i, None).await?;
    }
    sqlx::query("update admin.mappings set number = '+4599999999' where account_id = $1 and pbx_user_id = 'ext-00001'")
        .bind(world.second.id.0)
        .execute(&world.tester.admin)
        .await?;
    let mut browser = world.sign_in("adam").await?;
    let user = |i: u32, number: &str| format!("{},{},{number}\n", world.first.user(i), world.first.upn(i));
    let file =
        format!("pbx_user,microsoft_user,number\n{}{}", user(1, "+4599999999"), user(2, "+4512345678"));
    let preview = upload(&world, &mut browser, &file).await?;
    preview.says("<code>number_in_use</code>")?;
    preview.says("The number is in use outside this account.")?;
    assert!(!preview.text.contains("account2"), "{}", preview.text);
    // without that row it is saved, exported, and taken back as it is
    let file = format!("pbx_user,microsoft_user,number\n{}", user(2, "+4512345678"));
    let preview = upload(&world, &mut browser, &file).await?;
    assert_eq!(confirm(&mut browser, &preview, false).await?.status, 303);
    assert_eq!(mappings(&world).await?, [("ext-00002".to_owned(), Some("+4512345678".to_owned()))]);
    let export = browser.go(&world.page("/accounts/account1/users.csv")).await?;
    assert_eq!(export.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(export.headers["content-disposition"], "attachment; filename=\"users-account1.csv\"");
    export.says("'+4512345678")?;
    assert_eq!(export.text.lines().count(), 4);
    upload(&world, &mut browser, &export.text).await?.says("The file changes nothing")?;
    // whoever does not see mappings exports none
    let mut connie = world.sign_in("connie").await?;
    let export = connie.go(&world.page("/accounts/account1/users.csv")).await?;
    assert!(
        export.text.contains("ext-00002") && !export.text.contains(&world.first.upn(2)),
        "{}",
        export.text
    );
    world.tester.abandon().await;
    Ok(())
}
