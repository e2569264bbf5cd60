//! From a reply and a fault to the steps by which it is sent.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::asked::Asked;
use super::exchange::{Body, Event, Format, Page, Part, Refusal};
use super::fault::Fault;

/// How often a stream that has nothing to say sends a sign of life.
const PING_EVERY: Duration = Duration::from_millis(200);

/// The longest `x-simulator-received`; beyond it the header is left out, the text says the same.
const HEADER_LIMIT: usize = 8 << 10;

/// Into how many pieces a plain body is cut where a fault breaks it off.
const PIECES: usize = 8;

/// What the status alone says, for errors that a model's name asks for.
const MESSAGES: &[(u16, &str)] = &[
    (400, "The request is not valid (simulated)"),
    (401, "The API key is not valid (simulated)"),
    (402, "The credit balance is too low (simulated)"),
    (403, "The API key does not have permission to use this resource (simulated)"),
    (404, "The model does not exist or you do not have access to it (simulated)"),
    (413, "The request exceeds the maximum size (simulated)"),
    (429, "Rate limit reached for requests (simulated)"),
    (500, "Internal server error (simulated)"),
    (503, "The service is unavailable (simulated)"),
    (529, "Overloaded (simulated)"),
];

/// A reply, step by step.
pub(super) struct Script {
    pub(super) opening: Opening,
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) steps: Vec<Step>,
}

/// What happens before the header.
pub(super) enum Opening {
    /// It is sent after this time.
    After(Duration),
    /// Nothing, ever.
    Never,
    /// The connection breaks.
    Reset,
}

/// One step of a body.
pub(super) enum Step {
    Send(Bytes),
    Pause(Duration),
    /// Nothing more, the connection stays open.
    Silence,
    /// The same for ever, with time between.
    Repeat(Bytes, Duration),
    /// The connection breaks.
    Reset,
}

impl Script {
    /// The steps for what a format made of a request.
    pub(super) fn of(format: &dyn Format, served: Result<Page, Refusal>, id: &str) -> Self {
        let mut script = match served {
            Err(refusal) => Self::error(format, &refusal),
            Ok(Page::Json(value)) => Self::whole("application/json", written(&value)),
            Ok(Page::Vectors(model, value)) => Self::of_model(format, &model, Body::Plain(value)),
            Ok(Page::Chat(asked, body)) => {
                let mut script = Self::of_model(format, &asked.model, body);
                script.headers.extend(received(&asked));
                script
            }
        };
        script.headers.extend(format.headers(id));
        script
    }

    fn of_model(format: &dyn Format, model: &str, body: Body) -> Self {
        match Fault::of(model) {
            Some(fault) => Self::faulty(format, body, fault),
            None => Self::healthy(body),
        }
    }

    fn whole(media_type: &'static str, body: Bytes) -> Self {
        Self::stepwise(media_type, vec![Step::Send(body)])
    }

    fn stepwise(media_type: &'static str, steps: Vec<Step>) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { opening: Opening::After(Duration::ZERO), status: 200, headers, steps }
    }

    fn error(format: &dyn Format, refusal: &Refusal) -> Self {
        let script = Self::whole("application/json", written(&format.error(refusal)));
        Self { status: refusal.status, ..script }
    }

    fn healthy(body: Body) -> Self {
        match body {
            Body::Plain(value) => Self::whole("application/json", written(&value)),
            Body::Stream(media_type, events) => {
                Self::stepwise(media_type, events.into_iter().map(|event| Step::Send(event.bytes)).collect())
            }
        }
    }

    fn faulty(format: &dyn Format, body: Body, fault: Fault) -> Self {
        match fault {
            Fault::Status(status, retry_after) => {
                let mut script = Self::error(format, &simulated(status));
                script.headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
                script
            }
            Fault::Html => {
                let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n";
                Self { status: 502, ..Self::whole("text/html", Bytes::from_static(page.as_bytes())) }
            }
            Fault::Garbage => Self::whole("application/json", Bytes::from_static(b"upstream connect error or \x00\xff disconnect")),
            Fault::ErrorIn200 => Self { status: 200, ..Self::error(format, &simulated(529)) },
            Fault::SlowHeader(delay) => Self { opening: Opening::After(delay), ..Self::healthy(body) },
            Fault::Hang => Self { opening: Opening::Never, ..Self::healthy(body) },
            Fault::Reset => Self { opening: Opening::Reset, ..Self::healthy(body) },
            _ => Self::broken_off(format, body, fault),
        }
    }

