//! From a body to a plan: scanned, checked against the limits, its candidates in order, its clocks set.

use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::chat::FallbackRef;
use heliostat_filters::dialect::Asked;
use heliostat_filters::image::{self, ImageSource};
use heliostat_filters::json::{Document, ScanLimits};
use http::{HeaderMap, HeaderName};

use super::context::{Call, Clocks};
use super::endpoint::Called;
use super::operation::Operation;
use super::problem::Problem;
use super::redact;
use crate::config::{Barred, Candidate, Limits, Resolution, Snapshot};

static STRICT: HeaderName = HeaderName::from_static("x-heliostat-strict");
static TIMEOUT: HeaderName = HeaderName::from_static("x-heliostat-timeout-ms");
static FIRST_CONTENT: HeaderName = HeaderName::from_static("x-heliostat-first-content-ms");
/// Where the official SDKs tell their own timeout, in seconds: OpenAI's and Anthropic's for Python, the same for Node, Google's.
static SDK_TIMEOUTS: [HeaderName; 3] = [
    HeaderName::from_static("x-stainless-read-timeout"),
    HeaderName::from_static("x-stainless-timeout"),
    HeaderName::from_static("x-server-timeout"),
];

/// Taken off a deadline that the client's SDK told us, for the way back.
const SDK_MARGIN: Duration = Duration::from_millis(250);
/// The longest name of a model. Those of cloud accounts, which hold a whole path, are about 200 bytes long.
const MODEL_BYTES: usize = 512;
/// Each fallback is an attempt, or several.
const FALLBACKS: usize = 32;

/// Plans a request. Runs once, before anything is sent.
///
/// # Errors
/// 400 for a body that is no such request, too many or too large images, too many inputs, unknown or unfit fallbacks; 404 for an
/// unknown model.
pub fn call(called: Called, body: Bytes, headers: &HeaderMap, snapshot: &Snapshot, now: Instant) -> Result<Call, Problem> {
    let Called { operation, address, home } = called;
    let limits = ScanLimits { depth: snapshot.limits.depth, ..ScanLimits::default() };
    let document = Document::scan(body, operation.shape(), limits)?;
    let Asked { model: asked, stream, fallbacks } = operation.peek(&document, &address)?;
    sane_name(&asked, "model")?;
    operation.check(&document)?;
    check_images(operation, &document, &snapshot.limits)?;
    let Planned { candidates, barred } = candidates(operation, fallbacks, &asked, home, snapshot)?;
    let clocks = clocks(headers, &candidates, now)?;
    let strict = flag(headers, &STRICT);
    let asked = redact::cut(&asked, 256).to_owned();
    Ok(Call { operation, address, document, asked, stream, strict, candidates, barred, clocks })
}

/// Whom a request may be sent to, and whom not.
struct Planned {
    candidates: Vec<Candidate>,
    barred: Vec<(Candidate, Barred)>,
}

/// The candidates in order (contract, "Candidates and attempts"): the asked model, then the first of these that is there: the body's
/// `fallbacks`, the route's, `{primary, fallback}`, the global list. Without those that the route's policy bars.
fn candidates(
    operation: Operation,
    fallbacks: Option<Vec<FallbackRef<'_>>>,
    asked: &str,
    home: Option<&str>,
    snapshot: &Snapshot,
) -> Result<Planned, Problem> {
    let elsewhere = |asked: &str| asked.split_once('/').is_some_and(|(name, _)| snapshot.provider(name).is_some());
    let at_home = || snapshot.provider(home?).filter(|provider| provider.serves(asked) && !elsewhere(asked));
    let (primary, route) = match snapshot.resolve(asked) {
        Resolution::Route(route) => (route.primary.clone(), Some(route)),
        Resolution::Candidate(candidate) => (candidate, None),
        Resolution::Unknown { known } => match at_home() {
            Some(provider) => (Candidate::new(provider, asked), None),
            None => return Err(unknown_model(asked, &known, "model")),
        },
    };
    let clocks = route.map(|route| route.timeouts).unwrap_or_default();
    let fallbacks = match of_body(fallbacks, snapshot)? {
        Some(mut fallbacks) => {
            operation.check_fallbacks(&primary, &fallbacks)?;
            fallbacks.iter_mut().for_each(|fallback| fallback.timeouts = clocks.over(fallback.timeouts));
            fallbacks
        }
        // Written for chat as well: those that cannot stand in are passed over.
        None => route.map_or_else(|| snapshot.fallbacks_for(&primary), |route| route.fallbacks.clone()),
    };
    let fallbacks: Vec<_> = fallbacks.into_iter().filter(|fallback| operation.may_stand_in(&primary, fallback)).collect();
    let spoken = |candidate: Candidate| if operation.is_chat() { candidate.in_dialect(operation.client.name()) } else { candidate };
    let mut candidates = vec![spoken(primary)];
    let mut barred = Vec::new();
    for fallback in fallbacks {
        let known = |candidate: &Candidate| candidate.provider.index == fallback.provider.index && candidate.model == fallback.model;
        if candidates.iter().any(known) {
            continue;
        }
        match route.and_then(|route| route.policy.bars(&fallback)) {
            Some(why) => barred.push((fallback, why)),
            None => candidates.push(spoken(fallback)),
        }
    }
    Ok(Planned { candidates, barred })
}

