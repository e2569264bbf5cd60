//! Embeddings, by one of three methods. AI Studio has `:embedContent` and, for several inputs, `:batchEmbedContents`; on Vertex the
//! older models are predictions, and the newer ones take one content a call.
//!
//! Sources: Google's REST references of `models.embedContent`, `models.batchEmbedContents` and the text-embeddings prediction API;
//! which model takes which method on Vertex, from Google's Gen AI SDKs. Vectors shorter than a model's own length come as Google
//! sends them, which is not always of length one.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::UsageMetadata;
use super::{error, path};
use crate::dialect::{Names, Target, Translated};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest, Vector};
use crate::fault::Fault;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;
use crate::usage::Usage;

/// A way to ask for vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// `:embedContent`: one input.
    Content,
    /// `:batchEmbedContents`.
    Batch,
    /// `:predict`.
    Predict,
}

/// How a model is asked on Vertex; first hit wins.
static ON_VERTEX: &[(&str, Method)] =
    &[("gemini-embedding-001", Method::Predict), ("gemini", Method::Content), ("maas", Method::Content), ("", Method::Predict)];

/// Models that are told in the text, not by a member, what the vectors are for.
static WITHOUT_TASK: &[&str] = &["gemini-embedding-2"];

/// What vectors are for, in the words of clients (Cohere's; then Voyage's and NVIDIA's) and Google's.
static TASKS: &[(&str, &str)] = &[
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
    ("document", "RETRIEVAL_DOCUMENT"),
    ("passage", "RETRIEVAL_DOCUMENT"),
    ("query", "RETRIEVAL_QUERY"),
    ("semantic_similarity", "SEMANTIC_SIMILARITY"),
    ("question_answering", "QUESTION_ANSWERING"),
    ("fact_verification", "FACT_VERIFICATION"),
    ("code_retrieval_query", "CODE_RETRIEVAL_QUERY"),
    ("retrieval_document", "RETRIEVAL_DOCUMENT"),
    ("retrieval_query", "RETRIEVAL_QUERY"),
];

impl Method {
    fn of(target: &Target<'_>, inputs: usize) -> Self {
        // AI Studio and Vertex differ in more than the ids of calls, and the ids tell them apart.
        if target.surface.tool_ids {
            return if inputs == 1 { Self::Content } else { Self::Batch };
        }
        let name = target.model.to_ascii_lowercase();
        ON_VERTEX.iter().find(|(text, _)| name.contains(text)).map_or(Self::Predict, |(_, method)| *method)
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Content => ":embedContent",
            Self::Batch => ":batchEmbedContents",
            Self::Predict => ":predict",
        }
    }

    const fn inputs_max(self) -> usize {
        match self {
            Self::Content => 1,
            Self::Batch => 100,
            Self::Predict => 250,
        }
    }
}

pub(super) fn path(target: &Target<'_>, inputs: usize) -> String {
    path::of(target.model, Method::of(target, inputs).verb())
}

pub(super) fn translate(request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    let EmbeddingsRequest { document: _, inputs, dimensions, encoding: _, input_type, user, others } = request;
    let method = Method::of(target, inputs.len());
    let texts = request.texts(method.inputs_max())?;
    let mut losses = Losses::default();
    losses.dropped(user.iter().chain(others).copied());
    let task = input_type.and_then(|view| task(view, target, &mut losses));
    let each = Each { model: target.model, task, dimensions: *dimensions };
    let mut out = Splice::new();
    match method {
        Method::Content => texts.iter().for_each(|text| each.content(&mut out, *text, false)),
        Method::Batch => {
            out.object().key("requests").array();
            texts.iter().for_each(|text| each.content(&mut out, *text, true));
            out.end_array().end_object();
        }
        Method::Predict => each.prediction(&mut out, &texts),
    }
    Ok(Translated { body: out.finish(), losses: losses.0, names: Names::default() })
}

