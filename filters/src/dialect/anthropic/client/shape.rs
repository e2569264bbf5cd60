//! What the scan of a Messages body records, as data.

use crate::json::Shape;

/// What the scan records. Everything not named here is one span: it passes untouched, or is reported as lost.
pub(super) static MESSAGES: Shape = open(&[
    ("model", &OPAQUE),
    ("messages", &TURNS),
    ("system", &CONTENT),
    ("max_tokens", &OPAQUE),
    ("stream", &OPAQUE),
    ("temperature", &OPAQUE),
    ("top_p", &OPAQUE),
    ("top_k", &OPAQUE),
    ("stop_sequences", &OPAQUE_ELEMENTS),
    ("tools", &TOOLS),
    ("tool_choice", &TOOL_CHOICE),
    ("thinking", &THINKING),
    ("output_config", &OUTPUT_CONFIG),
    ("output_format", &FORMAT),
    ("metadata", &METADATA),
    ("service_tier", &OPAQUE),
    ("mcp_servers", &OPAQUE_ELEMENTS),
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

static TURNS: Shape = each(&TURN);
static TURN: Shape = open(&[("role", &OPAQUE), ("content", &CONTENT)]);

static CONTENT: Shape = each(&BLOCK);
static BLOCK: Shape = open(&[
    ("type", &OPAQUE),
    ("text", &OPAQUE),
    ("source", &SOURCE),
    ("title", &OPAQUE),
    ("thinking", &OPAQUE),
    ("signature", &OPAQUE),
    ("data", &OPAQUE),
    ("id", &OPAQUE),
    ("name", &OPAQUE),
    ("input", &OPAQUE),
    ("tool_use_id", &OPAQUE),
    ("content", &RESULT),
    ("is_error", &OPAQUE),
    ("cache_control", &OPAQUE),
]);
static RESULT: Shape = each(&RESULT_BLOCK);
static RESULT_BLOCK: Shape =
    open(&[("type", &OPAQUE), ("text", &OPAQUE), ("source", &SOURCE), ("title", &OPAQUE), ("cache_control", &OPAQUE)]);
static SOURCE: Shape = open(&[("type", &OPAQUE), ("media_type", &OPAQUE), ("data", &OPAQUE), ("url", &OPAQUE), ("file_id", &OPAQUE)]);

static TOOLS: Shape = each(&TOOL);
static TOOL: Shape = open(&[
    ("type", &OPAQUE),
    ("name", &OPAQUE),
    ("description", &OPAQUE),
    ("input_schema", &OPAQUE),
    ("strict", &OPAQUE),
    ("cache_control", &OPAQUE),
]);
static TOOL_CHOICE: Shape = open(&[("type", &OPAQUE), ("name", &OPAQUE), ("disable_parallel_tool_use", &OPAQUE)]);

static THINKING: Shape = open(&[("type", &OPAQUE), ("budget_tokens", &OPAQUE), ("display", &OPAQUE)]);
static OUTPUT_CONFIG: Shape = open(&[("effort", &OPAQUE), ("format", &FORMAT)]);
static FORMAT: Shape = open(&[("type", &OPAQUE), ("schema", &OPAQUE)]);
static METADATA: Shape = open(&[("user_id", &OPAQUE)]);

static FALLBACKS: Shape = each(&FALLBACK);
static FALLBACK: Shape = open(&[("provider", &OPAQUE), ("model", &OPAQUE)]);
