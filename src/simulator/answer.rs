//! What to say: made from the request alone, so that the same request always gets the same answer.

use serde_json::{Value, json};

use super::asked::{Asked, Choice, Shape};
use super::schema;

/// A caller that asks for fewer tokens than this wants to see an answer cut short; any other gets all of it.
const CUT_BELOW: u64 = 8;

/// Tokens of one image in the usage figures.
const IMAGE_TOKENS: u64 = 85;

/// Tokens that each mark for a prompt cache saves in the usage figures.
const MARK_TOKENS: u64 = 7;

/// How many characters one event of a stream carries.
const FRAGMENT: usize = 16;

/// An answer, in no provider's terms.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) thinking: Option<String>,
    /// Empty where tools are called instead.
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
}

/// A tool called.
#[derive(Debug)]
pub(super) struct ToolCall {
    /// Differs between the turns of a conversation; formats put their own prefix before it.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Calls,
}

/// Words counted as tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// All of the prompt, the cached part too.
    pub(super) input: u64,
    pub(super) cached: u64,
    /// All of the answer, the thinking too.
    pub(super) output: u64,
    pub(super) thinking: u64,
}

impl Answer {
    /// The answer to a request.
    pub(super) fn to(asked: &Asked) -> Self {
        let thinking = asked.thinking.then(|| "The request arrived whole; I say what it holds.".to_owned());
        let calls = calls(asked);
        let (text, finish) = if calls.is_empty() { text(asked) } else { (String::new(), Finish::Calls) };
        let thinking_words = thinking.as_deref().map_or(0, words);
        let call_words: u64 = calls.iter().map(|call| 1 + words(&call.arguments.to_string())).sum();
        let usage = Usage {
            input: prompt_tokens(asked),
            cached: asked.marks * MARK_TOKENS,
            output: words(&text) + call_words + thinking_words,
            thinking: thinking_words,
        };
        Self { thinking, text, calls, finish, usage }
    }
}

/// Tokens of a prompt.
pub(super) fn prompt_tokens(asked: &Asked) -> u64 {
    let media = (asked.images.len() + asked.files.len()) as u64;
    let tools: u64 = asked.tools.iter().map(|tool| 1 + words(&tool.schema.to_string())).sum();
    asked.words + media * IMAGE_TOKENS + tools + asked.marks * MARK_TOKENS
}

/// A text in pieces of a few characters; none for an empty one.
pub(super) fn fragments(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(FRAGMENT).map(|piece| piece.iter().collect()).collect()
}

fn text(asked: &Asked) -> (String, Finish) {
    let full = match &asked.shape {
        Shape::Text => asked.line(),
        Shape::Object => json!({"answer": asked.line()}).to_string(),
        Shape::Schema(schema) => schema::example(schema).to_string(),
    };
    match asked.max_tokens {
        Some(max) if max < CUT_BELOW => {
            let kept: Vec<&str> = full.split_whitespace().take(usize::try_from(max).unwrap_or_default()).collect();
            (kept.join(" "), Finish::Length)
        }
        _ => (full, Finish::Stop),
    }
}

/// The tools to call: the one that is forced, or what the user's last text asks for. None after a tool result.
fn calls(asked: &Asked) -> Vec<ToolCall> {
    if !asked.results.is_empty() {
        return Vec::new();
    }
    let said = asked.said.to_lowercase();
    let (wanted, only) = match &asked.choice {
        Choice::Never => (0, None),
        Choice::Named(name) => (1, Some(name)),
        Choice::Auto | Choice::Any if said.contains("call the tools") && !asked.one_call => (usize::MAX, None),
        Choice::Any => (1, None),
        Choice::Auto => (usize::from(said.contains("call the tool") || said.contains("weather")), None),
    };
    let chosen = asked.tools.iter().filter(|tool| only.is_none_or(|name| *name == tool.name)).take(wanted);
    let call = |(index, tool): (usize, &super::asked::Tool)| ToolCall {
        id: format!("sim{}_{index}", asked.turns),
        name: tool.name.clone(),
        arguments: schema::example(&tool.schema),
    };
    chosen.enumerate().map(call).collect()
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}
