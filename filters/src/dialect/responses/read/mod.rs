//! Reads a request of the Responses API into the pivot. Lenient to what the API accepts, exact about what is wrong.
//!
//! What only a provider that speaks the dialect itself can do (to go on from a response it has stored, to answer in the background, a
//! prompt it keeps) is refused of other candidates by name.

mod item;
mod items;
mod part;
mod shape;

use crate::chat::field::{self, missing, of_kind, rest, string};
use crate::chat::neutral::is_neutral;
use crate::chat::{self, ChatRequest, ResponseFormat, Schema, Thinking, Tool, ToolChoice, Word};
use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

pub(super) use part::{files, images, links};
pub(super) use shape::RESPONSE;

/// Members that [`read`] takes up by name. All others go to [`ChatRequest::others`], unless they are neutral.
static KNOWN: &[&str] = &[
    "model",
    "input",
    "instructions",
    "stream",
    "max_output_tokens",
    "temperature",
    "top_p",
    "text",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "include",
    "user",
    "safety_identifier",
    "service_tier",
    "fallbacks",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
];

/// Members that say what is so anyway. Source: the API specification's `CreateResponse`. `stream_options` speaks of the stream's form;
/// what is asked to be stored and cannot be is a loss, which only `store: true` asks for aloud.
static NEUTRAL: &[(&str, &[&str])] = &[
    ("background", &["false"]),
    ("parallel_tool_calls", &["true"]),
    ("store", &["false"]),
    ("truncation", &["\"disabled\""]),
    ("service_tier", &["\"auto\""]),
    ("metadata", &["{}"]),
    ("top_logprobs", &["0"]),
    ("user", &["\"\""]),
    ("safety_identifier", &["\"\""]),
    ("context_management", &["[]"]),
];

/// Members that take a provider with a store, or with work in the background, of this dialect.
static STATEFUL: &[&str] = &["previous_response_id", "conversation", "prompt", "background"];

/// What may be asked to be included, and is anyway.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// What takes such a provider.
pub(super) fn stateful(root: View<'_>) -> Option<View<'_>> {
    STATEFUL.iter().find_map(|key| root.present(key).filter(|member| !is_neutral(*member, NEUTRAL)))
}

pub(super) fn read(document: &Document) -> Result<ChatRequest<'_>, Refusal> {
    let root = field::expect(document.root(), Kind::Object)?;
    if let Some(member) = stateful(root) {
        return Err(native(member, "This needs what only a provider of the Responses API itself keeps"));
    }
    let mut others: Vec<_> = rest(root, KNOWN).filter(|member| !is_neutral(*member, NEUTRAL)).collect();
    others.retain(|member| member.key().is_none_or(|key| key != "stream_options"));
    let number = |key| of_kind(root, key, Kind::Number);
    let (response_format, thinking) = (format(root, &mut others)?, thinking(root, &mut others)?);
    include(root, &mut others)?;
    let stream = chat::wants_stream(document)?;
    let request = ChatRequest {
        document,
        model: chat::model(document)?,
        stream,
        include_usage: stream,
        messages: items::read(root, &mut others)?,
        tools: field::elements(root, "tools")?.map(tool).collect::<Result<_, _>>()?,
        legacy_functions: false,
        tool_choice: tool_choice(root)?,
        no_parallel_tool_calls: unless_neutral(of_kind(root, "parallel_tool_calls", Kind::Bool)?),
        max_tokens: number("max_output_tokens")?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: None,
        stop: Vec::new(),
        response_format,
        thinking,
        n: None,
        seed: None,
        presence_penalty: None,
        frequency_penalty: None,
        logprobs: None,
        top_logprobs: None,
        modalities: None,
        user: user(root, &mut others)?,
        service_tier: unless_neutral(string(root, "service_tier")?).map(Word::of),
        others,
        moved: Vec::new(),
    };
    Ok(request)
}

