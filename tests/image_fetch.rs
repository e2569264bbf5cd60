//! Images named by URL reach providers that do not fetch them: fetched by the gateway from an image host, and inlined.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::sample::{GIF, JPEG, PNG, ask_parts, data_uri, image, text};
use crate::support::{Config, Gateway, Provider, Reply, Value, client, json, native, reply};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";
const GPT: &str = "openai/gpt-4o";
const PART: &str = "messages[0].content[1].image_url.url";

struct World {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    /// The image host.
    host: Provider,
    gateway: Gateway,
}

async fn world(image_fetch: &str) -> World {
    let [openai, anthropic, gemini, host] =
        [Provider::start().await, Provider::start().await, Provider::start().await, Provider::start().await];
    openai.always(reply::json(native::openai("ok")));
    anthropic.always(reply::json(native::anthropic("ok")));
    gemini.always(reply::json(native::gemini("ok")));
    let config = Config::three(&openai, &anthropic, &gemini).top(&format!("image_fetch: {{ {image_fetch} }}"));
    let gateway = Gateway::start(config).await;
    World { openai, anthropic, gemini, host, gateway }
}

/// Loopback may be fetched from: the image host is there.
async fn open() -> World {
    world("allow_private: true").await
}

impl World {
    async fn ask(&self, model: &str, parts: &[Value]) -> Reply {
        self.gateway.chat(&ask_parts(model, parts)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host.url())
    }

    /// Asks with an image at this path.
    async fn look(&self, model: &str, path: &str) -> Reply {
        self.ask(model, &[text("?"), image(&self.url(path))]).await
    }
}

fn sent(provider: &Provider) -> Value {
    serde_json::from_slice(&provider.received().pop().expect("a request").body).expect("JSON")
}

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

/// An answer of the image host's; what it says of the type is wrong.
fn file(base64: &str) -> reply::Reply {
    reply::bytes(200, "text/html; charset=utf-8", bytes(base64))
}

#[track_caller]
fn refused(reply: &Reply, code: &str) -> String {
    let message = reply.expect(400).error();
    assert_eq!(reply.json()["error"]["param"], PART, "{message}");
    assert_eq!(reply.json()["error"]["code"], code, "{message}");
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    message
}

#[tokio::test]
async fn anthropic_and_gemini_get_the_bytes_with_the_type_they_show() {
    let world = open().await;
    world.host.script([file(PNG), file(JPEG)]);
    world.look(CLAUDE, "/a.jpg?sig=1").await.expect(200);
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    assert_eq!(sent(&world.anthropic)["messages"][0]["content"][1], json!({"type": "image", "source": source}));
    world.look(FLASH, "/b.png").await.expect(200);
    let part = json!({"inlineData": {"mimeType": "image/jpeg", "data": JPEG}});
    assert_eq!(sent(&world.gemini)["contents"][0]["parts"][1], part);
}

#[tokio::test]
async fn a_file_that_comes_compressed_is_the_file_all_the_same() {
    use std::io::Write as _;
    let gzip = |file: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(file).unwrap();
        encoder.finish().unwrap()
    };
    let coded = |coding: &str, file: Vec<u8>| reply::bytes(200, "image/png", file).header("content-encoding", coding);
    let world = world("allow_private: true, max_bytes: 1000000").await;
    let bomb = gzip(&vec![0; 1_000_001]);
    world.host.script([coded("gzip", gzip(&bytes(PNG))), coded("br", bytes(PNG)), coded("gzip", bytes(PNG)), coded("gzip", bomb)]);
    world.look(CLAUDE, "/a.png").await.expect(200);
    assert_eq!(sent(&world.anthropic)["messages"][0]["content"][1]["source"]["data"], PNG);
    assert!(refused(&world.look(CLAUDE, "/b.png").await, "failed_to_download_image").contains("compressed"));
    refused(&world.look(CLAUDE, "/c.png").await, "failed_to_download_image");
    assert!(refused(&world.look(CLAUDE, "/d.png").await, "image_too_large").contains("1000000"));
}

#[tokio::test]
async fn the_image_host_sees_a_plain_get_without_anything_of_the_client() {
    let world = open().await;
    world.host.script([file(PNG)]);
    let body = ask_parts(CLAUDE, &[text("?"), image(&world.url("/a%20b?c=d#e"))]).to_string();
    let headers = [("authorization", "Bearer client"), ("cookie", "a=b"), ("x-api-key", "client"), ("traceparent", "00-1-2-01")];
    world.gateway.chat_with(&headers, body.as_bytes()).await.expect(200);
    let seen = world.host.received().pop().unwrap();
    assert_eq!(seen.line, "GET /a%20b?c=d");
    let mut names: Vec<_> = seen.head.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    assert_eq!((seen.head.header("accept"), seen.head.header("accept-encoding")), (Some("image/*"), Some("identity")));
}

