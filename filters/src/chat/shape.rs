//! What the scan of a chat body records, as data: the members that are read, and with them those that may stand only once.

use crate::json::Shape;

/// What the scan records of a chat body. Everything not named here is one span: it passes untouched, or is reported as lost.
pub static CHAT: Shape = open(&[
    ("model", &OPAQUE),
    ("messages", &MESSAGES),
    ("stream", &OPAQUE),
    ("stream_options", &STREAM_OPTIONS),
    ("max_tokens", &OPAQUE),
    ("max_completion_tokens", &OPAQUE),
    ("temperature", &OPAQUE),
    ("top_p", &OPAQUE),
    ("top_k", &OPAQUE),
    ("stop", &OPAQUE_ELEMENTS),
    ("response_format", &RESPONSE_FORMAT),
    ("tools", &TOOLS),
    ("functions", &FUNCTIONS),
    ("tool_choice", &TOOL_CHOICE),
    ("function_call", &NAMED),
    ("parallel_tool_calls", &OPAQUE),
    ("reasoning_effort", &OPAQUE),
    ("n", &OPAQUE),
    ("seed", &OPAQUE),
    ("presence_penalty", &OPAQUE),
    ("frequency_penalty", &OPAQUE),
    ("logprobs", &OPAQUE),
    ("top_logprobs", &OPAQUE),
    ("modalities", &OPAQUE),
    ("user", &OPAQUE),
    ("safety_identifier", &OPAQUE),
    ("service_tier", &OPAQUE),
    ("fallbacks", &FALLBACKS),
]);

const fn open(members: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape::Open { members, elements: None }
}

const fn each(elements: &'static Shape) -> Shape {
    Shape::Open { members: &[], elements: Some(elements) }
}

static OPAQUE: Shape = Shape::Opaque;
static OPAQUE_ELEMENTS: Shape = each(&OPAQUE);
static NAMED: Shape = open(&[("name", &OPAQUE)]);

static STREAM_OPTIONS: Shape = open(&[("include_usage", &OPAQUE)]);
static RESPONSE_FORMAT: Shape = open(&[("type", &OPAQUE), ("json_schema", &JSON_SCHEMA)]);
static JSON_SCHEMA: Shape = open(&[("name", &OPAQUE), ("description", &OPAQUE), ("schema", &OPAQUE), ("strict", &OPAQUE)]);

static TOOLS: Shape = each(&TOOL);
static TOOL: Shape = open(&[("type", &OPAQUE), ("function", &FUNCTION), ("cache_control", &OPAQUE)]);
static FUNCTIONS: Shape = each(&FUNCTION);
static FUNCTION: Shape =
    open(&[("name", &OPAQUE), ("description", &OPAQUE), ("parameters", &OPAQUE), ("strict", &OPAQUE), ("cache_control", &OPAQUE)]);

static TOOL_CHOICE: Shape = open(&[
    ("type", &OPAQUE),
    ("name", &OPAQUE),
    ("function", &NAMED),
    ("custom", &NAMED),
    ("allowed_tools", &ALLOWED_TOOLS),
    ("mode", &OPAQUE),
    ("tools", &ALLOWED),
]);
static ALLOWED_TOOLS: Shape = open(&[("mode", &OPAQUE), ("tools", &ALLOWED)]);
static ALLOWED: Shape = each(&ALLOWED_TOOL);
static ALLOWED_TOOL: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE), ("function", &NAMED), ("custom", &NAMED)]);

static FALLBACKS: Shape = each(&FALLBACK);
static FALLBACK: Shape = open(&[("provider", &OPAQUE), ("model", &OPAQUE)]);

static MESSAGES: Shape = each(&MESSAGE);
static MESSAGE: Shape = open(&[
    ("role", &OPAQUE),
    ("content", &CONTENT),
    ("tool_calls", &TOOL_CALLS),
    ("tool_call_id", &OPAQUE),
    ("function_call", &CALLED),
    ("name", &OPAQUE),
    ("refusal", &OPAQUE),
    ("reasoning_content", &OPAQUE),
    ("reasoning", &OPAQUE),
    ("reasoning_details", &TRACES),
    ("thinking_blocks", &TRACES),
    ("cache_control", &OPAQUE),
    ("is_error", &OPAQUE),
]);

static CONTENT: Shape = each(&PART);
static PART: Shape = open(&[
    ("type", &OPAQUE),
    ("text", &OPAQUE),
    ("image_url", &IMAGE_URL),
    ("input_audio", &INPUT_AUDIO),
    ("file", &FILE),
    ("document_url", &OPAQUE),
    ("document_name", &OPAQUE),
    ("thinking", &THOUGHTS),
    ("refusal", &OPAQUE),
    ("cache_control", &OPAQUE),
]);
static THOUGHTS: Shape = each(&THOUGHT);
static THOUGHT: Shape = open(&[("type", &OPAQUE), ("text", &OPAQUE)]);
static IMAGE_URL: Shape = open(&[("url", &OPAQUE), ("detail", &OPAQUE)]);
static INPUT_AUDIO: Shape = open(&[("data", &OPAQUE), ("format", &OPAQUE)]);
static FILE: Shape = open(&[("file_data", &OPAQUE), ("file_id", &OPAQUE), ("filename", &OPAQUE)]);

static TOOL_CALLS: Shape = each(&TOOL_CALL);
static TOOL_CALL: Shape =
    open(&[("id", &OPAQUE), ("type", &OPAQUE), ("function", &CALLED), ("custom", &NAMED), ("extra_content", &EXTRA_CONTENT)]);
static CALLED: Shape = open(&[("name", &OPAQUE), ("arguments", &OPAQUE)]);
static EXTRA_CONTENT: Shape = open(&[("google", &GOOGLE)]);
static GOOGLE: Shape = open(&[("thought_signature", &OPAQUE)]);

static TRACES: Shape = each(&TRACE);
static TRACE: Shape =
    open(&[("type", &OPAQUE), ("text", &OPAQUE), ("summary", &OPAQUE), ("thinking", &OPAQUE), ("signature", &OPAQUE), ("data", &OPAQUE)]);
