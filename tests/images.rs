//! Images written the OpenAI way reach each provider in its own way, bytes untouched.

use crate::support::sample::{BMP, GIF, JPEG, PNG, WEBP, ask_parts, big_png, data_uri, image, text};
use crate::support::{Config, Gateway, Provider, Reply, Value, ask, json, native, reply};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";

struct Three {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn three() -> Three {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    openai.always(reply::json(native::openai("ok")));
    anthropic.always(reply::json(native::anthropic("ok")));
    gemini.always(reply::json(native::gemini("ok")));
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini)).await;
    Three { openai, anthropic, gemini, gateway }
}

impl Three {
    async fn ask(&self, model: &str, parts: &[Value]) -> Reply {
        self.gateway.chat(&ask_parts(model, parts)).await
    }

    /// What Anthropic got as content of the first message.
    async fn claude(&self, parts: &[Value]) -> Value {
        self.ask(CLAUDE, parts).await.expect(200);
        let body: Value = serde_json::from_slice(&self.anthropic.received().pop().unwrap().body).unwrap();
        body["messages"][0]["content"].clone()
    }

    /// What Gemini got as parts of the first content.
    async fn flash(&self, parts: &[Value]) -> Value {
        self.ask(FLASH, parts).await.expect(200);
        let body: Value = serde_json::from_slice(&self.gemini.received().pop().unwrap().body).unwrap();
        body["contents"][0]["parts"].clone()
    }
}

fn source(media_type: &str, data: &str) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}})
}

fn inline(media_type: &str, data: &str) -> Value {
    json!({"inlineData": {"mimeType": media_type, "data": data}})
}

#[tokio::test]
async fn images_and_text_keep_their_order_for_anthropic_and_gemini() {
    let three = three().await;
    let parts = [text("left"), image(&data_uri("image/png", PNG)), text("right"), image(&data_uri("image/jpeg", JPEG)), text("which?")];
    let claude = three.claude(&parts).await;
    assert_eq!(claude, json!([text("left"), source("image/png", PNG), text("right"), source("image/jpeg", JPEG), text("which?")]));
    let flash = three.flash(&parts).await;
    let said = |t: &str| json!({"text": t});
    assert_eq!(flash, json!([said("left"), inline("image/png", PNG), said("right"), inline("image/jpeg", JPEG), said("which?")]));
}

#[tokio::test]
async fn openai_gets_the_parts_as_they_were_written() {
    let three = three().await;
    let parts = json!([{"image_url": {"detail": "low", "url": data_uri("image/jpg", PNG)}, "type": "image_url", "x": 1}]);
    let body = format!("{{\"model\":\"openai/gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":{parts}}}]}}");
    three.gateway.chat_bytes(body.as_bytes()).await.expect(200);
    let seen = three.openai.received().pop().unwrap().body;
    assert_eq!(String::from_utf8_lossy(&seen), body.replace("openai/", ""));
}

#[tokio::test]
async fn the_media_type_is_taken_from_the_bytes() {
    let three = three().await;
    let cases = [
        (data_uri("image/png", JPEG), "image/jpeg", JPEG),
        (data_uri("image/jpeg", PNG), "image/png", PNG),
        (data_uri("image/jpg", JPEG), "image/jpeg", JPEG),
        (data_uri("application/octet-stream", WEBP), "image/webp", WEBP),
        (data_uri("image/*", PNG), "image/png", PNG),
        (data_uri("", PNG), "image/png", PNG),
        (format!("data:base64,{PNG}"), "image/png", PNG),
        (format!("DATA:IMAGE/PNG;BASE64,{PNG}"), "image/png", PNG),
        (format!("data:image/png;charset=utf-8;base64,{PNG}"), "image/png", PNG),
        (format!("  data:image/png;base64,{PNG}\n"), "image/png", PNG),
    ];
    for (uri, media_type, data) in cases {
        assert_eq!(three.claude(&[text("?"), image(&uri)]).await[1], source(media_type, data), "{}", &uri[..40]);
        assert_eq!(three.flash(&[text("?"), image(&uri)]).await[1], inline(media_type, data), "{}", &uri[..40]);
    }
}

#[tokio::test]
async fn payloads_in_other_alphabets_arrive_as_standard_base64() {
    let three = three().await;
    let url_safe = JPEG.replace('+', "-").replace('/', "_");
    let broken_lines = PNG.as_bytes().chunks(20).map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>().join("\r\n");
    let unpadded = PNG.trim_end_matches('=');
    let escaped = PNG.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for (uri, wanted) in [
        (data_uri("image/jpeg", &url_safe), source("image/jpeg", JPEG)),
        (data_uri("image/png", &broken_lines), source("image/png", PNG)),
        (data_uri("image/png", unpadded), source("image/png", PNG)),
        (data_uri("image/png", &escaped), source("image/png", PNG)),
    ] {
        assert_eq!(three.claude(&[text("?"), image(&uri)]).await[1], wanted, "{}", &uri[..60]);
    }
}

