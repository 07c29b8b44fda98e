//! F40: a host that cannot be reached. TLS is what fails here, since that can be counted from the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tandem_graph::{Effect, ErrorClass, GraphConfig, GraphError, TokenError};
use tokio::net::TcpListener;
use url::Url;

use crate::lab::{Lab, OTHER_TENANT, TENANT, graph};

/// A host that hangs up on everybody, and how many came.
async fn hangs_up() -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (url, came)
}

#[tokio::test]
async fn f40_a_graph_that_is_away_is_left_alone_by_all_tenants() {
    let lab = Lab::start().await;
    let (away, came) = hangs_up().await;
    let config = GraphConfig { graph: away, host_pause: Duration::from_secs(3600), ..lab.config() };
    let graph = graph(config);
    for tenant in [TENANT, OTHER_TENANT, TENANT, OTHER_TENANT] {
        let error = graph.tenant(tenant).organization().await.unwrap_err();
        assert_eq!((error.class(), error.effect()), (ErrorClass::Transient, Effect::NotSent), "{error:?}");
    }
    let error = graph.tenant(TENANT).organization().await.unwrap_err();
    assert!(matches!(error, GraphError::HostAway { .. }), "{error:?}");
    assert_eq!(came.load(Ordering::SeqCst), 5, "five in a row, then nobody");
    lab.end().await;
}

#[tokio::test]
async fn f40_a_login_that_is_away_is_left_alone_too() {
    let lab = Lab::start().await;
    let (away, came) = hangs_up().await;
    let config = GraphConfig { authority: away, host_pause: Duration::from_secs(3600), ..lab.config() };
    let graph = graph(config);
    for tenant in [TENANT, OTHER_TENANT, TENANT] {
        let error = graph.tenant(tenant).organization().await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotSent, "{error:?}");
    }
    let error = graph.tenant(TENANT).token_info().await.unwrap_err();
    assert!(matches!(error, GraphError::Token { source: TokenError::HostAway(_), .. }), "{error:?}");
    assert_eq!(came.load(Ordering::SeqCst), 5, "five in a row, then nobody");
    assert!(lab.seen("organization").await.is_empty());
    lab.end().await;
}
