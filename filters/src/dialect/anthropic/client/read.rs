//! Reads a scanned Messages body into the pivot.

use std::borrow::Cow;

use super::{message, tool};
use crate::chat::field::{self, boolean, of_kind, rest, string};
use crate::chat::{self, ChatRequest, ResponseFormat, Schema, Thinking, Word};
use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

/// Members that are taken up by name.
static KNOWN: &[&str] = &[
    "model",
    "messages",
    "system",
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "service_tier",
    "mcp_servers",
    "fallbacks",
];

pub(super) fn read(document: &Document) -> Result<ChatRequest<'_>, Refusal> {
    let root = field::expect(document.root(), Kind::Object)?;
    let mut others: Vec<_> = rest(root, KNOWN).filter(|member| !says_nothing(*member)).collect();
    let number = |key| of_kind(root, key, Kind::Number);
    let config = of_kind(root, "output_config", Kind::Object)?;
    let mut moved = Vec::new();
    let (tool_choice, no_parallel_tool_calls) = tool::choice(root, &mut others)?;
    Ok(ChatRequest {
        document,
        model: chat::model(document)?,
        stream: chat::wants_stream(document)?,
        include_usage: false,
        messages: message::read(root, &mut moved)?,
        tools: tool::read(root)?,
        legacy_functions: false,
        tool_choice,
        no_parallel_tool_calls,
        max_tokens: number("max_tokens")?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        stop: field::elements(root, "stop_sequences")?.map(|each| field::expect(each, Kind::String)).collect::<Result<_, _>>()?,
        response_format: response_format(root, config, &mut others)?,
        thinking: thinking(root, config, &mut others)?,
        n: None,
        seed: None,
        presence_penalty: None,
        frequency_penalty: None,
        logprobs: None,
        top_logprobs: None,
        modalities: None,
        user: user(root, &mut others)?,
        service_tier: service_tier(root)?,
        others,
        moved,
    })
}

/// Members whose absence means the same.
fn says_nothing(member: View<'_>) -> bool {
    matches!(member.raw().trim(), "[]" | "{}" | "\"\"")
}

/// `output_config.format`, or `output_format`, as it was called first.
fn response_format<'a>(root: View<'a>, config: Option<View<'a>>, others: &mut Vec<View<'a>>) -> Result<ResponseFormat<'a>, Refusal> {
    others.extend(config.into_iter().flat_map(|config| rest(config, &["effort", "format"])));
    let inside = config.map(|config| of_kind(config, "format", Kind::Object)).transpose()?.flatten();
    let Some(view) = inside.map_or_else(|| of_kind(root, "output_format", Kind::Object), |view| Ok(Some(view)))? else {
        return Ok(ResponseFormat::Text);
    };
    if field::required_string(view, "type")?.text().is_none_or(|kind| kind != "json_schema") {
        return Ok(ResponseFormat::Unknown(view));
    }
    others.extend(rest(view, &["type", "schema"]));
    let schema = of_kind(view, "schema", Kind::Object)?.map(Schema::of);
    Ok(ResponseFormat::JsonSchema { name: None, description: None, schema, strict: None, view })
}

/// `thinking` says whether, `output_config.effort` how much.
fn thinking<'a>(root: View<'a>, config: Option<View<'a>>, others: &mut Vec<View<'a>>) -> Result<Thinking<'a>, Refusal> {
    let effort = config.map(|config| string(config, "effort")).transpose()?.flatten();
    let word = |text: &'static str, view| Thinking::Effort(Word { text: Cow::Borrowed(text), view });
    let asked = effort.map_or(Thinking::Unset, |effort| Thinking::Effort(Word::of(effort)));
    let Some(view) = of_kind(root, "thinking", Kind::Object)? else { return Ok(asked) };
    // `display` is of the form of what comes back, which the client's dialect decides.
    others.extend(rest(view, &["type", "budget_tokens", "display"]));
    match field::required_string(view, "type")?.text().unwrap_or_default().as_ref() {
        "enabled" => {
            let budget = of_kind(view, "budget_tokens", Kind::Number)?.ok_or_else(|| field::missing(view, "budget_tokens"))?;
            let Some(tokens) = budget.unsigned() else { return Err(field::wrong_kind(budget, "a whole number")) };
            others.extend(effort);
            Ok(Thinking::Budget { tokens, view: budget })
        }
        "disabled" => {
            others.extend(effort);
            Ok(word("none", view))
        }
        "between_tools" => Ok(word("minimal", view)),
        // `adaptive`, and modes yet to come.
        _ if effort.is_none() => Ok(Thinking::Adaptive(view)),
        _ => Ok(asked),
    }
}

fn user<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Option<View<'a>>, Refusal> {
    let Some(metadata) = of_kind(root, "metadata", Kind::Object)? else { return Ok(None) };
    others.extend(rest(metadata, &["user_id"]));
    string(metadata, "user_id")
}

/// In OpenAI's words: `standard_only` is its `default`, `auto` the default of both.
fn service_tier(root: View<'_>) -> Result<Option<Word<'_>>, Refusal> {
    let Some(view) = string(root, "service_tier")? else { return Ok(None) };
    Ok(match view.text().unwrap_or_default() {
        auto if auto == "auto" => None,
        standard if standard == "standard_only" => Some(Word { text: Cow::Borrowed("default"), view }),
        text => Some(Word { text, view }),
    })
}

/// `disable_parallel_tool_use: true`, where it stands.
pub(super) fn single(choice: View<'_>) -> Result<Option<View<'_>>, Refusal> {
    let asked = boolean(choice, "disable_parallel_tool_use")?.unwrap_or_default();
    Ok(choice.present("disable_parallel_tool_use").filter(|_| asked))
}
