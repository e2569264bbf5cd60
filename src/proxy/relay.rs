//! From the commit on: the answer goes to the client.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::chat::StreamWriter;
use heliostat_filters::dialect::openai::Tail;
use heliostat_filters::sse::Array;
use http::Version;

use super::alarm::Alarm;
use super::attempt::{Interrupt, Streaming, Waiting, Whole};
use super::context::Context;
use super::gathered::Gathered;
use super::pump::{self, Pump};
use super::{headers, reply};
use crate::drain;
use crate::proxy::session::Session;
use crate::upstream::head::Head;
use crate::upstream::pool::{Lease, Pool};

/// How much is gathered into one write, where so much has arrived: each write costs as much as copying this.
const GATHER_BYTES: usize = 64 * 1024;
/// Content this fresh, or fresh by a tenth of the stall clock, needs no closer look at what follows it.
const FRESH: Duration = Duration::from_millis(500);
/// How long a stream that has said its last may stay open. Some providers never close it, and not every client leaves by itself.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// How long the end of a finished answer may take, so that its connection can be used again.
const TAIL: Duration = Duration::from_millis(20);

/// The type of a stream that is an array.
const ARRAY: &str = "application/json; charset=utf-8";

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed {
    /// The client has all of it.
    Whole,
    /// The provider broke off; the client was told where the protocol has a way.
    Broken,
    /// The client left.
    ClientGone,
}

/// The clocks of a relay.
#[derive(Debug, Clone, Copy)]
pub struct RelayClocks {
    /// When the whole answer must be through.
    pub total: Instant,
    /// Longest time between contents.
    pub stall: Duration,
}

impl RelayClocks {
    /// When the provider must have said something of content again. Never early: while content is fresh it is not looked for where
    /// the bytes pass untouched, so the last may be that much younger than it seems.
    fn until_stall(self, pump: &Pump, committed: Instant) -> Instant {
        if pump.has_said_all() {
            return self.total.min(Instant::now() + LAST_WORDS);
        }
        let unseen = if pump.is_untouched() { self.fresh() } else { Duration::ZERO };
        self.total.min(pump.seen.content_at.unwrap_or(committed) + self.stall + unseen)
    }

    /// While content is fresh, what arrives behind it now needs no closer look.
    fn quieten(self, pump: &mut Pump, now: Instant) {
        let fresh = pump.seen.content_at.is_some_and(|at| now.saturating_duration_since(at) < self.fresh());
        pump.quiet(fresh);
    }

    /// How long content needs no closer look at what follows it: the error this adds to the stall clock.
    fn fresh(self) -> Duration {
        FRESH.min(self.stall / 10)
    }
}

/// Sends a reply of the client's own dialect as it came.
///
/// # Errors
/// The client cannot be written to, or the provider broke off within a body longer than what is held: the connection is then cut, so
/// that the client sees it too.
pub async fn whole(
    session: &mut Session<'_>,
    context: &mut Context,
    whole: Whole,
    pool: &Pool,
    clocks: RelayClocks,
) -> pingora::Result<()> {
    let Whole { head, body, rest, .. } = whole;
    let mut header = headers::relayed(head.status, context, &head)?;
    context.outcome.status = head.status;
    header.insert_header("content-type", head.text("content-type").unwrap_or("application/json"))?;
    match (&rest, head.text("content-length")) {
        (None, _) => header.insert_header("content-length", body.len().to_string())?,
        (Some(_), Some(length)) => header.insert_header("content-length", length)?,
        (Some(_), None) => unsized_body(session, &mut header)?,
    }
    own_time(&mut header, context)?;
    reply::begin(session, context, header).await?;
    let mut tail = Tail::default();
    if rest.is_some() {
        tail.push(&body);
    }
    context.record(&body);
    reply::write_until(session, context, body, rest.is_none(), clocks.total).await?;
    if let Some(lease) = rest {
        // In a box: hardly any reply is so long, and all would carry its size along.
        Box::pin(remainder(session, context, Rest { lease, tail }, pool, clocks)).await?;
    }
    reply::end(session, context).await
}

/// Sends a translated reply.
///
/// # Errors
/// The client cannot be written to.
pub async fn translated(
    session: &mut Session<'_>,
    context: &mut Context,
    (head, pieces): (&Head, Vec<Bytes>),
    clocks: RelayClocks,
) -> pingora::Result<()> {
    let mut header = headers::relayed(200, context, head)?;
    context.outcome.status = 200;
    header.insert_header("content-type", "application/json")?;
    header.insert_header("content-length", pieces.iter().map(Bytes::len).sum::<usize>().to_string())?;
    own_time(&mut header, context)?;
    reply::begin(session, context, header).await?;
    for piece in pieces {
        context.record(&piece);
        reply::write_until(session, context, piece, false, clocks.total).await?;
    }
    reply::end(session, context).await
}

