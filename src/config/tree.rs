//! YAML 1.2 (and so JSON) read into a tree that knows where each part stands.
//!
//! Bounded: nesting, nodes (aliases count as what they stand for, so a file of a few lines cannot unfold into gigabytes).
//! Aliases work; tags do not; a key that is written twice is an error, for one of the two would be ignored.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::field::join;
use super::problem::{Position, Severity, Sink};

/// Nodes of a tree with its aliases unfolded.
const MAX_NODES: usize = 100_000;
/// Levels of nesting; the format needs about eight.
const MAX_DEPTH: usize = 64;

/// A part of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text without quotes: perhaps a number or a truth value.
    Plain(String),
    /// Text in quotes or a block.
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

/// Reads a whole text. A syntax error is reported to `sink` and yields `None`; an empty text is an empty map.
pub(super) fn read(text: &str, sink: &Sink) -> Option<Node> {
    let mut builder = Builder::new(text, sink);
    match builder.document() {
        Ok(node) => Some(node),
        Err(stop) => {
            sink.report(Severity::Error, Some(stop.at), "", stop.what);
            None
        }
    }
}

/// Why reading cannot go on.
struct Stop {
    at: Position,
    what: String,
}

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// The key path of the part being read.
    path: String,
    sink: &'t Sink,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, sink: &'t Sink) -> Self {
        let options = granit_parser::options! { emit_comments: false, flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
        Self { events: Parser::new_from_str_with_options(text, options), anchors: HashMap::new(), nodes: 0, path: String::new(), sink }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or(Node { at, value: Value::Map(Vec::new()) })),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => return Err(Stop { at, what: "a second document; one file holds one".to_owned() }),
                event => root = Some(self.node(event, at)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Position), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, position(&span))),
            Some(Err(error)) => {
                let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
                Err(Stop { at, what: format!("not YAML or JSON: {}", error.info()) })
            }
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'t>, at: Position) -> Result<Node, Stop> {
        self.spend(1, at)?;
        if event.tag().is_some() {
            return Err(Stop { at, what: "tags (`!name`) are not supported".to_owned() });
        }
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            Event::Alias(id) => self.unfold(id, at)?,
            _ => return Err(Stop { at, what: "not YAML or JSON".to_owned() }),
        };
        let node = Node { at, value };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn node_at(&mut self, path: String, event: Event<'t>, at: Position) -> Result<Node, Stop> {
        let outer = std::mem::replace(&mut self.path, path);
        let node = self.node(event, at);
        self.path = outer;
        node
    }

    fn list(&mut self) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, at) => {
                    let path = format!("{}[{}]", self.path, items.len());
                    items.push(self.node_at(path, event, at)?);
                }
            }
        }
    }

    fn map(&mut self) -> Result<Value, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Map(entries));
            }
            let key = match self.node(event, at)?.value {
                Value::Plain(text) | Value::Quoted(text) => Key { at, text },
                _ => return Err(Stop { at, what: "a key must be text".to_owned() }),
            };
            let (event, at) = self.next()?;
            let path = join(&self.path, &key.text);
            let node = self.node_at(path.clone(), event, at)?;
            match entries.iter().find(|(known, _)| known.text == key.text) {
                Some((first, _)) => {
                    let what = format!("written twice; the first is on line {}", first.at.line);
                    self.sink.report(Severity::Error, Some(key.at), &path, what);
                }
                None => entries.push((key, node)),
            }
        }
    }

    fn unfold(&mut self, id: usize, at: Position) -> Result<Value, Stop> {
        let Some(target) = self.anchors.get(&id) else {
            return Err(Stop { at, what: "an alias inside what it stands for".to_owned() });
        };
        let (value, nodes) = (&target.value, size(target));
        let room = MAX_NODES.saturating_sub(self.nodes);
        let value = (nodes <= room).then(|| value.clone());
        self.spend(nodes, at)?;
        value.ok_or_else(|| Stop { at, what: "too large".to_owned() })
    }

    fn spend(&mut self, nodes: usize, at: Position) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Stop { at, what: format!("more than {MAX_NODES} parts, aliases unfolded") });
        }
        Ok(())
    }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    match style {
        ScalarStyle::Plain if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        ScalarStyle::Plain => Value::Plain(text),
        _ => Value::Quoted(text),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Plain(_) | Value::Quoted(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
    }
}

impl Node {
    /// Every text below this node, keys aside.
    pub(super) fn texts(&self) -> Vec<&str> {
        match &self.value {
            Value::Null => Vec::new(),
            Value::Plain(text) | Value::Quoted(text) => vec![text],
            Value::List(items) => items.iter().flat_map(Self::texts).collect(),
            Value::Map(entries) => entries.iter().flat_map(|(_, node)| node.texts()).collect(),
        }
    }
}
