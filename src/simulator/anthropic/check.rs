//! Anthropic's validation of what surrounds the messages. Texts follow the real ones.

use serde_json::Value;

use super::super::answer::prompt_tokens;
use super::super::asked::{Asked, Choice, Shape, Tool};
use super::super::exchange::Refusal;
use super::messages;

/// Every field of a request.
const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Fields of a tool of one's own.
const TOOL_FIELDS: &[&str] = &[
    "type",
    "name",
    "description",
    "input_schema",
    "cache_control",
    "strict",
    "input_examples",
    "defer_loading",
    "allowed_callers",
    "eager_input_streaming",
];

/// Shown in the answer, so that a translation of them can be seen.
const SHOWN: &[&str] = &["max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "service_tier"];

const SAMPLING: &[&str] = &["temperature", "top_p", "top_k"];

/// Models that reject sampling parameters, by what their names contain (protocols §1.4).
const WITHOUT_SAMPLING: &[&str] = &["sonnet-5", "opus-5", "haiku-5", "fable-5", "opus-4-8", "opus-4-7"];

/// Models that take `temperature` or `top_p`, not both.
const ONE_SAMPLING: &[&str] = &["-4-1", "-4-5", "-4-6"];

/// Tokens of a prompt.
const CONTEXT: u64 = 200_000;

/// What the headers of a request decide.
pub(super) struct Rules {
    /// Sampling parameters are allowed.
    pub(super) sampling: bool,
    /// Messages may have the role `system`.
    pub(super) system_messages: bool,
}

/// Checks a request for a message.
pub(super) fn create(body: &Value, rules: &Rules) -> Result<Asked, Refusal> {
    let max_tokens = match body.get("max_tokens") {
        None if body.is_object() => Err(Refusal::bad("max_tokens: Field required")),
        None => Err(Refusal::bad("Input should be a valid dictionary")),
        Some(value) => positive("max_tokens", value),
    };
    let mut asked = count(body, rules)?;
    asked.max_tokens = Some(max_tokens?);
    asked.stream = flag(body, "stream")?;
    sampling(body, rules, &asked)?;
    let tokens = prompt_tokens(&asked);
    if tokens > CONTEXT {
        return Err(Refusal::bad(format!("prompt is too long: {tokens} tokens > {CONTEXT} maximum")));
    }
    thinking(body, &mut asked)?;
    if let Some(stops) = body.get("stop_sequences") {
        stop_sequences(stops)?;
    }
    Ok(asked)
}

/// Checks what a request for a count has in common with one for a message.
pub(super) fn count(body: &Value, rules: &Rules) -> Result<Asked, Refusal> {
    let fields = body.as_object().ok_or_else(|| Refusal::bad("Input should be a valid dictionary"))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("{unknown}: Extra inputs are not permitted")));
    }
    let model = match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => model.clone(),
        Some(Value::String(_)) => return Err(Refusal::bad("model: String should have at least 1 character")),
        Some(_) => return Err(Refusal::bad("model: Input should be a valid string")),
        None => return Err(Refusal::bad("model: Field required")),
    };
    let mut asked = Asked { wire: "anthropic", model, n: 1, ..Asked::default() };
    system(body, &mut asked)?;
    tools(body, &mut asked)?;
    messages::read(body.get("messages"), rules, &mut asked)?;
    output_config(body, &mut asked)?;
    asked.marks = marks(body);
    if asked.marks > 4 {
        return Err(Refusal::bad(format!("A maximum of 4 blocks with cache_control may be provided. Found {}.", asked.marks)));
    }
    asked.note_settings(body, SHOWN);
    Ok(asked)
}

/// A text that may not be blank.
pub(super) fn solid_text(text: &str, at: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::bad(format!("{at}: text content blocks must be non-empty")));
    }
    if text.trim().is_empty() {
        return Err(Refusal::bad(format!("{at}: text content blocks must contain non-whitespace text")));
    }
    Ok(())
}

/// Letters, digits, `_` and `-`, at most as many as given.
pub(super) fn is_name(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn positive(at: &str, value: &Value) -> Result<u64, Refusal> {
    match value.as_i64() {
        Some(number) if number >= 1 => Ok(number.unsigned_abs()),
        Some(_) => Err(Refusal::bad(format!("{at}: Input should be greater than or equal to 1"))),
        None => Err(Refusal::bad(format!("{at}: Input should be a valid integer"))),
    }
}

fn flag(body: &Value, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::bad(format!("{name}: Input should be a valid boolean"))),
    }
}

