//! Tools and the choice among them, written flat.

use super::super::tool_names::ToolNames;
use crate::chat::{Tool, ToolChoice};
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};

/// Writes the members `tools` and `tool_choice`.
pub(super) fn write(tools: &[&Tool<'_>], choice: &ToolChoice<'_>, names: &ToolNames, losses: &mut Losses, out: &mut Splice) {
    if !tools.is_empty() {
        out.key("tools").array();
        for tool in tools {
            declare(tool, names, losses, out);
        }
        out.end_array();
    }
    let view = match choice {
        ToolChoice::Unset => return,
        ToolChoice::Auto(view) | ToolChoice::None(view) | ToolChoice::Required(view) => *view,
        ToolChoice::Named { view, .. } | ToolChoice::Allowed { view, .. } => *view,
    };
    if fit(tools, view, losses) {
        choose(choice, names, out.key("tool_choice"));
    }
}

/// Whether there are tools that something said of them can speak of; what speaks of none is lost.
pub(super) fn fit(tools: &[&Tool<'_>], said: View<'_>, losses: &mut Losses) -> bool {
    if tools.is_empty() {
        losses.note(LossKind::Dropped, said);
    }
    !tools.is_empty()
}

fn declare(tool: &Tool<'_>, names: &ToolNames, losses: &mut Losses, out: &mut Splice) {
    let Tool { name, description, parameters, strict, cache_control, others, view: _ } = tool;
    let name = name.and_then(View::text).unwrap_or_default();
    losses.dropped(cache_control.iter().chain(others).copied());
    out.element().object().key("type").string("function").key("name").string(&names.sent(name));
    if let Some(description) = description {
        out.key("description").view(*description);
    }
    out.key("parameters");
    match parameters {
        Some(schema) => schema.write(out),
        None => {
            out.raw(r#"{"type":"object","properties":{},"additionalProperties":false}"#);
        }
    }
    out.key("strict");
    match strict {
        Some(strict) => out.view(*strict),
        None => out.raw("false"),
    };
    out.end_object();
}

fn choose(choice: &ToolChoice<'_>, names: &ToolNames, out: &mut Splice) {
    let function = |name, out: &mut Splice| {
        out.object().key("type").string("function").key("name").string(&names.sent(name)).end_object();
    };
    match choice {
        ToolChoice::Unset | ToolChoice::Auto(_) => {
            out.string("auto");
        }
        ToolChoice::None(_) => {
            out.string("none");
        }
        ToolChoice::Required(_) => {
            out.string("required");
        }
        ToolChoice::Named { name, view: _ } => function(name.text().unwrap_or_default(), out),
        ToolChoice::Allowed { names: allowed, required, view: _ } => {
            out.object().key("type").string("allowed_tools").key("mode").string(if *required { "required" } else { "auto" });
            out.key("tools").array();
            for name in allowed {
                function(name.clone(), out.element());
            }
            out.end_array().end_object();
        }
    }
}
