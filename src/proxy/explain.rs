//! What would become of a request: planned and translated like any other, and never sent.

mod hedge;

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::refusal::{Refusal, RefusalScope};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use serde::Serialize;

pub use self::hedge::Hedging;
use super::context::Call;
use super::endpoint::{self, Ask};
use super::failover;
use super::plan;
use super::prepare::{Prepared, Translator};
use super::problem::Problem;
use super::{accept, cached};
use crate::config::{Barred, Candidate, Credential};
use crate::live::Live;
use crate::upstream::select::Outlook;

/// A request as a client would send it.
#[derive(Debug)]
pub struct Question {
    /// `/v1/chat/completions`
    pub path: String,
    /// Its headers; only those that steer the gateway count.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What would become of a request.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The endpoint: `chat`.
    pub endpoint: &'static str,
    /// The client's dialect.
    pub dialect: &'static str,
    /// The model as asked.
    pub model: String,
    /// Whether that is a named route.
    pub route: bool,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether losses are refused.
    pub strict: bool,
    /// What the cache would say, as in `x-cache`; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// How long all attempts together may take until the first byte.
    pub first_byte_ms: u64,
    /// How long the whole answer may take.
    pub total_ms: u64,
    /// Who would be tried, in this order, each if those before it fail.
    pub candidates: Vec<Stop>,
}

/// One candidate.
#[derive(Debug, Serialize)]
pub struct Stop {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// The provider's dialect.
    pub dialect: &'static str,
    /// Whether the request is translated for it; else it passes as it is.
    pub translated: bool,
    /// Why it comes last or is passed over; `None` if it is tried in its turn.
    pub why_not: Option<String>,
    /// What the translation loses: `dropped seed`.
    pub losses: Vec<String>,
    /// Images that would be fetched by their URL and sent inline.
    pub images_fetched: usize,
    /// How long it may take until the header of its answer.
    pub header_ms: u64,
    /// How long it may take until the first content.
    pub first_content_ms: u64,
    /// The longest silence after that.
    pub stall_ms: u64,
    /// How it is hedged when it is silent; `None` where it is not to be.
    pub hedge: Option<Hedging>,
    /// Where a conversation goes that is too long for it, in this order: `gemini/gemini-2.5-pro`.
    pub context_fallbacks: Vec<String>,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// One key of a candidate.
#[derive(Debug, Serialize)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// How often it would be the first, from 0 to 1.
    pub share: f64,
    /// `ready`, or why it is used last or not at all.
    pub standing: &'static str,
    /// When a rest ends.
    pub ready_in_ms: Option<u64>,
    /// A drill makes it fail.
    pub drill: Option<&'static str>,
}

/// Explains a request.
///
/// # Errors
/// What the client would be told before anybody was tried.
pub fn explain(live: &Live, question: Question, now: Instant) -> Result<Explanation, Problem> {
    let Question { path, headers, body } = question;
    let head = RequestHeader::build(Method::POST, path.as_bytes(), None);
    let head = head.map_err(|_| Problem::new(400, "invalid_path", "This is no path of a request."))?;
    let ask = endpoint::find(&head, &live.snapshot)?;
    let name = ask.name();
    let Ask::Call(called) = ask else {
        return Err(Problem::new(400, "invalid_path", "Only chat and embeddings calls are planned: there is nothing to explain here."));
    };
    let call = plan::call(called, body, &headers, &live.snapshot, now)?;
    let cache = cache(live, &path, &headers, &call, now);
    let mut translator = Translator::new(&call, &live.snapshot);
    let order = failover::order(&call, live, now);
    let mut candidates = Vec::new();
    let mut left = order.as_slice();
    while let [candidate, later @ ..] = left {
        candidates.push(stop(live, &call, &mut translator, candidate, later, now)?);
        left = later;
    }
    for (candidate, why) in &call.barred {
        let stop = stop(live, &call, &mut translator, candidate, &[], now)?;
        candidates.push(Stop { why_not: Some(format!("never tried: {why}")), ..stop });
    }
    Ok(Explanation {
        endpoint: name,
        dialect: call.operation.client.name(),
        model: call.asked.clone(),
        route: live.snapshot.routes.contains_key(&call.asked),
        stream: call.stream,
        strict: call.strict,
        cache,
        first_byte_ms: ms(call.clocks.first_byte.saturating_duration_since(now)),
        total_ms: ms(call.clocks.total.saturating_duration_since(now)),
        candidates,
    })
}

/// What the cache would say. Whose answers it may look at, the client's key tells, as in the request itself.
fn cache(live: &Live, path: &str, headers: &HeaderMap, call: &Call, now: Instant) -> Option<String> {
    let Ok(client) = accept::authenticate_by(accept::offered(headers), &live.snapshot) else {
        return live.cache.as_ref().map(|_| "unknown: it depends on the client, so send its key too".to_owned());
    };
    let path = path.split('?').next().unwrap_or_default();
    cached::outlook(live, &cached::Question { client, path, call }, headers, now).map(|result| result.to_string())
}