#[tokio::test]
async fn a_url_that_stands_twice_is_fetched_once_also_over_candidates() {
    let world = open().await;
    world.host.script([file(PNG)]);
    world.anthropic.always(reply::status(500));
    let twice = image(&world.url("/a.png"));
    let mut body = ask_parts(CLAUDE, &[twice.clone(), text("?"), twice]);
    body["fallbacks"] = json!([FLASH]);
    assert_eq!(world.gateway.chat(&body).await.expect(200).header("x-heliostat-provider"), "gemini");
    let parts = &sent(&world.gemini)["contents"][0]["parts"];
    assert_eq!((&parts[0]["inlineData"]["data"], &parts[2]["inlineData"]["data"]), (&json!(PNG), &json!(PNG)));
    assert_eq!(sent(&world.anthropic)["messages"][0]["content"][2]["source"]["data"], PNG);
}

#[tokio::test]
async fn twelve_urls_are_fetched_at_the_same_time_and_arrive_in_order() {
    let world = world("allow_private: true, max_parallel: 12").await;
    let parts: Vec<Value> = (0..12).map(|at| image(&world.url(&format!("/{at}")))).collect();
    let asked = world.ask(CLAUDE, &parts);
    let host = async {
        let mut requests = Vec::new();
        // All twelve are there before the first is answered.
        for _ in 0..12 {
            requests.push(world.host.next_request().await);
        }
        for request in requests.into_iter().rev() {
            let at = request.line.trim_start_matches("GET /").to_owned();
            let gif = [bytes(GIF), at.into_bytes()].concat();
            request.respond(200, &[], gif).await;
        }
    };
    tokio::join!(asked, host).0.expect(200);
    let content = &sent(&world.anthropic)["messages"][0]["content"];
    for at in 0..12 {
        let data = bytes(content[at]["source"]["data"].as_str().unwrap());
        assert!(data.ends_with(format!(";{at}").as_bytes()), "image {at}");
    }
}

#[tokio::test]
async fn connections_to_an_image_host_are_used_again() {
    let world = open().await;
    world.host.always(file(PNG));
    for _ in 0..3 {
        world.look(CLAUDE, "/a.png").await.expect(200);
    }
    assert_eq!(world.host.connections(), 1);
}

#[tokio::test]
async fn openai_fetches_for_itself_unless_always_is_set() {
    let world = open().await;
    let url = world.url("/a.png");
    let parts = |url: &str| format!(r#"[{{"type":"image_url", "image_url" : {{"detail":"low","url":"{url}", "x":1.0e2}}}}]"#);
    let body = |url: &str| format!(r#"{{ "model":"openai/gpt-4o","messages":[{{"role":"user","content":{}}}], "n":1 }}"#, parts(url));
    world.gateway.chat_bytes(body(&url).as_bytes()).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&world.openai.received()[0].body), body(&url).replace("openai/", ""));
    assert!(world.host.received().is_empty());

    let world = self::world("allow_private: true, mode: always").await;
    world.host.script([file(PNG)]);
    let url = world.url("/a.png");
    world.gateway.chat_bytes(body(&url).as_bytes()).await.expect(200);
    let inlined = body(&data_uri("image/png", PNG)).replace("openai/", "");
    assert_eq!(String::from_utf8_lossy(&world.openai.received()[0].body), inlined);
}

#[tokio::test]
async fn anthropic_fetches_https_for_itself() {
    let world = world("").await;
    world.ask(CLAUDE, &[text("?"), image("https://images.example/a.png")]).await.expect(200);
    let source = json!({"type": "url", "url": "https://images.example/a.png"});
    assert_eq!(sent(&world.anthropic)["messages"][0]["content"][1], json!({"type": "image", "source": source}));
}

#[tokio::test]
async fn an_openai_provider_that_does_not_fetch_gets_the_bytes() {
    let (ollama, host) = (Provider::start().await, Provider::start().await);
    ollama.always(reply::json(native::openai("ok")));
    host.script([file(PNG)]);
    let config = Config::new().provider("ollama", &ollama).keys("ollama", "[{ value: env.KEY_A }]");
    let gateway = Gateway::start(config.top("image_fetch: { allow_private: true }")).await;
    gateway.chat(&ask_parts("ollama/llava", &[image(&format!("{}/a", host.url()))])).await.expect(200);
    assert_eq!(sent(&ollama)["messages"][0]["content"][0]["image_url"]["url"], data_uri("image/png", PNG));
}

