//! The table of faults: what the provider does, and how the request must end.

use std::time::Duration;

use super::case::{Case, Mode, Size};
use super::speech::Speech;
use crate::support::stage::{Step, Version};

/// How long the clock under test is.
pub const CLOCK_MS: u64 = 400;
/// The same, where a large request must be sent within it.
pub const CLOCK_LARGE_MS: u64 = 1_500;

/// One thing that providers do wrong.
pub struct Fault {
    /// For the table of counts.
    pub group: &'static str,
    pub name: &'static str,
    pub host: Host,
    /// Which cases there are.
    pub exists: fn(&Case) -> bool,
    pub steps: fn(&Scene) -> Vec<Step>,
    pub ending: fn(&Case) -> Ending,
}

/// Where the provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A fake that plays the steps.
    Stage,
    /// The same, but `https` is asked for and nobody there speaks TLS.
    StageAsTls,
    /// The same behind TLS with a certificate that nobody trusts.
    Untrusted,
    /// A name that does not resolve.
    NoName,
    /// A port where nobody listens.
    Refusing,
    /// A port where nobody accepts.
    Deaf,
}

/// What the steps are made of.
pub struct Scene {
    pub mode: Mode,
    pub speech: Speech,
    pub version: Version,
    /// What the provider says where it says anything.
    pub text: String,
}

/// How a case must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The provider's own answer reaches the client.
    Served,
    /// The client saw nothing of it: the next candidate answers; where there is none, an error.
    Next {
        /// The attempt's verdict, or several that the timing decides between: `reset|connect`.
        word: &'static str,
        /// The status of the gateway's own error.
        alone: u16,
        /// What ended the attempt.
        clock: Clock,
    },
    /// The client saw content: an error event with this code, no `[DONE]`, and nobody else is asked.
    Event(&'static str, Clock),
    /// The client saw part of a plain reply: its connection is cut, and nobody else is asked.
    CutOff(Clock),
}

/// What ends an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The fault itself, at once.
    None,
    Connect,
    Tls,
    Header,
    FirstContent,
    Stall,
    /// The client's own deadline, of which an attempt gets half while another candidate is left.
    Deadline,
}

impl Clock {
    /// Its key in `network.timeouts`.
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Deadline => None,
            Self::Connect => Some("connect_ms"),
            Self::Tls => Some("tls_ms"),
            Self::Header => Some("header_ms"),
            Self::FirstContent => Some("first_content_ms"),
            Self::Stall => Some("stall_ms"),
        }
    }
}

impl Fault {
    const fn new(group: &'static str, name: &'static str, steps: fn(&Scene) -> Vec<Step>, ending: fn(&Case) -> Ending) -> Self {
        Self { group, name, host: Host::Stage, exists: |_| true, steps, ending }
    }

    const fn at(self, host: Host) -> Self {
        Self { host, ..self }
    }

    const fn only(self, exists: fn(&Case) -> bool) -> Self {
        Self { exists, ..self }
    }
}

const fn next(word: &'static str, alone: u16) -> Ending {
    Ending::Next { word, alone, clock: Clock::None }
}

const fn timeout(word: &'static str, clock: Clock) -> Ending {
    Ending::Next { word, alone: 504, clock }
}

/// A clock of plain replies, and one of streams.
fn either(case: &Case, plain: Ending, stream: Ending) -> Ending {
    if case.mode == Mode::Plain { plain } else { stream }
}

/// What a broken HTTP/1.1 connection is called, and a broken HTTP/2 one.
fn by_version(case: &Case, one: Ending, two: Ending) -> Ending {
    if case.version == Version::One { one } else { two }
}

fn is_stream(case: &Case) -> bool {
    case.mode == Mode::Stream
}

fn is_plain(case: &Case) -> bool {
    case.mode == Mode::Plain
}

fn is_http1(case: &Case) -> bool {
    case.version == Version::One
}

/// More than a socket or a window takes at once.
fn is_large(case: &Case) -> bool {
    case.size != Size::Small
}

const PAUSE: Duration = Duration::from_millis(25);
/// Longer than a plain reply that is held.
const BEYOND_HELD: usize = 2 << 20;

impl Scene {
    /// The head of a good answer.
    fn ok(&self) -> Step {
        self.ok_with(&[])
    }