fn of_body(fallbacks: Option<Vec<FallbackRef<'_>>>, snapshot: &Snapshot) -> Result<Option<Vec<Candidate>>, Problem> {
    let Some(listed) = fallbacks else { return Ok(None) };
    if listed.len() > FALLBACKS {
        let message = format!("The request has more than {FALLBACKS} fallbacks.");
        return Err(Problem::new(400, "too_many_fallbacks", message).at("fallbacks"));
    }
    let mut candidates = Vec::with_capacity(listed.len());
    for (index, fallback) in listed.iter().enumerate() {
        let name = match fallback {
            FallbackRef::Name(name) => name.clone(),
            FallbackRef::Pair { provider, model } => format!("{provider}/{model}").into(),
        };
        sane_name(&name, &format!("fallbacks[{index}]"))?;
        match snapshot.resolve(&name) {
            Resolution::Candidate(candidate) => candidates.push(candidate),
            // Not recursive: a route stands for its primary.
            Resolution::Route(route) => candidates.push(Candidate::new(&route.primary.provider, &route.primary.model)),
            Resolution::Unknown { known } => {
                return Err(Problem { status: 400, ..unknown_model(&name, &known, &format!("fallbacks[{index}]")) });
            }
        }
    }
    Ok(Some(candidates))
}

/// A model's name goes into headers, paths and logs.
fn sane_name(name: &str, param: &str) -> Result<(), Problem> {
    if name.len() <= MODEL_BYTES && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("A model's name is at most {MODEL_BYTES} bytes long and holds no control characters.");
    Err(Problem::new(400, "invalid_model", message).at(param))
}

/// 404 for a model that nobody serves, with those that somebody does.
#[must_use]
pub fn unknown_model(asked: &str, known: &[String], param: &str) -> Problem {
    let asked: String = asked.chars().take(128).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("The model `{asked}` is not configured here. Known: {known}.");
    Problem::new(404, "model_not_found", message).at(param)
}

fn check_images(operation: Operation, document: &Document, limits: &Limits) -> Result<(), Problem> {
    let images = if operation.is_chat() { operation.client.images(document) } else { Vec::new() };
    for (before, view) in images.into_iter().enumerate() {
        if before == limits.images {
            let message = format!("The request has more than {} images. Send fewer, or raise limits.images.", limits.images);
            return Err(Problem::new(400, "too_many_images", message).at("messages"));
        }
        // Base64 is four characters for three bytes: a short string cannot hold a large image, and needs no look.
        if view.range().len() / 4 * 3 <= limits.image_bytes {
            continue;
        }
        if matches!(image::read(view), Ok(ImageSource::Inline(inline)) if inline.decoded_bytes > limits.image_bytes) {
            let message =
                format!("The image is larger than {} bytes. Send a smaller one, or raise limits.image_bytes.", limits.image_bytes);
            return Err(Problem::new(400, "image_too_large", message).at(view.path()));
        }
    }
    Ok(())
}

/// The clocks of a request: the first candidate's, shortened by what the client said of its own.
///
/// # Errors
/// 400 for a header that is no number.
pub fn clocks(headers: &HeaderMap, candidates: &[Candidate], now: Instant) -> Result<Clocks, Problem> {
    let total_ms = candidates.first().map_or(0, |candidate| candidate.timeouts.total_ms);
    let total = Duration::from_millis(total_ms);
    let mut first_byte = total;
    if let Some(limit) = milliseconds(headers, &TIMEOUT)? {
        first_byte = first_byte.min(limit);
    }
    if let Some(limit) = sdk_deadline(headers) {
        first_byte = first_byte.min(limit);
    }
    let first_content = milliseconds(headers, &FIRST_CONTENT)?;
    Ok(Clocks { first_byte: now + first_byte, total: now + total, first_content })
}

/// What the official SDKs say of their own timeout: the least of them.
fn sdk_deadline(headers: &HeaderMap) -> Option<Duration> {
    let said = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let limits = SDK_TIMEOUTS.iter().filter_map(said).filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let limit = limits.filter(|limit| !limit.is_zero()).min()?;
    Some(limit.saturating_sub(SDK_MARGIN).max(limit / 2))
}

fn milliseconds(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).filter(|ms| (1..=86_400_000).contains(ms)) {
        Some(ms) => Ok(Some(Duration::from_millis(ms))),
        None => Err(Problem::new(400, "invalid_header", format!("{name} must be a whole number of milliseconds from 1 to 86400000."))
            .at(name.as_str())),
    }
}

fn flag(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| matches!(value.as_bytes(), b"true" | b"1" | b"yes"))
}
