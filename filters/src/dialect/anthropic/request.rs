//! The pivot's request, written as a Messages body.

use super::block::Block;
use super::format::{self, Format};
use super::models::{self, Model};
use super::settings::{self, Asked};
use super::thinking::{Circumstances, Plan};
use super::tools::{self, Toolbox};
use super::turns::{self, Conversation};
use crate::chat::ChatRequest;
use crate::dialect::tool_names::ToolNames;
use crate::dialect::{Names, Target, Translated};
use crate::json::{Pieces, Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// Longest name of a tool (Anthropic's `^[a-zA-Z0-9_-]{1,128}$`).
const NAME_BYTES: usize = 128;
/// The most cache breakpoints the API takes in one request.
const MAX_BREAKPOINTS: usize = 4;

/// A body in parts, in the order in which it is written.
struct Body<'t, 'a> {
    /// The body's first member: the model, or the API's version where the path names the model.
    addressed: (&'static str, &'t str),
    max_tokens: u64,
    stream: bool,
    conversation: Conversation<'a>,
    toolbox: Toolbox<'a>,
    thinking: Plan,
    format: Format<'a>,
    sampling: Asked<'a>,
    stop: Vec<View<'a>>,
    user: Option<View<'a>>,
    service_tier: Option<&'static str>,
}

pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    of(request, target, false)
}

/// The same as far as it counts: limits and sampling are refused there.
pub(super) fn translate_count(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    of(request, target, true)
}

fn of(request: &ChatRequest<'_>, target: &Target<'_>, counts: bool) -> Result<Translated, Refusal> {
    // No `..`: a field that is added to the pivot must be mapped here, or lost by name.
    let ChatRequest {
        document: _,
        model: _,
        stream,
        include_usage: _,
        messages,
        tools,
        legacy_functions: _,
        tool_choice: choice,
        no_parallel_tool_calls: no_parallel,
        max_tokens,
        temperature,
        top_p,
        top_k,
        stop,
        response_format,
        thinking: wish,
        n,
        seed,
        presence_penalty,
        frequency_penalty,
        logprobs,
        top_logprobs,
        modalities,
        user,
        service_tier,
        others,
        moved,
    } = request;
    let mut losses = Losses::default();
    losses.approximated(moved.iter().copied());
    let unmapped = [n, seed, presence_penalty, frequency_penalty, logprobs, top_logprobs, modalities];
    losses.dropped(unmapped.into_iter().flatten().chain(others).copied());

    let model = &models::at(target);
    let names = ToolNames::of(tools, messages, NAME_BYTES);
    let scope = &mut turns::Scope { target, names: &names, losses: &mut losses };
    let conversation = turns::read(messages, model.prefill, scope)?;
    let format = format::choose(response_format, choice, (model, &names), &mut losses)?;
    let max_tokens = settings::max_tokens(*max_tokens, model, &mut losses)?;
    let thinking = Plan::choose(wish, model, circumstances(&format, &conversation, model, max_tokens), &mut losses);
    let scope = tools::Scope { choice, no_parallel: *no_parallel, format: &format, names: &names, model, thinking: thinking.is_on() };
    let toolbox = Toolbox::read(tools, &scope, &mut losses);
    let asked = Asked { temperature: *temperature, top_p: *top_p, top_k: *top_k };
    let mut body = Body {
        addressed: target.surface.body_version.as_deref().map_or(("model", target.name()), |version| ("anthropic_version", version)),
        max_tokens,
        stream: *stream,
        sampling: asked.accepted(model.sampling, thinking.is_on(), &mut losses),
        stop: settings::stop(stop, &mut losses),
        user: settings::user(*user, &mut losses),
        service_tier: settings::service_tier(service_tier.as_ref(), &mut losses),
        conversation,
        toolbox,
        thinking,
        format,
    };
    body.limit_breakpoints(&mut losses);
    let answer_tool = if let Format::Tool(answer) = &body.format { Some(answer.name.clone()) } else { None };
    let pieces = if counts { body.write_count(target.name()) } else { body.write() };
    Ok(Translated { body: pieces, losses: losses.0, names: Names { renamed_tools: names.into_renamed(), answer_tool, ..Names::default() } })
}

