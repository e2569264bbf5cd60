//! Images that a request names by URL, as each candidate gets them: as they are, or fetched. Each URL is fetched once a request,
//! however often it stands there and however many candidates need it; a URL that could not be fetched stays so.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use heliostat_filters::image::{Fetched, Inline, is_web, url_at};
use heliostat_filters::json::View;
use heliostat_filters::refusal::Refusal;

use super::Gateway;
use super::context::Call;
use crate::config::{Candidate, ImageFetch, ImageFetchMode, Limits};
use crate::fetch::hosts::System;
use crate::fetch::{self, Fault, Found, Room, Terms};

/// The signature of a PNG, which is all that a translation looks at.
const PIXEL: &[u8] = b"iVBORw0KGgoAAAANSUhE";

/// The URLs of one request, and what they turned out to be.
pub struct Images<'a> {
    call: &'a Call,
    rules: ImageFetch,
    limits: &'a Limits,
    /// Read when a candidate may need them.
    links: Option<Vec<Link<'a>>>,
    known: HashMap<String, Result<Inline, Fault>>,
    /// Made for the first fetch.
    room: Option<Arc<Room>>,
}

/// A URL and where it stands.
struct Link<'a> {
    url: Cow<'a, str>,
    view: View<'a>,
    /// It is to be a document or another file, not an image.
    is_file: bool,
}

impl<'a> Images<'a> {
    /// Of one call. All that is fetched for it may be as large as a body.
    #[must_use]
    pub fn new(call: &'a Call, rules: ImageFetch, limits: &'a Limits) -> Self {
        Self { call, rules, limits, links: None, known: HashMap::new(), room: None }
    }

    /// The fetch of what this candidate needs and is not known yet; `None` if that is nothing.
    pub fn missing(
        &mut self,
        candidate: &Candidate,
        gateway: &Gateway,
        deadline: Instant,
    ) -> Option<impl Future<Output = Vec<Found>> + use<>> {
        if self.rules.mode == ImageFetchMode::Never {
            return None;
        }
        self.read(candidate);
        let unknown = self.needed(candidate).filter(|link| !self.known.contains_key(link.url.as_ref()));
        let urls: BTreeSet<String> = unknown.map(|link| link.url.clone().into_owned()).collect();
        if urls.is_empty() || self.beyond_limit(candidate).is_some() {
            return None;
        }
        let room = self.room.get_or_insert_with(|| Room::new(self.limits, gateway.memory.reserve())).clone();
        let hosts = Arc::new(System { allow_private: self.rules.allow_private });
        let terms = Terms { pool: gateway.pool.clone(), hosts, rules: self.rules, room, deadline };
        Some(fetch::all(Arc::new(terms), urls.into_iter().collect()))
    }

    /// Remembers what was found.
    pub fn learn(&mut self, found: Vec<Found>, request_id: &str) {
        for (url, found) in found {
            if let Err(fault) = &found {
                // Of a URL only its host is told: the rest may be a secret.
                log::info!("{request_id} image at {:?}: {fault:?}", fetch::host_of(&url));
            }
            self.known.insert(url, found);
        }
    }

    /// Puts a picture of one pixel in place of what would be fetched, and says how many there are: for those who ask without sending.
    pub fn stand_in(&mut self, candidate: &Candidate) -> usize {
        if self.rules.mode == ImageFetchMode::Never {
            return 0;
        }
        self.read(candidate);
        let urls: BTreeSet<String> = self.needed(candidate).map(|link| link.url.clone().into_owned()).collect();
        let pixel = || Inline { media_type: "image/png".into(), base64: Bytes::from_static(PIXEL), decoded_bytes: PIXEL.len() / 4 * 3 };
        let many = urls.len();
        self.known.extend(urls.into_iter().map(|url| (url, Ok(pixel()))));
        many
    }

    /// What this candidate gets in place of URLs.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part: what it needs could not be fetched, is of a type it does not take, or is not to be fetched. Of the
    /// candidate's scope: another may take the URL as it is; where none does, this is what the client is told.
    pub fn fetched(&mut self, candidate: &Candidate) -> Result<Fetched, Refusal> {
        self.read(candidate);
        if let Some(link) = self.beyond_limit(candidate) {
            let message =
                format!("The request names more than {} images or files by URL. Send fewer, or raise limits.images.", self.limits.images);
            return Err(Refusal::candidate(link.view, message).with_code("too_many_images"));
        }
        let mut fetched = Fetched::default();
        for link in self.needed(candidate) {
            let found = if self.rules.mode == ImageFetchMode::Never { None } else { Some(self.known.get(link.url.as_ref())) };
            match found {
                None => return Err(not_fetched(link.view)),
                Some(None) => return Err(failed(link.view, &Fault::Timeout)),
                Some(Some(Err(fault))) => return Err(failed(link.view, fault)),
                Some(Some(Ok(inline))) => {
                    check_type(candidate, link, inline)?;
                    fetched.insert(link.url.as_ref(), inline.clone());
                }
            }
        }
        Ok(fetched)
    }

    /// Finds the URLs, unless this candidate takes all there can be.
    fn read(&mut self, candidate: &Candidate) {
        let speech = candidate.speech();
        let takes_all = self.call.operation.is_in(speech.dialect) && speech.surface.image_urls;
        if self.links.is_some() || (takes_all && self.rules.mode != ImageFetchMode::Always) {
            return;
        }
        let document = &self.call.document;
        let images: BTreeSet<usize> = self.call.operation.client.images(document).iter().map(|view| view.range().start).collect();
        let link = |view: View<'a>| Some(Link { url: url_at(view)?, view, is_file: !images.contains(&view.range().start) });
        self.links = Some(self.call.operation.links(document).into_iter().filter_map(link).collect());
    }

    /// The first URL that would be one too many to fetch.
    fn beyond_limit<'s>(&'s self, candidate: &'s Candidate) -> Option<&'s Link<'a>> {
        self.needed(candidate).nth(self.limits.images)
    }

    /// The URLs that this candidate does not get as they are.
    fn needed<'s>(&'s self, candidate: &'s Candidate) -> impl Iterator<Item = &'s Link<'a>> {
        let always = self.rules.mode == ImageFetchMode::Always;
        let speech = candidate.speech();
        let takes = move |link: &Link<'_>| match link.is_file {
            true => speech.dialect.fetches_files(&link.url, &speech.surface),
            false => speech.dialect.fetches(&link.url, &speech.surface),
        };
        let needs = move |link: &&Link<'_>| is_web(&link.url, true) && (always || !takes(link));
        self.links.iter().flatten().filter(needs)
    }
}

fn check_type(candidate: &Candidate, link: &Link<'_>, inline: &Inline) -> Result<(), Refusal> {
    let types = &candidate.speech().surface.image_types;
    if types.iter().any(|taken| *taken == inline.media_type) || (link.is_file && !inline.media_type.starts_with("image/")) {
        return Ok(());
    }
    let takes = if types.is_empty() { "no images".to_owned() } else { types.join(", ") };
    let message = format!("The image at this URL is {}; this provider takes {takes}.", inline.media_type);
    Err(Refusal::candidate(link.view, message).with_code("unsupported_image_media_type"))
}

fn not_fetched(at: View<'_>) -> Refusal {
    let message = "This provider does not fetch this URL, and the gateway is set not to: send the image as a data URI.";
    Refusal::candidate(at, message).with_code("invalid_image_url")
}

fn failed(at: View<'_>, fault: &Fault) -> Refusal {
    Refusal::candidate(at, format!("The image could not be downloaded: {fault}.")).with_code(fault.code())
}
