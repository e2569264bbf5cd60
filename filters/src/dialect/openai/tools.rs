//! Functions and the choice among them.

use super::form::Form;
use super::request::Writer;
use crate::chat::{Tool, ToolChoice, functions};
use crate::json::View;

/// The schema of a function without parameters, where one is demanded.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(writer: &mut Writer<'_>, tools: &[Tool<'_>], choice: &ToolChoice<'_>, no_parallel: Option<View<'_>>) {
    let tools = functions(tools, &mut writer.losses);
    if tools.is_empty() {
        writer.losses.dropped(no_parallel);
        if let ToolChoice::Required(view) | ToolChoice::Named { view, .. } | ToolChoice::Allowed { view, .. } = choice {
            writer.losses.dropped([*view]);
        }
        return;
    }
    let form = writer.form;
    writer.out.key("tools").array();
    for tool in tools.into_iter().filter(|tool| is_offered(form, tool, choice)) {
        declare(writer, tool);
    }
    writer.out.end_array();
    if writer.lacks("tool_choice") {
        writer.losses.dropped(asked(choice));
    } else {
        choose(writer, choice);
    }
    if let Some(out) = no_parallel.and_then(|asked| writer.member("parallel_tool_calls", Some(asked))) {
        out.raw("false");
    }
}

/// Mistral has no choice among some of the tools: the others are left out.
fn is_offered(form: &Form, tool: &Tool<'_>, choice: &ToolChoice<'_>) -> bool {
    match choice {
        ToolChoice::Allowed { names, .. } if form.is_mistral() => tool.name.and_then(View::text).is_none_or(|name| names.contains(&name)),
        _ => true,
    }
}

fn declare(writer: &mut Writer<'_>, tool: &Tool<'_>) {
    let Tool { name, description, parameters, strict, cache_control, others, view: _ } = tool;
    let name = name.and_then(View::text).unwrap_or_default();
    writer.losses.dropped(cache_control.iter().chain(others).copied());
    let sent = writer.names.sent(name);
    let Writer { out, form, .. } = writer;
    out.element().object().key("type").string("function").key("function").object().key("name").string(&sent);
    if let Some(description) = description {
        out.key("description").view(*description);
    }
    match parameters {
        Some(parameters) => parameters.write(out.key("parameters")),
        None if form.is_mistral() => drop(out.key("parameters").raw(NO_PARAMETERS)),
        None => {}
    }
    if let Some(strict) = strict {
        out.key("strict").view(*strict);
    }
    out.end_object().end_object();
}

/// What a choice asks for beyond what a model does unasked.
fn asked<'a>(choice: &ToolChoice<'a>) -> Option<View<'a>> {
    match choice {
        ToolChoice::Unset | ToolChoice::Auto(_) => None,
        ToolChoice::None(view) | ToolChoice::Required(view) => Some(*view),
        ToolChoice::Named { view, .. } | ToolChoice::Allowed { view, .. } => Some(*view),
    }
}

fn choose(writer: &mut Writer<'_>, choice: &ToolChoice<'_>) {
    let word = match choice {
        ToolChoice::Unset => return,
        ToolChoice::Auto(_) => "auto",
        ToolChoice::None(_) => "none",
        ToolChoice::Required(_) => writer.form.forced,
        ToolChoice::Allowed { required: true, .. } if writer.form.is_mistral() => writer.form.forced,
        ToolChoice::Allowed { .. } if writer.form.is_mistral() => "auto",
        ToolChoice::Named { name, view: _ } => {
            let name = writer.names.sent(name.text().unwrap_or_default());
            writer.out.key("tool_choice").object().key("type").string("function");
            writer.out.key("function").object().key("name").string(&name).end_object().end_object();
            return;
        }
        ToolChoice::Allowed { names, required, view: _ } => {
            let out = &mut writer.out;
            out.key("tool_choice").object().key("type").string("allowed_tools").key("allowed_tools").object();
            out.key("mode").string(if *required { "required" } else { "auto" }).key("tools").array();
            for name in names {
                out.element().object().key("type").string("function").key("function").object();
                out.key("name").string(&writer.names.sent(name.clone())).end_object().end_object();
            }
            out.end_array().end_object().end_object();
            return;
        }
    };
    writer.out.key("tool_choice").string(word);
}