fn system(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    match body.get("system") {
        None => Ok(()),
        Some(Value::String(text)) => {
            asked.systems = usize::from(!text.is_empty());
            asked.read(text);
            Ok(())
        }
        Some(Value::Array(blocks)) => blocks.iter().enumerate().try_for_each(|(index, block)| {
            if block.get("type").and_then(Value::as_str) != Some("text") {
                return Err(Refusal::bad(format!("system.{index}.type: Input should be 'text'")));
            }
            let text = block.get("text").and_then(Value::as_str);
            let text = text.ok_or_else(|| Refusal::bad(format!("system.{index}.text: Field required")))?;
            solid_text(text, "system")?;
            asked.systems += 1;
            asked.read(text);
            Ok(())
        }),
        Some(_) => Err(Refusal::bad("system: Input should be a valid string or list")),
    }
}

fn sampling(body: &Value, rules: &Rules, asked: &Asked) -> Result<(), Refusal> {
    let named = |list: &[&str]| list.iter().any(|name| asked.model.contains(name));
    if let Some(name) = SAMPLING.iter().find(|name| body.get(**name).is_some()) {
        if !rules.sampling {
            return Err(Refusal::bad(format!("{name}: Extra inputs are not permitted")));
        }
        if named(WITHOUT_SAMPLING) {
            return Err(Refusal::bad(format!("`{name}` is not supported for this model.")));
        }
    }
    for name in ["temperature", "top_p"] {
        let Some(value) = body.get(name) else { continue };
        match value.as_f64() {
            None => return Err(Refusal::bad(format!("{name}: Input should be a valid number"))),
            Some(number) if !(0.0..=1.0).contains(&number) => return Err(Refusal::bad(format!("{name}: range: 0..1"))),
            Some(_) => {}
        }
    }
    if named(ONE_SAMPLING) && body.get("temperature").is_some() && body.get("top_p").is_some() {
        return Err(Refusal::bad("`temperature` and `top_p` cannot both be specified for this model. Please use only one."));
    }
    Ok(())
}

fn stop_sequences(stops: &Value) -> Result<(), Refusal> {
    let list = stops.as_array().ok_or_else(|| Refusal::bad("stop_sequences: Input should be a valid list"))?;
    list.iter().enumerate().try_for_each(|(index, stop)| match stop.as_str() {
        None => Err(Refusal::bad(format!("stop_sequences.{index}: Input should be a valid string"))),
        Some(text) if text.trim().is_empty() => Err(Refusal::bad("stop_sequences: each stop sequence must contain non-whitespace")),
        Some(_) => Ok(()),
    })
}

fn tools(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let tools = match body.get("tools") {
        None => &Vec::new(),
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(Refusal::bad("tools: Input should be a valid list")),
    };
    for (index, tool) in tools.iter().enumerate() {
        let tool = self::tool(&format!("tools.{index}.custom"), tool)?;
        if asked.tools.iter().any(|other| other.name == tool.name) {
            return Err(Refusal::bad("tools: Tool names must be unique."));
        }
        asked.tools.push(tool);
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    asked.choice = tool_choice(choice, asked)?;
    asked.one_call = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    Ok(())
}

fn tool(at: &str, tool: &Value) -> Result<Tool, Refusal> {
    let fields = tool.as_object().ok_or_else(|| Refusal::bad(format!("{at}: Input should be a valid dictionary")))?;
    let name = tool.get("name").and_then(Value::as_str).ok_or_else(|| Refusal::bad(format!("{at}.name: Field required")))?;
    if !is_name(name, 128) {
        return Err(Refusal::bad(format!("{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")));
    }
    if tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom") {
        return Ok(Tool { name: name.to_owned(), schema: Value::Null });
    }
    if let Some(unknown) = fields.keys().find(|name| !TOOL_FIELDS.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("{at}.{unknown}: Extra inputs are not permitted")));
    }
    let schema = tool.get("input_schema").ok_or_else(|| Refusal::bad(format!("{at}.input_schema: Field required")))?;
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Ok(Tool { name: name.to_owned(), schema: schema.clone() }),
        Some(_) => Err(Refusal::bad(format!("{at}.input_schema.type: Input should be 'object'"))),
        None => Err(Refusal::bad(format!("{at}.input_schema.type: Field required"))),
    }
}

