//! Pushes that are refused: a stable code, and nothing of them is kept.

use anyhow::Result;
use reqwest::Method;
use tandem_runtime::Clock;
use tandem_testkit::eventually;
use time::Duration;

use crate::push::{SECRET, Sender, pushing, write_secret};
use crate::world::DEADLINE;

const OTHER: &str = "whsec_HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[tokio::test]
async fn signatures_and_accounts_that_are_not_right() -> Result<()> {
    let (world, detector, wire) = pushing(500).await?;
    world.account("two", None).await?;
    write_secret(&world, "two", OTHER, 0o600)?;
    world.account("open", None).await?;
    write_secret(&world, "open", SECRET, 0o644)?;
    let path = format!("{}/a", wire.users());
    let (now, body) = (Clock::system().now(), "{}");
    let good = wire.headers("id", now, body.as_bytes());
    let without = |name: &str| good.iter().filter(|(n, _)| *n != name).cloned().collect::<Vec<_>>();
    let with = |name: &'static str, value: String| [without(name), vec![(name, value)]].concat();
    let twice = [good.clone(), vec![("webhook-signature", good[3].1.clone())]].concat();
    let at = |seconds| wire.headers("id", now + Duration::seconds(seconds), body.as_bytes());
    let cases = [
        ("no_signature", without("webhook-signature")),
        ("no_webhook_id", without("webhook-id")),
        ("no_timestamp", without("webhook-timestamp")),
        ("header_twice", twice),
        ("bad_signature", with("webhook-signature", "v1,AAAA".to_owned())),
        ("no_v1_signature", with("webhook-signature", "v1a,AAAA v9,AAAA".to_owned())),
        ("too_many_signatures", with("webhook-signature", "v1,AAAA ".repeat(100))),
        ("stale_timestamp", at(-330)),
        ("stale_timestamp", at(330)),
        ("bad_timestamp", with("webhook-timestamp", "-1".to_owned())),
        ("bad_timestamp", with("webhook-timestamp", "1e9".to_owned())),
        ("bad_webhook_id", with("webhook-id", "a.b".to_owned())),
    ];
    for (code, headers) in cases {
        let reply = wire.raw(Method::PUT, &path, &headers, body).await?;
        assert_eq!((reply.status, reply.code()), (401, code));
        assert_eq!(reply.kind.as_deref(), Some("application/problem+json"));
    }
    // one blank more than was signed
    let reply = wire.raw(Method::PUT, &path, &good, "{ }").await?;
    assert_eq!((reply.status, reply.code()), (401, "bad_signature"));

    // who does not exist, who has another secret, whose secret everybody can read: all the same answer
    for account in
        ["nobody", "two", "open", "ONE", "..%2Fone", "%27%20OR%201=1", "00000000-0000-0000-0000-000000000001"]
    {
        let other =
            wire.raw(Method::PUT, &format!("/pbx/v1/accounts/{account}/users/a"), &good, body).await?;
        assert_eq!(other, reply, "{account}");
    }
    assert_eq!(world.number("select count(*) from pbx.profiles").await?, 0);
    assert_eq!(world.number("select count(*) from pbx.push_receipts").await?, 0);

    // while a secret is being replaced both are taken; afterwards the new one only
    write_secret(&world, "one", &format!("{SECRET}\n{OTHER}\n"), 0o600)?;
    let new = Sender::with("one", OTHER)?.to(wire.address);
    let taken = || async { (new.put("a", "{}").await.ok()?.status == 202).then_some(()) };
    eventually(DEADLINE, taken).await;
    assert_eq!(wire.put("a", "{}").await?.status, 202);
    write_secret(&world, "one", OTHER, 0o600)?;
    let refused = || async { (wire.put("a", "{}").await.ok()?.status == 401).then_some(()) };
    eventually(DEADLINE, refused).await;
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn bodies_that_cannot_be_taken() -> Result<()> {
    let (world, detector, wire) = pushing(500).await?;
    let path = format!("{}/a", wire.users());
    let long = format!(r#"{{"display_name":"{}"}}"#, "x".repeat(70_000));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies = [
        (413, long.as_str()),
        (400, ""),
        (400, "{\"dnd\":NaN}"),
        (400, "{} {}"),
        (400, "\u{feff}{}"),
        (400, r#"{"display_name":"\ud800"}"#),
        (422, r#"{"role":"admin"}"#),
        (422, r#"{"account_id":"x"}"#),
        (422, r#"{"display_name":"a\u0000b"}"#),
        (422, r#"{"did_numbers":["+1212555010112345"]}"#),
        (422, r#"{"did_numbers":["+12125550101;ext=12"]}"#),
    ];
    for (status, body) in bodies {
        let reply = wire.put("a", body).await?;
        assert_eq!(reply.status, status, "{body:.60} {reply:?}");
        assert!(!reply.code().is_empty());
    }
    for body in [deep.as_str(), r#"{"dnd":true,"dnd":false}"#, r#"{"dnd":1}"#] {
        let status = wire.put("a", body).await?.status;
        assert!(status == 400 || status == 422, "{status} {body:.60}");
    }
    assert_eq!(wire.bulk(r#"{"users":[]}"#).await?.code(), "empty_bulk");
    let twice = r#"{"users":[{"id":"a","profile":{}},{"id":"a","profile":{}}]}"#;
    assert_eq!(wire.bulk(twice).await?.code(), "duplicate_user");
    let many: Vec<String> = (0..10_001).map(|n| format!(r#"{{"id":"{n}","profile":{{}}}}"#)).collect();
    assert_eq!(wire.bulk(&format!(r#"{{"users":[{}]}}"#, many.join(","))).await?.code(), "too_many_users");
    let huge = " ".repeat(8 * 1024 * 1024 + 1);
    assert_eq!(wire.bulk(&huge).await?.code(), "body_too_large");

    for (user, code) in [("%00", "bad_user_id"), ("%20a", "bad_user_id"), ("%ff", "bad_path")] {
        assert_eq!(wire.put(user, "{}").await?.code(), code);
    }
    let now = Clock::system().now();
    for kind in [None, Some("text/plain"), Some("application/json; charset=utf-16")] {
        let mut headers = wire.headers(&wire.next_id(), now, b"{}");
        headers.retain(|(name, _)| *name != "content-type");
        headers.extend(kind.map(|kind| ("content-type", kind.to_owned())));
        assert_eq!(wire.raw(Method::PUT, &path, &headers, "{}").await?.status, 415, "{kind:?}");
    }
    let mut headers = wire.headers(&wire.next_id(), now, b"{}");
    headers.push(("content-encoding", "gzip".to_owned()));
    assert_eq!(wire.raw(Method::PUT, &path, &headers, "{}").await?.status, 415);
    let body = wire.send(Method::DELETE, &path, &wire.next_id(), "{}").await?;
    assert_eq!((body.status, body.code()), (400, "unexpected_body"));
    assert_eq!(world.number("select count(*) from pbx.profiles").await?, 0);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn methods_addresses_and_rates() -> Result<()> {
    let (world, detector, wire) = pushing(2).await?;
    let path = format!("{}/a", wire.users());
    let now = Clock::system().now();
    for method in [Method::HEAD, Method::TRACE, Method::GET, Method::PATCH, Method::POST, Method::OPTIONS] {
        // a header that overrides the method is nothing to us
        let mut headers = wire.headers(&wire.next_id(), now, b"");
        headers.push(("x-http-method-override", "DELETE".to_owned()));
        let reply = wire.raw(method.clone(), &path, &headers, "").await?;
        assert_eq!(reply.status, 405, "{method}");
        assert!(
            reply.allow.is_some_and(|allow| allow.contains("PUT") && allow.contains("DELETE")),
            "{method}"
        );
    }
    for path in [
        "/",
        "//pbx/v1/accounts/one/users",
        "/pbx/v1/accounts/one/users/a/b",
        "/pbx/v1/accounts/%2e%2e/users/a/",
    ] {
        assert_eq!(wire.raw(Method::PUT, path, &[], "").await?.code(), "no_such_address", "{path}");
    }
    assert_eq!(world.number("select count(*) from pbx.profiles").await?, 0);

    let sends: Vec<_> = (0..10).map(|n| (n, wire.put("a", "{}"))).collect();
    let replies = futures_util::future::try_join_all(sends.into_iter().map(|(_, send)| send)).await?;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|r| r.code() == "rate_limited" && r.retry_after.as_deref() == Some("1")));
    detector.stop().await;
    Ok(())
}
