//! One case: a fault with a mode, a size, a version of HTTP, a dialect, and with or without another candidate.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::faults::{CLOCK_LARGE_MS, CLOCK_MS, Clock, Ending, Fault, Host, Scene};
use super::speech::Speech;
use crate::support::client;
use crate::support::gateway::Gateway;
use crate::support::http::Head;
use crate::support::native::is_done;
use crate::support::sample::{big_png, data_uri, image, text};
use crate::support::stage::{Stage, Step, Version};
use crate::support::tls::{Authority, Front};
use crate::support::{Provider, Value, json, with};

/// What a clock may be late by, on a small and busy machine. Less than the next longer clock's default.
const LATE: Duration = Duration::from_millis(2_500);
/// A client's whole patience, where the case is about it. An attempt gets half while another candidate is left.
const PATIENCE_MS: u64 = 3_000;
/// What a large request may take until its attempt begins.
const EARLIER_MS: u64 = 300;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Stream,
}

/// How large the request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 1 KB.
    Small,
    /// One image of 1.3 MB.
    Image,
    /// Twelve images of 130 KB.
    Twelve,
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    pub fault: &'static Fault,
    pub mode: Mode,
    pub size: Size,
    pub version: Version,
    /// The first provider's dialect; the second's is the other one.
    pub speech: Speech,
    /// Whether the request may go elsewhere.
    pub fallback: bool,
}

/// A case with its providers.
pub struct Play {
    pub case: Case,
    number: usize,
    first: Site,
    second: Stage,
}

/// Where the first provider is.
struct Site {
    url: String,
    stage: Option<Stage>,
    /// Kept so long as the case runs.
    _held: (Option<Provider>, Option<Front>),
}

/// What the client got.
struct Answer {
    status: u16,
    head: Head,
    /// Of a stream.
    events: Vec<String>,
    /// Of anything else.
    body: Vec<u8>,
    /// It ended as HTTP says it must.
    whole: bool,
    took: Duration,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Plain, Self::Stream];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stream => "stream",
        }
    }
}

impl Size {
    pub const ALL: [Self; 3] = [Self::Small, Self::Image, Self::Twelve];

    /// The images of a request, as base64.
    fn images(self) -> &'static [String] {
        static ONE: LazyLock<Vec<String>> = LazyLock::new(|| vec![big_png(1_300_000, 1)]);
        static TWELVE: LazyLock<Vec<String>> = LazyLock::new(|| (0..12).map(|seed| big_png(130_000, seed)).collect());
        match self {
            Self::Small => &[],
            Self::Image => &ONE,
            Self::Twelve => &TWELVE,
        }
    }
}

impl Case {
    /// Whether there is such a case: some faults need a stream, a version, or a large body; what the client has seen needs no second
    /// candidate to be wrongly asked unless there is one.
    pub fn exists(&self) -> bool {
        let ends_here = !matches!((self.fault.ending)(self), Ending::Next { .. });
        (self.fault.exists)(self) && (self.fallback || !ends_here)
    }

    /// What the providers say.
    fn says(number: usize) -> [String; 2] {
        ["first", "second"].map(|which| format!("{which}-{number:04}"))
    }

    fn clock(&self) -> Clock {
        match (self.fault.ending)(self) {
            Ending::Next { clock, .. } | Ending::Event(_, clock) | Ending::CutOff(clock) => clock,
            Ending::Served => Clock::None,
        }
    }

    /// How long the first attempt lasts at least. A deadline runs from the request's own beginning, not the attempt's.
    fn least(&self) -> Duration {
        Duration::from_millis(match self.clock() {
            Clock::None => 0,
            Clock::Deadline if self.fallback => PATIENCE_MS / 2 - EARLIER_MS,
            Clock::Deadline => PATIENCE_MS - EARLIER_MS,
            _ => self.clock_ms(),
        })
    }

    /// How long the clock under test is. That of the first content covers the sending of the request: longer where that is large.
    fn clock_ms(&self) -> u64 {
        if self.size == Size::Twelve && self.clock() == Clock::FirstContent { CLOCK_LARGE_MS } else { CLOCK_MS }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, mode, size, version, speech, fallback } = self;
        let then = if *fallback { "another candidate" } else { "alone" };
        write!(formatter, "{}, {} ({mode:?}, {size:?}, HTTP/{version:?}, {speech:?}, {then})", fault.group, fault.name)
    }
}

