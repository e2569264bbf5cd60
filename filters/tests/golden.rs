//! Golden cases of translation: every folder `golden/<client>-<upstream>/<case>/` is one case, and a new case is a new folder.
//!
//! A case holds any of these pairs:
//! - `request.json` (the client's body) → `upstream.json` (the translated body), or `refusal.json` (`{"path","code","scope"}`);
//!   `losses.json` lists what it loses (`"dropped seed"`), and a case without it must lose nothing;
//! - `upstream-reply.json` → `reply.json` (without `created`), or `fault.json` (`{"status","kind","message"}`);
//!   `reply-losses.json` as above;
//! - `upstream-stream.sse` → `stream.jsonl` (chunks without `created`, one a line, then `[DONE]` or the error), at every cut.
//!
//! `target.json` overrides the candidate: `{"model","image_types","image_urls","tool_ids"}`. Bodies are compared as JSON values; below
//! the keys of [`ORDERED`] the order of keys counts too. `HELIOSTAT_GOLDEN=write` writes what is expected, to be reviewed.

#![allow(
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing"
)]

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{Reply, ReplyContext, StreamEvent, StreamReader, StreamWriter};
use heliostat_filters::dialect::{self, Address, CLIENTS, Client, Dialect, Names, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::loss::Loss;
use heliostat_filters::sse::Splitter;
use serde::Deserialize;
use serde_json::{Value, json};

/// Keys below which a body's key order counts: prompt caches match bytes, and models read schemas in order.
const ORDERED: &[&str] = &["input_schema", "parameters", "parametersJsonSchema", "responseJsonSchema", "schema", "input", "args"];

#[test]
fn every_case_translates_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut failures = Vec::new();
    let mut count = 0;
    for pair in folders(&root) {
        let name = file_name(&pair);
        let (client, upstream) = name.split_once('-').expect("a folder is named <client>-<upstream>");
        let dialect = dialect::by_name(upstream).expect("a known dialect");
        let client = *CLIENTS.iter().find(|known| known.name() == client).expect("a dialect that clients speak");
        for case in folders(&pair) {
            count += 1;
            let mut case = Case { name: format!("{name}/{}", file_name(&case)), path: case, client, dialect, failures: Vec::new() };
            case.run();
            failures.append(&mut case.failures);
        }
    }
    println!("{count} golden cases");
    assert!(count > 0, "no golden cases found");
    assert!(failures.is_empty(), "{} failures:\n\n{}", failures.len(), failures.join("\n\n"));
}

struct Case {
    name: String,
    path: PathBuf,
    client: &'static dyn Client,
    dialect: &'static dyn Dialect,
    failures: Vec<String>,
}

impl Case {
    fn run(&mut self) {
        let names = self.request();
        self.reply(&names);
        self.stream(&names);
    }

    /// Translates the request, if the case has one; its names are what the reply's reader gets.
    fn request(&mut self) -> Names {
        let Some(body) = self.read("request.json") else { return Names::default() };
        let document = match Document::scan(Bytes::from(body.clone()), self.client.shape(), ScanLimits::default()) {
            Ok(document) => document,
            Err(error) => {
                self.fail("request.json", &error.to_string());
                return Names::default();
            }
        };
        let target = self.target(&serde_json::from_str(&body).expect("request.json is JSON"));
        let surface = target.surface();
        let address = Address::default();
        let result = self.client.read(&document, &address).and_then(|request| {
            self.dialect.chat_request(&request, &Target { model: &target.model, surface: &surface, fetched: Fetched::NONE })
        });
        match result {
            Ok(translated) => {
                let body = String::from_utf8(translated.body.join().to_vec()).expect("UTF-8");
                assert_eq!(body.len(), translated.body.len_bytes, "{}: announced length", self.name);
                self.expect_json("upstream.json", &body);
                self.expect_losses("losses.json", &translated.losses);
                self.expect_absent("refusal.json");
                translated.names
            }
            Err(refusal) => {
                let scope = format!("{:?}", refusal.scope);
                let told = json!({ "path": refusal.path, "code": refusal.code, "scope": scope });
                self.expect_json("refusal.json", &told.to_string());
                self.expect_absent("upstream.json");
                Names::default()
            }
        }
    }

    fn reply(&mut self, names: &Names) {
        let Some(body) = self.read("upstream-reply.json") else { return };
        let body = Bytes::from(body);
        match self.dialect.chat_reply(&body, names) {
            Ok(reply) => self.expect_reply(&reply),
            Err(fault) => {
                let told = json!({ "status": fault.status, "kind": format!("{:?}", fault.kind), "message": fault.message });
                self.expect_json("fault.json", &told.to_string());
                self.expect_absent("reply.json");
            }
        }
    }

