//! Embeddings: the same bytes to OpenAI's dialect, translated to the others, and never vectors of another model.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fixtures::cases;
use crate::support::{Config, Gateway, Provider, Value, ask, json, reply, with};

/// A list of embeddings as OpenAI writes it, of exact digits.
const LIST: &str = r#"{ "object":"list", "data":[{"object":"embedding","index":0,"embedding":[0.10, -1e-05,3.0]}],
  "model":"text-embedding-3-small","usage":{"prompt_tokens":7,"total_tokens":7} }"#;

async fn one(name: &str) -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider(name, &upstream)).await;
    (upstream, gateway)
}

fn embed(model: &str, input: Value) -> Value {
    json!({"model": model, "input": input})
}

/// What the only request said: its line, and its body.
fn only(upstream: &Provider) -> (String, Value) {
    let received = upstream.received();
    assert_eq!(received.len(), 1, "one request");
    (received[0].line.clone(), serde_json::from_slice(&received[0].body).expect("a JSON body"))
}

/// The floats behind a base64 vector.
fn unpacked(vector: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(vector.as_str().expect("a string")).expect("base64");
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[tokio::test]
async fn openais_dialect_gets_and_gives_the_same_bytes() {
    let (openai, gateway) = one("openai").await;
    openai.script([reply::bytes(200, "application/json", LIST)]);
    let sent = r#"{"fallbacks":[], "model":"openai/text-embedding-3-small","input" : [[1,2], "caf\u00e9"],"dimensions":3.0,"x":12345678901234567890}"#;
    let answer = gateway.embed_with(&[("x-request-id", "same-bytes")], sent.as_bytes()).await;
    assert_eq!(answer.expect(200).text(), LIST);
    let received = openai.received();
    let wanted = r#"{"model":"text-embedding-3-small","input" : [[1,2], "caf\u00e9"],"dimensions":3.0,"x":12345678901234567890}"#;
    assert_eq!((received[0].line.as_str(), String::from_utf8_lossy(&received[0].body)), ("POST /v1/embeddings", wanted.into()));
    assert_eq!((answer.header("x-heliostat-provider"), answer.header("x-heliostat-model")), ("openai", "text-embedding-3-small"));
    let line = gateway.access("same-bytes").await;
    assert_eq!((&line["endpoint"], &line["usage"]["prompt_tokens"]), (&json!("embeddings"), &json!(7)));
}

#[tokio::test]
async fn the_usage_of_a_reply_too_long_to_hold_is_counted() {
    let (openai, gateway) = one("openai").await;
    let mut list = String::from(r#"{"object":"list","data":["#);
    for index in 0..3000 {
        let comma = if index == 0 { "" } else { "," };
        write!(list, r#"{comma}{{"object":"embedding","index":{index},"embedding":"{}"}}"#, "A".repeat(512)).unwrap();
    }
    list.push_str(r#"],"usage":{"prompt_tokens":3000,"total_tokens":3000}}"#);
    assert!(list.len() > 1 << 20);
    openai.script([reply::bytes(200, "application/json", list.clone())]);
    let sent = embed("openai/m", json!("x")).to_string();
    let answer = gateway.embed_with(&[("x-request-id", "long")], sent.as_bytes()).await;
    assert_eq!(answer.expect(200).text(), list);
    assert_eq!(gateway.access("long").await["usage"]["prompt_tokens"], 3000);
}

#[tokio::test]
async fn gemini_gets_one_content_and_its_digits_arrive() {
    let (gemini, gateway) = one("gemini").await;
    gemini.script([reply::bytes(200, "application/json", r#"{"embedding":{"values":[ 0.10, -1e-05,3.0 ]}}"#)]);
    let answer = gateway.embed(&embed("gemini/gemini-embedding-001", json!("caf\u{e9} \"x\""))).await;
    let wanted = json!({"content": {"parts": [{"text": "caf\u{e9} \"x\""}]}});
    assert_eq!(only(&gemini), ("POST /v1beta/models/gemini-embedding-001:embedContent".to_owned(), wanted));
    assert!(answer.expect(200).text().contains(r#""embedding":[ 0.10, -1e-05,3.0 ]"#), "{}", answer.text());
    assert_eq!(answer.json()["model"], "gemini-embedding-001");
    assert_eq!(answer.header("x-heliostat-loss"), "usage", "a count that nobody gave is named");
}

#[tokio::test]
async fn gemini_gets_several_as_a_batch_and_base64_is_made_of_its_numbers() {
    let (gemini, gateway) = one("gemini").await;
    gemini.script([reply::json(json!({"embeddings": [{"values": [0.5, -2]}, {"values": [1e-7, 3]}]}))]);
    let more = json!({"dimensions": 2, "encoding_format": "base64", "input_type": "search_query", "user": "u1"});
    let answer = gateway.embed(&with(embed("gemini/gemini-embedding-001", json!(["a", "b"])), more)).await;
    let each = |text: &str| {
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
            "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2})
    };
    let wanted = json!({"requests": [each("a"), each("b")]});
    assert_eq!(only(&gemini), ("POST /v1beta/models/gemini-embedding-001:batchEmbedContents".to_owned(), wanted));
    let list = answer.expect(200).json();
    assert_eq!((unpacked(&list["data"][0]["embedding"]), unpacked(&list["data"][1]["embedding"])), (vec![0.5, -2.0], vec![1e-7, 3.0]));
    assert_eq!((&list["data"][1]["index"], &list["data"][1]["object"]), (&json!(1), &json!("embedding")));
    assert!(answer.header("x-heliostat-loss").starts_with("user"));
}

#[tokio::test]
async fn vertex_gets_a_prediction_or_one_content_by_its_model() {
    let (vertex, gateway) = one("vertex").await;
    let prediction = |count: u64| json!({"embeddings": {"values": [1, 2], "statistics": {"token_count": count, "truncated": false}}});
    vertex.script([
        reply::json(json!({"predictions": [prediction(3), prediction(4)]})),
        reply::json(json!({"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}})),
    ]);
    let more = json!({"dimensions": 2, "input_type": "clustering"});
    let answer = gateway.embed(&with(embed("vertex/text-embedding-005", json!(["a", "b"])), more)).await;
    assert_eq!(answer.expect(200).json()["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
    assert!(answer.head.header("x-heliostat-loss").is_none());
    let answer = gateway.embed(&embed("vertex/gemini-embedding-2", json!(["a"]))).await;
    assert_eq!(answer.expect(200).json()["usage"]["prompt_tokens"], 5);
    let received = vertex.received();
    assert_eq!(received[0].line, "POST /v1/publishers/google/models/text-embedding-005:predict");
    let wanted = json!({"instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b", "task_type": "CLUSTERING"}],
        "parameters": {"outputDimensionality": 2}});
    assert_eq!(serde_json::from_slice::<Value>(&received[0].body).unwrap(), wanted);
    assert_eq!(received[1].line, "POST /v1/publishers/google/models/gemini-embedding-2:embedContent");
    let answer = gateway.embed(&embed("vertex/gemini-embedding-2", json!(["a", "b"]))).await;
    assert!(answer.expect(400).error().contains("at most one input"), "{}", answer.text());
}

#[tokio::test]
async fn cohere_is_told_what_vectors_are_for_and_the_guess_is_named() {
    let (cohere, gateway) = one("cohere").await;
    let body = json!({"id": "1", "embeddings": {"float": [[0.5], [1]]}, "meta": {"billed_units": {"input_tokens": 9}}});
    cohere.script([reply::json(body.clone()), reply::json(body)]);
    let answer = gateway.embed(&with(embed("cohere/embed-v4.0", json!(["a", "b"])), json!({"dimensions": 256}))).await;
    assert_eq!(answer.expect(200).header("x-heliostat-loss"), "input_type");
    assert_eq!(answer.json()["usage"], json!({"prompt_tokens": 9, "total_tokens": 9}));
    let more = json!({"input_type": "query", "truncate": "END"});
    let answer = gateway.embed(&with(embed("cohere/embed-v4.0", json!(["a", "b"])), more)).await;
    assert!(answer.expect(200).head.header("x-heliostat-loss").is_none());
    let received = cohere.received();
    let bodies: Vec<Value> = received.iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    let common = json!({"model": "embed-v4.0", "texts": ["a", "b"], "embedding_types": ["float"]});
    assert_eq!(bodies[0], with(common.clone(), json!({"input_type": "search_document", "output_dimension": 256})));
    assert_eq!(bodies[1], with(common, json!({"input_type": "search_query", "truncate": "END"})));
    assert_eq!(
        (received[0].line.as_str(), received[0].head.header("authorization")),
        ("POST /v2/embed", Some("Bearer sk-secret-cohere_api_key"))
    );
}

#[tokio::test]
async fn strict_refuses_what_would_be_guessed() {
    let (_cohere, gateway) = one("cohere").await;
    let body = embed("cohere/embed-v4.0", json!("a")).to_string();
    let answer = gateway.embed_with(&[("x-heliostat-strict", "true")], body.as_bytes()).await;
    assert!(answer.expect(400).error().contains("approximated input_type"), "{}", answer.text());
}

#[tokio::test]
async fn a_rate_limited_key_leaves_the_work_to_the_other() {
    for (provider, body) in [("openai", LIST), ("gemini", r#"{"embedding":{"values":[1]}}"#)] {
        let (a, b) = (Provider::start().await, Provider::start().await);
        let keys = format!(
            "[{{ value: env.KEY_A, base_url: \"{}\", weight: 1.0 }}, {{ value: env.KEY_B, base_url: \"{}\", weight: 0.000001 }}]",
            a.url(),
            b.url()
        );
        let gateway = Gateway::start(Config::new().provider(provider, &a).keys(provider, &keys)).await;
        a.script([reply::status(429)]);
        b.script([reply::bytes(200, "application/json", body)]);
        let answer = gateway.embed(&embed(&format!("{provider}/m"), json!("x"))).await;
        answer.expect(200);
        assert_eq!(answer.attempts(), [format!("{provider}/m#KEY_A;429"), format!("{provider}/m#KEY_B;200")]);
    }
}

/// OpenAI, and another provider of its dialect behind it in the global list, once with the same model and once with others.
async fn two(fallbacks: &str) -> (Provider, Provider, Gateway) {
    let (openai, other) = (Provider::start().await, Provider::start().await);
    let config = Config::new().provider("openai", &openai).provider("other", &other).line("other", "dialect: openai");
    let gateway = Gateway::start(config.top(&format!("fallbacks: {fallbacks}"))).await;
    (openai, other, gateway)
}

#[tokio::test]
async fn configured_fallbacks_to_other_models_are_never_used() {
    let (openai, _other, gateway) = two("[other/bge-m3, openai/text-embedding-ada-002]").await;
    openai.script([reply::status(529)]);
    let answer = gateway.embed(&embed("openai/text-embedding-3-small", json!("x"))).await;
    assert_eq!(answer.expect(529).attempts(), ["openai/text-embedding-3-small#OPENAI_API_KEY;529"]);
}

#[tokio::test]
async fn the_same_model_elsewhere_stands_in() {
    let (openai, other, gateway) = two("[other/bge-m3, other/text-embedding-3-small]").await;
    openai.script([reply::status(529)]);
    other.script([reply::bytes(200, "application/json", LIST)]);
    let answer = gateway.embed(&embed("openai/text-embedding-3-small", json!("x"))).await;
    assert_eq!((answer.expect(200).header("x-heliostat-provider"), answer.attempts().len()), ("other", 2));
}

#[tokio::test]
async fn a_fallback_to_another_model_is_refused_before_anything_is_sent() {
    let (_openai, _other, gateway) = two("[]").await;
    let more = json!({"fallbacks": ["other/text-embedding-3-small", "other/bge-m3"]});
    let answer = gateway.embed(&with(embed("openai/text-embedding-3-small", json!("x")), more)).await;
    assert!(answer.expect(400).error().contains("different models do not compare"));
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["param"]), (&json!("incompatible_fallback"), &json!("fallbacks[1]")));
}

#[tokio::test]
async fn what_one_provider_cannot_take_goes_to_the_next_that_can() {
    let (gemini, other) = (Provider::start().await, Provider::start().await);
    let config = Config::new().provider("gemini", &gemini).provider("other", &other).line("other", "dialect: openai");
    let gateway = Gateway::start(config).await;
    other.script([reply::bytes(200, "application/json", LIST)]);
    let tokens = with(embed("gemini/m", json!([1, 2, 3])), json!({"fallbacks": ["other/m"]}));
    assert_eq!(gateway.embed(&tokens).await.expect(200).header("x-heliostat-provider"), "other");
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_with_its_reason() {
    let upstream = Provider::start().await;
    let config = Config::new().provider("gemini", &upstream).provider("cohere", &upstream).provider("anthropic", &upstream);
    let gateway = Gateway::start(config.provider("openai", &upstream)).await;
    let texts = |count: usize| json!(vec!["x"; count]);
    let cases = [
        (embed("gemini/m", json!([[1, 2]])), "input[0]", "not OpenAI's tokens"),
        (embed("gemini/m", texts(101)), "input", "at most 100 inputs"),
        (embed("cohere/m", texts(97)), "input", "at most 96 inputs"),
        (embed("openai/m", texts(2049)), "input", "at most 2048 inputs"),
        (embed("gemini/m", json!([])), "input", "empty"),
        (embed("gemini/m", json!({"text": "x"})), "input", "a string or an array"),
        (json!({"model": "gemini/m"}), "input", "Missing required parameter"),
        (with(embed("gemini/m", json!("x")), json!({"encoding_format": "int8"})), "encoding_format", "'float' and 'base64'"),
        (with(embed("gemini/m", json!("x")), json!({"dimensions": 0})), "dimensions", "positive integer"),
        (embed("anthropic/m", json!("x")), "model", "Embeddings are not available"),
    ];
    for (body, param, message) in cases {
        let answer = gateway.embed(&body).await;
        assert!(answer.expect(400).error().contains(message), "{body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
    let answer = gateway.chat(&ask("cohere/command-a")).await;
    assert!(answer.expect(400).error().contains("Chat completions are not available"), "{}", answer.text());
}

#[tokio::test]
async fn a_reply_that_lacks_a_vector_is_a_failed_attempt() {
    for body in [json!({"embeddings": [{"values": [1]}]}), json!({"embeddings": [{"values": [1]}, {"values": [null]}]}), json!({})] {
        let (gemini, gateway) = one("gemini").await;
        gemini.script([reply::json(body.clone())]);
        let answer = gateway.embed(&embed("gemini/m", json!(["a", "b"]))).await;
        assert!(answer.expect(502).error().contains("no list of embeddings"), "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let (openai, gateway) = one("openai").await;
    openai.script([reply::json(json!({"error": {"message": "out of credits", "code": 402}}))]);
    let answer = gateway.embed(&embed("openai/m", json!("x"))).await;
    assert!(answer.status >= 400 && answer.error().contains("out of credits"), "{}", answer.text());
}

#[tokio::test]
async fn a_wrong_method_is_told_so() {
    let (_openai, gateway) = one("openai").await;
    gateway.get("/v1/embeddings").await.expect(405);
}

/// Asks again for what was recorded, and compares the vectors that arrive with the recorded ones.
async fn replay(provider: &str, endpoint: &str, inputs: fn(&Value) -> Value, vectors: fn(&Value) -> Value) {
    for case in cases(provider, &[endpoint]) {
        let (upstream, gateway) = one(provider).await;
        upstream.always(reply::bytes(case.status, &case.media_type, case.body.clone()));
        let recorded: Value = serde_json::from_str(&case.body).unwrap();
        let model = format!("{provider}/{}", case.request["model"].as_str().unwrap_or("text-embedding-004"));
        let body = embed(&model, inputs(&case.request));
        let list = gateway.embed(&body).await.expect(200).json();
        let seen: Vec<Value> = list["data"].as_array().unwrap().iter().map(|entry| entry["embedding"].clone()).collect();
        assert_eq!(json!(seen), vectors(&recorded), "{}", case.id);
        assert_eq!(list["object"], "list");
        let list = gateway.embed(&with(body, json!({"encoding_format": "base64"}))).await.expect(200).json();
        // OpenAI's dialect passes as it is: there the recording answers in numbers.
        if let Some(packed) = list["data"][0]["embedding"].is_string().then(|| unpacked(&list["data"][0]["embedding"])) {
            let numbers: Vec<f32> = serde_json::from_value(seen[0].clone()).unwrap();
            assert_eq!(packed, numbers, "{}", case.id);
        }
    }
}

fn data(list: &Value) -> Value {
    list["data"].as_array().unwrap().iter().map(|entry| entry["embedding"].clone()).collect()
}

#[tokio::test]
async fn recorded_vectors_arrive_as_they_were() {
    replay("openai", "embeddings", |asked| asked["input"].clone(), data).await;
    replay("mistral", "embeddings", |asked| asked["input"].clone(), data).await;
    replay("cohere", "embed", |asked| asked["texts"].clone(), |reply| reply["embeddings"]["float"].clone()).await;
    let texts =
        |asked: &Value| asked["requests"].as_array().unwrap().iter().map(|each| each["content"]["parts"][0]["text"].clone()).collect();
    let values = |reply: &Value| reply["embeddings"].as_array().unwrap().iter().map(|each| each["values"].clone()).collect();
    replay("gemini", "embedContent", texts, values).await;
    let texts = |asked: &Value| asked["instances"].as_array().unwrap().iter().map(|each| each["content"].clone()).collect();
    let values = |reply: &Value| reply["predictions"].as_array().unwrap().iter().map(|each| each["embeddings"]["values"].clone()).collect();
    replay("vertex", "predict", texts, values).await;
}
