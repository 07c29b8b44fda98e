//! Answers that arrive badly.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use flate2::read::GzDecoder;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::Tester;

/// Sends a read over a bare connection.
async fn connect(t: &Tester, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(t.sim.address()).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: sim.example\r\nAuthorization: Bearer {}\r\n\r\n", t.token);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads up to the end of the headers; gives them and the beginning of the content.
async fn head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the connection ended");
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let content = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap().to_ascii_lowercase(), content);
        }
    }
}

fn announced(head: &str) -> usize {
    let (_, rest) = head.split_once("content-length: ").expect("a length");
    rest.split("\r\n").next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_content_stalls_half_way() {
    let t = Tester::start().await;
    t.fault(json!({ "kind": "organization", "times": 1, "action": { "type": "stall", "afterBytes": 20 } }))
        .await;
    let mut stream = connect(&t, "/v1.0/organization").await;
    let (head, mut content) = head(&mut stream).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    while content.len() < 20 {
        stream.read_buf(&mut content).await.unwrap();
    }
    assert!(content.len() == 20 && announced(&head) > 20);
    let more = tokio::time::timeout(Duration::from_millis(200), stream.read_buf(&mut content)).await;
    assert!(more.is_err(), "neither more bytes nor an end: {more:?}");
    assert_eq!(t.get("/v1.0/organization").await.status, 200, "others are served meanwhile");
}

#[tokio::test]
async fn a_content_drips() {
    let t = Tester::start().await;
    t.fault(json!({ "kind": "organization", "times": 1, "action": { "type": "drip", "bytes": 40, "everyMs": 5 } }))
        .await;
    let asked = Instant::now();
    let mut stream = connect(&t, "/v1.0/organization").await;
    let (head, mut content) = head(&mut stream).await;
    while content.len() < announced(&head) {
        assert!(stream.read_buf(&mut content).await.unwrap() > 0);
    }
    let pauses = u64::try_from(content.len() / 40).unwrap() - 1;
    assert!(pauses > 3 && asked.elapsed() >= Duration::from_millis(5 * pauses), "{:?}", asked.elapsed());
    assert!(serde_json::from_slice::<serde_json::Value>(&content).is_ok(), "all of it, in the end");
}

#[tokio::test]
async fn a_small_answer_becomes_a_large_one() {
    let t = Tester::start().await;
    t.fault(json!({ "times": 1, "action": { "type": "gzipBomb", "mebibytes": 4 } })).await;
    let mut stream = connect(&t, "/v1.0/organization").await;
    let (head, mut content) = head(&mut stream).await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    while content.len() < announced(&head) {
        assert!(stream.read_buf(&mut content).await.unwrap() > 0);
    }
    assert!(content.len() < 64 << 10);
    let size =
        std::io::copy(&mut GzDecoder::new(Bytes::from(content).as_ref()), &mut std::io::sink()).unwrap();
    assert_eq!(size, (4 << 20) + 2);
}

#[tokio::test]
async fn the_media_type_is_wrong_or_a_page_comes_again() {
    let t = Tester::start().await;
    t.fault(json!({ "times": 1, "action": { "type": "contentType", "value": "text/plain" } })).await;
    let odd = t.get("/v1.0/organization").await;
    assert!(odd.header("content-type") == "text/plain" && odd.json["value"].is_array());

    t.fault(json!({ "kind": "users.list", "times": 1, "action": { "type": "nextLink", "mode": "repeat" } }))
        .await;
    let first = t.get("/v1.0/users?$top=2").await;
    let again = t.get(&t.local(first.json["@odata.nextLink"].as_str().unwrap())).await;
    assert_eq!(again.values(), first.values());
    let next = t.get(&t.local(again.json["@odata.nextLink"].as_str().unwrap())).await;
    assert_ne!(next.values(), first.values());
}

#[tokio::test]
async fn captured_errors_come_before_or_after_the_effect() {
    let t = Tester::start().await;
    let ana = t.oid("ana@contoso.example").await;
    for (when, count) in [("before", 0), ("after", 1)] {
        let action = json!({ "type": "captured", "name": "service_unavailable_400", "when": when });
        t.fault(
            json!({ "kind": "assignNumber", "method": Method::POST.as_str(), "times": 1, "action": action }),
        )
        .await;
        assert_eq!(t.assign("+12125550101", &ana).await.status, 400);
        let numbers = t.user("ana@contoso.example").await["numbers"].as_array().unwrap().len();
        assert_eq!(numbers, count, "{when}");
    }
}