    fn expect_reply(&mut self, reply: &Reply<'_>) {
        let written = self.client.write_reply(reply, &self.context());
        let losses: Vec<_> = written.losses.iter().chain(&reply.losses).cloned().collect();
        let written = written.body.join();
        let mut written: Value = serde_json::from_slice(&written).expect("a reply is JSON");
        written.as_object_mut().expect("a reply is an object").remove("created");
        self.expect_json("reply.json", &written.to_string());
        self.expect_losses("reply-losses.json", &losses);
        self.expect_absent("fault.json");
    }

    fn stream(&mut self, names: &Names) {
        let Some(body) = self.read("upstream-stream.sse") else { return };
        let whole = self.streamed(names, body.as_bytes(), body.len());
        self.expect_lines("stream.jsonl", &lines(&whole));
        for size in [1, 2, 3, 7, 64] {
            if self.streamed(names, body.as_bytes(), size) != whole {
                self.fail("upstream-stream.sse", &format!("cut into pieces of {size} bytes it reads differently"));
            }
        }
    }

    /// What a client receives of a stream that arrives in chunks of `size` bytes.
    fn streamed(&self, names: &Names, body: &[u8], size: usize) -> Vec<u8> {
        let mut reader = self.dialect.chat_stream(names.clone());
        let mut relay = Relay { writer: self.client.stream_writer(self.context()), out: Vec::new(), failed: false };
        let mut splitter = Splitter::new(1 << 20);
        for chunk in body.chunks(size.max(1)) {
            let chunk = Bytes::copy_from_slice(chunk);
            splitter.push(&chunk, &mut |event| reader.read(event, &mut |event| relay.take(&event))).expect("short events");
        }
        splitter.end(&mut |event| reader.read(event, &mut |event| relay.take(&event))).expect("short events");
        reader.end(&mut |event| relay.take(&event));
        relay.finish(reader.as_ref())
    }

    /// The reply repeats what the request said.
    fn context(&self) -> ReplyContext {
        let id = format!("{}golden", self.client.id_prefix());
        let request = self.read("request.json").unwrap_or_else(|| "{}".to_owned());
        let document = Document::scan(request.into(), self.client.shape(), ScanLimits::default()).expect("JSON");
        ReplyContext { id, include_usage: true, echo: self.client.echo(&document), ..ReplyContext::default() }
    }

    fn target(&self, request: &Value) -> Written {
        let mut target = match self.read("target.json") {
            Some(text) => serde_json::from_str(&text).expect("target.json"),
            None => Written::default(),
        };
        if target.model.is_empty() {
            let model = request["model"].as_str().unwrap_or_default();
            model.split_once('/').map_or(model, |(_, name)| name).clone_into(&mut target.model);
        }
        if target.image_types.is_empty() {
            target.image_types = default_image_types(self.dialect.name());
        }
        target
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    fn fail(&mut self, file: &str, what: &str) {
        self.failures.push(format!("{} {file}: {what}", self.name));
    }

    fn expect_absent(&mut self, file: &str) {
        if self.path.join(file).exists() {
            self.fail(file, "stands there, but the translation came out the other way");
        }
    }

    fn expect_losses(&mut self, file: &str, losses: &[Loss]) {
        let mut told: Vec<String> = losses.iter().map(ToString::to_string).collect();
        told.sort();
        if told.is_empty() && self.read(file).is_none() {
            return;
        }
        self.expect_json(file, &json!(told).to_string());
    }

    fn expect_lines(&mut self, file: &str, told: &[String]) {
        if writing() {
            fs::write(self.path.join(file), told.join("\n") + "\n").expect("write");
            return;
        }
        let expected: Vec<String> = self.read(file).unwrap_or_default().lines().map(str::to_owned).collect();
        let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_else(|_| Value::String(line.clone()));
        if expected.iter().map(parse).ne(told.iter().map(parse)) {
            self.fail(file, &format!("expected\n{}\ngot\n{}", expected.join("\n"), told.join("\n")));
        }
    }

    fn expect_json(&mut self, file: &str, told: &str) {
        let told_tree: Tree = match serde_json::from_str(told) {
            Ok(tree) => tree,
            Err(error) => return self.fail(file, &format!("not JSON ({error}): {told}")),
        };
        if writing() {
            fs::write(self.path.join(file), told_tree.pretty(0) + "\n").expect("write");
            return;
        }
        let Some(expected) = self.read(file) else { return self.fail(file, &format!("missing; got {told}")) };
        let expected: Tree = serde_json::from_str(&expected).expect("an expectation is JSON");
        if !expected.same(&told_tree, false) {
            self.fail(file, &format!("expected\n{}\ngot\n{}", expected.pretty(0), told_tree.pretty(0)));
        }
    }
}

/// What stands between reader and client: writes each event, and knows how the stream ended.
struct Relay {
    writer: Box<dyn StreamWriter>,
    out: Vec<u8>,
    failed: bool,
}

impl Relay {
    fn take(&mut self, event: &StreamEvent<'_>) {
        match event {
            _ if self.failed => {}
            StreamEvent::Failed(fault) => {
                self.failed = true;
                self.writer.fail(fault, &mut self.out);
            }
            StreamEvent::Done => {}
            event => self.writer.write(event, &mut self.out),
        }
    }

