//! Pushes that are taken.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tandem_pbx::push::{self, PushSecret};
use tandem_runtime::Clock;
use time::OffsetDateTime;

use crate::world::{Detector, World};

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Signs with one account's secret.
#[derive(Clone)]
pub(crate) struct Sender {
    secret: PushSecret,
    account: String,
}

pub(crate) struct Wire {
    pub(crate) sender: Sender,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    ids: AtomicU32,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<String>,
    pub(crate) allow: Option<String>,
    pub(crate) kind: Option<String>,
}

impl Reply {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

pub(crate) fn write_secret(world: &World, name: &str, text: &str, mode: u32) -> Result<()> {
    let path = world.secrets.path().join(name);
    std::fs::write(&path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(())
}

impl Sender {
    /// A sender whose secret is in the folder.
    pub(crate) fn new(world: &World, account: &str) -> Result<Self> {
        write_secret(world, account, SECRET, 0o600)?;
        Self::with(account, SECRET)
    }

    pub(crate) fn with(account: &str, secret: &str) -> Result<Self> {
        Ok(Self { secret: PushSecret::parse(secret)?, account: account.to_owned() })
    }

    pub(crate) fn to(self, address: SocketAddr) -> Wire {
        Wire { sender: self, address, client: reqwest::Client::new(), ids: AtomicU32::new(0) }
    }
}

impl Wire {
    pub(crate) fn next_id(&self) -> String {
        format!("msg_{}_{}", self.sender.account, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn users(&self) -> String {
        format!("/pbx/v1/accounts/{}/users", self.sender.account)
    }

    pub(crate) async fn put(&self, user: &str, body: &str) -> Result<Reply> {
        self.send(Method::PUT, &format!("{}/{user}", self.users()), &self.next_id(), body).await
    }

    pub(crate) async fn delete(&self, user: &str) -> Result<Reply> {
        self.send(Method::DELETE, &format!("{}/{user}", self.users()), &self.next_id(), "").await
    }

    pub(crate) async fn bulk(&self, body: &str) -> Result<Reply> {
        self.send(Method::POST, &self.users(), &self.next_id(), body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, id: &str, body: &str) -> Result<Reply> {
        let now = Clock::system().now();
        let headers = self.headers(id, now, body.as_bytes());
        self.raw(method, path, &headers, body).await
    }

    /// Right headers for a body.
    pub(crate) fn headers(&self, id: &str, at: OffsetDateTime, body: &[u8]) -> Vec<(&'static str, String)> {
        vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.unix_timestamp().to_string()),
            ("webhook-signature", push::sign(id, at, body, &self.sender.secret)),
        ]
    }

    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<Reply> {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let reply = request.body(body.to_owned()).send().await?;
        let header = |name: &str| Some(reply.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, allow, kind) = (header("retry-after"), header("allow"), header("content-type"));
        let status = reply.status().as_u16();
        let text = reply.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, body, retry_after, allow, kind })
    }
}

/// A world with an account `one` that pushes.
pub(crate) async fn pushing(rate: u32) -> Result<(World, Detector, Wire)> {
    let (world, _) = World::people().await?;
    let sender = Sender::new(&world, "one")?;
    let detector = world.detector(1, &world.push_settings(rate)).await?;
    let wire = sender.to(detector.push.context("a push endpoint")?);
    Ok((world, detector, wire))
}

#[tokio::test]
async fn e20_a_user_is_put_changed_and_deleted() -> Result<()> {
    let (world, detector, wire) = pushing(50).await?;
    let ana = r#"{"display_name":"Ana","did_numbers":["+12125550101"]}"#;
    let reply = wire.put("a", ana).await?;
    assert_eq!(reply.status, 202);
    let account = reply.body["account"].as_str().context("an account")?.to_owned();
    let waits = json!({"account": account, "gen": 1, "changed": 1, "due_at": null, "starts_by": null, "waiting": "auto_sync_off"});
    assert_eq!(reply.body, waits);

    let same = wire.put("a", ana).await?.body;
    assert_eq!(
        (&same["gen"], &same["changed"], &same["waiting"]),
        (&json!(1), &json!(0), &json!("unchanged"))
    );

    world.run("update admin.accounts set auto_sync = true").await?;
    assert_eq!(wire.put("a", "{}").await?.body["waiting"], "not_mapped");
    world
        .run(
            "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
              select account_id, 'a', gen_random_uuid(), 'voice' from admin.accounts",
        )
        .await?;
    let reply = wire.put("a", ana).await?.body;
    assert_eq!((&reply["gen"], reply["waiting"].is_null()), (&json!(3), true));
    assert!(reply["due_at"].as_str() < reply["starts_by"].as_str() && reply["due_at"].is_string());

    let gone = wire.delete("a").await?.body;
    assert_eq!((&gone["gen"], &gone["changed"]), (&json!(4), &json!(1)));
    assert_eq!(wire.delete("a").await?.body["changed"], 0);
    let kinds =
        world.text("select string_agg(kind || ' ' || source, ',' order by gen) from change.log").await?;
    assert_eq!(kinds.as_deref(), Some("created push,updated push,updated push,deleted push"));
    assert_eq!(world.number("select count(*) from ops.outbox").await?, 4);
    assert_eq!(world.number("select count(*) from change.log where saved_at is null").await?, 0);

    // the account may be named by its id too
    let by_id = wire.send(Method::PUT, &format!("/pbx/v1/accounts/{account}/users/a"), "by-id", ana).await?;
    assert_eq!((by_id.status, &by_id.body["gen"]), (202, &json!(5)));
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_same_message_again_gets_the_same_answer_and_does_nothing() -> Result<()> {
    let (world, detector, wire) = pushing(50).await?;
    let path = format!("{}/a", wire.users());
    let first = wire.send(Method::PUT, &path, "msg_1", r#"{"display_name":"Ana"}"#).await?;
    wire.put("a", r#"{"display_name":"Bo"}"#).await?;
    let again = wire.send(Method::PUT, &path, "msg_1", r#"{"display_name":"Ana"}"#).await?;
    assert_eq!(first, again);
    assert_eq!(world.number("select gen from change.generations").await?, 2);
    // another body, another user or another method under the same id is another message
    let path_b = format!("{}/b", wire.users());
    for (method, path, body) in [
        (Method::PUT, &path, "{}"),
        (Method::PUT, &path_b, r#"{"display_name":"Ana"}"#),
        (Method::DELETE, &path, ""),
    ] {
        let reply = wire.send(method, path, "msg_1", body).await?;
        assert_eq!((reply.status, reply.code()), (409, "webhook_id_reused"));
    }
    // all at once: one effect
    let sends = (0..8).map(|_| wire.send(Method::PUT, &path, "msg_2", r#"{"display_name":"Cy"}"#));
    let replies = futures_util::future::try_join_all(sends).await?;
    assert!(replies.iter().all(|reply| reply == &replies[0] && reply.status == 202));
    assert_eq!(world.number("select gen from change.generations").await?, 3);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_bulk_is_one_transaction() -> Result<()> {
    let (world, detector, wire) = pushing(50).await?;
    let users: Vec<Value> = (0..1201)
        .map(|n| json!({"id": format!("u{n}"), "profile": {"display_name": format!("N{n}"), "did_numbers": ["+12125550101"]}}))
        .collect();
    let reply = wire.bulk(&json!({ "users": users }).to_string()).await?;
    assert_eq!((reply.status, &reply.body["gen"], &reply.body["changed"]), (202, &json!(1201), &json!(1201)));
    assert_eq!(world.number("select count(distinct xmin::text) from change.log").await?, 1);
    assert_eq!(world.number("select count(*) from ops.outbox").await?, 3);

    // a swap of numbers and a number of two users are facts of the PBX
    let swap = r#"{"users":[{"id":"u0","profile":{"did_numbers":["+12125550102"]}},{"id":"u1","profile":{"did_numbers":["+12125550102"]}}]}"#;
    assert_eq!(wire.bulk(swap).await?.body["changed"], 2);

    // one bad user of many: nothing of it
    let bad =
        r#"{"users":[{"id":"new","profile":{}},{"id":"u3","profile":{"did_numbers":["12125550102"]}}]}"#;
    let reply = wire.bulk(bad).await?;
    assert_eq!((reply.status, reply.code(), &reply.body["item"]), (422, "number_no_plus", &json!(1)));
    assert_eq!(world.number("select count(*) from pbx.profiles").await?, 1201);
    detector.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_hint_has_the_source_read_at_once() -> Result<()> {
    let (world, account) = World::people().await?;
    world.edit("insert into people values ('one', 'a', 'Ana', '{}')").await?;
    write_secret(&world, "_source.main", SECRET, 0o600)?;
    let settings =
        tandem_detector::DetectorSettings { push: world.push_settings(50).push, ..world.settings() };
    let detector = world.detector(1, &settings).await?;
    let wire = Sender::with("main", SECRET)?.to(detector.push.context("a push endpoint")?);
    world.read_after(0).await;
    world.edit("update people set name = 'Ann'").await?;
    let before = world.reads().await?;
    let reply = wire.send(Method::POST, "/pbx/v1/sources/main/hint", "hint_1", "").await?;
    assert_eq!((reply.status, &reply.body["source"]), (202, &json!("main")));
    world.read_after(before).await;
    assert_eq!(world.changes(account, 1).await?.len(), 1);
    assert_eq!(wire.send(Method::POST, "/pbx/v1/sources/other/hint", "hint_2", "").await?.status, 401);
    detector.stop().await;
    Ok(())
}
