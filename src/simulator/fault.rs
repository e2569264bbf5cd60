//! Misbehaviour by model name, the same in every wire format.

use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An error status, with a Retry-After in seconds.
    Status(u16, Option<u64>),
    /// 502 with a page of HTML, as an edge server writes it.
    Html,
    /// 200 with something that is not JSON.
    Garbage,
    /// 200 with an error object.
    ErrorIn200,
    /// The header comes late.
    SlowHeader(Duration),
    /// Time passes between events.
    SlowEvents(Duration),
    /// So many events with content, then silence.
    StallAfter(usize),
    /// No answer at all.
    Hang,
    /// A header, then silence.
    HangAfterHeader,
    /// A header, then comments or pings for ever.
    KeepAlive,
    /// What comes before content, then silence.
    PrefaceThenStall,
    /// RST instead of an answer.
    Reset,
    /// RST after so many events with content.
    ResetAfter(usize),
    /// A clean end after so many events with content.
    Truncate(usize),
    /// 200, and an error as the first event.
    ErrorFirst,
    /// An error event after so many events with content.
    ErrorAfter(usize),
    /// Everything but OpenAI's `[DONE]`.
    NoDone,
}

/// A fault's name and what it means with the number behind it, if one is written (`slow-200`, `fail-429-7`).
type Row = (&'static str, fn(Option<u64>) -> Fault);

/// Longer names before those they begin with.
const FAULTS: &[Row] = &[
    ("fail-html-502", |_| Fault::Html),
    ("fail-429-bare", |_| Fault::Status(429, None)),
    ("fail-429", |seconds| Fault::Status(429, Some(seconds.unwrap_or(1)))),
    ("fail-529", |seconds| Fault::Status(529, Some(seconds.unwrap_or(1)))),
    ("fail-503", |seconds| Fault::Status(503, seconds)),
    ("fail-500", |_| Fault::Status(500, None)),
    ("fail-400", |_| Fault::Status(400, None)),
    ("fail-401", |_| Fault::Status(401, None)),
    ("fail-402", |_| Fault::Status(402, None)),
    ("fail-403", |_| Fault::Status(403, None)),
    ("fail-404", |_| Fault::Status(404, None)),
    ("fail-413", |_| Fault::Status(413, None)),
    ("does-not-exist", |_| Fault::Status(404, None)),
    ("slow-tokens", |ms| Fault::SlowEvents(Duration::from_millis(ms.unwrap_or(1_000)))),
    ("slow", |ms| Fault::SlowHeader(Duration::from_millis(ms.unwrap_or(3_000)))),
    ("typing", |ms| Fault::SlowEvents(Duration::from_millis(ms.unwrap_or(60)))),
    ("stall-after", |events| Fault::StallAfter(count(events))),
    ("keepalive-stall", |_| Fault::KeepAlive),
    ("role-then-stall", |_| Fault::PrefaceThenStall),
    ("hang-after-200", |_| Fault::HangAfterHeader),
    ("hang", |_| Fault::Hang),
    ("reset-mid-stream", |events| Fault::ResetAfter(count(events))),
    ("reset", |_| Fault::Reset),
    ("truncate", |events| Fault::Truncate(count(events))),
    ("error-first", |_| Fault::ErrorFirst),
    ("error-mid", |events| Fault::ErrorAfter(count(events))),
    ("error-200", |_| Fault::ErrorIn200),
    ("no-done", |_| Fault::NoDone),
    ("garbage", |_| Fault::Garbage),
];

impl Fault {
    /// The fault that a model's name contains, as whole words.
    pub(super) fn of(model: &str) -> Option<Self> {
        FAULTS.iter().find_map(|(name, make)| Some(make(parameter(words_after(model, name)?))))
    }
}

/// Names for a list of models.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|(name, _)| *name)
}

/// What follows `name` in `model`, where it stands there between word boundaries.
fn words_after<'a>(model: &'a str, name: &str) -> Option<&'a str> {
    let inside = |c: char| c.is_ascii_alphanumeric();
    model.match_indices(name).find_map(|(at, _)| {
        let before = model.get(..at)?;
        let after = model.get(at + name.len()..)?;
        (!before.ends_with(inside) && !after.starts_with(inside)).then_some(after)
    })
}

fn parameter(after: &str) -> Option<u64> {
    let digits = after.strip_prefix('-')?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn count(events: Option<u64>) -> usize {
    events.and_then(|events| usize::try_from(events).ok()).unwrap_or(3)
}