    fn finish(mut self, reader: &dyn StreamReader) -> Vec<u8> {
        if reader.is_complete() && !self.failed {
            self.writer.finish(&mut self.out);
        } else if !self.failed {
            self.out.extend_from_slice(b"data: truncated\n\n");
        }
        self.out
    }
}

/// The payloads of an event stream without `created`; comments stay as they are.
fn lines(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8(stream.to_vec()).expect("UTF-8");
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line = line.strip_prefix("data: ").unwrap_or(line);
            match serde_json::from_str::<Value>(line) {
                Ok(Value::Object(mut chunk)) => {
                    chunk.remove("created");
                    Value::Object(chunk).to_string()
                }
                _ => line.to_owned(),
            }
        })
        .collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    model: String,
    image_types: Vec<String>,
    image_urls: Option<bool>,
    tool_ids: Option<bool>,
    native_schema: Option<bool>,
    body_version: Option<String>,
    refuses: Vec<String>,
    renames: Vec<(String, String)>,
    takes: Vec<String>,
}

impl Written {
    fn surface(&self) -> Surface {
        Surface {
            image_types: self.image_types.clone(),
            image_urls: self.image_urls.unwrap_or(true),
            tool_ids: self.tool_ids.unwrap_or(true),
            native_schema: self.native_schema.unwrap_or(true),
            body_version: self.body_version.clone(),
            refuses: self.refuses.clone(),
            renames: self.renames.clone(),
            takes: self.takes.clone(),
            models: table::surface().models,
            deployments: Vec::new(),
        }
    }
}

fn default_image_types(dialect: &str) -> Vec<String> {
    let types: &[&str] = match dialect {
        "gemini" => &["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"],
        _ => &["image/jpeg", "image/png", "image/gif", "image/webp"],
    };
    types.iter().map(|&name| name.to_owned()).collect()
}

/// JSON that remembers the order of its keys and the text of its numbers.
enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Scalar(String),
}

impl Tree {
    fn same(&self, other: &Self, ordered: bool) -> bool {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(its)) => mine == its,
            (Self::Array(mine), Self::Array(its)) => {
                mine.len() == its.len() && mine.iter().zip(its).all(|(mine, its)| mine.same(its, ordered))
            }
            (Self::Object(mine), Self::Object(its)) if ordered => {
                mine.len() == its.len() && mine.iter().zip(its).all(|(mine, its)| mine.0 == its.0 && mine.1.same(&its.1, true))
            }
            (Self::Object(mine), Self::Object(its)) => {
                mine.len() == its.len()
                    && mine.iter().all(|(key, value)| {
                        its.iter().any(|(name, other)| name == key && value.same(other, ORDERED.contains(&key.as_str())))
                    })
            }
            _ => false,
        }
    }

    fn pretty(&self, depth: usize) -> String {
        let pad = "  ".repeat(depth + 1);
        let end = "  ".repeat(depth);
        match self {
            Self::Scalar(text) => text.clone(),
            Self::Array(items) if items.is_empty() => "[]".to_owned(),
            Self::Object(members) if members.is_empty() => "{}".to_owned(),
            Self::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| format!("{pad}{}", item.pretty(depth + 1))).collect();
                format!("[\n{}\n{end}]", items.join(",\n"))
            }
            Self::Object(members) => {
                let line = |(key, value): &(String, Tree)| format!("{pad}{}: {}", json!(key), value.pretty(depth + 1));
                format!("{{\n{}\n{end}}}", members.iter().map(line).collect::<Vec<_>>().join(",\n"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> serde::de::Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(json!(text).to_string()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(json!(value).to_string()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar("null".to_owned()))
    }
}

fn writing() -> bool {
    std::env::var_os("HELIOSTAT_GOLDEN").is_some_and(|value| value == "write")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("a folder");
    let mut folders: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