#[tokio::test]
async fn a_pdf_named_by_url_is_inlined_as_a_file() {
    let world = open().await;
    let pdf = STANDARD.encode(b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF");
    world.host.always(file(&pdf));
    let part = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": world.url("/a.pdf")}});
    world.ask(CLAUDE, &[text("?"), part.clone()]).await.expect(200);
    assert_eq!(sent(&world.anthropic)["messages"][0]["content"][1]["source"]["data"], pdf);
    world.ask(FLASH, &[text("?"), part]).await.expect(200);
    let inline = json!({"mimeType": "application/pdf", "data": pdf});
    assert_eq!(sent(&world.gemini)["contents"][0]["parts"][1]["inlineData"], inline);
}

#[tokio::test]
async fn redirects_are_followed_three_times() {
    let world = open().await;
    let to = |path: &str| reply::bytes(302, "text/html", "moved").header("location", path);
    world.host.script([to("/b"), to(&world.url("/c")), to("d"), file(PNG)]);
    world.look(CLAUDE, "/a").await.expect(200);
    let lines: Vec<_> = world.host.received().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /a", "GET /b", "GET /c", "GET /d"]);
    world.host.always(to("/again"));
    refused(&world.look(CLAUDE, "/a").await, "failed_to_download_image");
    assert_eq!(world.host.received().len(), 8);
}

#[tokio::test]
async fn what_cannot_be_had_is_a_400_that_names_the_part_and_shows_nothing_of_the_answer() {
    let world = world("allow_private: true, max_bytes: 1000").await;
    let large = vec![0x89; 1001];
    let chunked = |bytes: &[u8]| reply::events([bytes.to_vec(), bytes.to_vec()]);
    for (answer, code) in [
        (reply::bytes(404, "text/plain", "secret"), "failed_to_download_image"),
        (reply::bytes(500, "text/plain", "secret"), "failed_to_download_image"),
        (reply::Reply::Reset, "failed_to_download_image"),
        (reply::Reply::Cut, "failed_to_download_image"),
        (reply::ending(["GIF89a"], reply::End::Cut), "failed_to_download_image"),
        (reply::bytes(302, "text/plain", "secret"), "failed_to_download_image"),
        (reply::bytes(302, "text/plain", "").header("location", "file:///secret"), "failed_to_download_image"),
        (reply::bytes(200, "image/png", large.clone()), "image_too_large"),
        (chunked(&large[..600]), "image_too_large"),
        (reply::bytes(200, "image/png", "<html>secret</html>"), "invalid_image_format"),
        (reply::bytes(200, "image/png", "{\"secret\":1}"), "invalid_image_format"),
        (reply::bytes(200, "image/png", ""), "invalid_image_format"),
        (reply::bytes(200, "image/png", "<svg xmlns='secret'/>"), "unsupported_image_media_type"),
    ] {
        let told = format!("{answer:?}");
        world.host.always(answer);
        let reply = world.look(CLAUDE, "/a.png").await;
        let message = refused(&reply, code);
        assert!(!message.contains("secret") && !message.contains("127.0.0.1"), "{told}: {message}");
    }
    assert!(world.anthropic.received().is_empty());
}

#[tokio::test]
async fn a_slow_image_host_is_given_up_on() {
    let world = world("allow_private: true, timeout_ms: 100").await;
    world.host.always(reply::ending(["GIF89a"], reply::End::Stall));
    let message = refused(&world.look(CLAUDE, "/a.png").await, "failed_to_download_image");
    assert!(message.contains("in time"), "{message}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_fetch() {
    let world = open().await;
    let body = ask_parts(CLAUDE, &[image(&world.url("/a.png"))]).to_string();
    let mut client = crate::support::client::connect(world.gateway.address).await;
    let _ = client.write(&crate::support::client::request("POST", "/v1/chat/completions", &[], body.as_bytes())).await;
    let request = world.host.next_request().await;
    drop(client);
    request.closed().await;
    assert!(world.anthropic.received().is_empty());
}

#[tokio::test]
async fn a_candidate_whose_image_cannot_be_had_is_skipped_for_one_that_takes_the_url() {
    let world = open().await;
    world.host.script([reply::status(404)]);
    let url = world.url("/a.png");
    let mut body = ask_parts(CLAUDE, &[text("?"), image(&url)]);
    body["fallbacks"] = json!([FLASH, GPT]);
    let reply = world.gateway.chat(&body).await;
    assert_eq!(reply.expect(200).header("x-heliostat-provider"), "openai");
    assert_eq!(sent(&world.openai)["messages"][0]["content"][1], image(&url));
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let world = world("").await;
    let port = world.host.url().rsplit_once(':').unwrap().1.to_owned();
    for host in
        ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "１２７.0.0.1", "169.254.169.254", "10.0.0.1"]
    {
        let reply = world.ask(FLASH, &[text("?"), image(&format!("http://{host}:{port}/a.png"))]).await;
        let message = refused(&reply, "invalid_image_url");
        assert!(!message.contains("127.0.0.1"), "{message}");
    }
    let unknown = world.ask(FLASH, &[text("?"), image("http://no-such-host.invalid/a.png")]).await;
    let private = world.ask(FLASH, &[text("?"), image("http://localhost/a.png")]).await;
    assert_eq!(refused(&unknown, "invalid_image_url"), refused(&private, "invalid_image_url"));
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn a_password_in_a_url_is_refused() {
    let world = open().await;
    let url = world.host.url().replace("http://", "http://user:hunter2@");
    let message = refused(&world.ask(FLASH, &[text("?"), image(&format!("{url}/a.png"))]).await, "invalid_image_url");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(!world.gateway.log().contains("hunter2"));
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn never_leaves_it_to_providers_that_fetch() {
    let world = world("mode: never, allow_private: true").await;
    refused(&world.look(FLASH, "/a.png").await, "invalid_image_url");
    refused(&world.look(CLAUDE, "/a.png").await, "invalid_image_url");
    world.look(GPT, "/a.png").await.expect(200);
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn all_images_of_a_request_together_may_be_as_large_as_a_body() {
    let (anthropic, host) = (Provider::start().await, Provider::start().await);
    let config = Config::new().provider("anthropic", &anthropic).top("image_fetch: { allow_private: true }");
    let gateway = Gateway::start(config.top("limits: { body_bytes: 3000 }")).await;
    host.always(reply::bytes(200, "image/gif", [b"GIF89a".as_slice(), &[0; 994]].concat()));
    let parts: Vec<Value> = (0..4).map(|at| image(&format!("{}/{at}", host.url()))).collect();
    let reply = gateway.chat(&ask_parts(CLAUDE, &parts)).await;
    reply.expect(400);
    assert_eq!(reply.json()["error"]["code"], "image_too_large");
}

#[tokio::test]
async fn fetched_images_count_as_bodies_in_memory() {
    let (anthropic, host) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("ok")));
    let config = Config::new().provider("anthropic", &anthropic).top("image_fetch: { allow_private: true }");
    let gateway = Gateway::start(config.top("limits: { body_bytes: 100000, memory_bytes: 100000 }")).await;
    let gif = |length| reply::bytes(200, "image/gif", [b"GIF89a".to_vec(), vec![0; length]].concat());
    host.script([gif(50_000), gif(30_000), gif(30_000)]);
    let ask = ask_parts(CLAUDE, &[image(&format!("{}/a", host.url()))]);
    let reply = gateway.chat(&ask).await;
    reply.expect(503);
    assert_eq!((reply.json()["error"]["code"].as_str(), reply.header("retry-after").is_empty()), (Some("memory_limit"), false));
    // Given back with each request, or the second would find none.
    gateway.chat(&ask).await.expect(200);
    gateway.chat(&ask).await.expect(200);
}

#[tokio::test]
async fn files_named_by_url_count_as_images_do() {
    let (anthropic, host) = (Provider::start().await, Provider::start().await);
    let config = Config::new().provider("anthropic", &anthropic).top("image_fetch: { allow_private: true }");
    let gateway = Gateway::start(config.top("limits: { images: 2 }")).await;
    let part = |at: usize| json!({"type": "file", "file": {"file_data": format!("{}/{at}.pdf", host.url())}});
    let reply = gateway.chat(&ask_parts(CLAUDE, &[part(0), part(1), part(2)])).await;
    reply.expect(400);
    assert_eq!(reply.json()["error"]["code"], "too_many_images");
    assert_eq!((reply.json()["error"]["param"].as_str(), host.connections()), (Some("messages[0].content[2].file.file_data"), 0));
}

/// A TLS server of openssl's that serves `/a.png` as `localhost`, and the certificate that it must be trusted by.
struct TlsHost {
    folder: tempfile::TempDir,
    port: u16,
    _server: tokio::process::Child,
}

impl TlsHost {
    async fn start() -> Option<Self> {
        let folder = tempfile::TempDir::new().expect("a folder");
        // A whole answer: openssl passes it on as it stands.
        let answer = crate::support::http::message("HTTP/1.1 200 OK", &[("connection", "close")], &bytes(PNG));
        std::fs::write(folder.path().join("a.png"), answer).expect("a written file");
        let port = crate::support::gateway::free_address().port();
        let certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                           -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem";
        let made = openssl(&folder, certificate).output().await;
        if !made.is_ok_and(|output| output.status.success()) {
            println!("skipped: no openssl that makes certificates");
            return None;
        }
        let server = format!("s_server -quiet -HTTP -key key.pem -cert cert.pem -accept 127.0.0.1:{port}");
        let server = openssl(&folder, &server).spawn().expect("openssl runs");
        let listens = async { while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {} };
        crate::support::within("openssl to listen", listens).await;
        Some(Self { folder, port, _server: server })
    }
}

fn openssl(folder: &tempfile::TempDir, arguments: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(folder.path()).kill_on_drop(true);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

#[tokio::test]
async fn tls_is_verified_against_the_name_in_the_url() {
    let Some(host) = TlsHost::start().await else { return };
    let gemini = Provider::start().await;
    gemini.always(reply::json(native::gemini("ok")));
    let yaml = Config::new().provider("gemini", &gemini).top("image_fetch: { allow_private: true }").yaml();
    let certificate = host.folder.path().join("cert.pem").display().to_string();
    let trusting = Gateway::with_variables(&yaml, &[("SSL_CERT_FILE", &certificate)]).await;
    let ask = |name: &str| ask_parts(FLASH, &[text("?"), image(&format!("https://{name}:{}/a.png", host.port))]);
    trusting.chat(&ask("localhost")).await.expect(200);
    assert_eq!(sent(&gemini)["contents"][0]["parts"][1]["inlineData"]["data"], PNG);
    refused(&trusting.chat(&ask("127.0.0.1")).await, "failed_to_download_image");
    let wary = Gateway::with(&yaml).await;
    refused(&wary.chat(&ask("localhost")).await, "failed_to_download_image");
    assert_eq!(gemini.received().len(), 1);
}

const PDF: &str = "JVBERi0xLjQ=";

/// OpenAI's chat completions take no document by URL, from whichever client: it is fetched, as a PDF.
#[tokio::test]
async fn a_document_by_url_is_fetched_for_those_who_take_data_alone() {
    let world = open().await;
    let url = world.url("/a.pdf");
    let wanted = json!({"type": "file", "file": {"filename": "document.pdf", "file_data": format!("data:application/pdf;base64,{PDF}")}});
    let document = json!({"type": "document", "source": {"type": "url", "url": url}});
    let message = json!([{"role": "user", "content": [{"type": "text", "text": "?"}, document]}]);
    let messages = json!({"model": GPT, "max_tokens": 9, "messages": message});
    let item = json!({"role": "user", "content": [{"type": "input_text", "text": "?"}, {"type": "input_file", "file_url": url}]});
    let responses = json!({"model": "other/gpt-4o", "input": [item]});
    world.host.script([file(PDF)]);
    client::send(world.gateway.address, "POST", "/v1/messages", &[], messages.to_string().as_bytes()).await.expect(200);
    assert_eq!(sent(&world.openai)["messages"][0]["content"][1], wanted);

    let config =
        Config::new().at("other", &world.openai.url()).keys("other", "[{ value: env.OTHER_API_KEY }]").line("other", "dialect: openai");
    let gateway = Gateway::start(config.top("image_fetch: { allow_private: true }")).await;
    world.host.script([file(PDF)]);
    client::send(gateway.address, "POST", "/v1/responses", &[], responses.to_string().as_bytes()).await.expect(200);
    assert_eq!(sent(&world.openai)["messages"][0]["content"][1], wanted);
    // What the URL holds decides: an image is shown as one.
    world.host.script([file(PNG)]);
    client::send(world.gateway.address, "POST", "/v1/messages", &[], messages.to_string().as_bytes()).await.expect(200);
    assert_eq!(sent(&world.openai)["messages"][0]["content"][1]["type"], "image_url");
}