fn tool_choice(choice: &Value, asked: &Asked) -> Result<Choice, Refusal> {
    let kind = choice.get("type").and_then(Value::as_str).ok_or_else(|| Refusal::bad("tool_choice.type: Field required"))?;
    let allowed: &[&str] = match kind {
        "auto" | "any" => &["type", "disable_parallel_tool_use"],
        "none" => &["type"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        _ => {
            let message = format!(
                "tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            );
            return Err(Refusal::bad(message));
        }
    };
    let mut names = choice.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(unknown) = names.find(|name| !allowed.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("tool_choice.{kind}.{unknown}: Extra inputs are not permitted")));
    }
    if asked.tools.is_empty() && kind != "none" {
        return Err(Refusal::bad("tool_choice: tool_choice may only be specified while providing tools"));
    }
    match (kind, choice.get("name").and_then(Value::as_str)) {
        ("auto", _) => Ok(Choice::Auto),
        ("any", _) => Ok(Choice::Any),
        ("none", _) => Ok(Choice::Never),
        (_, None) => Err(Refusal::bad("tool_choice.tool.name: Field required")),
        (_, Some(name)) if asked.tools.iter().any(|tool| tool.name == name) => Ok(Choice::Named(name.to_owned())),
        (_, Some(name)) => Err(Refusal::bad(format!("Tool '{name}' not found in provided tools"))),
    }
}

fn thinking(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(thinking) = body.get("thinking") else { return Ok(()) };
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled" | "between_tools") => return Ok(()),
        Some("adaptive") => {}
        Some("enabled") => budget(thinking, asked)?,
        _ => return Err(Refusal::bad("thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")),
    }
    asked.thinking = true;
    if matches!(asked.choice, Choice::Any | Choice::Named(_)) {
        return Err(Refusal::bad("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|temperature| temperature != 1.0) {
        return Err(Refusal::bad("`temperature` may only be set to 1 when thinking is enabled."));
    }
    Ok(())
}

fn budget(thinking: &Value, asked: &Asked) -> Result<(), Refusal> {
    let budget = thinking.get("budget_tokens").ok_or_else(|| Refusal::bad("thinking.enabled.budget_tokens: Field required"))?;
    let budget = positive("thinking.enabled.budget_tokens", budget)?;
    if budget < 1_024 {
        return Err(Refusal::bad("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"));
    }
    if asked.max_tokens.is_some_and(|max| budget >= max) {
        return Err(Refusal::bad("`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    Ok(())
}

fn output_config(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(config) = body.get("output_config") else { return Ok(()) };
    let fields = config.as_object().ok_or_else(|| Refusal::bad("output_config: Input should be a valid dictionary"))?;
    if let Some(unknown) = fields.keys().find(|name| !["format", "effort", "task_budget"].contains(&name.as_str())) {
        return Err(Refusal::bad(format!("output_config.{unknown}: Extra inputs are not permitted")));
    }
    if let Some(effort) = config.get("effort").filter(|effort| !effort.is_null()) {
        if !["low", "medium", "high", "xhigh", "max"].contains(&effort.as_str().unwrap_or_default()) {
            return Err(Refusal::bad("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"));
        }
        asked.settings.push(("effort".to_owned(), effort.to_string()));
    }
    let Some(format) = config.get("format").filter(|format| !format.is_null()) else { return Ok(()) };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err(Refusal::bad("output_config.format.type: Input should be 'json_schema'"));
    }
    let schema = format.get("schema").ok_or_else(|| Refusal::bad("output_config.format.schema: Field required"))?;
    closed(schema)?;
    asked.shape = Shape::Schema(schema.clone());
    Ok(())
}

/// Every object of a schema must say that it takes no other properties.
fn closed(schema: &Value) -> Result<(), Refusal> {
    let is_open =
        schema.get("type").and_then(Value::as_str) == Some("object") && schema.get("additionalProperties") != Some(&Value::Bool(false));
    if is_open {
        let message = "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Err(Refusal::bad(message));
    }
    let children =
        ["properties", "$defs", "definitions"].iter().filter_map(|name| schema.get(name)?.as_object()).flat_map(|map| map.values());
    let branches = ["anyOf", "allOf"].iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    children.chain(branches).chain(schema.get("items")).try_for_each(closed)
}

/// How many blocks are marked for the cache, wherever they stand. Schemas and inputs are not looked into.
fn marks(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(marks).sum(),
        Value::Object(fields) => {
            let own = u64::from(fields.get("cache_control").is_some_and(|mark| !mark.is_null()));
            let inside = fields.iter().filter(|(name, _)| !["input_schema", "input", "cache_control"].contains(&name.as_str()));
            own + inside.map(|(_, value)| marks(value)).sum::<u64>()
        }
        _ => 0,
    }
}
