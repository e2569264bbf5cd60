//! Every client dialect with every upstream dialect, over recorded traffic: a dialect that is added to a table is walked on the same day.
//!
//! - Requests: whatever a client really sent is carried to each other dialect, with every text, image, tool and call in it, or the loss or
//!   the refusal is named.
//! - Replies and streams: whatever a provider really said is written for each client, read back with that client's own dialect, and says
//!   the same: text, reasoning, calls, reason, counts.
//!
//! The recordings are found at `HELIOSTAT_FIXTURES`, else beside the checkout; without them the tests say so and pass.

#![allow(
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{Reasoning, Reply, ReplyContext, StreamEvent, StreamReader, StreamWriter};
use heliostat_filters::dialect::{Address, CLIENTS, Client, DIALECTS, Dialect, Names, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::loss::Loss;
use heliostat_filters::refusal::RefusalScope;
use heliostat_filters::sse::Splitter;
use heliostat_filters::usage::Usage;
use serde_json::Value;

/// Endpoints of the recordings, and the dialects that they speak.
const ENDPOINTS: &[(&str, &str)] = &[
    ("chat.completions", "openai"),
    ("messages", "anthropic"),
    ("rawPredict", "anthropic"),
    ("streamRawPredict", "anthropic"),
    ("generateContent", "gemini"),
    ("streamGenerateContent", "gemini"),
    ("responses", "responses"),
];

/// Dialects without conversations.
const NO_CHAT: &[&str] = &["cohere"];

/// A model of each dialect that takes most.
const MODELS: &[(&str, &str)] = &[
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("responses", "gpt-5"),
    ("mistral", "mistral-small-latest"),
];

/// Cuts of a stream up to this long are tried all, of a longer one around each event and at random places.
const EXHAUSTIVE_BYTES: usize = 8 << 10;

struct Case {
    id: String,
    dialect: &'static str,
    path: String,
    request: Option<String>,
    reply: Option<String>,
    stream: Option<String>,
}

/// What there is to count of a walk.
#[derive(Default)]
struct Tally {
    run: usize,
    exact: usize,
    named: usize,
    unexplained: Vec<String>,
}

impl Tally {
    fn take(&mut self, name: &str, losses: &[Loss], differences: &[String]) {
        self.run += 1;
        match (differences.is_empty(), losses.is_empty()) {
            (true, true) => self.exact += 1,
            (true, false) => self.named += 1,
            (false, _) => self.unexplained.push(format!("{name}\n    {}\n    losses: {}", differences.join("\n    "), told(losses))),
        }
    }

    fn conclude(self, what: &str) {
        println!(
            "{what}: {} run, {} exact, {} with named differences, {} unexplained",
            self.run,
            self.exact,
            self.named,
            self.unexplained.len()
        );
        assert!(self.unexplained.is_empty(), "{what}, {} unexplained:\n{}", self.unexplained.len(), self.unexplained.join("\n"));
    }
}

#[test]
fn every_recorded_request_reaches_every_dialect() {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases() {
        let (Some(client), Some(body)) = (client(case.dialect), &case.request) else { continue };
        for upstream in upstreams().filter(|upstream| upstream.name() != client.name()) {
            let tally = tallies.entry(format!("requests {} → {}", client.name(), upstream.name())).or_default();
            carry(&case, client, *upstream, body, tally);
        }
    }
    tallies.into_iter().for_each(|(what, tally)| tally.conclude(&what));
}

#[test]
fn every_recorded_reply_is_told_to_every_client() {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases() {
        let (Some(upstream), Some(reply)) = (dialect(case.dialect), &case.reply) else { continue };
        let body = Bytes::from(reply.clone());
        let Ok(reply) = upstream.chat_reply(&body, &Names::default()) else { continue };
        for client in CLIENTS.iter().filter(|client| client.name() != upstream.name()) {
            let tally = tallies.entry(format!("replies {} → {}", upstream.name(), client.name())).or_default();
            let written = client.write_reply(&reply, &context(*client));
            let body = written.body.join();
            assert_eq!(body.len(), written.body.len_bytes, "{}: announced length", case.id);
            let losses: Vec<_> = reply.losses.iter().chain(&written.losses).cloned().collect();
            let differences = match client.chat_reply(&body, &Names::default()) {
                Ok(back) => Said::of(&reply).differences(&Said::of(&back), &losses),
                Err(fault) => vec![format!("cannot be read back: {fault:?}")],
            };
            tally.take(&case.id, &losses, &differences);
        }
    }
    tallies.into_iter().for_each(|(what, tally)| tally.conclude(&what));
}

#[test]
fn every_recorded_stream_is_told_to_every_client() {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases() {
        let (Some(upstream), Some(stream)) = (dialect(case.dialect), &case.stream) else { continue };
        let direct = watch(upstream, &[stream.as_bytes()]);
        if !direct.whole {
            continue;
        }
        for client in CLIENTS.iter().filter(|client| client.name() != upstream.name()) {
            let tally = tallies.entry(format!("streams {} → {}", upstream.name(), client.name())).or_default();
            let (written, losses) = rewrite(upstream, *client, &[stream.as_bytes()]);
            let back = watch(*client, &[&written]);
            let mut differences = direct.said.differences(&back.said, &losses);
            if !back.whole {
                differences.push("the stream does not end as a whole one".to_owned());
            }
            tally.take(&case.id, &losses, &differences);
        }
    }
    tallies.into_iter().for_each(|(what, tally)| tally.conclude(&what));
}

#[test]
fn every_cut_of_a_stream_gives_the_client_the_same_bytes() {
    let (mut streams, mut cuts) = (0, 0);
    for case in cases() {
        let (Some(upstream), Some(stream)) = (dialect(case.dialect), &case.stream) else { continue };
        for client in CLIENTS.iter().filter(|client| client.name() != upstream.name()) {
            streams += 1;
            let bytes = stream.as_bytes();
            let whole = rewrite(upstream, *client, &[bytes]).0;
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(rewrite(upstream, *client, &single).0, whole, "{} to {} in single bytes", case.id, client.name());
            for at in places(bytes, streams) {
                cuts += 1;
                let (before, after) = bytes.split_at(at);
                assert_eq!(rewrite(upstream, *client, &[before, after]).0, whole, "{} to {} cut at {at}", case.id, client.name());
            }
        }
    }
    println!("{streams} streams, {cuts} cuts");
}

/// Where a stream is cut in two: everywhere if it is short; else around events, within characters, and at random. In short form (without
/// `HELIOSTAT_CUTS=whole`, which wants a release build) everywhere only in the first ones, and at few of the other places.
fn places(bytes: &[u8], number: usize) -> Vec<usize> {
    let whole = std::env::var_os("HELIOSTAT_CUTS").is_some_and(|form| form == "whole");
    if bytes.len() <= EXHAUSTIVE_BYTES && (whole || number <= 12) {
        return (0..=bytes.len()).collect();
    }
    let boundary = |at: &usize| bytes[..*at].ends_with(b"\n\n") || bytes[*at..].starts_with(b"\n\n") || bytes[*at] >= 0x80;
    let mut found: Vec<_> = (1..bytes.len()).filter(boundary).collect();
    let random = if whole { 1000 } else { 16 };
    found.truncate(if whole { usize::MAX } else { 24 });
    let mut seed = number as u64 + 1;
    found.extend((0..random).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bytes.len().max(1)
    }));
    found
}

