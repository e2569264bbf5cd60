//! Images that a request names by URL and its provider does not fetch: fetched here, all at once, to be sent inline.
//!
//! Whoever names a URL is not trusted: [`guard`] says which addresses are never gone to, [`hosts`] looks a host up and lets pass what may
//! be connected to, [`request`] connects to that very address and to no other, again after every redirect.

pub mod fault;
pub mod guard;
pub mod hosts;
pub mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heliostat_filters::image::Inline;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::fault::Fault;
use self::hosts::Hosts;
use crate::config::ImageFetch;
use crate::upstream::pool::Pool;

/// On what terms images are fetched for a request.
pub struct Terms {
    /// Connections.
    pub pool: Arc<Pool>,
    /// Where hosts are, and which may be connected to.
    pub hosts: Arc<dyn Hosts>,
    /// What the operator set.
    pub rules: ImageFetch,
    /// What the request may still fetch, in all.
    pub room: Arc<Room>,
    /// When everything must be there.
    pub deadline: Instant,
}

/// How many more bytes a request may fetch, over all its images and candidates.
#[derive(Debug)]
pub struct Room {
    bytes: AtomicUsize,
}

/// What came of a URL.
pub type Found = (String, Result<Inline, Fault>);

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(bytes) })
    }

    /// Takes some of it; what was taken is not given back.
    fn take(&self, bytes: usize) -> Result<(), Fault> {
        let taken = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| Fault::TooMuch)
    }
}

/// Fetches every URL, some at the same time. Ends by the deadline; dropping the future ends all fetches.
pub async fn all(terms: Arc<Terms>, urls: Vec<String>) -> Vec<Found> {
    let places = Arc::new(Semaphore::new(terms.rules.max_parallel));
    let mut fetches = JoinSet::new();
    for url in urls {
        let (terms, places) = (terms.clone(), places.clone());
        fetches.spawn(async move {
            let found = in_time(&terms, &places, &url).await;
            (url, found)
        });
    }
    let mut found = Vec::with_capacity(fetches.len());
    while let Some(fetched) = fetches.join_next().await {
        found.extend(fetched);
    }
    found
}

/// The host of a URL, for the log: the rest may be a secret.
#[must_use]
pub fn host_of(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The clock of a single image starts when its turn has come.
async fn in_time(terms: &Terms, places: &Semaphore, url: &str) -> Result<Inline, Fault> {
    let turn = tokio::time::timeout_at(terms.deadline.into(), places.acquire()).await;
    let _place = turn.map_err(|_| Fault::Timeout)?.map_err(|_| Fault::Timeout)?;
    let until = terms.deadline.min(Instant::now() + Duration::from_millis(terms.rules.timeout_ms));
    let file = tokio::time::timeout_at(until.into(), request::get(terms, url)).await;
    let file = file.map_err(|_| Fault::Timeout)??;
    // What the server says of the type does not count.
    Inline::of_file(&file).ok_or(Fault::NotAnImage)
}

#[cfg(test)]
mod tests;
