//! Embeddings of each dialect as tables: what a client writes, and the exact text that a provider gets; what a provider answers, and
//! the exact text that the client gets.
#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test that cannot go on says so by a panic")]

use bytes::Bytes;
use heliostat_filters::dialect::openai::write_embeddings;
use heliostat_filters::dialect::{self, DIALECTS, Dialect, Surface, Target};
use heliostat_filters::embeddings::{EMBEDDINGS, EmbeddingsRequest, Encoding, Wanted, count_inputs};
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::refusal::RefusalScope;

/// Dialect, with `vertex` for Google's on Vertex; model; the client's members beside it; path; body; losses.
type Request = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const REQUESTS: &[Request] = &[
    (
        "gemini",
        "m",
        r#""input":"caf\u00e9 \/ \"x\"""#,
        "/models/m:embedContent",
        r#"{"content":{"parts":[{"text":"caf\u00e9 \/ \"x\""}]}}"#,
        "",
    ),
    (
        "gemini",
        "m",
        r#""input":["a","b"],"dimensions":3.0,"input_type":"Query","encoding_format":"base64""#,
        "/models/m:batchEmbedContents",
        r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":3},{"model":"models/m","content":{"parts":[{"text":"b"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":3}]}"#,
        "",
    ),
    (
        "gemini",
        "tunedModels/m",
        r#""input":["a","b"],"user":"u","input_type":"rhyme","seed":1"#,
        "/tunedModels/m:batchEmbedContents",
        r#"{"requests":[{"model":"tunedModels/m","content":{"parts":[{"text":"a"}]}},{"model":"tunedModels/m","content":{"parts":[{"text":"b"}]}}]}"#,
        "dropped user, dropped seed, dropped input_type",
    ),
    ("vertex", "text-embedding-005", r#""input":["a"]"#, "/models/text-embedding-005:predict", r#"{"instances":[{"content":"a"}]}"#, ""),
    (
        "vertex",
        "gemini-embedding-001",
        r#""input":["a","b"],"dimensions":8,"input_type":"search_document""#,
        "/models/gemini-embedding-001:predict",
        r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_DOCUMENT"},{"content":"b","task_type":"RETRIEVAL_DOCUMENT"}],"parameters":{"outputDimensionality":8}}"#,
        "",
    ),
    (
        "vertex",
        "gemini-embedding-2",
        r#""input":"a","input_type":"query""#,
        "/models/gemini-embedding-2:embedContent",
        r#"{"content":{"parts":[{"text":"a"}]}}"#,
        "dropped input_type",
    ),
    (
        "cohere",
        "embed-v4.0",
        r#""input":"a""#,
        "/embed",
        r#"{"model":"embed-v4.0","input_type":"search_document","embedding_types":["float"],"texts":["a"]}"#,
        "approximated input_type",
    ),
    (
        "cohere",
        "embed-v4.0",
        r#""input":["a"],"input_type":"clustering","dimensions":256,"truncate":"END","user":"","user_tier":1,"fallbacks":[]"#,
        "/embed",
        r#"{"model":"embed-v4.0","input_type":"clustering","embedding_types":["float"],"output_dimension":256,"truncate":"END","texts":["a"]}"#,
        "dropped user_tier",
    ),
    ("openai", "m", r#""input":[[1,2]]"#, "/embeddings", r#"{"model":"m","input":[[1,2]]}"#, ""),
];

/// Dialect, encoding, the provider's body, the client's vectors and usage, losses.
type Reply = (&'static str, Encoding, &'static str, &'static str, &'static str, &'static str);

const REPLIES: &[Reply] = &[
    ("gemini", Encoding::Float, r#"{"embedding":{"values":[0.10,-1e-05]}}"#, "[0.10,-1e-05]", "0", "estimated usage"),
    ("gemini", Encoding::Base64, r#"{"embeddings":[{"values":[1]}],"usageMetadata":{"promptTokenCount":4}}"#, "\"AACAPw==\"", "4", ""),
    (
        "gemini",
        Encoding::Float,
        r#"{"predictions":[{"embeddings":{"values":[2],"statistics":{"token_count":4.0}}}],"metadata":{}}"#,
        "[2]",
        "4",
        "",
    ),
    ("cohere", Encoding::Float, r#"{"embeddings":{"float":[[ 1 ]]},"meta":{"billed_units":{"input_tokens":4}}}"#, "[ 1 ]", "4", ""),
    ("cohere", Encoding::Float, r#"{"embeddings":{"float":[[1]]}}"#, "[1]", "0", "estimated usage"),
    ("openai", Encoding::Float, r#"{"data":[{"embedding":"AACAPw=="}],"usage":{"prompt_tokens":4}}"#, "[1.0]", "4", ""),
    ("openai", Encoding::Base64, r#"{"data":[{"embedding":"AACAPw=="}],"usage":{"prompt_tokens":4}}"#, "\"AACAPw==\"", "4", ""),
];

fn speaker(name: &str) -> (&'static dyn Dialect, Surface) {
    let tool_ids = name != "vertex";
    let dialect = dialect::by_name(if tool_ids { name } else { "gemini" }).expect("a known dialect");
    (dialect, Surface { tool_ids, ..Surface::default() })
}

fn scan(members: &str) -> Document {
    let body = format!(r#"{{"model":"asked/name",{members}}}"#);
    Document::scan(Bytes::from(body), &EMBEDDINGS, ScanLimits::default()).expect("a JSON document")
}

#[test]
fn requests() {
    for (name, model, members, path, body, losses) in REQUESTS {
        let (dialect, surface) = speaker(name);
        let target = Target { model, surface: &surface };
        let document = scan(members);
        let request = EmbeddingsRequest::read(&document).expect("a request");
        let translated = dialect.embeddings_request(&request, &target).expect("no refusal");
        let said: Vec<String> = translated.losses.iter().map(ToString::to_string).collect();
        assert_eq!(String::from_utf8_lossy(&translated.body.join()), *body, "{name} {members}");
        assert_eq!(said.join(", "), *losses, "{name} {members}");
        assert_eq!(dialect.embeddings_path(&target, count_inputs(&document).expect("few inputs")), *path, "{name} {members}");
    }
}

#[test]
fn replies() {
    for (name, encoding, body, vector, tokens, losses) in REPLIES {
        let body = Bytes::from_static(body.as_bytes());
        let reply = speaker(name).0.embeddings_reply(&body).expect("a reply");
        let wanted = Wanted { model: "m".to_owned(), inputs: 1, encoding: *encoding };
        let (pieces, said) = write_embeddings(&reply, &wanted).expect("a list");
        let expected = format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{vector}}}],"model":"m","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&pieces.join()), expected, "{body:?}");
        assert_eq!(said.iter().map(ToString::to_string).collect::<String>(), *losses, "{body:?}");
    }
}

#[test]
fn vectors_stand_in_the_order_of_their_indices() {
    let body = Bytes::from_static(br#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}"#);
    let reply = speaker("openai").0.embeddings_reply(&body).expect("a reply");
    let wanted = Wanted { model: "m".to_owned(), inputs: 2, encoding: Encoding::Float };
    let written = write_embeddings(&reply, &wanted).expect("a list").0.join();
    assert!(written.starts_with(br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0]}"#), "{written:?}");
}

#[test]
fn every_dialect_answers_nonsense_with_a_fault_and_tokens_with_a_refusal_of_its_own() {
    let document = scan(r#""input":[1,2,3]"#);
    let request = EmbeddingsRequest::read(&document).expect("a request");
    for dialect in DIALECTS {
        for body in ["", "{", "[]", "\u{fffd}", r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let vectors = dialect.embeddings_reply(&body).map(|reply| reply.vectors.len());
            assert!(vectors.is_err() || vectors == Ok(0), "{} {body:?}", dialect.name());
        }
        let surface = speaker("gemini").1;
        if let Err(refusal) = dialect.embeddings_request(&request, &Target { model: "m", surface: &surface }) {
            assert_eq!(refusal.scope, RefusalScope::Candidate, "{}", dialect.name());
        }
    }
}