impl Play {
    /// Starts the case's providers.
    pub async fn prepare(number: usize, case: Case) -> Self {
        let [first, second] = Case::says(number);
        let scene = |speech, text| Scene { mode: case.mode, speech, version: case.version, text };
        let site = Site::open(&case, (case.fault.steps)(&scene(case.speech, first))).await;
        let good = &super::FAULTS[0];
        let second = Stage::start(case.version, (good.steps)(&scene(case.other(), second))).await;
        Self { case, number, first: site, second }
    }

    /// The providers as the configuration names them.
    pub fn yaml(&self) -> String {
        let (number, http2) = (self.number, self.case.version == Version::Two);
        let clock_ms = self.case.clock_ms();
        let clock = self.case.clock().key().map(|key| format!(", network: {{ timeouts: {{ {key}: {clock_ms} }} }}")).unwrap_or_default();
        let row = |name: &str, url: &str, speech: Speech, more: &str| {
            let (dialect, key) = (speech.name(), "keys: [{ value: env.KEY_A }]");
            format!("  {name}-{number}: {{ base_url: \"{url}/v1\", dialect: {dialect}, http2: {http2}, {key}{more} }}\n")
        };
        let second = format!("http://{}", self.second.address);
        row("first", &self.first.url, self.case.speech, &clock) + &row("second", &second, self.case.other(), "")
    }

    /// Runs the case and judges it.
    pub async fn run(&self, gateway: &Gateway) -> Result<(), String> {
        let asked = tokio::time::timeout(Duration::from_secs(20), self.ask(gateway)).await;
        let answer = asked.map_err(|_| "no answer within 20 s".to_owned())?;
        self.judge(&answer)?;
        self.judge_upstream().await?;
        self.judge_log(&gateway.access(&self.id()).await)
    }