/// Sends a stream: first what was held, then whatever arrives, as it arrives; as an array, whatever events have ended.
///
/// # Errors
/// The client cannot be written to.
pub async fn stream(
    session: &mut Session<'_>,
    context: &mut Context,
    mut streaming: Box<Streaming>,
    (mut client, mut array): (Box<dyn StreamWriter>, Option<Array>),
    pool: &Pool,
    clocks: RelayClocks,
) -> pingora::Result<(Relayed, Box<Pump>)> {
    // With the first of the body, which follows at once.
    session.hold(array.is_none() && !streaming.held.is_empty());
    let begun = begin_stream(session, context, &streaming, array.is_some()).await;
    session.hold(false);
    begun?;
    let committed = Instant::now();
    let mut now = committed;
    let mut out = std::mem::take(&mut streaming.held);
    if !streaming.ended && !streaming.pump.is_over() {
        // What has arrived behind the first content leaves with it.
        clocks.quieten(&mut streaming.pump, now);
        let ready = streaming.lease.connection.ready_body();
        take_ready(context, &mut streaming, &mut out, ready, now);
    }
    let mut alarm = Alarm::at(clocks.until_stall(&streaming.pump, committed));
    loop {
        let over = streaming.ended || streaming.pump.is_over();
        if over {
            streaming.pump.close(client.as_mut(), &mut out);
        }
        let events = out.take();
        context.record(&events);
        let piece = framed(events, array.as_mut(), over);
        if over {
            return last(session, context, *streaming, piece, (pool, clocks)).await;
        }
        if !piece.is_empty() {
            reply::write_until(session, context, piece, false, clocks.total).await?;
        }
        let until = clocks.until_stall(&streaming.pump, committed);
        // Where there is always more to read, nothing else looks at the clock.
        let late = alarm.rings(until);
        let next = if now < until { next(session, context, &mut streaming, late).await } else { Err(Interrupt::Deadline) };
        match next {
            Ok(next) => {
                now = Instant::now();
                clocks.quieten(&mut streaming.pump, now);
                take_ready(context, &mut streaming, &mut out, next, now);
            }
            Err(Interrupt::ClientGone) => return Ok((Relayed::ClientGone, streaming.pump)),
            Err(Interrupt::Deadline) if streaming.pump.has_said_all() => streaming.ended = true,
            Err(interrupt) => {
                streaming.pump.fail(match interrupt {
                    Interrupt::Stopping => pump::stopping(),
                    _ if Instant::now() < clocks.total => pump::stalled(),
                    _ => pump::overdue(),
                });
                streaming.ended = true;
            }
        }
    }
}

/// Sends the last of a stream, and its end with that.
async fn last(
    session: &mut Session<'_>,
    context: &mut Context,
    streaming: Streaming,
    piece: Bytes,
    (pool, clocks): (&Pool, RelayClocks),
) -> pingora::Result<(Relayed, Box<Pump>)> {
    let Streaming { lease, pump, .. } = streaming;
    let relayed = if pump.failure().is_some() { Relayed::Broken } else { Relayed::Whole };
    let mut unfinished = None;
    if relayed == Relayed::Whole && lease.connection.is_finished() {
        // Before the client knows of the end: its next request shall find the connection.
        pool.give_back(lease);
    } else {
        unfinished = Some(lease);
    }
    reply::write_until(session, context, piece, true, clocks.total).await?;
    reply::end(session, context).await?;
    if let Some(lease) = unfinished.filter(|_| relayed == Relayed::Whole && pump.is_complete()) {
        settle(lease, pool).await;
    }
    Ok((relayed, pump))
}

/// Events as the client gets them.
fn framed(events: Bytes, array: Option<&mut Array>, over: bool) -> Bytes {
    let Some(array) = array else { return events };
    let mut text = Vec::with_capacity(events.len());
    array.push(&events, &mut text);
    if over {
        array.end(&mut text);
    }
    text.into()
}

/// Waits for the next bytes of a stream, until it is `late`.
async fn next(
    session: &mut Session<'_>,
    context: &mut Context,
    streaming: &mut Streaming,
    late: impl Future<Output = ()>,
) -> Result<io::Result<Option<Bytes>>, Interrupt> {
    let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.upstream };
    unless_cut(pin!(waiting.unless(late, pin!(streaming.lease.connection.next_body())))).await
}

