//! `generationConfig`: sampling, limits, the answer's form, thinking.

use super::models::{Effort, Penalties};
use super::request::{Writer, on_ai_studio};
use super::schema;
use crate::chat::{ResponseFormat, Schema, Thinking};
use crate::json::{Splice, View};
use crate::loss::LossKind;

/// Most stop sequences Google takes.
const STOPS: usize = 5;

/// Names of [`Wishes::numbers`].
const NUMBERS: [&str; 5] = ["temperature", "topP", "topK", "maxOutputTokens", "candidateCount"];
/// Names of [`Wishes::penalties`].
const PENALTIES: [&str; 2] = ["presencePenalty", "frequencyPenalty"];

/// What a request says about how to generate.
pub(super) struct Wishes<'r, 'a> {
    /// Numbers that only change their name: to [`NUMBERS`].
    pub numbers: [Option<View<'a>>; 5],
    /// Penalties, which newer models refuse: to [`PENALTIES`].
    pub penalties: [Option<View<'a>>; 2],
    /// The random seed.
    pub seed: Option<View<'a>>,
    /// Stop sequences.
    pub stop: &'r [View<'a>],
    /// The answer's form.
    pub response_format: &'r ResponseFormat<'a>,
    /// How much to think.
    pub thinking: &'r Thinking<'a>,
    /// Output modalities.
    pub modalities: Option<View<'a>>,
    /// The detail that all images ask for, or all details where they differ.
    pub detail: Detail<'a>,
    /// The request declares functions.
    pub declares: bool,
}

/// What the images of a request ask for.
pub(super) enum Detail<'a> {
    /// All the same, one of them standing for all; or nothing.
    Common(Option<View<'a>>),
    /// Different things: Google takes one for the whole request.
    Mixed(Vec<View<'a>>),
}

/// Writes the member, if there is anything to say.
pub(super) fn write(writer: &mut Writer<'_>, wishes: &Wishes<'_, '_>) {
    let mut config = Splice::new();
    config.object();
    for (name, view) in NUMBERS.into_iter().zip(wishes.numbers) {
        if let Some(view) = view {
            config.key(name).view(view);
        }
    }
    penalties(writer, &mut config, wishes.penalties);
    seed(writer, &mut config, wishes.seed);
    stop(writer, &mut config, wishes.stop);
    form(writer, &mut config, wishes);
    thinking(writer, &mut config, wishes.thinking);
    modalities(writer, &mut config, wishes.modalities);
    media_resolution(writer, &mut config, &wishes.detail);
    config.end_object();
    let config = config.finish().join();
    if config.len() > "{}".len() {
        writer.out.key("generationConfig").kept(config);
    }
}

fn penalties(writer: &mut Writer<'_>, config: &mut Splice, penalties: [Option<View<'_>>; 2]) {
    let taken = match writer.model.penalties {
        Penalties::Taken => true,
        Penalties::Vertex => !on_ai_studio(writer.surface),
        Penalties::Refused => false,
    };
    for (name, view) in PENALTIES.into_iter().zip(penalties) {
        let Some(view) = view else { continue };
        if taken {
            config.key(name).view(view);
        } else {
            writer.drop(view);
        }
    }
}

/// Google's seed has 32 bits.
fn seed(writer: &mut Writer<'_>, config: &mut Splice, seed: Option<View<'_>>) {
    let Some(view) = seed else { return };
    if view.raw().parse::<i32>().is_ok() {
        config.key("seed").view(view);
    } else {
        writer.drop(view);
    }
}

fn stop(writer: &mut Writer<'_>, config: &mut Splice, stop: &[View<'_>]) {
    if stop.is_empty() {
        return;
    }
    config.key("stopSequences").array();
    for view in stop.iter().take(STOPS) {
        config.element().view(*view);
    }
    config.end_array();
    writer.losses.dropped(stop.iter().skip(STOPS).copied());
}

