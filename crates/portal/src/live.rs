//! Streams of server-sent events that say when a live part of a page has changed.
//!
//! A stream carries nothing but that: the browser then fetches the part like any page, past the guard, so that whoever
//! has lost a role or the session sees nothing more. A stream that has lasted [`LIFE`] ends; the browser opens it again.
//! Each looks at the tables every second, so one person has [`MOST`] of them at the same time; the browser asks again later.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::App;
use crate::fault::Fault;

/// Time between two looks at the tables.
const LOOK: Duration = Duration::from_secs(1);
/// A part is fetched anew after this time even if nothing changed: it says how long things have been waiting.
const REFRESH: Duration = Duration::from_secs(15);
/// How long a stream lasts.
const LIFE: Duration = Duration::from_secs(300);
/// Streams of one person at the same time.
const MOST: usize = 20;

/// How many streams each person has open here.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Uuid, usize>>);

/// A stream of a person, while it lasts.
#[derive(Debug)]
struct Open(Arc<Streams>, Uuid);

impl Streams {
    fn counts(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, person: Uuid) -> Option<Open> {
        let mut counts = self.counts();
        let count = counts.entry(person).or_default();
        (*count < MOST).then(|| {
            *count += 1;
            Open(Arc::clone(self), person)
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        match counts.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.1)),
        }
    }
}

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
    person: Uuid,
    seen: Seen,
    look: impl Fn(Arc<App>) -> L + Send + Sync + 'static,
) -> Response
where
    L: Future<Output = Result<Look, Fault>> + Send,
{
    let Some(open) = app.streams.open(person) else {
        return (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response();
    };
    let (say, said) = mpsc::channel::<Event>(1);
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let _open = open;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_streams_and_takes_none_of_another() {
        let streams = Arc::new(Streams::default());
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut open: Vec<Open> = (0..MOST).filter_map(|_| streams.open(one)).collect();
        assert_eq!(open.len(), MOST);
        assert!(streams.open(one).is_none());
        assert!(streams.open(other).is_some());
        drop(open.pop());
        let again = streams.open(one);
        assert!(again.is_some() && streams.open(one).is_none());
        drop((open, again));
        assert!(streams.counts().is_empty(), "nothing is kept of whoever has none");
    }
}