/// Translates a request and looks for all that it says in what came of it.
fn carry(case: &Case, client: &dyn Client, upstream: &dyn Dialect, body: &str, tally: &mut Tally) {
    let address = client.address(&case.path, "").map_or_else(Address::default, |(_, address)| address);
    let scanned = Document::scan(Bytes::from(body.to_owned()), client.shape(), ScanLimits::default());
    let document = scanned.unwrap_or_else(|error| panic!("{}: {error}", case.id));
    let request = match client.read(&document, &address) {
        Ok(request) => request,
        Err(refusal) => return tally.take(&case.id, &[], &[format!("is refused: {refusal}")]),
    };
    let model = MODELS.iter().find(|(name, _)| *name == upstream.name()).map_or("m", |(_, model)| model);
    let surface = surface(upstream);
    match upstream.chat_request(&request, &Target { model, surface: &surface, fetched: Fetched::NONE }) {
        Ok(translated) => {
            let sent: Value = serde_json::from_slice(&translated.body.join()).expect("a translated body is JSON");
            let (asked, sent) = (strings(&serde_json::from_str(body).expect("JSON")), sent.to_string());
            let lost =
                |path: &str| translated.losses.iter().any(|loss| path.starts_with(loss.path.as_ref()) || loss.path.starts_with(path));
            let missing = asked.into_iter().filter(|(path, text)| is_said(path, text) && !lost(path) && !contains(&sent, text));
            let differences: Vec<_> = missing.map(|(path, text)| format!("{path} is missing: {text:.60}")).collect();
            tally.take(&case.id, &translated.losses, &differences);
        }
        // What one provider has no place for is refused by name, and only for that candidate.
        Err(refusal) if refusal.scope == RefusalScope::Candidate && !refusal.path.is_empty() => {
            tally.run += 1;
            tally.named += 1;
        }
        Err(refusal) => tally.take(&case.id, &[], &[format!("is refused for everybody: {refusal}")]),
    }
}