fn form(writer: &mut Writer<'_>, config: &mut Splice, wishes: &Wishes<'_, '_>) {
    let view = match wishes.response_format {
        ResponseFormat::Text => return,
        ResponseFormat::JsonObject(view) | ResponseFormat::JsonSchema { view, .. } | ResponseFormat::Unknown(view) => *view,
    };
    let unknown = matches!(wishes.response_format, ResponseFormat::Unknown(_));
    if unknown || !writer.model.system || (wishes.declares && !writer.model.tools_with_json) {
        return writer.drop(view);
    }
    config.key("responseMimeType").string("application/json");
    if let ResponseFormat::JsonSchema { name: _, description, schema, strict: _, view: _ } = wishes.response_format {
        writer.drop_all([*description]);
        if let Some(view) = schema {
            schema_of(writer, config, view);
        }
    }
}

fn schema_of(writer: &mut Writer<'_>, config: &mut Splice, schema: &Schema<'_>) {
    let view = schema.view;
    if writer.model.json_schema {
        return schema.write(config.key("responseJsonSchema"));
    }
    let mut subset = Splice::new();
    match schema::subset(schema.raw(), &mut subset) {
        Ok(found) => {
            config.key("responseSchema").kept(subset.finish().join());
            found.note(&mut writer.losses, view);
        }
        Err(schema::NoSuchForm) => writer.drop(view),
    }
}

fn thinking(writer: &mut Writer<'_>, config: &mut Splice, wish: &Thinking<'_>) {
    let asked = match wish {
        Thinking::Budget { tokens, view } => {
            writer.model.budget(*tokens).map(|(effort, clamped)| (effort, clamped, false, *view, *tokens > 0))
        }
        Thinking::Adaptive(view) => writer.model.dynamic().map(|effort| (effort, false, false, *view, true)),
        Thinking::Unset | Thinking::Effort(_) => None,
    };
    let named = || {
        let (word, near) = wish.effort()?;
        let on = word.text != "none";
        Some(writer.model.effort(&word.text).map_or(Err(word.view), |(effort, clamped)| Ok((effort, clamped, near, word.view, on))))
    };
    let (effort, clamped, near, view, on) = match asked.map(Ok).or_else(named) {
        None => return,
        Some(Err(view)) => return writer.drop(view),
        Some(Ok(asked)) => asked,
    };
    if near {
        writer.losses.note(LossKind::Approximated, view);
    }
    if clamped {
        writer.losses.note(LossKind::Clamped, view);
    }
    // Where a model thinks as it sees fit by itself, what it thinks must be asked for all the same.
    if effort == Effort::Unsaid && !on {
        return;
    }
    config.key("thinkingConfig").object();
    match effort {
        Effort::Budget(tokens) => config.key("thinkingBudget").integer(tokens),
        Effort::Level(level) => config.key("thinkingLevel").string(level),
        Effort::Dynamic => config.key("thinkingBudget").raw("-1"),
        Effort::Unsaid => config,
    };
    if on {
        config.key("includeThoughts").raw("true");
    }
    config.end_object();
}

/// OpenAI's modalities, in Google's words. Audio would need a voice, which stands elsewhere in OpenAI's request.
const MODALITIES: &[(&str, &str)] = &[("text", "TEXT"), ("image", "IMAGE"), ("audio", "AUDIO")];

fn modalities(writer: &mut Writer<'_>, config: &mut Splice, modalities: Option<View<'_>>) {
    let Some(view) = modalities else { return };
    let asked: Vec<String> = view.read().unwrap_or_default();
    let known: Vec<_> = asked.iter().filter_map(|word| MODALITIES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))).collect();
    if known.is_empty() || known.len() < asked.len() {
        return writer.drop(view);
    }
    config.key("responseModalities").array();
    for (_, word) in known {
        config.element().string(word);
    }
    config.end_array();
}

/// OpenAI's detail of an image, in Google's words.
const RESOLUTIONS: &[(&str, &str)] =
    &[("low", "MEDIA_RESOLUTION_LOW"), ("medium", "MEDIA_RESOLUTION_MEDIUM"), ("high", "MEDIA_RESOLUTION_HIGH")];

fn media_resolution(writer: &mut Writer<'_>, config: &mut Splice, detail: &Detail<'_>) {
    match detail {
        Detail::Common(None) => {}
        Detail::Common(Some(view)) => match RESOLUTIONS.iter().find(|(word, _)| view.text().as_deref() == Some(word)) {
            Some((_, resolution)) => {
                config.key("mediaResolution").string(resolution);
            }
            None => writer.drop(*view),
        },
        Detail::Mixed(views) => writer.losses.dropped(views.iter().copied()),
    }
}