    async fn ask(&self, gateway: &Gateway) -> Answer {
        let began = Instant::now();
        let patience = PATIENCE_MS.to_string();
        let id = self.id();
        let mut headers = vec![("x-request-id", id.as_str())];
        if self.case.clock() == Clock::Deadline {
            headers.push(("x-heliostat-timeout-ms", &patience));
        }
        let body = self.request().to_string();
        let mut stream = client::open(gateway.address, "/v1/chat/completions", &headers, body.as_bytes()).await;
        let seen = || self.first.stage.as_ref().map_or((), Stage::seen);
        let mut answer = Answer {
            status: stream.status,
            head: stream.head.clone(),
            events: Vec::new(),
            body: Vec::new(),
            whole: true,
            took: began.elapsed(),
        };
        if answer.head.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            while answer.whole {
                match stream.try_event().await {
                    Ok(Some(event)) => answer.events.push(event),
                    Ok(None) => break,
                    Err(_) => answer.whole = false,
                }
                if !answer.text().is_empty() {
                    seen();
                }
            }
        } else {
            while answer.whole {
                match stream.piece().await {
                    Ok(Some(piece)) => answer.body.extend(piece),
                    Ok(None) => break,
                    Err(_) => answer.whole = false,
                }
                seen();
            }
        }
        answer.took = began.elapsed();
        answer
    }

    fn request(&self) -> Value {
        let filler = format!("case {} {}", self.number, "hello ".repeat(130));
        let images = self.case.size.images().iter().map(|data| image(&data_uri("image/png", data)));
        let parts: Vec<_> = [text(&filler)].into_iter().chain(images).collect();
        let fallbacks = if self.case.fallback { json!([format!("second-{}/m", self.number)]) } else { json!([]) };
        let body = json!({
            "model": format!("first-{}/m", self.number), "max_tokens": 50, "fallbacks": fallbacks,
            "messages": [{"role": "user", "content": parts}]
        });
        if self.case.mode == Mode::Stream { with(body, json!({"stream": true})) } else { body }
    }

    /// What the client got.
    fn judge(&self, answer: &Answer) -> Result<(), String> {
        let [first, second] = Case::says(self.number);
        match (self.case.fault.ending)(&self.case) {
            Ending::Served => {
                self.judge_attempts(answer, &["200"])?;
                self.judge_whole(answer, &first)
            }
            Ending::Next { word, .. } if self.case.fallback => {
                self.judge_attempts(answer, &[word, "200"])?;
                self.judge_whole(answer, &second)
            }
            Ending::Next { word, alone, .. } => {
                self.judge_attempts(answer, &[word])?;
                self.judge_error(answer, word, alone)
            }
            Ending::Event(code, _) => {
                self.judge_attempts(answer, &["200"])?;
                self.judge_broken(answer, &first, code)
            }
            Ending::CutOff(_) => {
                self.judge_attempts(answer, &["200"])?;
                ensure(!answer.whole, || format!("{} bytes look like the whole reply", answer.body.len()))
            }
        }?;
        let (least, most) = (self.case.least(), self.case.least() + LATE);
        ensure((least..most).contains(&answer.took), || format!("took {:?}, not {least:?} to {most:?}", answer.took))
    }

    fn judge_attempts(&self, answer: &Answer, words: &[&str]) -> Result<(), String> {
        let names = ["first", "second"].map(|name| format!("{name}-{}/m#KEY_A", self.number));
        let attempts = client::attempts(&answer.head);
        let as_wanted = attempts.len() == words.len()
            && attempts.iter().zip(names.iter().zip(words)).all(|(attempt, (name, words))| {
                attempt
                    .strip_prefix(name.as_str())
                    .and_then(|rest| rest.strip_prefix(';'))
                    .is_some_and(|word| words.split('|').any(|w| w == word))
            });
        ensure(as_wanted, || format!("attempts {attempts:?}, not {words:?}"))
    }

    /// One answer, whole, and nothing of another.
    fn judge_whole(&self, answer: &Answer, wanted: &str) -> Result<(), String> {
        ensure(answer.status == 200 && answer.whole, || format!("{} {}, whole: {}", answer.status, answer.told(), answer.whole))?;
        let text = answer.text();
        ensure(text == wanted, || format!("the client reads {text:?}, not {wanted:?}"))?;
        ensure(self.case.mode == Mode::Plain || is_done(&answer.events), || format!("no [DONE] in {:?}", answer.events))
    }

    /// The provider's own error as it is where the client speaks its dialect; else one of the gateway's, in the client's shape.
    fn judge_error(&self, answer: &Answer, word: &str, alone: u16) -> Result<(), String> {
        ensure(answer.whole, || "the error is not whole".into())?;
        let said = self.said();
        let status = said.map_or(alone, |(status, _)| if self.case.speech == Speech::OpenAi { status } else { alone });
        ensure(answer.status == status, || format!("status {}, not {status}: {}", answer.status, answer.told()))?;
        if let Some((_, Some(wait))) = said {
            let told = answer.head.header("retry-after");
            ensure(told == Some(wait), || format!("retry-after {told:?}, not {wait}"))?;
        }
        if said.is_some() && self.case.speech == Speech::OpenAi {
            return Ok(());
        }
        let json: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("{error} in {}", answer.told()))?;
        let message = json["error"]["message"].as_str().unwrap_or_default();
        let shaped = ["message", "type", "param", "code"].iter().all(|key| json["error"].get(key).is_some());
        ensure(shaped && word.split('|').any(|word| message.contains(word)), || {
            format!("no error of OpenAI's shape that tells of {word}: {json}")
        })?;
        let retry = answer.head.header("x-should-retry");
        let wanted = if said.is_some_and(|(_, wait)| wait.is_some()) { "true" } else { "false" };
        ensure(retry == Some(wanted), || format!("x-should-retry {retry:?}, not {wanted}"))
    }

    /// Content, then an error event, and nothing that looks like an end.
    fn judge_broken(&self, answer: &Answer, wanted: &str, code: &str) -> Result<(), String> {
        let text = answer.text();
        ensure(answer.status == 200 && text == wanted, || format!("{} {text:?}, not {wanted:?}", answer.status))?;
        let errors: Vec<_> = answer.data().into_iter().filter(|data| data.get("error").is_some()).collect();
        let told = errors.len() == 1 && (code.is_empty() || errors[0]["error"]["code"] == code);
        ensure(told, || format!("{errors:?}, not one error {code}"))?;
        ensure(!is_done(&answer.events), || "[DONE] after an error".into())
    }

    /// What each provider was asked: no more than once, the second only where it may be, and then with the whole request.
    async fn judge_upstream(&self) -> Result<(), String> {
        let ending = (self.case.fault.ending)(&self.case);
        if let Some(stage) = &self.first.stage {
            let asked = stage.asked().len();
            let most = usize::from((self.case.fault.steps)(&self.scene()).iter().any(|step| matches!(step, Step::Head)));
            let least = if self.case.fault.host == Host::Stage { most } else { 0 };
            ensure((least..=most).contains(&asked), || format!("the first provider was asked {asked} times"))?;
            stage.quiet().await;
        }
        let asked = self.second.asked();
        let wanted = usize::from(self.case.fallback && matches!(ending, Ending::Next { .. }));
        ensure(asked.len() == wanted, || format!("the second provider was asked {} times, not {wanted}", asked.len()))?;
        for body in asked {
            let mut from = 0;
            for (at, data) in self.case.size.images().iter().enumerate() {
                let found = memchr::memmem::find(&body[from..], data.as_bytes());
                from += found.ok_or_else(|| format!("image {at} did not reach the second provider whole and in order"))? + data.len();
            }
        }
        Ok(())
    }

    fn judge_log(&self, line: &Value) -> Result<(), String> {
        let outcome = match (self.case.fault.ending)(&self.case) {
            Ending::Next { .. } if self.case.fallback => "ok",
            Ending::Served => "ok",
            _ => "error",
        };
        ensure(line["outcome"] == outcome, || format!("the access log says {line}, not {outcome}"))?;
        let took = Duration::from_micros(line["attempts"][0]["took_us"].as_u64().unwrap_or_default());
        let least = if matches!((self.case.fault.ending)(&self.case), Ending::Next { .. }) { self.case.least() } else { Duration::ZERO };
        ensure((least..least + LATE).contains(&took), || format!("the first attempt took {took:?}, not about {least:?}"))
    }

    /// The status and Retry-After of the error that the first provider says, if it does.
    fn said(&self) -> Option<(u16, Option<&'static str>)> {
        (self.case.fault.steps)(&self.scene()).iter().find_map(|step| match step {
            Step::Answer(status @ 400.., fields) => Some((*status, fields.iter().any(|(name, _)| *name == "retry-after").then_some("7"))),
            _ => None,
        })
    }

    fn scene(&self) -> Scene {
        let [text, _] = Case::says(self.number);
        Scene { mode: self.case.mode, speech: self.case.speech, version: self.case.version, text }
    }

    fn id(&self) -> String {
        format!("case-{:04}-end", self.number)
    }
}

