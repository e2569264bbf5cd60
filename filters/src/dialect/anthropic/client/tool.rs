//! Reads tools and the choice among them.

use super::read::single;
use crate::chat::field::{self, of_kind, required_string, rest, string};
use crate::chat::{Schema, Tool, ToolChoice};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// Members of a tool that are taken up by name. `eager_input_streaming` is of the form of the stream alone.
static KNOWN: &[&str] = &["type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming"];

/// The client's tools. Those that Anthropic runs or defines itself, and servers of tools, are no functions: the pivot holds them without
/// a name, and no other dialect takes them.
pub(super) fn read(root: View<'_>) -> Result<Vec<Tool<'_>>, Refusal> {
    let servers = field::elements(root, "mcp_servers")?.map(|view| Ok(foreign(view)));
    field::elements(root, "tools")?.map(tool).chain(servers).collect()
}

fn tool(view: View<'_>) -> Result<Tool<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    if string(view, "type")?.and_then(View::text).is_some_and(|kind| kind != "custom") {
        return Ok(foreign(view));
    }
    Ok(Tool {
        name: Some(required_string(view, "name")?),
        description: string(view, "description")?,
        parameters: of_kind(view, "input_schema", Kind::Object)?.map(Schema::of),
        strict: of_kind(view, "strict", Kind::Bool)?.filter(|strict| strict.boolean() == Some(true)),
        cache_control: view.present("cache_control"),
        others: rest(view, KNOWN).filter(|member| member.raw() != "false" && member.raw() != "[]").collect(),
        view,
    })
}

fn foreign(view: View<'_>) -> Tool<'_> {
    Tool { name: None, description: None, parameters: None, strict: None, cache_control: None, others: Vec::new(), view }
}

/// The choice, and where it says that one call at a time is enough.
pub(super) fn choice<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<(ToolChoice<'a>, Option<View<'a>>), Refusal> {
    let Some(view) = of_kind(root, "tool_choice", Kind::Object)? else { return Ok((ToolChoice::Unset, None)) };
    others.extend(rest(view, &["type", "name", "disable_parallel_tool_use"]));
    let kind = required_string(view, "type")?;
    let choice = match kind.text().unwrap_or_default().as_ref() {
        "auto" => ToolChoice::Auto(view),
        "any" => ToolChoice::Required(view),
        "none" => ToolChoice::None(view),
        "tool" => ToolChoice::Named { name: required_string(view, "name")?, view },
        _ => return Err(field::unknown_value(kind, "'auto', 'any', 'tool', and 'none'")),
    };
    Ok((choice, single(view)?))
}