/// All strings of a document with their paths, as the gateway writes paths.
fn strings(value: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{path}[{at}]"), found)),
            Value::Object(members) => members.iter().for_each(|(key, value)| {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, &format!("{path}{dot}{key}"), found);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// Keys whose strings are the conversation's own, which no dialect may reword.
const SAID: &[&str] = &["text", "content", "description", "thinking", "name", "data", "url", "input_text"];

fn is_said(path: &str, text: &str) -> bool {
    let inside_schema =
        ["parameters", "input_schema", "schema", "parametersJsonSchema", "text.format"].iter().any(|key| path.contains(key));
    let last = path.rsplit('.').next().unwrap_or(path);
    let key = last.split('[').next().unwrap_or(last);
    !inside_schema && !text.trim().is_empty() && (SAID.contains(&key) || path == "system")
}

/// Whether a text stands in JSON, as a string or within one; base64 by its data alone, names by what is left of them.
fn contains(sent: &str, text: &str) -> bool {
    let payload = text.split_once(";base64,").map_or(text, |(_, payload)| payload);
    let payload: String = payload.chars().filter(|letter| *letter != '\n').collect();
    let written = |text: &str| Value::String(text.to_owned()).to_string().trim_matches('"').to_owned();
    // Base64 for URLs is made standard, and that of a text may be told as the text.
    let standard = payload.replace('-', "+").replace('_', "/");
    let bytes = base64_simd::STANDARD_NO_PAD.decode_to_vec(standard.trim_end_matches('=')).ok();
    let said = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|said| said.len() > 8).unwrap_or_else(|| text.to_owned());
    let forms = [
        text.to_owned(),
        payload.trim_end_matches('=').to_owned(),
        text.trim_end().to_owned(),
        standard.trim_end_matches('=').to_owned(),
        said,
    ];
    forms.iter().any(|form| sent.contains(&written(form)) || sent.contains(&written(&written(form))))
        || serde_json::from_str::<Value>(text).is_ok_and(|json| sent.contains(&json.to_string()))
}

/// What a client can see of a reply, however it came.
#[derive(Debug, Default, PartialEq, Clone)]
struct Said {
    text: String,
    refusal: String,
    reasoning: String,
    signatures: Vec<String>,
    encrypted: Vec<String>,
    /// id, name, arguments
    calls: Vec<(String, String, Value)>,
    finish: Option<String>,
    usage: Usage,
    images: usize,
}

impl Said {
    fn of(reply: &Reply<'_>) -> Self {
        let mut said = Self { usage: reply.usage.unwrap_or_default(), ..Self::default() };
        let Some(choice) = reply.choices.first() else { return said };
        said.finish = choice.finish.map(|reason| reason.as_str().to_owned());
        said.text = choice.text.iter().map(|text| text.text().into_owned()).collect();
        said.refusal = choice.refusal.as_ref().map(|text| text.text().into_owned()).unwrap_or_default();
        said.images = choice.images.len();
        for stretch in &choice.reasoning {
            match stretch {
                Reasoning::Text { text, signature } => {
                    said.reasoning += &text.text();
                    said.signatures.extend(signature.as_ref().map(|signature| signature.text().into_owned()));
                }
                Reasoning::Encrypted { data } => said.encrypted.push(data.text().into_owned()),
            }
        }
        for call in &choice.tool_calls {
            said.calls.push((call.id.to_string(), call.name.to_string(), json(&call.arguments.text())));
            said.signatures.extend(call.thought_signature.as_ref().map(|signature| signature.text().into_owned()));
        }
        said
    }

    fn take(&mut self, event: &StreamEvent<'_>) {
        match event {
            StreamEvent::Text { choice: 0, text } => self.text += &text.text(),
            StreamEvent::Refusal { choice: 0, text } => self.refusal += &text.text(),
            StreamEvent::Reasoning { choice: 0, text } => self.reasoning += &text.text(),
            StreamEvent::ReasoningSignature { choice: 0, signature } => self.signatures.push(signature.text().into_owned()),
            StreamEvent::ReasoningEncrypted { choice: 0, data } => self.encrypted.push(data.text().into_owned()),
            StreamEvent::ToolStart { choice: 0, id, name, thought_signature, .. } => {
                self.calls.push((id.to_string(), name.to_string(), Value::String(String::new())));
                self.signatures.extend(thought_signature.as_ref().map(|signature| signature.text().into_owned()));
            }
            StreamEvent::ToolArguments { choice: 0, index, fragment } => {
                if let Some((_, _, Value::String(arguments))) = self.calls.get_mut(*index as usize) {
                    *arguments += &fragment.text();
                }
            }
            StreamEvent::Image { choice: 0, .. } => self.images += 1,
            StreamEvent::Finish { choice: 0, reason } => self.finish = Some(reason.as_str().to_owned()),
            StreamEvent::Usage(usage) => self.usage.merge(*usage),
            _ => {}
        }
    }

    /// What of this is not in `back`, and not among the losses.
    fn differences(&self, back: &Self, losses: &[Loss]) -> Vec<String> {
        let lost = |part: &str| losses.iter().any(|loss| loss.path.contains(part));
        let mut found = Vec::new();
        let mut check = |what: &str, mine: String, its: String| {
            if mine != its && !lost(what) {
                found.push(format!("{what}: {mine:.200} became {its:.200}"));
            }
        };
        // A dialect without refusals of its own tells them as text.
        check("text", format!("{}{}", self.text, self.refusal), format!("{}{}", back.text, back.refusal));
        check("reasoning", self.reasoning.clone(), back.reasoning.clone());
        // What is opaque in one dialect may be a signature in another.
        let opaque = |said: &Self| unmarked(said.signatures.iter().chain(&said.encrypted));
        check("signature", opaque(self), opaque(back));
        check("calls", format!("{:?}", parsed(&self.calls)), format!("{:?}", parsed(&back.calls)));
        let finish = |said: &Self| said.finish.clone().unwrap_or_default();
        // Calls are waited for, whatever a server calls that; a refusal is an end by content policy.
        let same_end = finish(self) == finish(back)
            || (!self.calls.is_empty() && finish(back) == "tool_calls")
            || (!self.refusal.is_empty() && finish(back) == "content_filter");
        check("finish", if same_end { finish(back) } else { finish(self) }, finish(back));
        check("usage", counts(&self.usage), counts(&back.usage));
        if self.images != back.images && !lost("images") {
            found.push(format!("{} images became {}", self.images, back.images));
        }
        found
    }
}

/// Counts as a sum: what is not said counts as nothing.
fn counts(usage: &Usage) -> String {
    let [prompt, completion, cached, written] =
        [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens].map(Option::unwrap_or_default);
    format!("{prompt} prompt, {completion} completion, {cached} cached, {written} written")
}

/// Signatures and opaque data without the gateway's marks, in any order; those of nothing are none.
fn unmarked<'s>(signatures: impl Iterator<Item = &'s String>) -> String {
    let marks = ["heliostat:none", "heliostat:signed:", "heliostat:call:", "heliostat:data:", "heliostat:signature:"];
    let unmarked = |signature: &str| marks.iter().find_map(|mark| signature.strip_prefix(mark)).map(str::to_owned);
    // Google's signatures are bytes: there a mark is base64.
    let decoded = |signature: &str| String::from_utf8(base64_simd::STANDARD.decode_to_vec(signature).ok()?).ok();
    let bare = |signature: &'s String| unmarked(signature).or_else(|| unmarked(&decoded(signature)?)).unwrap_or_else(|| signature.clone());
    let mut found: Vec<String> = signatures.map(bare).filter(|signature| !signature.is_empty()).collect();
    found.sort_unstable();
    found.dedup();
    found.join(" ")
}