impl Case {
    /// The second provider's dialect.
    fn other(&self) -> Speech {
        match self.speech {
            Speech::OpenAi => Speech::Anthropic,
            Speech::Anthropic => Speech::OpenAi,
        }
    }
}

impl Site {
    async fn open(case: &Case, steps: Vec<Step>) -> Self {
        let bare = |provider: Provider| Self { url: provider.url(), stage: None, _held: (Some(provider), None) };
        match case.fault.host {
            Host::NoName => Self { url: "http://nowhere.invalid".into(), stage: None, _held: (None, None) },
            Host::Refusing => bare(Provider::refusing().await),
            Host::Deaf => bare(Provider::deaf().await),
            host => {
                let stage = Stage::start(case.version, steps).await;
                let address = stage.address;
                let (url, front) = match host {
                    Host::StageAsTls => (format!("https://{address}"), None),
                    Host::Untrusted => {
                        let front = Authority::new().front("127.0.0.1", &["h2", "http/1.1"], address).await;
                        (front.url(), Some(front))
                    }
                    _ => (format!("http://{address}"), None),
                };
                Self { url, stage: Some(stage), _held: (None, front) }
            }
        }
    }
}

impl Answer {
    /// The assistant's text, whatever the form.
    fn text(&self) -> String {
        if self.events.is_empty() {
            let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            return json["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        }
        self.data().iter().filter_map(|data| data["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// The JSON of its events. One may have been cut off.
    fn data(&self) -> Vec<Value> {
        let lines = self.events.iter().flat_map(|event| event.lines()).filter_map(|line| line.strip_prefix("data: "));
        lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    /// The beginning of it, for a failure to show.
    fn told(&self) -> String {
        format!("{:?} {:.600}", self.events, String::from_utf8_lossy(&self.body))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