    /// Faults that come after the header.
    fn broken_off(format: &dyn Format, body: Body, fault: Fault) -> Self {
        let streamed = matches!(body, Body::Stream(..));
        let (media_type, events) = events_of(body);
        let error = if streamed { format.error_event() } else { format.error(&simulated(529)).to_string().into() };
        let steps = match fault {
            Fault::SlowEvents(time) => events.into_iter().flat_map(|event| [Step::Send(event.bytes), Step::Pause(time)]).collect(),
            Fault::HangAfterHeader => vec![Step::Silence],
            Fault::KeepAlive if streamed => vec![Step::Repeat(Bytes::from_static(format.ping()), PING_EVERY)],
            Fault::KeepAlive => vec![Step::Repeat(Bytes::from_static(b"\n"), PING_EVERY)],
            Fault::PrefaceThenStall => preface(format, events, streamed),
            Fault::StallAfter(count) => first(events, count).chain([Step::Silence]).collect(),
            Fault::ResetAfter(count) => first(events, count).chain([Step::Reset]).collect(),
            Fault::Truncate(count) => first(events, count).collect(),
            Fault::ErrorFirst => vec![Step::Send(error)],
            Fault::ErrorAfter(count) => first(events, count).chain([Step::Send(error)]).collect(),
            Fault::NoDone => {
                events.into_iter().filter(|event| event.bytes != "data: [DONE]\n\n").map(|event| Step::Send(event.bytes)).collect()
            }
            _ => Vec::new(),
        };
        Self::stepwise(media_type, steps)
    }
}

/// JSON as OpenAI and Google write it: on several lines, for people to read.
fn written(value: &Value) -> Bytes {
    format!("{value:#}\n").into()
}

fn simulated(status: u16) -> Refusal {
    Refusal::new(status, MESSAGES.iter().find(|(known, _)| *known == status).map_or("Simulated error", |(_, message)| message))
}

/// A plain body as events too, so that it can break off in the middle.
fn events_of(body: Body) -> (&'static str, Vec<Event>) {
    match body {
        Body::Stream(media_type, events) => (media_type, events),
        Body::Plain(value) => {
            let whole = written(&value);
            let size = whole.len().div_ceil(PIECES).max(1);
            let mut events: Vec<Event> =
                whole.chunks(size).map(|piece| Event { part: Part::Content, bytes: whole.slice_ref(piece) }).collect();
            if let Some(last) = events.last_mut() {
                last.part = Part::Tail;
            }
            ("application/json", events)
        }
    }
}

/// Everything up to the given number of events with content, and never the end.
fn first(events: Vec<Event>, count: usize) -> impl Iterator<Item = Step> {
    let mut left = count;
    let wanted = events.into_iter().take_while(move |event| match event.part {
        Part::Preface => left > 0 || count == 0,
        Part::Content => {
            let wanted = left > 0;
            left = left.saturating_sub(1);
            wanted
        }
        Part::Tail => false,
    });
    wanted.map(|event| Step::Send(event.bytes))
}

/// What comes before content; formats that begin with content have an event without any.
fn preface(format: &dyn Format, events: Vec<Event>, streamed: bool) -> Vec<Step> {
    let mut steps: Vec<Step> =
        events.into_iter().take_while(|event| event.part == Part::Preface).map(|event| Step::Send(event.bytes)).collect();
    if steps.is_empty() && streamed {
        steps.push(Step::Send(format.empty_event()));
    }
    steps.push(Step::Silence);
    steps
}

fn received(asked: &Asked) -> Option<(&'static str, String)> {
    let summary = asked.summary().to_string();
    (summary.len() <= HEADER_LIMIT && summary.is_ascii()).then_some(("x-simulator-received", summary))
}