fn parsed(calls: &[(String, String, Value)]) -> Vec<(String, String, Value)> {
    let arguments = |value: &Value| if let Value::String(text) = value { json(text) } else { value.clone() };
    calls.iter().map(|(id, name, value)| (id.clone(), name.clone(), arguments(value))).collect()
}

/// Arguments as a value: none are an empty object.
fn json(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// What was seen of a stream, and whether it was whole.
struct Watched {
    said: Said,
    whole: bool,
}

fn watch(dialect: &dyn Dialect, chunks: &[&[u8]]) -> Watched {
    let mut reader = dialect.chat_stream(seeded());
    let mut said = Said::default();
    let mut failed = false;
    feed(reader.as_mut(), chunks, &mut |event| {
        failed |= matches!(event, StreamEvent::Failed(_));
        said.take(event);
    });
    Watched { said, whole: reader.is_complete() && !failed }
}

/// An upstream's stream as a client gets it.
fn rewrite(upstream: &dyn Dialect, client: &dyn Client, chunks: &[&[u8]]) -> (Vec<u8>, Vec<Loss>) {
    let mut reader = upstream.chat_stream(seeded());
    let mut writer: Box<dyn StreamWriter> = client.stream_writer(context(client));
    let (mut out, mut losses, mut failed) = (Vec::new(), Vec::new(), false);
    feed(reader.as_mut(), chunks, &mut |event| match event {
        StreamEvent::Failed(fault) if !failed => {
            failed = true;
            writer.fail(fault, &mut out);
        }
        StreamEvent::Lost(loss) => {
            losses.push(loss.clone());
            writer.write(event, &mut out);
        }
        event => writer.write(event, &mut out),
    });
    if !failed {
        writer.finish(&mut out);
    }
    losses.extend(told_in(&out));
    (out, losses)
}

/// The losses that a stream tells in its comment, or in its last event where comments have no place.
fn told_in(stream: &[u8]) -> Vec<Loss> {
    let text = String::from_utf8_lossy(stream);
    let comments = text.lines().filter_map(|line| line.strip_prefix(": heliostat-loss ")).map(str::to_owned);
    let member = |line: &str| Some(serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok()?.get("heliostatLoss")?.to_string());
    let lists = comments.chain(text.lines().filter(|line| line.contains("\"heliostatLoss\"")).filter_map(member));
    let paths = lists.flat_map(|list| serde_json::from_str::<Vec<String>>(&list).expect("a list of paths"));
    paths.map(|path| Loss { path: path.into(), kind: heliostat_filters::loss::LossKind::Dropped }).collect()
}

fn feed(reader: &mut dyn StreamReader, chunks: &[&[u8]], take: &mut dyn FnMut(&StreamEvent<'_>)) {
    let mut splitter = Splitter::new(64 << 20);
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        splitter.push(&chunk, &mut |event| reader.read(event, &mut |event| take(&event))).expect("events");
    }
    splitter.end(&mut |event| reader.read(event, &mut |event| take(&event))).expect("events");
    reader.end(&mut |event| take(&event));
}

/// Where a dialect has no ids of calls, they are made from this.
fn seeded() -> Names {
    Names { id_seed: "seed".to_owned(), ..Names::default() }
}

fn context(client: &dyn Client) -> ReplyContext {
    let id = format!("{}req_1", client.id_prefix());
    ReplyContext { id, model: "asked".to_owned(), prompt_tokens: 7, include_usage: true, ..ReplyContext::default() }
}

/// AI Studio's and the usual surface; nothing is fetched here.
fn surface(upstream: &dyn Dialect) -> Surface {
    let types: &[&str] =
        if upstream.name() == "gemini" { &["png", "jpeg", "webp", "heic", "heif"] } else { &["png", "jpeg", "gif", "webp"] };
    Surface { image_types: types.iter().map(|kind| format!("image/{kind}")).collect(), ..table::surface() }
}

fn client(name: &str) -> Option<&'static dyn Client> {
    CLIENTS.iter().copied().find(|client| client.name() == name)
}

