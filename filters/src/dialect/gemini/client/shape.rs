//! What the scan of a body records, as data: each name in both spellings of proto JSON.

use crate::json::Shape;

/// What the scan records. Everything not named here is one span: it passes untouched, or is reported as lost.
pub(super) static GENERATE: Shape = open(&[
    ("model", &OPAQUE),
    ("contents", &CONTENTS),
    ("systemInstruction", &CONTENT),
    ("system_instruction", &CONTENT),
    ("tools", &TOOLS),
    ("toolConfig", &TOOL_CONFIG),
    ("tool_config", &TOOL_CONFIG),
    ("generationConfig", &CONFIG),
    ("generation_config", &CONFIG),
    ("cachedContent", &OPAQUE),
    ("cached_content", &OPAQUE),
    ("serviceTier", &OPAQUE),
    ("service_tier", &OPAQUE),
    ("generateContentRequest", &COUNTED),
    ("generate_content_request", &COUNTED),
    ("fallbacks", &FALLBACKS),
]);

/// What is counted, as AI Studio's `countTokens` holds a whole request.
static COUNTED: Shape = open(&[
    ("model", &OPAQUE),
    ("contents", &CONTENTS),
    ("systemInstruction", &CONTENT),
    ("system_instruction", &CONTENT),
    ("tools", &TOOLS),
    ("toolConfig", &TOOL_CONFIG),
    ("tool_config", &TOOL_CONFIG),
    ("generationConfig", &CONFIG),
    ("generation_config", &CONFIG),
    ("cachedContent", &OPAQUE),
    ("cached_content", &OPAQUE),
]);

const fn open(members: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape::Open { members, elements: None }
}

/// An array, or one of its elements in its place.
macro_rules! each {
    ($element:ident, $members:expr) => {
        Shape::Open { members: $members, elements: Some(&$element) }
    };
}

static OPAQUE: Shape = Shape::Opaque;
static OPAQUE_ELEMENTS: Shape = Shape::Open { members: &[], elements: Some(&OPAQUE) };

static CONTENT_MEMBERS: &[(&str, &Shape)] = &[("role", &OPAQUE), ("parts", &PARTS)];
static CONTENT: Shape = open(CONTENT_MEMBERS);
static CONTENTS: Shape = each!(CONTENT, CONTENT_MEMBERS);

static PART_MEMBERS: &[(&str, &Shape)] = &[
    ("text", &OPAQUE),
    ("thought", &OPAQUE),
    ("thoughtSignature", &OPAQUE),
    ("thought_signature", &OPAQUE),
    ("inlineData", &BLOB),
    ("inline_data", &BLOB),
    ("fileData", &FILE),
    ("file_data", &FILE),
    ("functionCall", &CALL),
    ("function_call", &CALL),
    ("functionResponse", &RESPONSE),
    ("function_response", &RESPONSE),
];
static PART: Shape = open(PART_MEMBERS);
static PARTS: Shape = each!(PART, PART_MEMBERS);
static BLOB: Shape =
    open(&[("mimeType", &OPAQUE), ("mime_type", &OPAQUE), ("data", &OPAQUE), ("displayName", &OPAQUE), ("display_name", &OPAQUE)]);
static FILE: Shape = open(&[
    ("mimeType", &OPAQUE),
    ("mime_type", &OPAQUE),
    ("fileUri", &OPAQUE),
    ("file_uri", &OPAQUE),
    ("displayName", &OPAQUE),
    ("display_name", &OPAQUE),
]);
static CALL: Shape = open(&[("id", &OPAQUE), ("name", &OPAQUE), ("args", &OPAQUE)]);
static RESPONSE: Shape = open(&[("id", &OPAQUE), ("name", &OPAQUE), ("response", &RESULT), ("parts", &RESULT_PARTS)]);
static RESULT: Shape = open(&[("output", &OPAQUE)]);
static RESULT_PART_MEMBERS: &[(&str, &Shape)] = &[("inlineData", &BLOB), ("inline_data", &BLOB), ("fileData", &FILE), ("file_data", &FILE)];
static RESULT_PART: Shape = open(RESULT_PART_MEMBERS);
static RESULT_PARTS: Shape = each!(RESULT_PART, RESULT_PART_MEMBERS);

static TOOL_MEMBERS: &[(&str, &Shape)] = &[("functionDeclarations", &FUNCTIONS), ("function_declarations", &FUNCTIONS)];
static TOOL: Shape = open(TOOL_MEMBERS);
static TOOLS: Shape = each!(TOOL, TOOL_MEMBERS);
static FUNCTION_MEMBERS: &[(&str, &Shape)] = &[
    ("name", &OPAQUE),
    ("description", &OPAQUE),
    ("parameters", &OPAQUE),
    ("parametersJsonSchema", &OPAQUE),
    ("parameters_json_schema", &OPAQUE),
];
static FUNCTION: Shape = open(FUNCTION_MEMBERS);
static FUNCTIONS: Shape = each!(FUNCTION, FUNCTION_MEMBERS);

static TOOL_CONFIG: Shape = open(&[("functionCallingConfig", &CALLING), ("function_calling_config", &CALLING)]);
static CALLING: Shape =
    open(&[("mode", &OPAQUE), ("allowedFunctionNames", &OPAQUE_ELEMENTS), ("allowed_function_names", &OPAQUE_ELEMENTS)]);

static CONFIG: Shape = open(&[
    ("temperature", &OPAQUE),
    ("topP", &OPAQUE),
    ("top_p", &OPAQUE),
    ("topK", &OPAQUE),
    ("top_k", &OPAQUE),
    ("candidateCount", &OPAQUE),
    ("candidate_count", &OPAQUE),
    ("maxOutputTokens", &OPAQUE),
    ("max_output_tokens", &OPAQUE),
    ("stopSequences", &OPAQUE_ELEMENTS),
    ("stop_sequences", &OPAQUE_ELEMENTS),
    ("presencePenalty", &OPAQUE),
    ("presence_penalty", &OPAQUE),
    ("frequencyPenalty", &OPAQUE),
    ("frequency_penalty", &OPAQUE),
    ("seed", &OPAQUE),
    ("responseLogprobs", &OPAQUE),
    ("response_logprobs", &OPAQUE),
    ("logprobs", &OPAQUE),
    ("responseMimeType", &OPAQUE),
    ("response_mime_type", &OPAQUE),
    ("responseSchema", &OPAQUE),
    ("response_schema", &OPAQUE),
    ("responseJsonSchema", &OPAQUE),
    ("response_json_schema", &OPAQUE),
    ("_responseJsonSchema", &OPAQUE),
    ("responseModalities", &OPAQUE_ELEMENTS),
    ("response_modalities", &OPAQUE_ELEMENTS),
    ("thinkingConfig", &THINKING),
    ("thinking_config", &THINKING),
]);
static THINKING: Shape = open(&[
    ("thinkingBudget", &OPAQUE),
    ("thinking_budget", &OPAQUE),
    ("thinkingLevel", &OPAQUE),
    ("thinking_level", &OPAQUE),
    ("includeThoughts", &OPAQUE),
    ("include_thoughts", &OPAQUE),
]);

static FALLBACKS: Shape = Shape::Open { members: &[], elements: Some(&FALLBACK) };
static FALLBACK: Shape = open(&[("provider", &OPAQUE), ("model", &OPAQUE)]);