    fn ok_with(&self, more: &[(&'static str, &str)]) -> Step {
        let media_type = if self.mode == Mode::Stream { "text/event-stream" } else { "application/json" };
        let mut fields = vec![("content-type", media_type.to_owned())];
        fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Step::Answer(200, fields)
    }

    /// All of a good answer's body.
    fn whole(&self) -> Vec<u8> {
        match self.mode {
            Mode::Plain => self.speech.reply(&self.text),
            Mode::Stream => [self.speech.opening(), self.speech.text(&self.text), self.speech.closing()].concat(),
        }
    }

    /// As much of a good answer as no client may see: half a reply, or what comes before content.
    fn beginning(&self) -> Step {
        Step::Data(if self.mode == Mode::Plain { half(self.whole()) } else { self.speech.opening() })
    }

    /// A request read and answered up to its first content, which the client has then seen.
    fn begun(&self) -> Vec<Step> {
        vec![Step::Head, Step::Body, self.ok(), Step::Data([self.speech.opening(), self.speech.text(&self.text)].concat()), Step::Seen]
    }

    /// A request read, then these.
    fn read_and(&self, then: impl IntoIterator<Item = Step>) -> Vec<Step> {
        [Step::Head, Step::Body].into_iter().chain(then).collect()
    }

    /// A request read and begun to be answered, then these.
    fn answered_and(&self, then: impl IntoIterator<Item = Step>) -> Vec<Step> {
        self.read_and([self.ok()].into_iter().chain(then))
    }

    /// A request whose content the client has seen, then these.
    fn begun_and(&self, then: impl IntoIterator<Item = Step>) -> Vec<Step> {
        self.begun().into_iter().chain(then).collect()
    }

    /// An error status with its body.
    fn refused(&self, status: u16, retry_after: Option<&str>) -> Vec<Step> {
        let mut fields = vec![("content-type", "application/json".to_owned())];
        fields.extend(retry_after.map(|wait| ("retry-after", wait.to_owned())));
        self.read_and([Step::Answer(status, fields), Step::Data(self.speech.error(status).to_string().into_bytes()), Step::End])
    }

    fn page(&self, status: u16) -> Vec<Step> {
        let page = b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>".to_vec();
        self.read_and([Step::Answer(status, vec![("content-type", "text/html".into())]), Step::Data(page), Step::End])
    }

    /// A length that a good body does not have.
    fn length(&self, wrong: impl Fn(usize) -> usize) -> Step {
        self.ok_with(&[("content-length", &wrong(self.whole().len()).to_string())])
    }

    fn error_in_200(&self) -> Step {
        match self.mode {
            Mode::Plain => Step::Data(self.speech.error(529).to_string().into_bytes()),
            Mode::Stream => Step::Data(self.speech.error_event()),
        }
    }
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// A long plain reply, of which the client has seen the beginning.
fn long_reply(scene: &Scene) -> Vec<Step> {
    let mut body = scene.speech.reply(&"x".repeat(2 * BEYOND_HELD));
    body.truncate(BEYOND_HELD);
    scene.answered_and([Step::Data(body), Step::Seen])
}

macro_rules! status {
    ($status:literal, $alone:literal) => {
        Fault::new(
            "status",
            concat!(stringify!($status), " without Retry-After"),
            |scene| scene.refused($status, None),
            |_| next(stringify!($status), $alone),
        )
    };
    ($status:literal, $alone:literal, $wait:literal) => {
        Fault::new(
            "status",
            concat!(stringify!($status), " with Retry-After: ", $wait),
            |scene| scene.refused($status, Some($wait)),
            |_| next(stringify!($status), $alone),
        )
    };
}

/// All of them.
pub static FAULTS: &[Fault] = &[
    Fault::new("none", "a good answer", |s| s.answered_and([Step::Data(s.whole()), Step::End]), |_| Ending::Served),
    Fault::new(
        "none",
        "a slow one, never silent for long",
        |s| {
            let words = [s.speech.opening(), s.speech.text(&s.text[..2]), s.speech.text(&s.text[2..]), s.speech.closing()];
            let words = if s.mode == Mode::Stream { words.to_vec() } else { s.whole().chunks(64).map(<[u8]>::to_vec).collect() };
            s.answered_and(words.into_iter().flat_map(|word| [Step::Data(word), Step::Pause(PAUSE)]).chain([Step::End]))
        },
        |_| Ending::Served,
    ),
    Fault::new("none", "a whole stream that stays open", |s| s.answered_and([Step::Data(s.whole()), Step::Silence]), |_| Ending::Served)
        .only(is_stream),
    // Nobody there.
    Fault::new("unreachable", "DNS failure", |_| Vec::new(), |_| next("dns", 502)).at(Host::NoName),
    Fault::new("unreachable", "refused", |_| Vec::new(), |_| next("connect", 502)).at(Host::Refusing),
    Fault::new("unreachable", "never accepts", |_| Vec::new(), |_| timeout("timeout_connect", Clock::Connect)).at(Host::Deaf),
    Fault::new("unreachable", "TLS: a certificate nobody trusts", |_| vec![Step::Head], |_| next("tls", 502)).at(Host::Untrusted),
    Fault::new(
        "unreachable",
        "TLS: not spoken",
        |_| vec![Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()), Step::Silence],
        |_| next("tls", 502),
    )
    .at(Host::StageAsTls),
    Fault::new("unreachable", "TLS: reset in the handshake", |_| vec![Step::Stir, Step::Reset], |_| next("tls", 502)).at(Host::StageAsTls),
    Fault::new("unreachable", "TLS: silent handshake", |_| vec![Step::Silence], |_| timeout("timeout_tls", Clock::Tls))
        .at(Host::StageAsTls),
    // The connection breaks.
    Fault::new("reset", "after accept", |_| vec![Step::Reset], |_| next("reset|connect", 502)),
    Fault::new("reset", "closed after accept", |_| vec![Step::Cut], |_| next("reset", 502)),
    Fault::new("reset", "after the head", |_| vec![Step::Head, Step::Reset], |_| next("reset", 502)),
    Fault::new("reset", "mid request body", |_| vec![Step::Head, Step::SomeBody, Step::Reset], |_| next("reset", 502)),
    Fault::new("reset", "closed mid request body", |_| vec![Step::Head, Step::SomeBody, Step::Cut], |_| next("reset", 502)),
    Fault::new("reset", "after the request", |s| s.read_and([Step::Reset]), |_| next("reset", 502)),
    Fault::new("reset", "stream after the request", |s| s.read_and([Step::ResetStream]), |_| next("reset", 502)),
    Fault::new("reset", "after the response head", |s| s.answered_and([Step::Reset]), |_| next("reset", 502)),
    Fault::new("reset", "mid response body", |s| s.answered_and([s.beginning(), Step::Reset]), |_| next("reset", 502)),
    Fault::new("reset", "stream mid response body", |s| s.answered_and([s.beginning(), Step::ResetStream]), |_| next("reset", 502)),
    // Nothing comes.
    Fault::new("silence", "after accept", |_| vec![Step::Silence], |_| timeout("timeout_header", Clock::Header)),
    Fault::new("silence", "after the head", |_| vec![Step::Head, Step::Silence], |_| timeout("timeout_header", Clock::Header)),
    Fault::new("silence", "after the request", |s| s.read_and([Step::Silence]), |_| timeout("timeout_header", Clock::Header)),
    Fault::new(
        "silence",
        "after 200",
        |s| s.answered_and([Step::Silence]),
        |case| either(case, timeout("timeout_stall", Clock::Stall), timeout("timeout_first_content", Clock::FirstContent)),
    ),
    Fault::new(
        "silence",
        "before content",
        |s| s.answered_and([s.beginning(), Step::Silence]),
        |case| either(case, timeout("timeout_stall", Clock::Stall), timeout("timeout_first_content", Clock::FirstContent)),
    ),
    Fault::new(
        "silence",
        "pings for ever",
        |s| {
            let sign = if s.mode == Mode::Stream { s.speech.ping() } else { b"\n".to_vec() };
            s.answered_and([Step::Repeat(sign, PAUSE)])
        },
        |case| either(case, timeout("timeout_stall", Clock::Deadline), timeout("timeout_first_content", Clock::FirstContent)),
    ),
    Fault::new(
        "silence",
        "slow drip of the head",
        |_| vec![Step::Head, Step::Body, Step::Drip(format!("HTTP/1.1 200 OK\r\nx-filler: {}", "x".repeat(1_000)).into(), PAUSE)],
        |_| timeout("timeout_header", Clock::Header),
    )
    .only(is_http1),
    Fault::new(
        "silence",
        "slow drip of the body",
        |s| {
            let endless = if s.mode == Mode::Stream { s.speech.text(&"x".repeat(9_000)) } else { s.speech.reply(&"x".repeat(9_000)) };
            s.answered_and([Step::Drip(endless, PAUSE)])
        },
        |case| either(case, timeout("timeout_stall", Clock::Deadline), timeout("timeout_first_content", Clock::FirstContent)),
    ),
    // An error, said properly.
    status!(429, 429),
    status!(429, 429, "7"),
    status!(529, 503),
    status!(529, 503, "7"),
    status!(500, 502),
    status!(500, 502, "7"),
    status!(503, 502),
    status!(503, 502, "7"),
    Fault::new("status", "502 as a page of HTML", |s| s.page(502), |_| next("502", 502)),
    Fault::new(
        "status",
        "early 429, the body never read",
        |s| s.refused(429, Some("7")).into_iter().filter(|step| !matches!(step, Step::Body)).chain([Step::Silence]).collect(),
        |_| next("429", 429),
    )
    .only(is_large),
    Fault::new(
        "status",
        "early 429, then closed",
        |s| s.refused(429, Some("7")).into_iter().filter(|step| !matches!(step, Step::Body)).chain([Step::Cut]).collect(),
        |_| next("429", 429),
    )
    .only(is_http1),
    // A 200 that is none.
    Fault::new(
        "error in a 200",
        "before content",
        |s| s.answered_and([s.error_in_200(), Step::End]),
        |case| match case.speech {
            Speech::OpenAi => next("500", 502),
            Speech::Anthropic => next("529", 503),
        },
    ),
    Fault::new("error in a 200", "a page of HTML", |s| s.page(200), |_| next("malformed", 502)),
    Fault::new(
        "error in a 200",
        "empty",
        |s| s.answered_and([Step::End]),
        |case| either(case, next("malformed", 502), next("truncated", 502)),
    ),
    // An answer that cannot be read, or is not all there.
    Fault::new(
        "broken answer",
        "garbage",
        |_| vec![Step::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".into()), Step::Silence],
        |_| next("malformed", 502),
    ),
    Fault::new(
        "broken answer",
        "ends in the middle, properly",
        |s| s.answered_and([s.beginning(), Step::End]),
        |case| either(case, next("malformed", 502), next("truncated", 502)),
    ),
    Fault::new(
        "broken answer",
        "closed in the middle",
        |s| s.answered_and([s.beginning(), Step::Cut]),
        |case| by_version(case, next("truncated", 502), next("reset", 502)),
    ),
    Fault::new(
        "broken answer",
        "content-length too long",
        |s| {
            // Over HTTP/1.1 only the end of the connection says that no more will come.
            let last = if s.version == Version::One { Step::Cut } else { Step::End };
            s.read_and([s.length(|length| length + 500), s.beginning(), last])
        },
        |case| by_version(case, next("truncated", 502), next("malformed", 502)),
    ),
    Fault::new(
        "broken answer",
        "content-length too short",
        |s| s.read_and([s.length(|length| length / 5), Step::Data(s.whole()), Step::End]),
        |case| by_version(case, either(case, next("malformed", 502), next("malformed|truncated", 502)), next("malformed", 502)),
    ),
    Fault::new(
        "broken answer",
        "a chunk that is none",
        |s| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
            s.read_and([Step::Raw(head.into()), Step::Silence])
        },
        |_| next("malformed", 502),
    )
    .only(is_http1),
    // The client has seen content.
    Fault::new("after content", "reset", |s| s.begun_and([Step::Reset]), |_| Ending::Event("stream_truncated", Clock::None))
        .only(is_stream),
    Fault::new("after content", "stream reset", |s| s.begun_and([Step::ResetStream]), |_| Ending::Event("stream_truncated", Clock::None))
        .only(is_stream),
    Fault::new("after content", "closed", |s| s.begun_and([Step::Cut]), |_| Ending::Event("stream_truncated", Clock::None)).only(is_stream),
    Fault::new("after content", "ends without its end", |s| s.begun_and([Step::End]), |_| Ending::Event("stream_truncated", Clock::None))
        .only(is_stream),
    Fault::new(
        "after content",
        "an error",
        |s| s.begun_and([Step::Data(s.speech.error_event()), Step::End]),
        |_| Ending::Event("", Clock::None),
    )
    .only(is_stream),
    Fault::new(
        "after content",
        "an error, and it stays open",
        |s| s.begun_and([Step::Data(s.speech.error_event()), Step::Silence]),
        |_| Ending::Event("", Clock::None),
    )
    .only(is_stream),
    Fault::new(
        "after content",
        "reset within an event",
        |s| s.begun_and([Step::Data(half(s.speech.text("never"))), Step::Reset]),
        |_| Ending::Event("stream_truncated", Clock::None),
    )
    .only(is_stream),
    Fault::new("after content", "silence", |s| s.begun_and([Step::Silence]), |_| Ending::Event("stream_stalled", Clock::Stall))
        .only(is_stream),
    Fault::new(
        "after content",
        "pings for ever",
        |s| s.begun_and([Step::Repeat(s.speech.ping(), PAUSE)]),
        |_| Ending::Event("stream_stalled", Clock::Stall),
    )
    .only(is_stream),
    Fault::new(
        "after content",
        "slow drip",
        |s| s.begun_and([Step::Drip(s.speech.text(&"x".repeat(9_000)), PAUSE)]),
        |_| Ending::Event("stream_stalled", Clock::Stall),
    )
    .only(is_stream),
    Fault::new("after content", "reset in a long reply", |s| [long_reply(s), vec![Step::Reset]].concat(), |_| Ending::CutOff(Clock::None))
        .only(|case| is_plain(case) && case.speech == Speech::OpenAi),
    Fault::new(
        "after content",
        "silence in a long reply",
        |s| [long_reply(s), vec![Step::Silence]].concat(),
        |_| Ending::CutOff(Clock::Stall),
    )
    .only(|case| is_plain(case) && case.speech == Speech::OpenAi),
];
