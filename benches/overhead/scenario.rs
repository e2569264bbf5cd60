//! What is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Route;

/// One kind of request.
pub struct Scenario {
    /// Its name in the table.
    pub name: &'static str,
    /// Images in it, and the bytes of each.
    pub images: (usize, usize),
    /// Whether a stream of 200 events is asked for.
    pub stream: bool,
    /// Connections of the crowded half.
    pub connections: usize,
    /// Requests over one connection, one after the other: for latency.
    pub single: usize,
    /// Requests over many connections: for throughput and CPU time.
    pub many: usize,
}

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "1 KB", images: (0, 0), stream: false, connections: 64, single: 1_000, many: 12_000 },
    Scenario { name: "image 1.3 MB", images: (1, 1_000_000), stream: false, connections: 64, single: 100, many: 600 },
    Scenario { name: "12 x 1 MB", images: (12, 750_000), stream: false, connections: 8, single: 10, many: 60 },
    Scenario { name: "stream of 200", images: (0, 0), stream: true, connections: 64, single: 100, many: 1_500 },
];

impl Scenario {
    /// The request as it goes on the wire.
    pub fn request(&self, route: Route) -> Vec<u8> {
        wire(&self.body(route))
    }

    fn body(&self, route: Route) -> String {
        let (count, bytes) = self.images;
        let mut parts = vec![format!(r#"{{"type":"text","text":"{}"}}"#, "Score this render. ".repeat(if count == 0 { 40 } else { 1 }))];
        for image in 0..count {
            parts.push(format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, png(image, bytes)));
        }
        let stream = if self.stream { r#""stream":true,"# } else { "" };
        let content = parts.join(",");
        format!(r#"{{"model":"{}",{stream}"max_tokens":64,"messages":[{{"role":"user","content":[{content}]}}]}}"#, model(route))
    }
}

/// A stream that stays open after its first event.
pub fn held_stream(route: Route) -> Vec<u8> {
    let model = format!("{}-hold", model(route));
    wire(&format!(r#"{{"model":"{model}","stream":true,"max_tokens":64,"messages":[{{"role":"user","content":"hold"}}]}}"#))
}

fn model(route: Route) -> &'static str {
    if route == Route::Translated { "anthropic/claude-sonnet-4-6" } else { "openai/gpt-4o" }
}

fn png(seed: usize, bytes: usize) -> String {
    let mut image = vec![0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];
    image.extend((image.len()..bytes).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 7) as u8));
    STANDARD.encode(image)
}

fn wire(body: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}
