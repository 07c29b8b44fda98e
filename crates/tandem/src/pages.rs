//! The connect pages on the loopback of a terminal: served while a command waits for what becomes of its link.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use tandem_consent::{LinkCode, NewLink, Parts, Progress};
use tandem_graph::SignIn;
use tandem_runtime::config::ConfigErrors;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::failpoints::Failpoints;
use crate::operator::Operator;
use crate::screen;

/// How often it is looked whether something has happened.
const EVERY: Duration = Duration::from_millis(500);
/// The page looks again every two seconds, so it gets to show how it ended. Whoever has closed it is not waited for.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// A proof that takes longer than this is remarked on.
const SLOW_PROOF: Duration = Duration::from_secs(20);

/// How to serve them.
#[derive(Debug, clap::Args)]
pub(crate) struct PagesArgs {
    /// Print the address only, open no browser
    #[arg(long)]
    no_browser: bool,
    /// Serve the pages on this port of the loopback; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    failpoints: Failpoints,
}

/// Pages that are served until this is dropped.
pub(crate) struct Pages {
    base: Url,
    /// The client of the sign-in.
    pub(crate) sign_in: SignIn,
    server: tokio::task::JoinHandle<()>,
    /// Told each time that somebody was shown where a sign-in is.
    shown: Arc<Notify>,
    /// Lets the server end once it has sent what it is sending.
    leave: Arc<Notify>,
    page: Option<PathBuf>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(page) = &self.page {
            let _gone = std::fs::remove_file(page);
        }
    }
}

impl Pages {
    /// Listens and serves.
    pub(crate) async fn serve(operator: &Operator, args: &PagesArgs) -> anyhow::Result<Self> {
        let config = &operator.config;
        args.failpoints.arm(config)?;
        let (Some(microsoft), Some(sign_in)) = (&config.microsoft, &config.sign_in) else {
            anyhow::bail!(
                "the configuration has no section [sign_in] beside [microsoft]: people sign in to an app registration of \
                 its own, see docs/operations.md"
            )
        };
        let mut errors = ConfigErrors::new();
        let settings = microsoft.sign_in(sign_in, &mut errors);
        errors.into_result()?;
        let sign_in = SignIn::new(settings.context("the sign-in has no settings")?)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        // Microsoft lets `http://localhost` be followed by any port (RFC 8252, "loopback interface redirection")
        let base = Url::parse(&format!("http://localhost:{}/", listener.local_addr()?.port()))?;
        let router = tandem_consent::router(Parts {
            store: operator.store.clone(),
            clock: operator.ctx.clock.clone(),
            ids: operator.ctx.ids.clone(),
            sign_in: sign_in.clone(),
            app: microsoft.client_id.clone(),
            sealing_key: config.vault.public_key_file.clone(),
            base: base.clone(),
        });
        let (shown, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let router = router.layer(middleware::from_fn_with_state(Arc::clone(&shown), watched));
        let told = Arc::clone(&leave);
        let server = tokio::spawn(async move {
            let serving =
                axum::serve(listener, router).with_graceful_shutdown(async move { told.notified().await });
            if let Err(error) = serving.await {
                screen::note(&format!("the pages are not served any more: {error}"));
            }
        });
        Ok(Self { base, sign_in, server, shown, leave, page: None })
    }

    /// Makes a link, shows it, and waits until something has come of it. Ctrl-C and the end of the time close the link.
    pub(crate) async fn lead(
        &mut self,
        operator: &Operator,
        new: &NewLink<'_>,
        args: &PagesArgs,
    ) -> anyhow::Result<Option<Progress>> {
        let link = tandem_consent::make_link(&operator.store, new).await?;
        let address = tandem_consent::address(&self.base, &link);
        screen::line(&format!("Open this address in a browser on this machine:\n\n  {address}\n"));
        if !args.no_browser {
            self.open(&address, operator);
        }
        let life = Duration::try_from(new.life).unwrap_or_default();
        let ended = tokio::select! {
            ended = watch(operator, &link, life) => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).context("wait for Ctrl-C"),
        };
        tandem_consent::close_link(&operator.store, &link).await?;
        if let Ok(Some(_)) = &ended {
            let shown = self.shown.notified();
            let _closed = tokio::time::timeout(LAST_LOOK, shown).await;
            self.leave.notify_one();
            let _sent = tokio::time::timeout(LAST_LOOK, &mut self.server).await;
        }
        ended
    }

    /// Opens a browser. The address stands in a file that nobody else can read: arguments of programs can be seen by
    /// everybody on the machine.
    fn open(&mut self, address: &Url, operator: &Operator) {
        let file = std::env::temp_dir().join(format!("tandem-{}.html", operator.ctx.ids.v4()));
        let text = format!(
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={address}\"><title>Tandem</title>"
        );
        let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        let written = options.and_then(|mut open| open.write_all(text.as_bytes()));
        self.page = Some(file.clone());
        let started = written.and_then(|()| {
            let mut command = tokio::process::Command::new("xdg-open");
            command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        });
        if started.is_err() {
            screen::note("No browser could be opened from here.");
        }
    }
}

/// Notes that somebody was shown where a sign-in is. Nobody is told who begins to wait later.
async fn watched(State(shown): State<Arc<Notify>>, request: Request, next: Next) -> Response {
    let status = request.uri().path() == "/connect/status";
    let answer = next.run(request).await;
    if status {
        shown.notify_waiters();
    }
    answer
}

/// Tells what happens, until something final has.
async fn watch(operator: &Operator, link: &LinkCode, life: Duration) -> anyhow::Result<Option<Progress>> {
    let until = Instant::now() + life;
    let mut told: BTreeSet<(Uuid, &'static str)> = BTreeSet::new();
    let mut proving: Option<Instant> = None;
    while Instant::now() < until {
        for (attempt, progress) in tandem_consent::progress(&operator.store, link).await? {
            match &progress {
                Progress::Under => {}
                Progress::Proving { by } => {
                    if told.insert((attempt, "proving")) {
                        proving = Some(Instant::now());
                        screen::note(&format!("{by} has consented; teams-sync proves it"));
                    }
                    if proving.is_some_and(|since| since.elapsed() > SLOW_PROOF)
                        && told.insert((attempt, "slow"))
                    {
                        screen::note(
                            "The proof takes a while: Microsoft is not that far yet, or no teams-sync is running.",
                        );
                    }
                }
                Progress::Refused { code, text, proof: false } => {
                    if told.insert((attempt, "refused")) {
                        screen::note(&format!("refused ({code}): {text}"));
                    }
                }
                Progress::Asked { job: None, .. } => {}
                _ => return Ok(Some(progress)),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(None)
}