fn stop(
    live: &Live,
    call: &Call,
    translator: &mut Translator<'_>,
    candidate: &Candidate,
    later: &[&Candidate],
    now: Instant,
) -> Result<Stop, Problem> {
    let images_fetched = translator.images.stand_in(candidate);
    let (losses, refused) = match translator.prepare(candidate, "explain") {
        Ok(prepared) => (losses(&prepared), None),
        Err(refusal) if refusal.scope == RefusalScope::Request => return Err(refusal.into()),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let clocks = failover::clocks(call, candidate, !later.is_empty(), now);
    let keys = keys(live, candidate, now);
    Ok(Stop {
        provider: candidate.provider.name.clone(),
        model: candidate.model.clone(),
        dialect: candidate.speech().dialect.name(),
        translated: !call.operation.is_in(candidate.speech().dialect),
        why_not: why_not(refused.as_ref(), &keys),
        losses,
        images_fetched,
        header_ms: ms(clocks.header.saturating_duration_since(now)),
        first_content_ms: ms(clocks.first_content.saturating_duration_since(now)),
        stall_ms: ms(clocks.stall),
        hedge: hedge::hedging(live, call, translator, candidate, later, now),
        context_fallbacks: failover::larger(call, live, candidate).filter_map(named).collect(),
        keys,
    })
}

/// A larger model that may be gone to.
fn named((larger, barred): (&Candidate, Option<Barred>)) -> Option<String> {
    barred.is_none().then(|| format!("{}/{}", larger.provider.name, larger.model))
}

fn losses(prepared: &Prepared) -> Vec<String> {
    prepared.translated.losses.iter().map(ToString::to_string).collect()
}

fn why_not(refused: Option<&Refusal>, keys: &[Key]) -> Option<String> {
    if let Some(refusal) = refused {
        return Some(format!("passed over: it cannot carry the request ({refusal})"));
    }
    if keys.iter().any(|key| key.standing == READY) {
        return None;
    }
    let resting = keys.iter().any(|key| RESTING.contains(&key.standing));
    Some(if resting { "tried last: its keys rest".to_owned() } else { "passed over: none of its keys may be used".to_owned() })
}

const READY: &str = "ready";
const RESTING: &[&str] = &["cooling", "overloaded", "breaker open"];

fn keys(live: &Live, candidate: &Candidate, now: Instant) -> Vec<Key> {
    let outlooks = live.lanes.outlooks(&candidate.provider, &candidate.model, now);
    let weight = |outlook: &Outlook| if let Outlook::Ready { weight } = outlook { *weight } else { 0 };
    let sum: i64 = outlooks.iter().map(weight).sum();
    #[allow(clippy::cast_precision_loss, reason = "weights have nine digits")]
    let share = |outlook: &Outlook| if sum > 0 { weight(outlook) as f64 / sum as f64 } else { 0.0 };
    let drill = |credential: &Credential| {
        let state = live.lanes.drill_of(&candidate.provider.name, &credential.name);
        state.map(|(fault, _)| fault.name())
    };
    let of = |(credential, outlook): (&Credential, &Outlook)| {
        let (standing, until) = standing(*outlook);
        Key {
            name: credential.name.clone(),
            share: share(outlook),
            standing,
            ready_in_ms: until.map(|until| ms(until.saturating_duration_since(now))),
            drill: drill(credential),
        }
    };
    candidate.provider.credentials.iter().zip(&outlooks).map(of).collect()
}

fn standing(outlook: Outlook) -> (&'static str, Option<Instant>) {
    match outlook {
        Outlook::Ready { .. } => (READY, None),
        Outlook::Cooling { until, .. } => ("cooling", Some(until)),
        Outlook::Overloaded { until } => ("overloaded", Some(until)),
        Outlook::Broken => ("breaker open", None),
        Outlook::Off => ("off", None),
        Outlook::Cordoned => ("cordoned", None),
        Outlook::NotForModel => ("not for this model", None),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Explanation {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, dialect, model, cache, first_byte_ms, total_ms, candidates, .. } = self;
        let route = if self.route { " (a route)" } else { "" };
        let stream = if self.stream { "a stream" } else { "a whole answer" };
        let strict = if self.strict { ", nothing may be lost" } else { "" };
        writeln!(f, "{endpoint} in {dialect}'s dialect for {model}{route}, as {stream}{strict}")?;
        writeln!(f, "first byte within {first_byte_ms} ms, all of it within {total_ms} ms")?;
        cache.iter().try_for_each(|cache| writeln!(f, "cache: {cache}"))?;
        writeln!(f)?;
        candidates.iter().enumerate().try_for_each(|(place, stop)| write!(f, "{}. {stop}", place + 1))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.translated { format!("translated for {}", self.dialect) } else { "as it is".to_owned() };
        writeln!(f, "{}/{}  {how}", self.provider, self.model)?;
        self.why_not.iter().try_for_each(|why| writeln!(f, "   {why}"))?;
        if !self.losses.is_empty() {
            writeln!(f, "   loses: {}", self.losses.join(", "))?;
        }
        if self.images_fetched > 0 {
            writeln!(f, "   {} images fetched by their URL first", self.images_fetched)?;
        }
        let Self { header_ms, first_content_ms, stall_ms, .. } = self;
        writeln!(f, "   clocks: header {header_ms} ms, first content {first_content_ms} ms, silence {stall_ms} ms")?;
        self.hedge.iter().try_for_each(|hedge| writeln!(f, "   {hedge}"))?;
        if !self.context_fallbacks.is_empty() {
            writeln!(f, "   if the conversation is too long for it: {}", self.context_fallbacks.join(", "))?;
        }
        self.keys.iter().try_for_each(|key| writeln!(f, "   {key}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.name, self.standing)?;
        if self.share > 0.0 {
            write!(f, ", {:.0} % of first attempts", self.share * 100.0)?;
        }
        self.ready_in_ms.iter().try_for_each(|ms| write!(f, ", ready in {ms} ms"))?;
        self.drill.iter().try_for_each(|fault| write!(f, ", fails by a drill ({fault})"))
    }
}
