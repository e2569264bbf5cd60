//! The text side of `heliostat demo`: the configuration it runs on, and what it prints to paste.

use std::net::SocketAddr;

use crate::simulator::Simulators;
use crate::simulator::collector::Collector;

/// A configuration for the gateway with the simulators as its providers, in YAML, written as users write theirs.
#[must_use]
pub fn configuration(simulators: &Simulators, collector: &Collector, listen: SocketAddr, admin: SocketAddr) -> String {
    let (Simulators { openai, anthropic, gemini, .. }, traces) = (simulators, collector.addr);
    format!(
        "# The configuration of `heliostat demo`: three simulated providers on loopback.
listen: {listen}
admin:
  listen: {admin}

providers:
  openai:
    base_url: http://{openai}
    keys:
      - name: primary
        value: demo-openai-primary
        weight: 0.7
      - name: secondary
        value: demo-openai-secondary
        weight: 0.3
  anthropic:
    base_url: http://{anthropic}
    keys:
      - value: demo-anthropic
  gemini:
    base_url: http://{gemini}
    keys:
      - value: demo-gemini

# Tried in this order when the asked model does not answer.
fallbacks:
  - anthropic/claude-sonnet-4-6
  - gemini/gemini-2.5-pro

# A named route: usable as `model`.
mcp:
  - id: prompt-rewrite
    primary: openai/gpt-4o-mini
    fallbacks:
      - anthropic/claude-haiku-4-5

# Shorter than the default, so that a stream that stalls is seen to end.
network:
  timeouts:
    stall_ms: 5000

# Two headers that become labels of metrics and log lines, and attributes of spans.
observability:
  prometheus_labels: [x-team, x-pipeline-stage]
  otel_endpoint: http://{traces}
  otel_batch_ms: 200
"
    )
}

/// What `heliostat demo` prints once the gateway listens: what runs, and commands for bash that show it at work.
#[must_use]
pub fn greeting(listen: SocketAddr, admin: SocketAddr, traces: SocketAddr) -> String {
    let greeting = GREETING.replace("{url}", &format!("http://{listen}/v1/chat/completions"));
    greeting.replace("{admin}", &admin.to_string()).replace("{traces}", &traces.to_string())
}

/// A PNG of 16 by 16 pixels (a sun) is part of it, in two lines so that they stay short.
const GREETING: &str = r#"
  Heliostat is ready. It speaks the OpenAI API and answers through OpenAI, Anthropic and Gemini.
  All three are simulated on this machine: no keys needed, nothing leaves it. Each one checks a
  request as its original does and says what it received. Paste these into another terminal.

  1. A question, in OpenAI's format, to a model of OpenAI's.

curl {url} -H 'content-type: application/json' -d '{
  "model": "openai/gpt-4o-mini",
  "messages": [{"role": "user", "content": "Is the shadow under this shoe plausible?"}]
}'

  2. The same format with an image, to Anthropic, which has a format of its own. The answer
     names the media type, the size and the SHA-256 of the image that arrived there.

IMAGE=iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAgMAAABinRfyAAAACVBMVEVbqOX/yC7/6aDB6kyZAAAAL0lEQVR4
IMAGE+=2mNgYGpgYEAQTEwNQLI1CMgVDQESoaEMDKtCQ1dBCDAXIgFSAlGMYgAAAJAM5dPOFZQAAAAASUVORK5CYII=
curl {url} -H 'content-type: application/json' -d '{
  "model": "anthropic/claude-sonnet-4-6",
  "messages": [{"role": "user", "content": [
    {"type": "text", "text": "Score this render for edge clipping."},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,'$IMAGE'"}}]}]
}'

  3. OpenAI is overloaded and answers 529; Anthropic answers in its place. The header
     x-heliostat-attempts tells the story.

curl -i {url} -H 'content-type: application/json' -d '{
  "model": "openai/fail-529",
  "fallbacks": ["anthropic/claude-sonnet-4-6"],
  "messages": [{"role": "user", "content": "Who answers when the first provider is down?"}]
}'

  4. A stream from Gemini, event by event, in OpenAI's format.

curl -N {url} -H 'content-type: application/json' -d '{
  "model": "gemini/gemini-2.5-pro-typing",
  "stream": true,
  "messages": [{"role": "user", "content": "Tell it piece by piece."}]
}'

  5. Who was slow or failed, and for whom? Send traffic with two headers of your own, then find
     the cause in the metrics, in the trace of the request, and in its line of the log (above).

curl -i {url} -H 'content-type: application/json' \
  -H 'x-team: shoes' -H 'x-pipeline-stage: score' -H 'x-request-id: job-7' -d '{
  "model": "openai/fail-529",
  "fallbacks": ["anthropic/claude-sonnet-4-6"],
  "messages": [{"role": "user", "content": "Why was Tuesday slow?"}]
}'

curl -s http://{admin}/metrics | grep heliostat_attempts_total
curl -s http://{traces}/job-7

  Any model name works. Some misbehave, at each of the three providers:
     fail-529   fail-429   fail-500   fail-401     an error status
     slow       slow-tokens                        late, or one event a second
     hang       stall-after-3                      silence at once, or in mid-stream
     reset      reset-mid-stream   truncate        a broken or shortened answer
     error-mid  garbage                            an error in mid-stream, or no JSON

  Ctrl-C stops the demo.
"#;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;

    fn listen() -> SocketAddr {
        "127.0.0.1:8080".parse().unwrap()
    }

    #[test]
    fn every_command_carries_json_and_a_real_image() {
        let text = greeting(listen(), listen(), listen());
        let image: String = text.lines().filter_map(|line| line.strip_prefix("IMAGE=").or_else(|| line.strip_prefix("IMAGE+="))).collect();
        assert!(STANDARD.decode(&image).unwrap().ends_with(b"IEND\xaeB`\x82"));
        let bodies: Vec<&str> = text.split(" -d '").skip(1).map(|rest| rest.split("\n}'").next().unwrap()).collect();
        assert_eq!(bodies.len(), 5);
        for body in bodies {
            let body = format!("{}\n}}", body.replace("'$IMAGE'", &image));
            let body: Value = serde_json::from_str(&body).unwrap();
            assert!(body["model"].as_str().unwrap().contains('/'));
        }
        assert!(text.lines().all(|line| line.len() <= 100));
    }

    #[tokio::test]
    async fn the_configuration_is_yaml_that_names_the_simulators() {
        let simulators = crate::simulator::start(listen().ip()).await.unwrap();
        let collector = crate::simulator::collector::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let yaml = configuration(&simulators, &collector, listen(), "127.0.0.1:8081".parse().unwrap());
        let snapshot = crate::config::load(&yaml, "demo", &crate::config::MapEnvironment::default()).unwrap();
        let provider = |name| snapshot.provider(name).unwrap();
        assert_eq!(provider("gemini").credentials[0].endpoint.port, simulators.gemini.port());
        assert!((provider("openai").credentials[1].weight - 0.3).abs() < f64::EPSILON);
    }
}