/// Takes what was read, and whatever else has arrived, up to [`GATHER_BYTES`]; and the end, where it is among that.
fn take_ready(context: &mut Context, streaming: &mut Streaming, out: &mut Gathered, mut next: io::Result<Option<Bytes>>, now: Instant) {
    let mut gathered = 0;
    loop {
        match next {
            Ok(Some(chunk)) => {
                gathered += chunk.len();
                streaming.pump.feed(&chunk, now, out);
            }
            Ok(None) if streaming.lease.connection.is_finished() => {
                streaming.ended = true;
                return streaming.pump.end(now, out);
            }
            Ok(None) => return,
            Err(_) => {
                streaming.ended = true;
                if let Some(caching) = &mut context.caching {
                    caching.forget();
                }
                return streaming.pump.break_off(now, out);
            }
        }
        if streaming.pump.is_over() || (gathered >= GATHER_BYTES && !streaming.lease.connection.is_finished()) {
            return;
        }
        next = streaming.lease.connection.ready_body();
    }
}

/// Gives the connection of a stream that has said all back, reading what little is left.
async fn settle(mut lease: Lease, pool: &Pool) {
    let tail = async { while let Ok(Some(_)) = lease.connection.next_body().await {} };
    let _ = tokio::time::timeout(TAIL, tail).await;
    pool.give_back(lease);
}

async fn begin_stream(session: &mut Session<'_>, context: &mut Context, streaming: &Streaming, array: bool) -> pingora::Result<()> {
    let mut header = headers::relayed(200, context, &streaming.head)?;
    context.outcome.status = 200;
    let content_type = if streaming.pump.is_untouched() { streaming.head.text("content-type") } else { None };
    let content_type = if array { ARRAY } else { content_type.unwrap_or("text/event-stream; charset=utf-8") };
    header.insert_header("content-type", content_type)?;
    header.insert_header("cache-control", "no-cache")?;
    header.insert_header("x-accel-buffering", "no")?;
    unsized_body(session, &mut header)?;
    reply::begin(session, context, header).await
}

/// What is left of a reply too long to be held.
pub struct Rest {
    /// The connection.
    pub lease: Lease,
    /// The end of what has been sent.
    pub tail: Tail,
}

/// Sends what is left of a reply too long to be held, and notes the usage at its end.
///
/// # Errors
/// The client cannot be written to, or the provider broke off.
pub async fn remainder(
    session: &mut Session<'_>,
    context: &mut Context,
    rest: Rest,
    pool: &Pool,
    clocks: RelayClocks,
) -> pingora::Result<()> {
    let Rest { mut lease, mut tail } = rest;
    loop {
        let until = clocks.total.min(Instant::now() + clocks.stall);
        let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.upstream };
        match unless_cut(waiting.on(until, lease.connection.next_body())).await {
            Ok(Ok(Some(piece))) => {
                tail.push(&piece);
                context.record(&piece);
                reply::write_until(session, context, piece, false, clocks.total).await?;
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return cut(context, &error.to_string()),
            Err(Interrupt::Deadline) => return cut(context, "the provider's reply stalled"),
            Err(Interrupt::Stopping) => return cut(context, "the gateway stops"),
            Err(Interrupt::ClientGone) => {
                context.outcome.client_gone = true;
                return pingora::Error::e_explain(pingora::ErrorType::ConnectionClosed, "client left");
            }
        }
    }
    context.outcome.usage = tail.usage(context.dialect).unwrap_or(context.outcome.usage);
    pool.give_back(lease);
    Ok(())
}

/// Ends a wait when a stop's deadline comes.
async fn unless_cut<T>(wait: impl Future<Output = Result<T, Interrupt>>) -> Result<T, Interrupt> {
    tokio::select! {
        biased;
        result = wait => result,
        () = drain::cut() => Err(Interrupt::Stopping),
    }
}

fn cut(context: &mut Context, why: &str) -> pingora::Result<()> {
    context.outcome.error_code = Some("reply_truncated".to_owned());
    context.outcome.error_log = Some(why.to_owned());
    pingora::Error::e_explain(pingora::ErrorType::ReadError, why.to_owned())
}

/// Frames a body of unknown length: chunks for HTTP/1.1, the end of the connection for 1.0, frames for HTTP/2.
///
/// # Errors
/// None in practice.
pub fn unsized_body(session: &mut Session<'_>, header: &mut pingora::http::ResponseHeader) -> pingora::Result<()> {
    match session.req_header().version {
        Version::HTTP_11 => header.insert_header("transfer-encoding", "chunked"),
        Version::HTTP_2 => Ok(()),
        _ => {
            session.close_after();
            Ok(())
        }
    }
}

/// Adds the time spent in the gateway itself.
///
/// # Errors
/// None in practice.
pub fn own_time(header: &mut pingora::http::ResponseHeader, context: &Context) -> pingora::Result<()> {
    let own = context.started.elapsed().saturating_sub(context.outcome.waits.total());
    header.insert_header("x-heliostat-own-us", own.as_micros().to_string())
}
