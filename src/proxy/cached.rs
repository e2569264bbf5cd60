//! What the cache has to do with a request: asked before anybody is tried, told of what was answered. All of it is behind one question,
//! whether there is a cache; without one nothing here runs, and nothing is allocated.
//!
//! Simultaneous identical requests each go upstream: nobody waits for another's answer.

mod question;
mod worth;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::sse::Array;
use http::{HeaderMap, header};

pub use self::question::Question;
use super::context::{Call, Context};
use super::session::Session;
use super::{headers, reply};
use crate::cache::{Answer, Cache, Found, Key, Recording};
use crate::live::Live;
use crate::telemetry::event::{CacheResult, CacheTold};

/// What the cache has to do with a request.
#[derive(Debug)]
pub struct Caching {
    /// What it had to say.
    pub told: CacheTold,
    /// The answer, as far as it has gone to the client, where it may be kept.
    recording: Option<Recording>,
}

/// What a look into the cache brings.
enum Look {
    /// The answer.
    Hit(Found),
    /// There is none; it is to be kept under this key.
    Miss(Key),
    /// It is not asked, for this reason; whether the answer is kept all the same.
    Bypass(&'static str, Option<Key>),
}

impl Caching {
    /// Takes down what goes to the client.
    pub fn record(&mut self, piece: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.push(piece);
        }
    }

    /// What is told of it at the end of the request, which this candidate's answer served.
    #[must_use]
    pub fn told(self, served_by: Option<(String, String)>) -> Box<CacheTold> {
        let is_hit = matches!(self.told.result, CacheResult::Hit { .. });
        Box::new(CacheTold { made_by: served_by.filter(|_| is_hit), ..self.told })
    }

    /// The answer did not end as it should: it is not kept.
    pub fn forget(&mut self) {
        self.recording = None;
    }
}

/// Answers from the cache, if it can; `false` where somebody else has to be asked. Runs once, after the request has been admitted and
/// planned, and only where there is a cache.
///
/// # Errors
/// The client cannot be written to.
pub async fn answer(session: &mut Session<'_>, context: &mut Context, call: &Call) -> pingora::Result<bool> {
    let live = context.live.clone();
    let Some(cache) = &live.cache else { return Ok(false) };
    let began = Instant::now();
    let question = Question { client: context.client.as_deref(), path: session.req_header().uri.path(), call };
    let look = look(&live, cache, &question, &session.req_header().headers, began, Cache::find);
    let (result, recording) = match &look {
        Look::Hit(found) => (CacheResult::Hit { age_s: found.age.as_secs() }, None),
        Look::Miss(key) => (CacheResult::Miss, Some(*key)),
        Look::Bypass(why, key) => (CacheResult::Bypass(why), *key),
    };
    let told = CacheTold { result, began, ended: Instant::now(), made_by: None };
    context.caching = Some(Box::new(Caching { told, recording: recording.map(|key| cache.record(key)) }));
    let Look::Hit(found) = look else { return Ok(false) };
    give(session, context, &found.entry.answer).await?;
    Ok(true)
}

/// Keeps what has been answered, if it is worth it. Runs when the client has all of it.
pub fn keep(session: &Session<'_>, context: &mut Context, call: &Call) {
    let Some(recording) = context.caching.as_mut().and_then(|caching| caching.recording.take()) else { return };
    let outcome = &context.outcome;
    let (200, None, Some((provider, model))) = (outcome.status, &outcome.error_code, &outcome.served_by) else { return };
    let sent = session.response_written().and_then(|answer| answer.headers.get(header::CONTENT_TYPE)?.to_str().ok());
    let (Some(content_type), Some(answer)) = (sent, Recorded::take(recording)) else { return };
    if !worth::ended_by_itself(call.operation, outcome) || !worth::is_worth_keeping(call, &answer.body) {
        return;
    }
    let body = if call.address.array { framed(&answer.body) } else { answer.body };
    let answer_kept = Answer {
        content_type: content_type.to_owned(),
        body,
        provider: provider.clone(),
        model: model.clone(),
        losses: outcome.losses.clone(),
    };
    answer.recording.keep(answer_kept, Instant::now());
}

/// What the cache would say of a request, as in `x-cache`; nothing changes by it. `None` where there is none.
#[must_use]
pub fn outlook(live: &Live, question: &Question<'_>, headers: &HeaderMap, now: Instant) -> Option<CacheResult> {
    let cache = live.cache.as_ref()?;
    Some(match look(live, cache, question, headers, now, Cache::peek) {
        Look::Hit(found) => CacheResult::Hit { age_s: found.age.as_secs() },
        Look::Miss(_) => CacheResult::Miss,
        Look::Bypass(why, _) => CacheResult::Bypass(why),
    })
}

/// A recording, and what it holds.
struct Recorded {
    recording: Recording,
    body: Bytes,
}

impl Recorded {
    fn take(mut recording: Recording) -> Option<Self> {
        let body = recording.take()?;
        Some(Self { recording, body })
    }
}

type Find = fn(&Cache, &Key, Instant, Duration, Option<Duration>) -> Option<Found>;

fn look(live: &Live, cache: &Arc<Cache>, question: &Question<'_>, headers: &HeaderMap, now: Instant, find: Find) -> Look {
    let directives = crate::cache::Directives::read(headers);
    if directives.no_store {
        return Look::Bypass("no-store", None);
    }
    if let Some(why) = question.why_not() {
        return Look::Bypass(why, None);
    }
    let key = question.key(cache.key(), headers);
    if directives.no_cache {
        return Look::Bypass("no-cache", Some(key));
    }
    let ttl = live.snapshot.semantic_cache.map(|rules| Duration::from_secs(rules.ttl_seconds)).unwrap_or_default();
    match find(cache, &key, now, ttl, directives.max_age) {
        Some(found) => Look::Hit(found),
        None => Look::Miss(key),
    }
}

/// Gives an answer again: the same bytes, in one piece.
async fn give(session: &mut Session<'_>, context: &mut Context, answer: &Answer) -> pingora::Result<()> {
    context.outcome.first_content = Some(Instant::now());
    context.outcome.served_by = Some((answer.provider.clone(), answer.model.clone()));
    context.outcome.losses.clone_from(&answer.losses);
    let mut header = headers::base(200, context)?;
    if context.outcome.stream {
        header.insert_header("cache-control", "no-cache")?;
        header.insert_header("x-accel-buffering", "no")?;
    }
    super::relay::own_time(&mut header, context)?;
    reply::send(session, context, header, &answer.content_type, answer.body.clone()).await
}

/// Events as one array, as its client got them.
fn framed(events: &Bytes) -> Bytes {
    let (mut array, mut text) = (Array::default(), Vec::with_capacity(events.len()));
    array.push(events, &mut text);
    array.end(&mut text);
    text.into_boxed_slice().into()
}
