//! `:embedContent`, `:batchEmbedContents` and, as Vertex has it, `:predict` of texts.

use serde_json::{Map, Value, json};

use crate::simulator::exchange::Refusal;
use crate::simulator::vector;

/// Dimensions where none are asked for, and the most.
const DIMENSIONS: u64 = 3_072;

/// The most requests of a batch.
const BATCH: usize = 100;

/// Members of an `EmbedContentRequest`; Google refuses any other.
const MEMBERS: &[&str] = &["model", "content", "taskType", "title", "outputDimensionality"];

const TASKS: &[&str] = &[
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];

/// Answers a method, if it is one of these.
pub(super) fn embed(body: &Value, model: &str, method: &str) -> Option<Result<Value, Refusal>> {
    Some(match method {
        "embedContent" => one(body).map(|values| json!({"embedding": {"values": values}})),
        "batchEmbedContents" => batch(body, model),
        "predict" => predict(body),
        _ => return None,
    })
}

fn batch(body: &Value, model: &str) -> Result<Value, Refusal> {
    let requests = body.get("requests").and_then(Value::as_array).filter(|requests| !requests.is_empty());
    let requests = requests.ok_or_else(|| Refusal::bad("* BatchEmbedContentsRequest.requests: at least one is required"))?;
    if requests.len() > BATCH {
        return Err(Refusal::bad(format!("* BatchEmbedContentsRequest.requests: at most {BATCH} requests can be in one batch")));
    }
    let each = requests.iter().enumerate().map(|(index, request)| {
        let named = request.get("model").and_then(Value::as_str);
        if named != Some(&format!("models/{model}")) {
            return Err(Refusal::bad(format!("* BatchEmbedContentsRequest.requests[{index}].model: must be models/{model}")));
        }
        one(request).map(|values| json!({"values": values}))
    });
    Ok(json!({"embeddings": each.collect::<Result<Vec<_>, _>>()?}))
}

fn one(request: &Value) -> Result<Vec<f32>, Refusal> {
    let members = request.as_object().ok_or_else(|| Refusal::bad("Invalid JSON payload received. Expected an object."))?;
    if let Some(unknown) = members.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(Refusal::bad(format!("Invalid JSON payload received. Unknown name \"{unknown}\": Cannot find field.")));
    }
    check_task(members.get("taskType"))?;
    let parts = request.pointer("/content/parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let texts: Option<Vec<&str>> = parts.and_then(|parts| parts.iter().map(|part| part.get("text")?.as_str()).collect());
    let text = texts.map(|texts| texts.concat()).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Refusal::bad("* EmbedContentRequest.content: contains an empty Part."))?;
    Ok(vector::of(&text, dimensions(members)?))
}

fn predict(body: &Value) -> Result<Value, Refusal> {
    let instances = body.get("instances").and_then(Value::as_array).filter(|instances| !instances.is_empty());
    let instances = instances.ok_or_else(|| Refusal::bad("Empty instances."))?;
    let none = Map::new();
    let dimensions = dimensions(body.get("parameters").and_then(Value::as_object).unwrap_or(&none))?;
    let each = instances.iter().map(|instance| {
        check_task(instance.get("task_type"))?;
        let text = instance.get("content").and_then(Value::as_str).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Refusal::bad("The text content is empty."))?;
        let statistics = json!({"truncated": false, "token_count": text.split_whitespace().count()});
        Ok(json!({"embeddings": {"values": vector::of(text, dimensions), "statistics": statistics}}))
    });
    Ok(json!({"predictions": each.collect::<Result<Vec<_>, Refusal>>()?, "metadata": {"billableCharacterCount": 1}}))
}

fn check_task(task: Option<&Value>) -> Result<(), Refusal> {
    match task {
        Some(task) if !task.as_str().is_some_and(|task| TASKS.contains(&task)) => Err(Refusal::bad(format!(
            "Invalid value at 'task_type' (type.googleapis.com/google.ai.generativelanguage.v1beta.TaskType), {task}"
        ))),
        _ => Ok(()),
    }
}

fn dimensions(members: &Map<String, Value>) -> Result<u64, Refusal> {
    let dimensions = members.get("outputDimensionality").map_or(Some(DIMENSIONS), Value::as_u64);
    dimensions.filter(|count| (1..=DIMENSIONS).contains(count)).ok_or_else(|| Refusal::bad("Invalid value at 'output_dimensionality'"))
}
