//! The process's telemetry: alone in its file, because it can be installed once per process only.

use std::time::Duration;

use tandem_runtime::{
    telemetry::{LogFormat, TelemetryConfig},
    trace,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[tokio::test]
async fn spans_reach_the_collector_at_the_latest_at_the_stop() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}/", listener.local_addr()?);
    let collector = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = vec![0; 64 * 1024];
        let length = stream.read(&mut request).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        request.truncate(length);
        anyhow::Ok(String::from_utf8_lossy(&request).into_owned())
    });
    let config = |filter: &str, endpoint: Option<&str>| {
        anyhow::Ok(TelemetryConfig {
            service: "tandem-test".to_owned(),
            log_format: LogFormat::Json,
            otlp_endpoint: endpoint.map(str::parse).transpose()?,
            filter: Some(filter.to_owned()),
        })
    };
    assert!(tandem_runtime::telemetry::init(config("tandem=loud", None)?).is_err());
    let telemetry = tandem_runtime::telemetry::init(config("info", Some(&endpoint))?)?;
    assert!(tandem_runtime::telemetry::init(config("info", None)?).is_err(), "once per process");

    let parent = tracing::info_span!("edit").in_scope(trace::inject);
    assert_eq!(parent.expect("traces are on").split('-').count(), 4);
    telemetry.meter().u64_counter("tandem_edits").build().add(1, &[]);
    assert!(telemetry.registry().gather().iter().any(|family| family.name() == "tandem_edits_total"));
    telemetry.shutdown(Duration::from_secs(10)).await;
    let request = collector.await??;
    assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{request}");
    Ok(())
}
