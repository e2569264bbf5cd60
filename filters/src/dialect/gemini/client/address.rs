//! What a path of Google's API asks for: the method, the model, and whether a stream comes as events or as one JSON array.
//!
//! | path | whose |
//! |---|---|
//! | `/v1beta/models/{model}:{method}`, also `v1`, `v1alpha` | AI Studio |
//! | `/v1beta/tunedModels/{model}:{method}` | AI Studio |
//! | `/v1beta/{provider}/{model}:{method}` | some clients, of a model whose name holds a slash |
//! | `/v1/projects/{p}/locations/{l}/publishers/{publisher}/models/{model}:{method}`, also `v1beta1` | Vertex |
//! | `/v1/publishers/{publisher}/models/{model}:{method}` | Vertex with an API key |
//!
//! A model's name may hold slashes, as `openai/gpt-4o`. What Vertex calls a publisher is who serves the model; Google's own need no such
//! word.

use crate::dialect::{Address, Kind};

/// Methods: what each asks for, and whether it streams.
static METHODS: &[(&str, Kind, bool)] = &[
    ("generateContent", Kind::Chat, false),
    ("streamGenerateContent", Kind::Chat, true),
    ("countTokens", Kind::CountTokens, false),
    ("embedContent", Kind::Embeddings, false),
    ("batchEmbedContents", Kind::Embeddings, false),
];

/// The longest name that is read of a path.
const NAME_BYTES: usize = 4096;

/// Reads a path, percent-encoded as it came, and its query.
pub(super) fn read(path: &str, query: &str) -> Option<(Kind, Address)> {
    let (resource, method) = path.strip_prefix('/')?.rsplit_once(':')?;
    let (_, kind, stream) = METHODS.iter().find(|(name, ..)| *name == method)?;
    let model = model(resource).filter(|model| !model.is_empty() && model.len() <= NAME_BYTES)?;
    let array = *stream && !query.split('&').any(|pair| matches!(pair.split_once('='), Some(("alt" | "$alt" | "%24alt", "sse"))));
    Some((*kind, Address { model: Some(model), stream: Some(*stream), array }))
}

/// The model that a resource's name stands for.
fn model(resource: &str) -> Option<String> {
    let (version, rest) = resource.split_once('/')?;
    let versioned = is_version(version);
    let resource = if versioned { rest } else { resource };
    // A name by itself; of a project other things than models may answer.
    let is_name = versioned && resource.contains('/') && !resource.starts_with("projects/");
    let resource = below(resource, "projects").and_then(|rest| below(rest, "locations")).unwrap_or(resource);
    if let Some((publisher, model)) = resource.strip_prefix("publishers/").and_then(|rest| rest.split_once("/models/")) {
        let (publisher, model) = (decoded(publisher)?, decoded(model)?);
        return Some(if publisher == "google" { model } else { format!("{publisher}/{model}") });
    }
    let Some(model) = resource.strip_prefix("models/") else {
        return if is_name { decoded(resource) } else { None };
    };
    let model = decoded(model)?;
    Some(model.strip_prefix("models/").map_or(model.clone(), str::to_owned))
}

/// What follows `{collection}/{id}/`.
fn below<'r>(resource: &'r str, collection: &str) -> Option<&'r str> {
    resource.strip_prefix(collection)?.strip_prefix('/')?.split_once('/').map(|(_, rest)| rest)
}

/// `v1`, `v1beta`, `v1alpha`, `v1beta1`
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|first: char| first.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The text without percent-encoding; `None` if that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let code = (*first == b'%').then(|| digit(0).zip(digit(1))).flatten().and_then(|(high, low)| u8::try_from(16 * high + low).ok());
        bytes.push(code.unwrap_or(*first));
        rest = tail.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_in_every_path() {
        let cases = [
            ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
            ("/v1/models/openai/gpt-4o:generateContent", "openai/gpt-4o"),
            ("/v1alpha/models/openai%2Fgpt-4o:generateContent", "openai/gpt-4o"),
            ("/v1/models/models%2Fgemini-2.5-pro:generateContent", "gemini-2.5-pro"),
            ("/models/ollama/llama3:8b:generateContent", "ollama/llama3:8b"),
            ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine"),
            ("/v1beta/openai/gpt-4o:generateContent", "openai/gpt-4o"),
            ("/v1beta1/projects/p/locations/global/publishers/google/models/gemini-3-pro:generateContent", "gemini-3-pro"),
            ("/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:generateContent", "anthropic/claude-x"),
            ("/v1/publishers/google/models/gemini-3-pro:generateContent", "gemini-3-pro"),
        ];
        for (path, model) in cases {
            let (kind, address) = read(path, "").unwrap_or_else(|| panic!("{path}"));
            assert_eq!((kind, address.model.as_deref(), address.stream), (Kind::Chat, Some(model), Some(false)), "{path}");
        }
    }

    #[test]
    fn other_paths_are_nobodys() {
        let others = [
            "/v1/chat/completions",
            "/v1beta/models",
            "/v1beta/models/x",
            "/v1beta/models/x:predict",
            "/v1beta/models/:generateContent",
            "/v1beta/models/%ff:generateContent",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:rawPredict",
            "/v1beta/x:generateContent",
            "/v1/projects/p/locations/l/endpoints/1:generateContent",
            "/gemini/v1beta/models/x:generateContent",
            ":generateContent",
        ];
        for path in others {
            assert_eq!(read(path, ""), None, "{path}");
        }
    }

    #[test]
    fn a_stream_is_an_array_unless_events_are_asked_for() {
        let array = |method: &str, query: &str| read(&format!("/v1beta/models/x:{method}"), query).unwrap().1.array;
        assert!(array("streamGenerateContent", "") && array("streamGenerateContent", "key=alt%3Dsse&alt=json"));
        assert!(!array("streamGenerateContent", "key=k&alt=sse") && !array("streamGenerateContent", "%24alt=sse"));
        assert!(!array("generateContent", ""));
    }
}
