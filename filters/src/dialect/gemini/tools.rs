//! `tools` and `toolConfig`, and the names of functions on the wire.

use std::borrow::Cow;

use super::request::Writer;
use super::schema;
use crate::chat::{Schema, Tool, ToolChoice, functions};
use crate::dialect::rename::Renames;
use crate::json::{Splice, View};

/// Longest name of a function.
const NAME_CHARS: usize = 64;

/// Names of functions as they travel. Google's begin with a letter or an underscore and go on with letters, digits, `_`, `.`, `-`.
#[derive(Debug, Default)]
pub(super) struct Names(Renames);

impl Names {
    /// The names of all declared functions.
    pub(super) fn declared(tools: &[Tool<'_>]) -> Self {
        let names: Vec<_> = tools.iter().filter_map(|tool| tool.name.and_then(View::text)).collect();
        let mut all = Self(Renames::keeping(names.iter().filter(|name| is_valid(name)).map(ToString::to_string)));
        for name in &names {
            all.sent(name);
        }
        all
    }

    /// The name a function travels under; the same one for the same name every time.
    pub(super) fn sent(&mut self, name: &str) -> Cow<'static, str> {
        if is_valid(name) {
            return Cow::Owned(name.to_owned());
        }
        let known = self.0.sent(name).map(str::to_owned);
        Cow::Owned(known.unwrap_or_else(|| self.0.rename(name, &sanitise(name), NAME_CHARS)))
    }

    /// What a reply's reader must change back.
    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.0.into_renamed()
    }
}

fn is_valid(name: &str) -> bool {
    sanitise(name) == name && !name.is_empty()
}

fn sanitise(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let prefix = if starts_well { "" } else { "_" };
    prefix.chars().chain(name.chars().map(allowed)).take(NAME_CHARS).collect()
}

/// Writes both members. Says whether there are declarations.
pub(super) fn write(writer: &mut Writer<'_>, tools: &[Tool<'_>], choice: &ToolChoice<'_>) -> bool {
    let mut declarations = Splice::new();
    let mut declares = false;
    let mut strict = Vec::new();
    for tool in functions(tools, &mut writer.losses) {
        let Tool { name, description, parameters, strict: is_strict, cache_control, others, view: _ } = tool;
        let name = name.and_then(View::text).unwrap_or_default();
        writer.drop_all([*cache_control]);
        writer.losses.dropped(others.iter().copied());
        strict.extend(is_strict.filter(|view| view.boolean() == Some(true)));
        declares = true;
        declarations.element().object().key("name").string(&writer.names.sent(&name));
        if let Some(description) = description {
            declarations.key("description").view(*description);
        }
        if let Some(parameters) = parameters {
            self::parameters(writer, &mut declarations, parameters);
        }
        declarations.end_object();
    }
    if declares {
        writer.out.key("tools").raw("[{\"functionDeclarations\":[").kept(declarations.finish().join()).raw("]}]");
    }
    config(writer, choice, declares, &strict);
    declares
}

fn parameters(writer: &mut Writer<'_>, declarations: &mut Splice, asked: &Schema<'_>) {
    let view = asked.view;
    if schema::asks_for_nothing(asked.raw()) {
        return;
    }
    if writer.model.json_schema {
        return asked.write(declarations.key("parametersJsonSchema"));
    }
    let mut subset = Splice::new();
    match schema::subset(asked.raw(), &mut subset) {
        Ok(found) => {
            declarations.key("parameters").kept(subset.finish().join());
            found.note(&mut writer.losses, view);
        }
        Err(schema::NoSuchForm) => writer.drop(view),
    }
}

/// `toolConfig` stands only beside declarations. `strict` is kept by the modes that follow the schemas: `ANY` and `VALIDATED`.
fn config(writer: &mut Writer<'_>, choice: &ToolChoice<'_>, declares: bool, strict: &[View<'_>]) {
    if !declares {
        if let ToolChoice::Required(view) | ToolChoice::Named { view, .. } | ToolChoice::Allowed { view, .. } = choice {
            writer.drop(*view);
        }
        return;
    }
    let validated = writer.model.validated;
    let relaxed = if !strict.is_empty() && validated { "VALIDATED" } else { "AUTO" };
    let (mode, allowed) = match choice {
        ToolChoice::Unset if relaxed == "AUTO" => return writer.losses.dropped(strict.iter().copied()),
        ToolChoice::Unset | ToolChoice::Auto(_) => (relaxed, Vec::new()),
        ToolChoice::None(_) => ("NONE", Vec::new()),
        ToolChoice::Required(_) => ("ANY", Vec::new()),
        ToolChoice::Named { name, view: _ } => ("ANY", vec![name.text().unwrap_or_default()]),
        ToolChoice::Allowed { names, required: true, view: _ } => ("ANY", names.clone()),
        ToolChoice::Allowed { names, required: false, view: _ } if validated => ("VALIDATED", names.clone()),
        ToolChoice::Allowed { view, .. } => {
            writer.drop(*view);
            ("AUTO", Vec::new())
        }
    };
    if mode == "AUTO" {
        writer.losses.dropped(strict.iter().copied());
    }
    writer.out.key("toolConfig").raw("{\"functionCallingConfig\":").object().key("mode").string(mode);
    if !allowed.is_empty() {
        writer.out.key("allowedFunctionNames").array();
        for name in &allowed {
            let sent = writer.names.sent(name);
            writer.out.element().string(&sent);
        }
        writer.out.end_array();
    }
    writer.out.raw("}}");
}
