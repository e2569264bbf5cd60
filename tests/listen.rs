//! The side where clients connect: heads that could be read in two ways, slow ones, too many connections; balancers, TLS, Unix sockets,
//! HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::support::gateway::free_address;
use crate::support::http::Connection;
use crate::support::native::{chunk, chunk_text, is_done};
use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, sample, within};

/// Heads that two readers could read in two ways, each with a body that is a request of its own to one of them.
const VECTORS: &[(&str, &str)] = &[
    ("length beside encoding", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("two lengths", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"),
    ("the same length twice", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    ("a list of lengths", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 0\r\n\r\n"),
    ("a signed length", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n"),
    (
        "two encodings",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a list of encodings", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("an encoding behind a tab", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("white space before the colon", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("an encoding in HTTP/1.0", "POST /v1/chat/completions HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two hosts", "GET /v1/models HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"),
    ("no host", "GET /v1/models HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    ("another host in the target", "GET http://a/v1/models HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("a folded field", "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("a line that ends with LF", "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-A: 1\nX-B: 2\r\n\r\n"),
    ("a head of LF alone", "GET /v1/models HTTP/1.1\nHost: h\n\n"),
    ("a CR in a value", "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-A: 1\r2\r\n\r\n"),
    ("a NUL in a value", "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-A: 1\x002\r\n\r\n"),
    ("a PROXY header of a stranger", "PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\nGET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"),
];

const SOUND: &[u8] = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n";

async fn gateway(top: &str) -> (Provider, Gateway) {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(top)).await;
    (openai, gateway)
}

async fn refused(connection: &mut Connection, status: u16, what: &str) {
    let reply = client::answer(connection).await;
    assert_eq!(reply.status, status, "{what}: {}", reply.text());
    reply.error();
    assert_eq!(reply.header("connection"), "close", "{what}");
    reply.header("x-request-id");
    within(what, connection.closed()).await;
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let (openai, gateway) = gateway("").await;
    for (what, head) in VECTORS {
        let mut connection = client::connect(gateway.address).await;
        connection.write(head.as_bytes()).await.unwrap();
        refused(&mut connection, 400, what).await;
    }
    gateway.log_line("stand together").await;
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn so_is_the_next_on_the_same_connection() {
    let (openai, gateway) = gateway("").await;
    for (what, head) in VECTORS {
        let mut connection = client::connect(gateway.address).await;
        connection.write(SOUND).await.unwrap();
        client::answer(&mut connection).await.expect(200);
        connection.write(head.as_bytes()).await.unwrap();
        refused(&mut connection, 400, what).await;
    }
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn so_is_one_sent_along_with_the_one_before() {
    let (openai, gateway) = gateway("").await;
    for (what, head) in VECTORS {
        let mut connection = client::connect(gateway.address).await;
        connection.write(&[SOUND, head.as_bytes()].concat()).await.unwrap();
        client::answer(&mut connection).await.expect(200);
        refused(&mut connection, 400, what).await;
    }
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn sound_requests_sent_at_once_are_answered_in_turn() {
    let (_openai, gateway) = gateway("").await;
    let chat = client::request("POST", "/v1/chat/completions", &[], ask("gpt-4o").to_string().as_bytes());
    let mut connection = client::connect(gateway.address).await;
    connection.write(&[SOUND, &chat, SOUND, &chat].concat()).await.unwrap();
    for _ in 0..4 {
        client::answer(&mut connection).await.expect(200);
    }
}

#[tokio::test]
async fn connect_is_no_tunnel() {
    let (_openai, gateway) = gateway("").await;
    let mut connection = client::connect(gateway.address).await;
    connection.write(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n").await.unwrap();
    refused(&mut connection, 405, "CONNECT").await;
}

#[tokio::test]
async fn a_slow_head_is_408() {
    let (_openai, gateway) = gateway("limits: { header_timeout_ms: 300 }").await;
    let mut connection = client::connect(gateway.address).await;
    let began = Instant::now();
    connection.write(b"GET /v1/models HTTP/1.1\r\nHo").await.unwrap();
    refused(&mut connection, 408, "a first head").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let line = gateway.output_line("\"status\":408").await;
    assert!(line.contains("\"outcome\":\"refused\"") && line.contains("request_timeout"), "{line}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_408_too_also_later_on_a_connection() {
    let (_openai, gateway) = gateway("limits: { header_timeout_ms: 300 }").await;
    let mut connection = client::connect(gateway.address).await;
    connection.write(SOUND).await.unwrap();
    client::answer(&mut connection).await.expect(200);
    // Idle between requests is no slow head.
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.write(SOUND).await.unwrap();
    client::answer(&mut connection).await.expect(200);
    for byte in b"GET /v1/models HTTP" {
        tokio::time::sleep(Duration::from_millis(40)).await;
        if connection.write(&[*byte]).await.is_err() {
            break;
        }
    }
    refused(&mut connection, 408, "a trickling head").await;
}

#[tokio::test]
async fn a_head_begun_behind_another_request_is_408_too() {
    let (_openai, gateway) = gateway("limits: { header_timeout_ms: 300 }").await;
    let chat = client::request("POST", "/v1/chat/completions", &[], ask("gpt-4o").to_string().as_bytes());
    for first in [&chat, &client::request("GET", "/healthz", &[], b""), &client::request("GET", "/v1/models", &[], b"")] {
        let mut connection = client::connect(gateway.address).await;
        connection.write(&[first, &chat[..30]].concat()).await.unwrap();
        client::answer(&mut connection).await.expect(200);
        refused(&mut connection, 408, "a head begun behind another request").await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_at_once() {
    // The clock of heads is not waited for.
    let (_openai, gateway) = gateway("limits: { header_timeout_ms: 600000 }").await;
    for start in [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], b"GET /\r\n", b"SSH-2.0-client\r\n"] {
        let mut connection = client::connect(gateway.address).await;
        connection.write(start).await.unwrap();
        refused(&mut connection, 400, "no HTTP").await;
    }
    let mut connection = client::connect(gateway.address).await;
    connection.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n").await.unwrap();
    connection.finish().await;
    within("the end", connection.closed()).await;
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed_without_a_word() {
    let (_openai, gateway) = gateway("limits: { header_timeout_ms: 200 }").await;
    let mut connection = client::connect(gateway.address).await;
    assert!(within("the end", connection.response_head()).await.is_none());
}

#[tokio::test]
async fn beyond_the_bound_a_connection_is_told_503() {
    let (_openai, gateway) = gateway("limits: { connections: 2 }").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = until_free(gateway.address).await;
        connection.write(SOUND).await.unwrap();
        held.push(connection);
    }
    let mut third = client::connect(gateway.address).await;
    third.write(SOUND).await.unwrap();
    let reply = client::answer(&mut third).await;
    reply.expect(503).error();
    assert_eq!((reply.header("retry-after"), reply.header("connection")), ("1", "close"));
    drop(held);
    until_free(gateway.address).await;
}

/// A connection with a place of its own: the ones before may still be on their way out.
async fn until_free(address: SocketAddr) -> Connection {
    loop {
        let mut connection = client::connect(address).await;
        connection.write(SOUND).await.unwrap();
        if client::answer(&mut connection).await.status == 200 {
            return connection;
        }
    }
}

#[tokio::test]
async fn an_address_has_a_bound_of_its_own_counted_behind_the_balancer() {
    let balanced = free_address();
    let listen = format!("listen: [ADDRESS, {{ address: \"{balanced}\", proxy_protocol: {{ from: [127.0.0.0/8] }} }}]");
    let (_openai, gateway) = gateway(&format!("{listen}\nlimits: {{ connections_per_address: 1 }}")).await;
    let from = |client: &str| {
        let head = format!("PROXY TCP4 {client} 10.0.0.1 56324 8080\r\nGET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
        async move {
            let mut connection = client::connect(balanced).await;
            connection.write(head.as_bytes()).await.unwrap();
            let status = client::answer(&mut connection).await.status;
            (connection, status)
        }
    };
    let (_held, first) = from("192.0.2.1").await;
    let (_turned_away, second) = from("192.0.2.1").await;
    let (_other, third) = from("192.0.2.2").await;
    assert_eq!((first, second, third), (200, 503, 200));
    drop(gateway);
}

#[tokio::test]
async fn a_balancer_names_the_client_in_both_versions() {
    let balanced = free_address();
    let listen = format!("listen: [ADDRESS, {{ address: \"{balanced}\", proxy_protocol: {{ from: [127.0.0.1] }} }}]");
    let (_openai, gateway) = gateway(&listen).await;
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let v2 = [&signature[..], &[0x21, 0x11, 0, 15, 192, 0, 2, 8, 10, 0, 0, 1, 1, 2, 3, 4, 4, 0, 0]].concat();
    let v2_local = [&signature[..], &[0x20, 0, 0, 0]].concat();
    let cases: [(&[u8], &str); 4] = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 56324 8080\r\n", "2001:db8::7"),
        (&v2, "192.0.2.8"),
        (&v2_local, "127.0.0.1"),
    ];
    for (number, (header, client)) in cases.into_iter().enumerate() {
        let id = format!("proxied-{number}");
        let request = client::request("GET", "/v1/models", &[("x-request-id", &id)], b"");
        let mut connection = client::connect(balanced).await;
        connection.write(&[header, &request].concat()).await.unwrap();
        client::answer(&mut connection).await.expect(200);
        assert_eq!(gateway.access(&id).await["client_address"], client, "{number}");
    }
}

#[tokio::test]
async fn a_balancer_without_the_header_is_closed() {
    let balanced = free_address();
    let listen = format!("listen: [ADDRESS, {{ address: \"{balanced}\", proxy_protocol: {{ from: [127.0.0.1] }} }}]");
    let (_openai, gateway) = gateway(&listen).await;
    for start in [SOUND, b"PROXY TCP4 nobody 10.0.0.1 56324 8080\r\nGET"] {
        let mut connection = client::connect(balanced).await;
        connection.write(start).await.unwrap();
        assert!(within("the end", connection.response_head()).await.is_none());
    }
    gateway.log_line("no PROXY protocol header").await;
}

#[tokio::test]
async fn others_on_that_listener_are_served_as_they_are() {
    let (_openai, gateway) = gateway("listen: { address: ADDRESS, proxy_protocol: { from: [192.0.2.0/24] } }").await;
    gateway.get("/v1/models").await.expect(200);
}

/// A certificate of its own for `localhost`, by openssl; `NAME.pem` and `NAME.key` in the folder.
async fn certificate(folder: &Path, name: &str) {
    let arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let mut command = Command::new("openssl");
    command.args(arguments).args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost"]);
    command.arg("-keyout").arg(folder.join(format!("{name}.key"))).arg("-out").arg(folder.join(format!("{name}.pem")));
    let made = within("openssl", command.stderr(Stdio::null()).status()).await.expect("openssl runs");
    assert!(made.success(), "openssl makes a certificate");
}

/// Runs curl; its output begins with `HTTP-VERSION STATUS` and a line end.
async fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "9", "--write-out", "\n%{http_version} %{http_code}"]).args(arguments);
    let output = within("curl", command.stdin(Stdio::null()).output()).await.expect("curl runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A gateway with a TLS listener on the returned address; its certificates are in the returned folder.
async fn with_tls(openai: &Provider) -> (Gateway, SocketAddr, tempfile::TempDir, String) {
    let folder = tempfile::TempDir::new().unwrap();
    certificate(folder.path(), "one").await;
    for kind in ["pem", "key"] {
        std::fs::copy(folder.path().join(format!("one.{kind}")), folder.path().join(format!("now.{kind}"))).unwrap();
    }
    let address = free_address();
    let path = folder.path().display();
    let tls = format!("listen: [ADDRESS, {{ address: \"{address}\", tls: {{ cert: {path}/now.pem, key: {path}/now.key }} }}]");
    let yaml = Config::new().provider("openai", openai).top(&tls).yaml();
    (Gateway::with(&yaml).await, address, folder, yaml)
}

#[tokio::test]
async fn tls_speaks_http_2_to_those_who_can() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let (_gateway, address, folder, _) = with_tls(&openai).await;
    let ca = folder.path().join("one.pem").display().to_string();
    let url = format!("https://localhost:{}/v1/chat/completions", address.port());
    let body = ask("gpt-4o").to_string();
    for (version, said) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let answer = curl(&["--cacert", &ca, version, "--json", &body, &url]).await;
        assert!(answer.contains("\"ok\"") && answer.ends_with(said), "{answer}");
    }
}

#[tokio::test]
async fn a_certificate_rotates_while_connections_are_open() {
    let openai = Provider::start().await;
    let (gateway, address, folder, yaml) = with_tls(&openai).await;
    let url = format!("https://localhost:{}/v1/models", address.port());
    let pem = |name: &str| folder.path().join(format!("{name}.pem")).display().to_string();
    let body = ask_stream("gpt-4o");
    let stream = gateway.stream(&body);
    let upstream = async {
        let mut stream = openai.next_request().await.stream().await;
        stream.event(&chunk_text("before")).await;
        stream
    };
    let (mut open, mut upstream) = tokio::join!(stream, upstream);
    certificate(folder.path(), "two").await;
    for kind in ["pem", "key"] {
        std::fs::copy(folder.path().join(format!("two.{kind}")), folder.path().join(format!("now.{kind}"))).unwrap();
    }
    assert!(gateway.reload(&yaml).await.contains("in force"));
    assert!(curl(&["--cacert", &pem("two"), &url]).await.ends_with("2 200"));
    assert!(!curl(&["--cacert", &pem("one"), &url]).await.ends_with("200"));
    // A key that does not belong to the certificate: refused, and the pair in use stays.
    std::fs::copy(folder.path().join("one.key"), folder.path().join("now.key")).unwrap();
    gateway.reload(&yaml).await;
    gateway.log_line("does not belong to the certificate").await;
    assert!(curl(&["--cacert", &pem("two"), &url]).await.ends_with("2 200"));
    upstream.event(&chunk(json!({}), Some("stop"))).await.event("data: [DONE]\n\n").await;
    upstream.end().await;
    assert!(is_done(&open.rest().await));
}

#[tokio::test]
async fn a_unix_socket_serves_those_its_mode_lets_in() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("heliostat.sock");
    // What a process that died left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (_openai, gateway) = gateway(&format!("listen: [ADDRESS, {{ unix: {}, mode: \"0600\" }}]", path.display())).await;
    let body = ask("gpt-4o").to_string();
    let socket = path.display().to_string();
    let id = ["--header", "x-request-id: by-unix"];
    let answer = curl(&[&["--unix-socket", &socket, "--json", &body, "http://h/v1/chat/completions"][..], &id].concat()).await;
    assert!(answer.contains("\"ok\"") && answer.ends_with("1.1 200"), "{answer}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(gateway.access("by-unix").await.get("client_address").is_none());
}

#[tokio::test]
async fn a_unix_socket_in_use_is_not_taken() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("heliostat.sock");
    let _held = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let openai = Provider::start().await;
    let yaml = Config::new().provider("openai", &openai).top(&format!("listen: {{ unix: {} }}", path.display())).yaml();
    let (_folder, file) = crate::support::gateway::file("h.yaml", &yaml);
    let output = crate::support::gateway::run(&["run", "--config", &file.display().to_string()]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("heliostat.sock"), "{said}");
}

#[tokio::test]
async fn http_2_without_tls_carries_large_images_over_a_failover() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    openai.always(reply::status(529));
    anthropic.always(reply::json(native::anthropic("seen")));
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).top("fallbacks: [anthropic/claude-haiku-4-5]");
    let gateway = Gateway::start(config.top("listen: { address: ADDRESS, h2c: true }")).await;
    let image = sample::data_uri("image/png", &sample::big_png(3_000_000, 1));
    let body = sample::ask_parts("openai/gpt-4o", &[sample::text("what is it"), sample::image(&image)]);
    let (_folder, file) = crate::support::gateway::file("body.json", &body.to_string());
    let data = format!("@{}", file.display());
    let url = format!("http://{}/v1/chat/completions", gateway.address);
    for (version, said) in [("--http2-prior-knowledge", "2 200"), ("--http1.1", "1.1 200")] {
        let answer = curl(&[version, "--json", &data, &url]).await;
        assert!(answer.contains("seen") && answer.ends_with(said), "{answer}");
    }
    assert!(anthropic.received().iter().all(|seen| seen.body.len() > 4_000_000));
}

#[tokio::test]
async fn a_stream_runs_over_http_2() {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top("listen: { address: ADDRESS, h2c: true }")).await;
    let url = format!("http://{}/v1/chat/completions", gateway.address);
    let body = ask_stream("gpt-4o").to_string();
    let upstream = async {
        let mut stream = openai.next_request().await.stream().await;
        stream.event(&chunk_text("one")).await.event(&chunk_text("two")).await;
        stream.event(&chunk(json!({}), Some("stop"))).await.event("data: [DONE]\n\n").await;
        stream.end().await;
    };
    let arguments = ["--http2-prior-knowledge", "--no-buffer", "--json", &body, &url];
    let (answer, ()) = tokio::join!(curl(&arguments), upstream);
    assert!(answer.contains("one") && answer.contains("two") && answer.contains("[DONE]") && answer.ends_with("2 200"), "{answer}");
}

#[tokio::test]
async fn http_2_is_not_taken_where_it_is_not_configured() {
    let (_openai, gateway) = gateway("").await;
    let mut connection = client::connect(gateway.address).await;
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    refused(&mut connection, 400, "the preface").await;
}
