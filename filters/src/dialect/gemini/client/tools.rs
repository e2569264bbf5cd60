//! Reads tools and how they may be called.

use super::{key, open_api};
use crate::chat::field::{self, unknown_value};
use crate::chat::{Schema, Tool, ToolChoice};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// The client's functions. What else a tool holds is Google's own (search, code, maps): no other provider has it, and it goes to
/// `others`.
pub(super) fn read<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Vec<Tool<'a>>, Refusal> {
    let mut tools = Vec::new();
    for tool in key::elements(root, "tools") {
        let tool = field::expect(tool, Kind::Object)?;
        others.extend(key::rest(tool, &["functionDeclarations"]));
        for declared in key::elements(tool, "functionDeclarations") {
            tools.push(function(field::expect(declared, Kind::Object)?)?);
        }
    }
    Ok(tools)
}

fn function(view: View<'_>) -> Result<Tool<'_>, Refusal> {
    let mut others: Vec<_> = key::rest(view, &["name", "description", "parameters", "parametersJsonSchema"]).collect();
    let json = key::of_kind(view, "parametersJsonSchema", Kind::Object)?;
    let open_api = key::of_kind(view, "parameters", Kind::Object)?;
    others.extend(open_api.filter(|_| json.is_some()));
    Ok(Tool {
        name: Some(key::required_string(view, "name")?),
        description: key::string(view, "description")?,
        parameters: json.map(Schema::of).or_else(|| open_api.map(open_api::arguments)),
        strict: None,
        cache_control: None,
        others,
        view,
    })
}

/// `toolConfig.functionCallingConfig`. `VALIDATED` is `AUTO` with calls held to their schemas: of that no other word says as much.
pub(super) fn choice<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<ToolChoice<'a>, Refusal> {
    let Some(config) = key::of_kind(root, "toolConfig", Kind::Object)? else { return Ok(ToolChoice::Unset) };
    others.extend(key::rest(config, &["functionCallingConfig"]));
    let Some(view) = key::of_kind(config, "functionCallingConfig", Kind::Object)? else { return Ok(ToolChoice::Unset) };
    others.extend(key::rest(view, &["mode", "allowedFunctionNames"]));
    let allowed: Vec<_> =
        key::elements(view, "allowedFunctionNames").map(|name| field::expect(name, Kind::String)).collect::<Result<_, _>>()?;
    let Some(mode) = key::string(view, "mode")? else { return Ok(ToolChoice::Unset) };
    let word = mode.text().unwrap_or_default().to_ascii_uppercase();
    let names = || allowed.iter().map(|name| name.text().unwrap_or_default()).collect();
    Ok(match (word.as_str(), allowed.as_slice()) {
        ("NONE", _) => ToolChoice::None(view),
        ("ANY", []) => ToolChoice::Required(view),
        ("ANY", [name]) => ToolChoice::Named { name: *name, view },
        ("ANY", _) => ToolChoice::Allowed { names: names(), required: true, view },
        ("MODE_UNSPECIFIED" | "", []) => ToolChoice::Unset,
        ("AUTO", []) => ToolChoice::Auto(view),
        ("VALIDATED", []) => {
            others.push(mode);
            ToolChoice::Unset
        }
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" | "", _) => ToolChoice::Allowed { names: names(), required: false, view },
        _ => return Err(unknown_value(mode, "'AUTO', 'ANY', 'NONE', and 'VALIDATED'")),
    })
}