fn circumstances(format: &Format<'_>, conversation: &Conversation<'_>, model: &Model, max_tokens: u64) -> Circumstances {
    Circumstances {
        forced_answer: matches!(format, Format::Tool(_)) && model.forced_choice,
        unthought_calls: conversation.continues_unthought_calls(),
        max_tokens,
    }
}

impl Body<'_, '_> {
    /// The API refuses more than four breakpoints. The earliest give way: later ones cover them.
    fn limit_breakpoints(&mut self, losses: &mut Losses) {
        let all = self.toolbox.breakpoints().chain(self.conversation.breakpoints());
        let mut set: Vec<_> = all.filter(|breakpoint| breakpoint.is_some()).collect();
        let extra = set.len().saturating_sub(MAX_BREAKPOINTS);
        for breakpoint in set.iter_mut().take(extra) {
            breakpoint.take().iter().for_each(|view| losses.note(LossKind::Dropped, *view));
        }
    }

    fn write_count(mut self, model: &str) -> Pieces {
        self.say_format();
        let mut out = Splice::new();
        out.object().key("model").string(model);
        self.conversation.write(&mut out);
        self.toolbox.write(&mut out);
        self.thinking.write(&mut out);
        self.write_output_config(&mut out);
        out.end_object();
        out.finish()
    }

    fn say_format(&mut self) {
        if let Format::Words(words) = &self.format {
            self.conversation.system.push(Block::text(words.clone()));
        }
    }

    fn write(mut self) -> Pieces {
        self.say_format();
        let mut out = Splice::new();
        let (key, value) = self.addressed;
        out.object().key(key).string(value).key("max_tokens").integer(self.max_tokens);
        if self.stream {
            out.key("stream").raw("true");
        }
        self.conversation.write(&mut out);
        self.toolbox.write(&mut out);
        self.thinking.write(&mut out);
        self.write_output_config(&mut out);
        self.sampling.write(&mut out);
        if !self.stop.is_empty() {
            out.key("stop_sequences").array();
            self.stop.iter().for_each(|view| {
                out.element().view(*view);
            });
            out.end_array();
        }
        if let Some(user) = self.user {
            out.key("metadata").object().key("user_id").view(user).end_object();
        }
        if let Some(tier) = self.service_tier {
            out.key("service_tier").string(tier);
        }
        out.end_object();
        out.finish()
    }

    fn write_output_config(&self, out: &mut Splice) {
        let schema = if let Format::Native(schema) = &self.format { Some(schema) } else { None };
        let effort = self.thinking.effort();
        if schema.is_none() && effort.is_none() {
            return;
        }
        out.key("output_config").object();
        if let Some(effort) = effort {
            out.key("effort").string(effort);
        }
        if let Some(schema) = schema {
            out.key("format").object().key("type").string("json_schema").key("schema").raw(schema).end_object();
        }
        out.end_object();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::translate;
    use crate::chat::{CHAT, ChatRequest};
    use crate::dialect::{Surface, Target};
    use crate::image::Fetched;
    use crate::json::{Document, ScanLimits};

    #[test]
    fn an_image_moves_as_a_slice_of_the_clients_body() {
        let image = format!("iVBORw0KGgoA{}", "AAAA".repeat(20_000));
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}"#);
        let body = Bytes::from(format!(r#"{{"model":"claude-sonnet-4-5","messages":[{{"role":"user","content":[{part}]}}]}}"#));
        let document = Document::scan(body.clone(), &CHAT, ScanLimits::default()).expect("JSON");
        let request = ChatRequest::read(&document).expect("a chat request");
        let surface = Surface::default();
        let translated =
            translate(&request, &Target { model: "claude-sonnet-4-5", surface: &surface, fetched: Fetched::NONE }).expect("it is carried");

        let memory = body.as_ptr_range();
        let slice = translated.body.pieces.iter().find(|piece| piece.len() == image.len()).expect("a piece of its own");
        assert!(memory.contains(&slice.as_ptr()), "the image was copied");
    }
}
