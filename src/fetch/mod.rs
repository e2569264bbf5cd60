//! Images that a request names by URL and its provider does not fetch: fetched here, all at once, to be sent inline.
//!
//! Whoever names a URL is not trusted: [`guard`] says which addresses are never gone to, [`hosts`] looks a host up and lets pass what may
//! be connected to, [`request`] connects to that very address and to no other, again after every redirect.

pub mod fault;
pub mod guard;
pub mod hosts;
pub mod request;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use heliostat_filters::image::Inline;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::fault::Fault;
use self::hosts::Hosts;
use crate::config::{ImageFetch, Limits};
use crate::memory::Reservation;
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

/// How much a request may fetch, over all its images and candidates. What was taken is held until this is dropped.
#[derive(Debug)]
pub struct Room {
    taken: Mutex<Taken>,
    /// All files together.
    files_bytes: u64,
    /// All that the process holds of bodies.
    memory_bytes: u64,
}

#[derive(Debug)]
struct Taken {
    bytes: u64,
    memory: Reservation,
}

/// What came of a URL.
pub type Found = (String, Result<Inline, Fault>);

impl Room {
    /// Room for as much as a body may be, if there is memory for it.
    #[must_use]
    pub fn new(limits: &Limits, memory: Reservation) -> Arc<Self> {
        let taken = Mutex::new(Taken { bytes: 0, memory });
        Arc::new(Self { taken, files_bytes: limits.body_bytes as u64, memory_bytes: limits.memory_bytes })
    }

    /// Takes some of it: the file, and the four thirds of it that its base64 is.
    fn take(&self, bytes: usize) -> Result<(), Fault> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.bytes += bytes as u64;
        if taken.bytes > self.files_bytes {
            return Err(Fault::TooMuch);
        }
        let both = taken.bytes / 3 * 7 + 7;
        taken.memory.grow_to(both, self.memory_bytes).map_err(|_| Fault::NoMemory)
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
