//! Reads a scanned body into a [`ChatRequest`]: lenient to what OpenAI accepts, exact about what is wrong.

pub(crate) mod field;
mod message;
pub(crate) mod neutral;
mod tool;

use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

use super::form::{Schema, Thinking, Word};
use super::peek;
use super::request::{ChatRequest, ResponseFormat};
use field::{of_kind, rest, string};
use neutral::{NEUTRAL, is_neutral, same_number};
pub(crate) use tool::choice as tool_choice;

/// Members that [`read`] takes up by name. All others go to [`ChatRequest::others`], unless they are neutral.
static KNOWN: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "response_format",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "parallel_tool_calls",
    "reasoning_effort",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "modalities",
    "user",
    "safety_identifier",
    "service_tier",
    "fallbacks",
];

pub(super) fn read(document: &Document) -> Result<ChatRequest<'_>, Refusal> {
    let root = field::expect(document.root(), Kind::Object)?;
    let mut others: Vec<_> = rest(root, KNOWN).filter(|member| !is_neutral(*member, NEUTRAL)).collect();
    let number = |key| unless_neutral(of_kind(root, key, Kind::Number)?);
    let tools = tool::read(root, &mut others)?;
    Ok(ChatRequest {
        document,
        model: peek::model(document)?,
        stream: peek::wants_stream(document)?,
        include_usage: include_usage(root)?,
        messages: message::read(root)?,
        tools: tools.tools,
        legacy_functions: tools.legacy,
        tool_choice: tools.choice,
        no_parallel_tool_calls: unless_neutral(of_kind(root, "parallel_tool_calls", Kind::Bool)?)?,
        max_tokens: max_tokens(root, &mut others)?,
        temperature: number("temperature")?,
        top_p: number("top_p")?,
        top_k: number("top_k")?,
        stop: stop(root)?,
        response_format: response_format(root, &mut others)?,
        thinking: string(root, "reasoning_effort")?.map_or(Thinking::Unset, |view| Thinking::Effort(Word::of(view))),
        n: number("n")?,
        seed: number("seed")?,
        presence_penalty: number("presence_penalty")?,
        frequency_penalty: number("frequency_penalty")?,
        logprobs: unless_neutral(of_kind(root, "logprobs", Kind::Bool)?)?,
        top_logprobs: number("top_logprobs")?,
        modalities: unless_neutral(of_kind(root, "modalities", Kind::Array)?)?,
        user: user(root, &mut others)?,
        service_tier: unless_neutral(string(root, "service_tier")?)?.map(Word::of),
        others,
        moved: Vec::new(),
    })
}

fn unless_neutral(member: Option<View<'_>>) -> Result<Option<View<'_>>, Refusal> {
    Ok(member.filter(|member| !is_neutral(*member, NEUTRAL)))
}

fn include_usage(root: View<'_>) -> Result<bool, Refusal> {
    let options = of_kind(root, "stream_options", Kind::Object)?;
    let asked = options.map(|options| field::boolean(options, "include_usage")).transpose()?;
    Ok(asked.flatten().unwrap_or(false))
}

/// `max_tokens` is the older name of `max_completion_tokens`, which wins. The other is worth a word only where it differs.
fn max_tokens<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Option<View<'a>>, Refusal> {
    let new = of_kind(root, "max_completion_tokens", Kind::Number)?;
    let old = of_kind(root, "max_tokens", Kind::Number)?;
    if let (Some(new), Some(old)) = (new, old) {
        others.extend((!same_number(new, old)).then_some(old));
    }
    Ok(new.or(old))
}

/// `safety_identifier` has taken the place of `user`.
fn user<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Option<View<'a>>, Refusal> {
    let new = unless_neutral(string(root, "safety_identifier")?)?;
    let old = unless_neutral(string(root, "user")?)?;
    if let (Some(new), Some(old)) = (new, old) {
        others.extend((new.raw() != old.raw()).then_some(old));
    }
    Ok(new.or(old))
}

fn stop(root: View<'_>) -> Result<Vec<View<'_>>, Refusal> {
    match root.present("stop") {
        None => Ok(Vec::new()),
        Some(one) if one.kind() == Kind::String => Ok(vec![one]),
        Some(many) if many.kind() == Kind::Array => many.elements().map(|each| field::expect(each, Kind::String)).collect(),
        Some(other) => Err(field::wrong_kind(other, "a string or an array of strings")),
    }
}

fn response_format<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<ResponseFormat<'a>, Refusal> {
    let Some(view) = of_kind(root, "response_format", Kind::Object)? else {
        return Ok(ResponseFormat::Text);
    };
    let kind = field::required_string(view, "type")?.text().unwrap_or_default();
    let format = match kind.as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject(view),
        "json_schema" => {
            let schema = field::required_object(view, "json_schema")?;
            others.extend(rest(schema, &["name", "description", "schema", "strict"]));
            ResponseFormat::JsonSchema {
                name: string(schema, "name")?,
                description: string(schema, "description")?,
                schema: of_kind(schema, "schema", Kind::Object)?.map(Schema::of),
                strict: of_kind(schema, "strict", Kind::Bool)?,
                view,
            }
        }
        _ => return Ok(ResponseFormat::Unknown(view)),
    };
    others.extend(rest(view, &["type", "json_schema"]));
    Ok(format)
}
