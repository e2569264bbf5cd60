//! Reads `generationConfig`: sampling, limits, the answer's form, thinking.

use std::borrow::Cow;

use super::{key, open_api};
use crate::chat::field::expect;
use crate::chat::{ResponseFormat, Schema, Thinking, Word};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// Members that are taken up by name.
static KNOWN: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
];

/// What it says, as the pivot has it.
pub(super) struct Config<'a> {
    pub(super) temperature: Option<View<'a>>,
    pub(super) top_p: Option<View<'a>>,
    pub(super) top_k: Option<View<'a>>,
    pub(super) n: Option<View<'a>>,
    pub(super) max_tokens: Option<View<'a>>,
    pub(super) stop: Vec<View<'a>>,
    pub(super) presence_penalty: Option<View<'a>>,
    pub(super) frequency_penalty: Option<View<'a>>,
    pub(super) seed: Option<View<'a>>,
    pub(super) logprobs: Option<View<'a>>,
    pub(super) top_logprobs: Option<View<'a>>,
    pub(super) response_format: ResponseFormat<'a>,
    pub(super) thinking: Thinking<'a>,
}

impl Config<'_> {
    const NONE: Self = Self {
        temperature: None,
        top_p: None,
        top_k: None,
        n: None,
        max_tokens: None,
        stop: Vec::new(),
        presence_penalty: None,
        frequency_penalty: None,
        seed: None,
        logprobs: None,
        top_logprobs: None,
        response_format: ResponseFormat::Text,
        thinking: Thinking::Unset,
    };
}

/// Reads the member. What no other dialect knows goes to `others`.
pub(super) fn read<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Config<'a>, Refusal> {
    let Some(view) = key::of_kind(root, "generationConfig", Kind::Object)? else { return Ok(Config::NONE) };
    others.extend(key::rest(view, KNOWN));
    let number = |camel| key::of_kind(view, camel, Kind::Number);
    // What is so anyway.
    let unless = |member: Option<View<'a>>, value: f64| member.filter(|member| member.number() != Some(value));
    others.extend(key::of_kind(view, "responseModalities", Kind::Array)?.filter(|modalities| !is_text_alone(*modalities)));
    Ok(Config {
        temperature: number("temperature")?,
        top_p: number("topP")?,
        top_k: number("topK")?,
        n: unless(number("candidateCount")?, 1.0),
        max_tokens: number("maxOutputTokens")?,
        stop: key::elements(view, "stopSequences").map(|each| expect(each, Kind::String)).collect::<Result<_, _>>()?,
        presence_penalty: unless(number("presencePenalty")?, 0.0),
        frequency_penalty: unless(number("frequencyPenalty")?, 0.0),
        seed: number("seed")?,
        logprobs: key::of_kind(view, "responseLogprobs", Kind::Bool)?.filter(|asked| asked.boolean() == Some(true)),
        top_logprobs: number("logprobs")?,
        response_format: response_format(view, others)?,
        thinking: thinking(view, others)?,
    })
}

fn is_text_alone(modalities: View<'_>) -> bool {
    modalities.elements().all(|word| word.text().is_some_and(|word| word.eq_ignore_ascii_case("TEXT")))
}

/// A schema, in either of Google's two forms, or no more than that the answer is JSON.
fn response_format<'a>(config: View<'a>, others: &mut Vec<View<'a>>) -> Result<ResponseFormat<'a>, Refusal> {
    let json = ["responseJsonSchema", "_responseJsonSchema"].iter().find_map(|camel| key::present(config, camel));
    let open_api = key::of_kind(config, "responseSchema", Kind::Object)?;
    let mime = key::string(config, "responseMimeType")?;
    let word = mime.and_then(View::text).unwrap_or_default();
    if let Some(mime) = mime.filter(|_| !matches!(word.as_ref(), "" | "text/plain" | "application/json")) {
        // A word out of a list, bare, and what is yet to come.
        others.extend(json.or(open_api));
        return Ok(ResponseFormat::Unknown(mime));
    }
    let Some(view) = json.or(open_api) else {
        return Ok(mime.filter(|_| word == "application/json").map_or(ResponseFormat::Text, ResponseFormat::JsonObject));
    };
    others.extend(open_api.filter(|_| json.is_some()));
    let schema = if json.is_some() { Schema::of(expect(view, Kind::Object)?) } else { open_api::answer(view) };
    Ok(ResponseFormat::JsonSchema { name: None, description: None, schema: Some(schema), strict: None, view })
}

/// A level, else a budget. `includeThoughts` is of the form of what comes back, where thinking is asked for; alone it asks for what a
/// model thinks by itself, and no other dialect has a word for that.
fn thinking<'a>(config: View<'a>, others: &mut Vec<View<'a>>) -> Result<Thinking<'a>, Refusal> {
    let Some(view) = key::of_kind(config, "thinkingConfig", Kind::Object)? else { return Ok(Thinking::Unset) };
    others.extend(key::rest(view, &["thinkingLevel", "thinkingBudget", "includeThoughts"]));
    let budget = key::of_kind(view, "thinkingBudget", Kind::Number)?;
    let level = key::string(view, "thinkingLevel")?;
    let word = level.and_then(View::text).unwrap_or_default().to_ascii_lowercase();
    if let Some(level) = level.filter(|_| !matches!(word.as_str(), "" | "thinking_level_unspecified")) {
        others.extend(budget);
        return Ok(Thinking::Effort(Word { text: Cow::Owned(word), view: level }));
    }
    Ok(match budget {
        Some(view) => view.unsigned().map_or(Thinking::Adaptive(view), |tokens| Thinking::Budget { tokens, view }),
        None => {
            others.extend(key::of_kind(view, "includeThoughts", Kind::Bool)?.filter(|asked| asked.boolean() == Some(true)));
            Thinking::Unset
        }
    })
}
