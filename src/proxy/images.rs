//! Images that a request names by URL, as each candidate gets them: as they are, or fetched. Each URL is fetched once a request,
//! however often it stands there and however many candidates need it; a URL that could not be fetched stays so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use heliostat_filters::chat::linked_views;
use heliostat_filters::image::{Fetched, Inline, is_web, url_at};
use heliostat_filters::json::View;
use heliostat_filters::refusal::Refusal;

use super::context::Call;
use super::prepare::CLIENT_DIALECT;
use crate::config::{Candidate, ImageFetch, ImageFetchMode, Limits};
use crate::fetch::hosts::System;
use crate::fetch::{self, Fault, Found, Room, Terms};
use crate::upstream::pool::Pool;

/// The URLs of one request, and what they turned out to be.
pub struct Images<'a> {
    call: &'a Call,
    rules: ImageFetch,
    /// Read when a candidate may need them.
    links: Option<Vec<Link<'a>>>,
    known: HashMap<String, Result<Inline, Fault>>,
    room: Arc<Room>,
}

/// A URL and where it stands.
struct Link<'a> {
    url: Cow<'a, str>,
    view: View<'a>,
}

impl<'a> Images<'a> {
    /// Of one call. All that is fetched for it may be as large as a body.
    #[must_use]
    pub fn new(call: &'a Call, rules: ImageFetch, limits: &Limits) -> Self {
        Self { call, rules, links: None, known: HashMap::new(), room: Room::new(limits.body_bytes) }
    }

    /// The fetch of what this candidate needs and is not known yet; `None` if that is nothing.
    pub fn missing(
        &mut self,
        candidate: &Candidate,
        pool: &Arc<Pool>,
        deadline: Instant,
    ) -> Option<impl Future<Output = Vec<Found>> + use<>> {
        if self.rules.mode == ImageFetchMode::Never {
            return None;
        }
        self.read(candidate);
        let mut urls: Vec<String> = Vec::new();
        for link in self.needed(candidate) {
            if !self.known.contains_key(link.url.as_ref()) && !urls.iter().any(|url| *url == link.url) {
                urls.push(link.url.clone().into_owned());
            }
        }
        if urls.is_empty() {
            return None;
        }
        let hosts = Arc::new(System { allow_private: self.rules.allow_private });
        let terms = Terms { pool: pool.clone(), hosts, rules: self.rules, room: self.room.clone(), deadline };
        Some(fetch::all(Arc::new(terms), urls))
    }

    /// Remembers what was found.
    pub fn learn(&mut self, found: Vec<Found>, request_id: &str) {
        for (url, found) in found {
            if let Err(fault) = &found {
                // Of a URL only its host is told: the rest may be a secret.
                let host = url.split('/').nth(2).unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                log::info!("{request_id} image at {host:?}: {fault:?}");
            }
            self.known.insert(url, found);
        }
    }

    /// What this candidate gets in place of URLs.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part: what it needs could not be fetched, is of a type it does not take, or is not to be fetched. Of the
    /// candidate's scope: another may take the URL as it is; where none does, this is what the client is told.
    pub fn fetched(&mut self, candidate: &Candidate) -> Result<Fetched, Refusal> {
        self.read(candidate);
        let mut fetched = Fetched::default();
        for link in self.needed(candidate) {
            let found = if self.rules.mode == ImageFetchMode::Never { None } else { Some(self.known.get(link.url.as_ref())) };
            match found {
                None => return Err(not_fetched(link.view)),
                Some(None) => return Err(failed(link.view, &Fault::Timeout)),
                Some(Some(Err(fault))) => return Err(failed(link.view, fault)),
                Some(Some(Ok(inline))) => {
                    check_type(candidate, link.view, inline)?;
                    fetched.insert(link.url.as_ref(), inline.clone());
                }
            }
        }
        Ok(fetched)
    }

    /// Finds the URLs, unless this candidate takes all there can be.
    fn read(&mut self, candidate: &Candidate) {
        let provider = &candidate.provider;
        let takes_all = provider.dialect.name() == CLIENT_DIALECT && provider.surface.image_urls;
        if self.links.is_some() || (takes_all && self.rules.mode != ImageFetchMode::Always) {
            return;
        }
        let views = linked_views(&self.call.document);
        self.links = Some(views.filter_map(|view| Some(Link { url: url_at(view)?, view })).collect());
    }

    /// The URLs that this candidate does not get as they are.
    fn needed<'s>(&'s self, candidate: &'s Candidate) -> impl Iterator<Item = &'s Link<'a>> {
        let always = self.rules.mode == ImageFetchMode::Always;
        let provider = &candidate.provider;
        let needs = move |link: &&Link<'_>| is_web(&link.url, true) && (always || !provider.dialect.fetches(&link.url, &provider.surface));
        self.links.iter().flatten().filter(needs)
    }
}

fn check_type(candidate: &Candidate, at: View<'_>, inline: &Inline) -> Result<(), Refusal> {
    let types = &candidate.provider.surface.image_types;
    let is_file = at.key().is_some_and(|key| key == "file_data");
    if types.iter().any(|taken| *taken == inline.media_type) || (is_file && !inline.media_type.starts_with("image/")) {
        return Ok(());
    }
    let takes = if types.is_empty() { "no images".to_owned() } else { types.join(", ") };
    let message = format!("The image at this URL is {}; this provider takes {takes}.", inline.media_type);
    Err(Refusal::candidate(at, message).with_code("unsupported_image_media_type"))
}

fn not_fetched(at: View<'_>) -> Refusal {
    let message = "This provider does not fetch this URL, and the gateway is set not to: send the image as a data URI.";
    Refusal::candidate(at, message).with_code("invalid_image_url")
}

fn failed(at: View<'_>, fault: &Fault) -> Refusal {
    Refusal::candidate(at, format!("The image could not be downloaded: {fault}.")).with_code(fault.code())
}
