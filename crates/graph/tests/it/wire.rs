//! A connection that misbehaves below HTTP: nobody there, half open, too slow, too much.

use std::time::Duration;

use tandem_graph::{AssignNumber, Effect, ErrorClass, GraphError, TenantClient, Unusable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::lab::{ANA, Lab, TENANT, graph, write_id};

/// What stands in Graph's place does with a request.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Accepts and says nothing.
    Silent,
    /// Begins a body and stops.
    Stalls,
    /// One byte now and then, for ever.
    Drips,
    /// More than anybody wants.
    Floods,
}

async fn serve(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let _ = stream.read(&mut head).await?;
    let reply = |length: u64| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    match manner {
        Manner::Silent => {}
        Manner::Stalls => {
            stream.write_all(reply(1000).as_bytes()).await?;
            stream.write_all(b"{\"value\":[").await?;
        }
        Manner::Drips => {
            stream.write_all(reply(1_000_000).as_bytes()).await?;
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            loop {
                pace.tick().await;
                stream.write_all(b" ").await?;
            }
        }
        Manner::Floods => {
            stream.write_all(reply(1 << 40).as_bytes()).await?;
            let some = vec![b' '; 1 << 20];
            loop {
                stream.write_all(&some).await?;
            }
        }
    }
    // open until the other side gives up
    while stream.read(&mut head).await? > 0 {}
    Ok(())
}

/// A client whose Graph behaves so, while login is the simulator's. Calls end within the given time.
fn client(lab: &Lab, listener: TcpListener, manner: Manner, limit: Duration) -> TenantClient {
    let mut config = lab.config();
    let port = listener.local_addr().map_or(0, |address| address.port());
    config.graph = lab.base.clone();
    assert!(config.graph.set_port(Some(port)).is_ok(), "an address with a port");
    config.request_timeout = limit;
    config.retry.times = 0;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, manner));
        }
    });
    graph(config).tenant(TENANT)
}

/// Not an idle timeout: bytes that keep coming do not keep a call alive.
#[tokio::test]
async fn f41_a_call_has_a_total_deadline() {
    let lab = Lab::start().await;
    // login has to answer within it too, on a busy machine
    let limit = Duration::from_secs(5);
    let calls = [Manner::Silent, Manner::Stalls, Manner::Drips].map(async |manner| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&lab, listener, manner, limit);
        let start = Instant::now();
        let error = client.organization().await.unwrap_err();
        assert!(matches!(error, GraphError::Timeout { .. }), "{manner:?}: {error:?}");
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(start.elapsed() < limit * 4, "{manner:?}: {:?}", start.elapsed());
        let order = AssignNumber { number: "+12125550101".to_owned(), target: ANA, location_id: None };
        let error = client.assign_number(&order, write_id(1)).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{manner:?}: it may have been carried out");
    });
    futures_util::future::join_all(calls).await;
    lab.end().await;
}

#[tokio::test]
async fn f42_no_answer_is_read_without_end() {
    let lab = Lab::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&lab, listener, Manner::Floods, Duration::from_secs(60));
    let error = client.organization().await.unwrap_err();
    let GraphError::Unusable { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, Unusable::TooLarge(_)), "{source:?}");
    lab.end().await;
}

/// Nobody was told anything when there was no connection, whatever the reason.
#[tokio::test]
async fn f40_without_a_connection_nothing_was_sent() {
    let lab = Lab::start().await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        // answers a TLS hello with something else
        while let Ok((mut stream, _)) = plain.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    for host in [no_tls.as_str(), "https://nobody.invalid"] {
        let mut config = lab.config();
        config.graph = host.parse().unwrap();
        let client = graph(config).tenant(TENANT);
        let order = AssignNumber { number: "+12125550101".to_owned(), target: ANA, location_id: None };
        let error = client.assign_number(&order, write_id(1)).await.unwrap_err();
        assert_eq!((error.class(), error.effect()), (ErrorClass::Transient, Effect::NotSent), "{error:?}");
        let error = client.organization().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient, "{error:?}");
    }
    lab.end().await;
}
