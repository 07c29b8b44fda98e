//! Collections that come in pages.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::call::{Call, Reply};
use crate::client::{Graph, TenantClient};
use crate::error::{GraphError, Unusable};

/// More pages than this no collection has: a tenant of a million users has about a thousand.
const PAGES_LIMIT: usize = 20_000;

/// A collection, read page by page. A page may be empty although others follow; an item may come twice
/// when the collection changes while it is read, and telling them apart is left to the caller.
pub struct Pages<T> {
    client: TenantClient,
    call: Call,
    more: bool,
    seen: HashSet<u64>,
    count: Option<u64>,
    item: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
    #[serde(rename = "@odata.count")]
    count: Option<u64>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(client: &TenantClient, call: Call) -> Self {
        Self {
            client: client.clone(),
            seen: HashSet::from([fingerprint(&call.url)]),
            call,
            more: true,
            count: None,
            item: PhantomData,
        }
    }

    /// The next page, or `None` after the last. After an error the same page can be asked for again.
    ///
    /// # Errors
    /// As any request; and when the pages go in a circle or lead to another host.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, GraphError> {
        if !self.more {
            return Ok(None);
        }
        let graph = &self.client.graph;
        let seen = &self.seen;
        let (page, next) = self
            .client
            .send(&self.call, |reply| {
                let page: Page<T> = json(reply)?;
                let next = page
                    .next_link
                    .as_deref()
                    .map(|link| {
                        let url = graph.own_link(link)?;
                        if seen.contains(&fingerprint(&url)) {
                            return Err(Unusable::Circle);
                        }
                        if seen.len() >= PAGES_LIMIT {
                            return Err(Unusable::TooManyPages(PAGES_LIMIT));
                        }
                        Ok(url)
                    })
                    .transpose()?;
                Ok((page, next))
            })
            .await?;
        self.count = self.count.or(page.count);
        match next {
            Some(url) => {
                self.seen.insert(fingerprint(&url));
                self.call.url = url;
            }
            None => self.more = false,
        }
        Ok(Some(page.value))
    }

    /// The whole number of items as the first page told it, where it did.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// All pages in one list.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn collect(mut self) -> Result<Vec<T>, GraphError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }

    /// The pages as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<T>, GraphError>> {
        stream::unfold(Some(self), |pages| async {
            let mut pages = pages?;
            match pages.next().await {
                Ok(Some(page)) => Some((Ok(page), Some(pages))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("call", &self.call.kind)
            .field("read", &self.seen.len())
            .finish_non_exhaustive()
    }
}

fn fingerprint(url: &Url) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.as_str().hash(&mut hasher);
    hasher.finish()
}

/// Decodes a JSON body.
pub(crate) fn json<T: DeserializeOwned>(reply: &Reply) -> Result<T, Unusable> {
    serde_json::from_slice(&reply.body).map_err(Unusable::NotJson)
}

impl Graph {
    /// A link given by Microsoft, provided it stays on the configured Graph host: our token must not
    /// travel anywhere else.
    pub(crate) fn own_link(&self, link: &str) -> Result<Url, Unusable> {
        let base = &self.inner.base;
        let url = base.join(link).map_err(|_| Unusable::ForeignLink)?;
        let path = url.path().strip_prefix(base.path());
        let inside = path.is_some_and(|rest| rest.starts_with('/'));
        if url.origin() == base.origin() && url.username().is_empty() && inside {
            Ok(url)
        } else {
            Err(Unusable::ForeignLink)
        }
    }
}