fn dialect(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

fn upstreams() -> impl Iterator<Item = &'static &'static dyn Dialect> {
    DIALECTS.iter().filter(|dialect| !NO_CHAT.contains(&dialect.name()))
}

fn told(losses: &[Loss]) -> String {
    losses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn cases() -> Vec<Case> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let root = std::env::var_os("HELIOSTAT_FIXTURES").map_or(beside, PathBuf::from);
    let Ok(index) = fs::read_to_string(root.join("dev/index.jsonl")) else {
        println!("skipped: no recorded traffic at {}", root.display());
        return Vec::new();
    };
    let rows: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    rows.iter().filter_map(|row| case(&root, row)).collect()
}

/// A body whose model stood in the path (Vertex), as it is written at home.
fn named(mut body: Value) -> Value {
    if body.get("anthropic_version").is_some() {
        body["model"] = Value::from("claude-sonnet-4-5");
        body.as_object_mut().expect("an object").remove("anthropic_version");
    }
    body
}

fn case(root: &Path, row: &Value) -> Option<Case> {
    let (_, dialect) = ENDPOINTS.iter().find(|(endpoint, _)| row["endpoint"] == *endpoint)?;
    let text = fs::read_to_string(root.join(row["file"].as_str()?)).ok()?;
    let case: Value = serde_json::from_str(&text).expect("a case");
    let whole = case["status"] == 200;
    let url = case["url"].as_str().unwrap_or_default();
    let path = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    Some(Case {
        id: row["id"].as_str()?.to_owned(),
        dialect,
        path: path.split('?').next().unwrap_or(path).to_owned(),
        // What a provider refused is no example of a request.
        request: case.get("request_body").filter(|body| body.is_object() && whole).map(|body| named(body.clone()).to_string()),
        reply: case.get("response_body").filter(|body| body.is_object() && whole).map(Value::to_string),
        stream: case.get("response_sse").and_then(Value::as_str).filter(|_| whole).map(str::to_owned),
    })
}