fn task(view: View<'_>, target: &Target<'_>, losses: &mut Losses) -> Option<&'static str> {
    let asked = view.text().unwrap_or_default().to_ascii_lowercase();
    let row = TASKS.iter().find(|(word, _)| *word == asked);
    let taken = row.filter(|_| !WITHOUT_TASK.iter().any(|model| target.model.contains(model)));
    if taken.is_none() {
        losses.note(LossKind::Dropped, view);
    }
    taken.map(|(_, task)| *task)
}

/// What is said of each input.
struct Each<'a> {
    model: &'a str,
    task: Option<&'static str>,
    dimensions: Option<View<'a>>,
}

impl Each<'_> {
    /// One `EmbedContentRequest`; within a batch it repeats the model.
    fn content(&self, out: &mut Splice, text: View<'_>, in_batch: bool) {
        out.element().object();
        if in_batch {
            let prefix = if self.model.contains('/') { "" } else { "models/" };
            out.key("model").string(&format!("{prefix}{}", self.model));
        }
        out.key("content").object().key("parts").array().object().key("text").view(text);
        out.end_object().end_array().end_object();
        if let Some(task) = self.task {
            out.key("taskType").string(task);
        }
        self.write_dimensions(out);
        out.end_object();
    }

    fn prediction(&self, out: &mut Splice, texts: &[View<'_>]) {
        out.object().key("instances").array();
        for text in texts {
            out.element().object().key("content").view(*text);
            if let Some(task) = self.task {
                out.key("task_type").string(task);
            }
            out.end_object();
        }
        out.end_array();
        if self.dimensions.is_some() {
            out.key("parameters").object();
            self.write_dimensions(out);
            out.end_object();
        }
        out.end_object();
    }

    fn write_dimensions(&self, out: &mut Splice) {
        if let Some(count) = self.dimensions.and_then(View::unsigned) {
            out.key("outputDimensionality").integer(count);
        }
    }
}

/// The replies of all three methods in one: only one of the first three members stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    #[serde(borrow)]
    embedding: Option<Values<'a>>,
    #[serde(borrow)]
    embeddings: Option<Vec<Values<'a>>>,
    #[serde(borrow)]
    predictions: Option<Vec<Prediction<'a>>>,
    #[serde(borrow, alias = "usage_metadata")]
    usage_metadata: Option<UsageMetadata<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Option<Values<'a>>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(alias = "tokenCount")]
    token_count: Option<f64>,
}

pub(super) fn read(body: &Bytes) -> Result<EmbeddingsReply<'_>, Fault> {
    let unreadable = |why: &dyn std::fmt::Display| Fault::malformed(&format!("The provider's answer cannot be read: {why}"));
    let text = simdutf8::basic::from_utf8(body).map_err(|why| unreadable(&why))?;
    let reply: Reply<'_> = serde_json::from_str(text).map_err(|why| unreadable(&why))?;
    if let Some(error) = reply.error {
        return Err(error::inside_200(error));
    }
    let predicted = reply.predictions.into_iter().flatten().map(|prediction| prediction.embeddings);
    let all: Vec<Option<Values<'_>>> =
        reply.embedding.into_iter().chain(reply.embeddings.into_iter().flatten()).map(Some).chain(predicted).collect();
    let usage = reply.usage_metadata.map(|usage| usage.usage()).or_else(|| counted(&all));
    Ok(EmbeddingsReply { vectors: all.iter().map(vector).collect(), usage })
}

fn vector<'a>(values: &Option<Values<'a>>) -> Vector<'a> {
    values.as_ref().and_then(|values| values.values).map_or(Vector::Other, |raw| Vector::of_json(raw.get()))
}

/// The sum of the predictions' own counts; nothing if one of them says nothing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: a whole number that is not negative, and saturating")]
fn counted(all: &[Option<Values<'_>>]) -> Option<Usage> {
    let count = |values: &Option<Values<'_>>| {
        let count = values.as_ref()?.statistics.as_ref()?.token_count?;
        (count >= 0.0 && count.fract() == 0.0).then_some(count as u64)
    };
    let prompt = all.iter().map(count).try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))?;
    (!all.is_empty()).then_some(Usage { prompt_tokens: Some(prompt), ..Usage::default() })
}
