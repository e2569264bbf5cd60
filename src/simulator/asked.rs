//! What a request asked for, in no provider's terms.

use serde_json::{Value, json};

use super::image::Image;

/// A valid chat request.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The format it came in: `anthropic`.
    pub(super) wire: &'static str,
    pub(super) model: String,
    pub(super) stream: bool,
    /// System and developer texts.
    pub(super) systems: usize,
    /// Messages that are not system texts.
    pub(super) turns: usize,
    pub(super) images: Vec<Image>,
    /// Documents and sounds.
    pub(super) files: Vec<Image>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    /// At most one call in an answer.
    pub(super) one_call: bool,
    /// Texts of the tool results that end the conversation.
    pub(super) results: Vec<String>,
    /// The last text of the user.
    pub(super) said: String,
    /// Words in all texts.
    pub(super) words: u64,
    /// Marks for a prompt cache.
    pub(super) marks: u64,
    pub(super) shape: Shape,
    pub(super) thinking: bool,
    /// Answers wanted.
    pub(super) n: u64,
    pub(super) max_tokens: Option<u64>,
    /// A usage chunk at the end of a stream.
    pub(super) include_usage: bool,
    /// Sampling settings and the like, by the names they came with.
    pub(super) settings: Vec<(String, String)>,
}

/// A tool that may be called.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// Whether a tool is to be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
    Auto,
    Never,
    Any,
    Named(String),
}

/// The form of the answer's text.
#[derive(Debug, Default)]
pub(super) enum Shape {
    #[default]
    Text,
    /// Some JSON object.
    Object,
    /// What fits a schema.
    Schema(Value),
}

impl Asked {
    /// Notes a text of any role.
    pub(super) fn read(&mut self, text: &str) {
        self.words += text.split_whitespace().count() as u64;
    }

    /// Notes settings that the body has, under their own names.
    pub(super) fn note_settings(&mut self, body: &Value, names: &[&str]) {
        for name in names {
            if let Some(value) = body.get(name).filter(|value| !value.is_null()) {
                self.settings.push(((*name).to_owned(), value.to_string()));
            }
        }
    }

    /// One readable line: everything that matters of what arrived.
    pub(super) fn line(&self) -> String {
        let mut parts = Vec::new();
        if self.systems > 0 {
            parts.push(format!("{} system", self.systems));
        }
        parts.push(counted(self.turns, "turn"));
        for (things, name) in [(&self.images, "image"), (&self.files, "file")] {
            if !things.is_empty() {
                let listed: Vec<String> = things.iter().map(Image::line).collect();
                parts.push(format!("{} [{}]", counted(things.len(), name), listed.join(", ")));
            }
        }
        if !self.tools.is_empty() {
            let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            parts.push(format!("{} [{}]", counted(names.len(), "tool"), names.join(", ")));
        }
        if !self.settings.is_empty() {
            let listed: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
            parts.push(listed.join(", "));
        }
        if !self.results.is_empty() {
            parts.push(format!("the tool said: {}", self.results.join(" | ")));
        }
        if !self.said.is_empty() {
            parts.push(format!("you said: {:?}", self.said.chars().take(200).collect::<String>()));
        }
        format!("{} simulator, model {}: {}", self.wire, self.model, parts.join(", "))
    }

    /// The same for programs.
    pub(super) fn summary(&self) -> Value {
        json!({
            "model": self.model,
            "stream": self.stream,
            "systems": self.systems,
            "turns": self.turns,
            "images": self.images.iter().map(Image::summary).collect::<Vec<_>>(),
            "files": self.files.iter().map(Image::summary).collect::<Vec<_>>(),
            "tools": self.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(),
        })
    }
}

fn counted(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}
