//! The path of a call, which names the model and the method.

use crate::dialect::segment::encode;

/// `/models/{model}:generateContent`, or `:streamGenerateContent?alt=sse` (without `alt=sse` a stream is one JSON array).
pub(super) fn chat(model: &str, stream: bool) -> String {
    of(model, if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" })
}

/// `/models/{model}` and the method. A model with a path of its own (`tunedModels/x`, `publishers/google/models/x`) stands as it is.
pub(super) fn of(model: &str, method: &str) -> String {
    let segments: Vec<&str> = model.split('/').collect();
    // An empty or dotted segment would lead elsewhere below the base URL.
    let is_path = segments.len() > 1 && segments.iter().all(|segment| !matches!(*segment, "" | "." | ".."));
    if is_path {
        let encoded: Vec<String> = segments.into_iter().map(encode).collect();
        format!("/{}{method}", encoded.join("/"))
    } else {
        format!("/models/{}{method}", encode(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let cases = [
            ("gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent"),
            ("gemini-2.5-flash", true, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            ("tunedModels/mine", false, "/tunedModels/mine:generateContent"),
            ("publishers/google/models/x", true, "/publishers/google/models/x:streamGenerateContent?alt=sse"),
            ("a?key=b:c", false, "/models/a%3Fkey%3Db%3Ac:generateContent"),
            ("../x", false, "/models/..%2Fx:generateContent"),
        ];
        for (model, stream, path) in cases {
            assert_eq!(chat(model, stream), path);
        }
    }
}
