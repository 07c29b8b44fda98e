//! Streams of server-sent events that say when a live part of a page has changed.
//!
//! A stream carries nothing but that: the browser then fetches the part like any page, past the guard, so that whoever
//! has lost a role or the session sees nothing more. A stream that has lasted [`LIFE`] ends; the browser opens it again.

use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::App;
use crate::fault::Fault;

/// Time between two looks at the tables.
const LOOK: Duration = Duration::from_secs(1);
/// A part is fetched anew after this time even if nothing changed: it says how long things have been waiting.
const REFRESH: Duration = Duration::from_secs(15);
/// How long a stream lasts.
const LIFE: Duration = Duration::from_secs(300);

/// What a part shows, in short: equal when the same was found.
pub(crate) fn version(found: &impl Debug) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{found:?}").hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// What the page says that it shows, if it shows something.
#[derive(Deserialize)]
pub(crate) struct Seen {
    #[serde(default)]
    seen: String,
}

/// One look at what a part shows.
pub(crate) struct Look {
    /// The [`version`] of what was found.
    pub(crate) version: String,
    /// Whether nothing will change any more.
    pub(crate) last: bool,
}

/// Says `changed` whenever a look finds something else than is shown, and `ended` when nothing more will come.
pub(crate) fn changes<L>(
    app: &Arc<App>,
    seen: Seen,
    look: impl Fn(Arc<App>) -> L + Send + Sync + 'static,
) -> Response
where
    L: Future<Output = Result<Look, Fault>> + Send,
{
    let (say, said) = mpsc::channel::<Event>(1);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let watch = watch(&app, seen.seen, look, &say);
        tokio::select! {
            () = watch => {}
            () = sleep(LIFE) => {}
            () = say.closed() => {}
            () = app.stop.cancelled() => {}
        }
    });
    let events = stream::unfold(said, async |mut said| {
        let event = said.recv().await?;
        Some((Ok::<_, Infallible>(event), said))
    });
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(events)).into_response()
}

/// Browsers drop an event without data.
fn event(name: &'static str) -> Event {
    Event::default().event(name).data(name)
}

/// Looks until nothing more changes, nobody listens, or the tables cannot be read.
async fn watch<L>(app: &Arc<App>, mut shown: String, look: impl Fn(Arc<App>) -> L, say: &mpsc::Sender<Event>)
where
    L: Future<Output = Result<Look, Fault>>,
{
    let mut said = Instant::now();
    loop {
        let Ok(look) = look(Arc::clone(app)).await else { return };
        if look.version != shown || said.elapsed() >= REFRESH {
            if say.send(event("changed")).await.is_err() {
                return;
            }
            (shown, said) = (look.version, Instant::now());
        }
        if look.last {
            _ = say.send(event("ended")).await;
            return;
        }
        sleep(LOOK).await;
    }
}