/// A refusal of what only this dialect's own providers can do.
fn native(view: View<'_>, what: &str) -> Refusal {
    let message = format!("{what}, which this model's provider is not. Send the conversation itself, or ask for a model of one that is.");
    Refusal::candidate(view, message).with_code("unsupported_parameter")
}

fn unless_neutral(member: Option<View<'_>>) -> Option<View<'_>> {
    member.filter(|member| !is_neutral(*member, NEUTRAL))
}

/// `safety_identifier` has taken the place of `user`.
fn user<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Option<View<'a>>, Refusal> {
    let new = unless_neutral(string(root, "safety_identifier")?);
    let old = unless_neutral(string(root, "user")?);
    if let (Some(new), Some(old)) = (new, old) {
        others.extend((new.raw() != old.raw()).then_some(old));
    }
    Ok(new.or(old))
}

/// What is included beside the answer. A reply holds encrypted reasoning anyway, and nothing else.
fn include<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<(), Refusal> {
    let asked = field::elements(root, "include")?;
    others.extend(asked.filter(|member| member.text().is_none_or(|text| text != ENCRYPTED)));
    Ok(())
}

/// How much to think. Whether reasoning is told in summary is the model's affair: what comes of it is passed on.
fn thinking<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Thinking<'a>, Refusal> {
    let Some(reasoning) = of_kind(root, "reasoning", Kind::Object)? else { return Ok(Thinking::Unset) };
    others.extend(rest(reasoning, &["effort", "summary", "generate_summary"]));
    Ok(string(reasoning, "effort")?.map_or(Thinking::Unset, |effort| Thinking::Effort(Word::of(effort))))
}

fn format<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<ResponseFormat<'a>, Refusal> {
    let Some(text) = of_kind(root, "text", Kind::Object)? else { return Ok(ResponseFormat::Text) };
    others.extend(rest(text, &["format"]).filter(|member| !is_neutral(*member, &[("verbosity", &["\"medium\""])])));
    let Some(view) = of_kind(text, "format", Kind::Object)? else { return Ok(ResponseFormat::Text) };
    Ok(match field::required_string(view, "type")?.text().unwrap_or_default().as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject(view),
        "json_schema" => {
            others.extend(rest(view, &["type", "name", "description", "schema", "strict"]));
            ResponseFormat::JsonSchema {
                name: Some(field::required_string(view, "name")?),
                description: string(view, "description")?,
                schema: Some(Schema::of(field::required_object(view, "schema")?)),
                strict: of_kind(view, "strict", Kind::Bool)?,
                view,
            }
        }
        _ => ResponseFormat::Unknown(view),
    })
}

/// A function stands flat. Other tools are the provider's own, or take free text: no other dialect has them.
fn tool(view: View<'_>) -> Result<Tool<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    if field::required_string(view, "type")?.text().is_none_or(|kind| kind != "function") {
        return Ok(Tool { name: None, description: None, parameters: None, strict: None, cache_control: None, others: Vec::new(), view });
    }
    let others = rest(view, &["type", "name", "description", "parameters", "strict"]);
    Ok(Tool {
        name: Some(field::required_string(view, "name")?),
        description: string(view, "description")?,
        parameters: of_kind(view, "parameters", Kind::Object)?.map(Schema::of),
        strict: of_kind(view, "strict", Kind::Bool)?,
        cache_control: None,
        others: others.filter(|member| !is_neutral(*member, &[("defer_loading", &["false"])])).collect(),
        view,
    })
}

/// A choice of the provider's own tools goes with them.
fn tool_choice(root: View<'_>) -> Result<ToolChoice<'_>, Refusal> {
    if let Some(choice) = root.present("tool_choice").filter(|choice| choice.kind() == Kind::Object) {
        let kind = choice.get("type").ok_or_else(|| missing(choice, "type"))?;
        if !matches!(kind.text().unwrap_or_default().as_ref(), "function" | "custom" | "allowed_tools") {
            return Err(native(choice, "This tool is one of a provider of the Responses API itself"));
        }
    }
    chat::tool_choice(root, "tool_choice")
}
