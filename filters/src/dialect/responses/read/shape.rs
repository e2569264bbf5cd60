//! What the scan of a request records, as data: the members that are read, and with them those that may stand only once.

use crate::json::Shape;

/// What the scan records. Everything not named here is one span: it passes untouched, or is reported as lost.
pub(in crate::dialect::responses) static RESPONSE: Shape = open(&[
    ("model", &OPAQUE),
    ("input", &ITEMS),
    ("instructions", &OPAQUE),
    ("stream", &OPAQUE),
    ("max_output_tokens", &OPAQUE),
    ("temperature", &OPAQUE),
    ("top_p", &OPAQUE),
    ("text", &TEXT),
    ("tools", &TOOLS),
    ("tool_choice", &TOOL_CHOICE),
    ("parallel_tool_calls", &OPAQUE),
    ("reasoning", &REASONING),
    ("include", &OPAQUE_ELEMENTS),
    ("user", &OPAQUE),
    ("safety_identifier", &OPAQUE),
    ("service_tier", &OPAQUE),
    ("previous_response_id", &OPAQUE),
    ("background", &OPAQUE),
    ("store", &OPAQUE),
    ("metadata", &OPAQUE),
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

static TEXT: Shape = open(&[("format", &FORMAT), ("verbosity", &OPAQUE)]);
static FORMAT: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE), ("description", &OPAQUE), ("schema", &OPAQUE), ("strict", &OPAQUE)]);
static REASONING: Shape = open(&[("effort", &OPAQUE), ("summary", &OPAQUE)]);

static TOOLS: Shape = each(&TOOL);
static TOOL: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE), ("description", &OPAQUE), ("parameters", &OPAQUE), ("strict", &OPAQUE)]);
static TOOL_CHOICE: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE), ("mode", &OPAQUE), ("tools", &ALLOWED)]);
static ALLOWED: Shape = each(&ALLOWED_TOOL);
static ALLOWED_TOOL: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE)]);

static FALLBACKS: Shape = each(&FALLBACK);
static FALLBACK: Shape = open(&[("provider", &OPAQUE), ("model", &OPAQUE)]);

static ITEMS: Shape = each(&ITEM);
static ITEM: Shape = open(&[
    ("type", &OPAQUE),
    ("role", &OPAQUE),
    ("content", &PARTS),
    ("call_id", &OPAQUE),
    ("name", &OPAQUE),
    ("arguments", &OPAQUE),
    ("input", &OPAQUE),
    ("output", &PARTS),
    ("summary", &PARTS),
    ("encrypted_content", &OPAQUE),
]);
static PARTS: Shape = each(&PART);
static PART: Shape = open(&[
    ("type", &OPAQUE),
    ("text", &OPAQUE),
    ("refusal", &OPAQUE),
    ("image_url", &OPAQUE),
    ("detail", &OPAQUE),
    ("file_data", &OPAQUE),
    ("file_url", &OPAQUE),
    ("file_id", &OPAQUE),
    ("filename", &OPAQUE),
    ("input_audio", &AUDIO),
]);
static AUDIO: Shape = open(&[("data", &OPAQUE), ("format", &OPAQUE)]);