#[tokio::test]
async fn an_escaped_slash_in_the_json_is_a_slash() {
    let three = three().await;
    let body = ask_parts(CLAUDE, &[text("?"), image(&data_uri("image/jpeg", JPEG))]).to_string().replace('/', "\\/");
    three.gateway.chat_bytes(body.as_bytes()).await.expect(200);
    let seen: Value = serde_json::from_slice(&three.anthropic.received()[0].body).unwrap();
    assert_eq!(seen["messages"][0]["content"][1], source("image/jpeg", JPEG));
}

#[tokio::test]
async fn an_image_url_may_be_a_plain_string() {
    let three = three().await;
    let part = json!({"type": "image_url", "image_url": data_uri("image/png", PNG)});
    assert_eq!(three.claude(&[text("?"), part]).await[1], source("image/png", PNG));
}

#[tokio::test]
async fn twelve_images_of_a_megabyte_arrive_whole_and_in_order() {
    let three = three().await;
    let images: Vec<String> = (0..12).map(|seed| big_png(1 << 20, seed)).collect();
    let parts: Vec<Value> = images.iter().map(|i| image(&data_uri("image/png", i))).collect();
    let claude = three.claude(&parts).await;
    let flash = three.flash(&parts).await;
    for (at, data) in images.iter().enumerate() {
        assert!(claude[at]["source"]["data"] == data.as_str(), "image {at} at Anthropic");
        assert!(flash[at]["inlineData"]["data"] == data.as_str(), "image {at} at Gemini");
    }
}

#[tokio::test]
async fn bad_base64_is_a_400_that_names_the_part() {
    let three = three().await;
    for (model, payload) in [(CLAUDE, "iVBORw0K*!"), (FLASH, "iVBORw0KGgo$"), (CLAUDE, "A"), (FLASH, "")] {
        let reply = three.ask(model, &[text("?"), image(&data_uri("image/png", payload))]).await;
        assert!(reply.expect(400).error().starts_with("messages[0].content[1].image_url.url: the payload"), "{}", reply.text());
        assert_eq!(reply.json()["error"]["param"], "messages[0].content[1].image_url.url", "{}", reply.text());
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    assert!(three.anthropic.received().is_empty() && three.gemini.received().is_empty());
}

#[tokio::test]
async fn a_type_that_the_provider_refuses_is_a_400_that_lists_what_it_takes() {
    let three = three().await;
    for (model, uri) in [(CLAUDE, data_uri("image/bmp", BMP)), (FLASH, data_uri("image/gif", GIF)), (CLAUDE, data_uri("image/png", BMP))] {
        let reply = three.ask(model, &[text("?"), image(&uri)]).await;
        let message = reply.expect(400).error();
        assert_eq!(reply.json()["error"]["param"], "messages[0].content[1].image_url.url");
        assert!(message.contains("image/png"), "{message}");
    }
}

#[tokio::test]
async fn an_image_that_one_provider_refuses_goes_to_the_next_that_takes_it() {
    let three = three().await;
    let mut body = ask_parts(FLASH, &[text("?"), image(&data_uri("image/gif", GIF))]);
    body["fallbacks"] = json!([CLAUDE]);
    let reply = three.gateway.chat(&body).await;
    assert_eq!(reply.expect(200).header("x-heliostat-provider"), "anthropic");
    assert!(three.gemini.received().is_empty());
}

#[tokio::test]
async fn too_many_or_too_large_images_are_refused_by_configured_limits() {
    let anthropic = Provider::start().await;
    let config = Config::new().provider("anthropic", &anthropic).top("limits: { images: 2, image_bytes: 1000 }");
    let gateway = Gateway::start(config).await;
    let small = image(&data_uri("image/png", PNG));
    let many = gateway.chat(&ask_parts(CLAUDE, &[small.clone(), small.clone(), small])).await;
    assert!(matches!(many.status, 400 | 413), "{}", many.text());
    many.error();
    let large = gateway.chat(&ask_parts(CLAUDE, &[image(&data_uri("image/png", &big_png(1001, 0)))])).await;
    assert!(matches!(large.status, 400 | 413), "{}", large.text());
    assert!(large.text().contains("content[0]"), "{}", large.text());
}

#[tokio::test]
async fn an_image_of_a_tool_result_reaches_anthropic() {
    let three = three().await;
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let mut body = ask(CLAUDE);
    body["messages"] = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [image(&data_uri("image/png", PNG))]}
    ]);
    three.gateway.chat(&body).await.expect(200);
    let seen: Value = serde_json::from_slice(&three.anthropic.received()[0].body).unwrap();
    assert_eq!(seen["messages"][2]["content"][0]["content"][0], source("image/png", PNG), "{seen}");
}
