//! Embeddings, as numbers or in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::simulator::exchange::{Page, Refusal};
use crate::simulator::vector;

/// Dimensions where none are asked for.
const DIMENSIONS: u64 = 256;

/// Answers `POST /v1/embeddings`.
pub(super) fn embeddings(body: &Value) -> Result<Page, Refusal> {
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| Refusal::bad("you must provide a model parameter"))?;
    let inputs = inputs(body.get("input").unwrap_or(&Value::Null))?;
    let dimensions = body.get("dimensions").map_or(Some(DIMENSIONS), Value::as_u64).filter(|count| (1..=3_072).contains(count));
    let dimensions = dimensions.ok_or_else(|| Refusal::bad("Invalid value for 'dimensions'.").param("dimensions"))?;
    let in_base64 = match body.get("encoding_format").map(Value::as_str) {
        None | Some(Some("float")) => false,
        Some(Some("base64")) => true,
        Some(_) => return Err(Refusal::bad("Invalid value for 'encoding_format': expected 'float' or 'base64'.").param("encoding_format")),
    };
    let entry = |(index, input): (usize, &String)| {
        let vector = vector::of(input, dimensions);
        let embedding = if in_base64 { json!(packed(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let tokens: usize = inputs.iter().map(|input| input.split_whitespace().count()).sum();
    let data: Vec<Value> = inputs.iter().enumerate().map(entry).collect();
    let list = json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}});
    Ok(Page::Vectors(model.to_owned(), list))
}

/// A text, texts, tokens, or lists of tokens.
fn inputs(input: &Value) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::bad("'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.");
    match input {
        Value::String(text) if !text.is_empty() => Ok(vec![text.clone()]),
        Value::Array(items) if items.is_empty() || items.len() > 2_048 => Err(wrong()),
        Value::Array(items) if items.iter().all(Value::is_u64) => Ok(vec![input.to_string()]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) if !text.is_empty() => Ok(text.clone()),
                Value::Array(tokens) if !tokens.is_empty() && tokens.iter().all(Value::is_u64) => Ok(item.to_string()),
                _ => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

/// Little-endian floats in base64.
fn packed(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}
