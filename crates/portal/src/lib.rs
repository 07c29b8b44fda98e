//! The portal: pages for people, and the same over a REST API under `/api/v1`.
//!
//! Promised: a route without an entry in [`table`] does not exist, and an entry without a right in
//! [`tandem_domain::roles`] lets nobody in. Who somebody is comes from the session, what somebody may do is read anew
//! for every request, and each account is read in its own context of the database, so that another account's rows are
//! not there to be shown. The portal never changes a job: it inserts a request, and the role that owns jobs carries it
//! out. Not promised: that a page is the last word; it shows what the tables said when it was rendered.
//!
//! Ways of a request: [`frame`] (host, method, origin, headers), [`guard`] (session, form token, rights), then a page of
//! [`pages`] or a resource of [`api`], which both work with the functions of [`work`].

mod acts;
mod api;
mod assets;
mod bearer;
mod bundle;
mod chart;
mod cookies;
mod embed;
mod extract;
mod fault;
mod frame;
mod guard;
mod live;
mod mailing;
mod metrics;
mod pages;
mod pausing;
mod plots;
mod routes;
mod saving;
mod settings;
mod sheet;
mod sign_in;
mod view;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tandem_consent::Keys;
use tandem_graph::{Issuer, SignIn};
use tandem_outbox::Announcer;
use tandem_runtime::{BoxError, Clock, Ctx, Ids};
use tandem_store::Store;
use tandem_wire::Subjects;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use api::openapi;
pub use embed::{EmbedSettings, LONGEST_LIFE, SHORTEST_KEY, embed_link};
pub use routes::{Access, Entry, table};
pub use settings::{ClaimRules, Mailing, PortalSettings, Windows};

/// What the portal works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database as `Login::Portal`: one account at a time.
    pub store: Store,
    /// The database as `Login::PortalFleet`: looks over many accounts.
    pub fleet: Store,
    /// The database as `Login::PortalProvider`: what operators do to one account at a time.
    pub operators: Store,
    /// Microsoft's sign-in; without it no Global Admin can come in.
    pub microsoft: Option<SignIn>,
    /// The provider's own issuer; without it nobody of the provider can.
    pub provider: Option<Issuer>,
    /// Client id of the app that tenants consent to.
    pub app: String,
    /// The public key that tokens are sealed to.
    pub sealing_key: Option<PathBuf>,
    /// Names of subjects; what is saved is announced under them.
    pub subjects: Subjects,
}

/// What every request shares.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) fleet: Store,
    pub(crate) operators: Store,
    pub(crate) microsoft: Option<SignIn>,
    pub(crate) provider: Option<Issuer>,
    pub(crate) claims: ClaimRules,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) base: Url,
    pub(crate) keys: Keys,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) manual_sync: bool,
    pub(crate) announcer: Announcer,
    pub(crate) windows: Windows,
    /// Streams end when this does.
    pub(crate) stop: CancellationToken,
    pub(crate) streams: Arc<live::Streams>,
    pub(crate) embed: Option<EmbedSettings>,
    pub(crate) mail: Option<Mailing>,
}

/// Why the portal does not listen.
#[derive(Debug, thiserror::Error)]
#[error("listen for people on {address}")]
pub struct StartError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Starts listening and returns where; the listener's task ends when `ctx.shutdown` fires.
///
/// # Errors
/// [`StartError`] when the address cannot be listened on.
pub async fn start(ctx: &Ctx, parts: Parts, settings: &PortalSettings) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = router(ctx, parts, settings);
    let (check, stop) = (ctx.health.register("portal"), ctx.shutdown.clone());
    ctx.spawn("portal.pages", async move {
        check.ok();
        let served = axum::serve(listener, router);
        served.with_graceful_shutdown(stop.cancelled_owned()).await.map_err(BoxError::from)
    });
    Ok(address)
}

/// All pages and the API, for whoever serves them.
pub fn router(ctx: &Ctx, parts: Parts, settings: &PortalSettings) -> Router {
    let Parts { store, fleet, operators, microsoft, provider, app, sealing_key, subjects } = parts;
    let manual_sync = sealing_key.is_some() && microsoft.is_some();
    let connect = microsoft.clone().map(|sign_in| {
        tandem_consent::router(tandem_consent::Parts {
            store: store.clone(),
            clock: ctx.clock.clone(),
            ids: ctx.ids.clone(),
            sign_in,
            app,
            sealing_key,
            base: settings.base.clone(),
        })
    });
    let app = Arc::new(App {
        store,
        fleet,
        operators,
        microsoft,
        provider,
        claims: settings.claims.clone(),
        clock: ctx.clock.clone(),
        ids: ctx.ids.stream("portal"),
        base: settings.base.clone(),
        keys: Keys::default(),
        metrics: metrics::Metrics::new(&ctx.meter),
        manual_sync,
        announcer: Announcer::new(subjects, "portal", ctx),
        windows: settings.windows,
        stop: ctx.shutdown.clone(),
        streams: Arc::default(),
        embed: settings.embed.clone(),
        mail: settings.mail.clone(),
    });
    frame::around(routes::router(&app), connect, app)
}
