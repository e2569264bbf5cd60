//! Reads tools and the choice among them, in both of OpenAI's generations.

use std::borrow::Cow;

use super::field::{self, missing, of_kind, required_object, required_string, rest, string};
use crate::chat::form::Schema;
use crate::chat::request::{Tool, ToolChoice};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// What a request says of tools.
pub(super) struct Tools<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: ToolChoice<'a>,
    /// Written as `functions` and `function_call`.
    pub(super) legacy: bool,
}

/// `tools` win over `functions`; what loses is reported.
pub(super) fn read<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Tools<'a>, Refusal> {
    let legacy_members = ["functions", "function_call"].map(|key| root.present(key));
    let modern = ["tools", "tool_choice"].iter().any(|key| root.present(key).is_some());
    if modern || legacy_members.iter().all(Option::is_none) {
        others.extend(legacy_members.into_iter().flatten());
        let tools = field::elements(root, "tools")?.map(tool).collect::<Result<_, _>>()?;
        return Ok(Tools { tools, choice: choice(root, "tool_choice")?, legacy: false });
    }
    let tools = field::elements(root, "functions")?.map(|view| function(view, view)).collect::<Result<_, _>>()?;
    Ok(Tools { tools, choice: choice(root, "function_call")?, legacy: true })
}

fn tool(view: View<'_>) -> Result<Tool<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    let kind = string(view, "type")?.and_then(View::text);
    match kind.as_deref() {
        Some("function") => function(required_object(view, "function")?, view),
        None if view.present("function").is_some() => function(required_object(view, "function")?, view),
        None => Err(missing(view, "type")),
        Some(_) => {
            let cache_control = view.present("cache_control");
            Ok(Tool { name: None, description: None, parameters: None, strict: None, cache_control, others: Vec::new(), view })
        }
    }
}

/// A function's own object, and the whole tool around it (the same in the legacy form).
fn function<'a>(function: View<'a>, view: View<'a>) -> Result<Tool<'a>, Refusal> {
    let function = field::expect(function, Kind::Object)?;
    let mut others: Vec<_> = rest(function, &["name", "description", "parameters", "strict", "cache_control"]).collect();
    if function.range() != view.range() {
        others.extend(rest(view, &["type", "function", "cache_control"]));
    }
    Ok(Tool {
        name: Some(required_string(function, "name")?),
        description: string(function, "description")?,
        parameters: of_kind(function, "parameters", Kind::Object)?.map(Schema::of),
        strict: of_kind(function, "strict", Kind::Bool)?,
        cache_control: view.present("cache_control").or_else(|| function.present("cache_control")),
        others,
        view,
    })
}

/// The choice that stands at `key`.
pub(crate) fn choice<'a>(root: View<'a>, key: &str) -> Result<ToolChoice<'a>, Refusal> {
    match root.present(key) {
        None => Ok(ToolChoice::Unset),
        Some(view) if view.kind() == Kind::String => word(view),
        Some(view) if view.kind() == Kind::Object => object(view),
        Some(view) => Err(field::wrong_kind(view, "a string or an object")),
    }
}

/// `any` is Mistral's word for `required`.
fn word(view: View<'_>) -> Result<ToolChoice<'_>, Refusal> {
    match view.text().unwrap_or_default().as_ref() {
        "auto" => Ok(ToolChoice::Auto(view)),
        "none" => Ok(ToolChoice::None(view)),
        "required" | "any" => Ok(ToolChoice::Required(view)),
        _ => Err(field::unknown_value(view, "'none', 'auto', and 'required'")),
    }
}

/// `{type, function: {name}}`, the legacy `{name}`, or `allowed_tools`.
fn object(view: View<'_>) -> Result<ToolChoice<'_>, Refusal> {
    let kind = string(view, "type")?.and_then(View::text);
    match kind.as_deref() {
        Some("allowed_tools") => allowed(view),
        Some("function" | "custom") | None => match name(view)? {
            Some(name) => Ok(ToolChoice::Named { name, view }),
            None => Err(missing(view, "function.name")),
        },
        Some(_) => Err(field::unknown_value(required_string(view, "type")?, "'function', 'allowed_tools', and 'custom'")),
    }
}

/// Nested (`allowed_tools: {mode, tools}`), or flat as the Responses API has it.
fn allowed(view: View<'_>) -> Result<ToolChoice<'_>, Refusal> {
    let list = of_kind(view, "allowed_tools", Kind::Object)?.unwrap_or(view);
    let names = field::elements(list, "tools")?.map(|tool| match name(tool)? {
        Some(name) => Ok(name.text().unwrap_or(Cow::Borrowed(""))),
        None => Err(missing(tool, "function.name")),
    });
    let required = string(list, "mode")?.and_then(View::text).is_some_and(|mode| mode == "required");
    Ok(ToolChoice::Allowed { names: names.collect::<Result<_, _>>()?, required, view })
}

fn name(view: View<'_>) -> Result<Option<View<'_>>, Refusal> {
    let nested = ["function", "custom"].iter().find_map(|key| view.present(key));
    string(nested.unwrap_or(view), "name")
}
