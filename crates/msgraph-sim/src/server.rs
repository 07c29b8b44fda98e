//! Listener and life of the simulator.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::clock::Now;
use crate::model::ModelError;
use crate::pipeline::{self, Closed, Scheme};
use crate::provider;
use crate::state::State;
use crate::switchboard;
use crate::tls::{self, TlsError};
use crate::world::World;

/// Time that open connections get to end when the simulator ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How to start a simulator.
#[derive(Clone, Debug, Default)]
pub struct SimConfig {
    /// Address to listen on; a free port of 127.0.0.1 if left out.
    pub listen: Option<SocketAddr>,
    /// Certificate chain and key, as PEM files, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The world; [`World::demo`] if left out.
    pub world: Option<World>,
    /// Seed of ids and drawn latencies; from the clock if left out, so that a restarted simulator never gives an
    /// id twice.
    pub seed: Option<u64>,
}

/// Why a simulator did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Certificate or key cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The world contradicts itself.
    #[error("cannot load the world")]
    World(#[from] ModelError),
}

/// The simulator.
#[derive(Debug)]
pub struct Sim;

/// A running simulator; ends when dropped or shut down.
pub struct SimHandle {
    base_url: String,
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator on the current runtime.
    pub async fn start(config: SimConfig) -> Result<SimHandle, StartError> {
        let now = Now::read();
        // the low bits of the nanoseconds are what differs between two starts
        let seed = config.seed.unwrap_or(now.wall.unix_timestamp_nanos() as u64);
        let state = Arc::new(State::new(seed));
        state.load(config.world.unwrap_or_else(World::demo), now)?;
        let acceptor = match &config.tls {
            Some((certificate, key)) => Some(tls::acceptor(certificate, key)?),
            None => None,
        };
        let wanted = config.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let failed = |e| StartError::Listen(wanted, e);
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let router = Router::new()
            .nest_service("/_sim", switchboard::http::router(state.clone()))
            .nest_service("/provider", provider::router(state.clone()))
            .fallback(pipeline::entry)
            .with_state(state.clone());
        let task = tokio::spawn(serve(listener, acceptor, router, state.clone(), Scheme(scheme)));
        Ok(SimHandle { base_url: format!("{scheme}://{address}"), address, state, task })
    }
}

impl SimHandle {
    /// `http://127.0.0.1:port`: both the login authority and the Graph host; the switchboard is at `/_sim`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, lets open connections end for a moment, then closes them.
    pub async fn shutdown(mut self) {
        self.state.close();
        // a panicked listener is as ended as any
        let _ = (&mut self.task).await;
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.state.close();
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    state: Arc<State>,
    scheme: Scheme,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = state.closed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                // a connection that broke before it was taken, or too many open files for a moment
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let (tls, router, state) = (tls.clone(), router.clone(), state.clone());
                connections.spawn(async move {
                    // a failure only means that Nagle's algorithm stays on
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => connection(stream, router, state, scheme).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => connection(stream, router, state, scheme).await,
                            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
                        },
                    }
                });
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // whoever does not end in time is closed when the set is dropped
    let _ = tokio::time::timeout(FAREWELL, all).await;
}

async fn connection<S>(stream: S, router: Router, state: Arc<State>, scheme: Scheme)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(scheme);
        let router = router.clone();
        async move {
            let answered: Result<Response<Body>, Infallible> = router.oneshot(request.map(Body::new)).await;
            let Ok(response) = answered;
            if response.extensions().get::<Closed>().is_some() {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.closed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
