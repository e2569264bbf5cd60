//! Streams of OpenAI's imitators, read piece by piece.

use heliostat_filters::chat::{FinishReason, StreamEvent};
use heliostat_filters::dialect::openai::OpenAi;
use heliostat_filters::dialect::{Dialect, Names};
use heliostat_filters::sse::{Event, Splitter};

/// What a reader reported, in short.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Seen {
    pub text: String,
    pub reasoning: String,
    /// (index, id, name, arguments)
    pub calls: Vec<(u32, String, String, String)>,
    pub finish: Vec<(u32, &'static str)>,
    pub usage: Option<(Option<u64>, Option<u64>)>,
    pub failed: Option<u16>,
    pub content: bool,
    pub done: bool,
    pub complete: bool,
}

impl Seen {
    fn note(&mut self, event: &StreamEvent<'_>) {
        self.content |= event.is_content();
        match event {
            StreamEvent::Text { text, .. } => self.text += &text.text(),
            StreamEvent::Reasoning { text, .. } => self.reasoning += &text.text(),
            StreamEvent::ToolStart { index, id, name, .. } => {
                self.calls.push((*index, id.to_string(), name.to_string(), String::new()));
            }
            StreamEvent::ToolArguments { index, fragment, .. } => {
                let call = self.calls.iter_mut().find(|call| call.0 == *index).expect("a call that has begun");
                call.3 += &fragment.text();
            }
            StreamEvent::Finish { choice, reason } => self.finish.push((*choice, reason.as_str())),
            StreamEvent::Usage(usage) => self.usage = Some((usage.prompt_tokens, usage.completion_tokens)),
            StreamEvent::Failed(fault) => self.failed = Some(fault.status),
            StreamEvent::Done => self.done = true,
            _ => {}
        }
    }
}

/// Reads a body cut into chunks of `cut` bytes. `quiet`: as the gateway does, once content was seen.
pub(crate) fn read(body: &[u8], cut: usize, quiet: bool) -> Seen {
    let (mut seen, mut reader, mut splitter) = (Seen::default(), OpenAi.chat_stream(Names::default()), Splitter::new(1 << 24));
    for chunk in body.chunks(cut) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let mut each = |event: Event<'_>| reader.read(event, &mut |event| seen.note(&event));
            let taken = splitter.push_one(rest, &mut each).expect("events within the limit");
            rest = &rest[taken..];
            if quiet && seen.content {
                reader.quiet(true);
                let whole = splitter.whole_events(rest);
                let spared = reader.first_of_interest(&rest[..whole]).map_or(whole, |at| splitter.whole_events(&rest[..at]));
                rest = &rest[spared..];
            }
        }
    }
    splitter.end(&mut |event| reader.read(event, &mut |event| seen.note(&event))).expect("events within the limit");
    reader.end(&mut |event| seen.note(&event));
    seen.complete = reader.is_complete();
    seen
}

fn events(data: &[&str]) -> Vec<u8> {
    data.iter().flat_map(|data| format!("data: {data}\n\n").into_bytes()).collect()
}

fn all(data: &[&str]) -> Seen {
    read(&events(data), usize::MAX, false)
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

fn call(name: &str, arguments: &str) -> (u32, String, String, String) {
    (0, String::new(), name.to_owned(), arguments.to_owned())
}

#[test]
fn every_cut_reads_the_same() {
    let body = events(&[
        &delta(r#"{"role":"assistant","content":"","reasoning":"hm é"}"#),
        &delta(r#"{"content":"caf\u00e9 ☕ \"finish_reason\":\"stop\""}"#),
        &delta(r#"{"content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":null,"type":null,"function":{"arguments":":1}"}}]}"#),
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
        "[DONE]",
    ]);
    let whole = read(&body, usize::MAX, false);
    assert_eq!((whole.text.as_str(), whole.reasoning.as_str()), ("café ☕ \"finish_reason\":\"stop\"", "hm é"));
    assert_eq!(whole.calls, [(0, "a".into(), "f".into(), r#"{"x":1}"#.into())]);
    assert_eq!((whole.finish.as_slice(), whole.usage), ([(0, "tool_calls")].as_slice(), Some((Some(3), Some(4)))));
    assert!(whole.done && whole.complete);
    for cut in 1..body.len() {
        assert_eq!(read(&body, cut, false), whole, "cut every {cut} bytes");
    }
}

#[test]
fn a_quiet_reader_still_sees_how_it_ends() {
    let with = |end: &str| {
        let body = events(&[&delta(r#"{"content":"a"}"#), &delta(r#"{"content":"b \"error\" \"usage\":{"}"#), end]);
        read(&body, usize::MAX, true)
    };
    let finished = with(r#"{"choices":[{"index":0,"delta":{},"finish_reason" : "length"}],"x_groq":{"usage":{"prompt_tokens":1}}}"#);
    assert_eq!((finished.text.as_str(), finished.finish.as_slice()), ("a", [(0, "length")].as_slice()), "the middle is not parsed");
    assert_eq!((finished.usage, finished.complete), (Some((Some(1), None)), true), "a finish reason without [DONE] is an end");
    assert_eq!(with(r#"{"error":{"code":429,"message":"slow down"}}"#).failed, Some(429));
    assert!(!with(r#"{"choices":[{"index":0,"delta":{"content":"c"},"finish_reason":""}],"usage":null,"error":null}"#).complete);
    assert!(!with("[DONE]").complete, "no finish reason: truncated");
}

#[test]
fn a_quiet_reader_sees_the_same_end_wherever_the_stream_is_cut() {
    let said = ["a", r#"b \"finish_reason\":\"stop\""#, r"\\", "café", "data: [DONE]", "", r"\n\n"];
    let words: Vec<String> = said.iter().cycle().take(20).map(|said| delta(&format!(r#"{{"content":"{said}"}}"#))).collect();
    let finish = delta(r#"{"content":"z"}"#).replace("null", "\"stop\"");
    let usage = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let ends: [&[&str]; 4] =
        [&[&finish, usage, "[DONE]"], &[&finish, &words[0]], &[r#"{"error":{"code":429,"message":"slow down"}}"#], &[]];
    for end in ends {
        let body = events(&words.iter().map(String::as_str).chain(end.iter().copied()).collect::<Vec<_>>());
        let of_end = |seen: Seen| (seen.finish, seen.usage, seen.failed, seen.done, seen.complete);
        let whole = of_end(read(&body, usize::MAX, false));
        for cut in 1..=body.len() {
            assert_eq!(of_end(read(&body, cut, true)), whole, "{end:?} cut every {cut} bytes");
        }
    }
}

#[test]
fn calls_are_told_apart_whatever_the_server_numbers() {
    let tool = |piece: &str| delta(&format!(r#"{{"tool_calls":[{piece}]}}"#));
    let names = |pieces: &[&str]| {
        let chunks: Vec<_> = pieces.iter().map(|piece| tool(piece)).collect();
        let calls = all(&chunks.iter().map(String::as_str).collect::<Vec<_>>()).calls;
        calls.into_iter().map(|(index, _, name, arguments)| (index, name, arguments)).collect::<Vec<_>>()
    };
    let f = |index, name: &str, arguments: &str| (index, name.to_owned(), arguments.to_owned());
    let [one, two] = [f(0, "f", "12"), f(1, "g", "3")];
    // As OpenAI has it, interleaved.
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"1"}},{"index":1,"id":"b","function":{"name":"g","arguments":""}}"#,
        r#"{"index":1,"function":{"arguments":"3"}},{"index":0,"function":{"arguments":"2"}}"#,
    ];
    assert_eq!(names(&pieces), [one.clone(), two.clone()]);
    // No index: the id tells.
    let pieces = [
        r#"{"id":"a","function":{"name":"f","arguments":"1"}}"#,
        r#"{"id":"b","function":{"name":"g","arguments":"3"}}"#,
        r#"{"id":"a","function":{"arguments":"2"}}"#,
    ];
    assert_eq!(names(&pieces), [one.clone(), two.clone()]);
    // Index 0 for all.
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"12"}}"#,
        r#"{"index":0,"id":"b","function":{"name":"g","arguments":"3"}}"#,
    ];
    assert_eq!(names(&pieces), [one, two]);
    // A new id for each piece; the id and the name again in each piece; an object for arguments.
    let pieces =
        [r#"{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}"#, r#"{"index":0,"id":"z","function":{"arguments":"2"}}"#];
    assert_eq!(names(&pieces), [f(0, "f", "12")]);
    let pieces = [r#"{"id":"a","function":{"name":"f","arguments":"1"}}"#, r#"{"id":"a","function":{"name":"f","arguments":"2"}}"#];
    assert_eq!(names(&pieces), [f(0, "f", "12")]);
    assert_eq!(names(&[r#"{"function":{"name":"f","arguments":{"x":1}}}"#]), [f(0, "f", r#"{"x":1}"#)]);
}

#[test]
fn odd_chunks_are_read_or_passed_over() {
    let legacy = all(&[&delta(r#"{"function_call":{"name":"f","arguments":""}}"#), &delta(r#"{"function_call":{"arguments":"{}"}}"#)]);
    assert_eq!(legacy.calls, [(0, "call_0".into(), "f".into(), "{}".into())]);
    assert_eq!(call("f", "{}").2, legacy.calls[0].2);
    let odd = all(&[
        r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"content_filter_results":{},"finish_reason":null}]}"#,
        "not json",
        &delta(r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"a"}]}"#),
        r#"{"choices":[{"delta":{"role":"assistant","content":"b"},"finish_reason":"model_length","message":{"content":"ab"}}]}"#,
    ]);
    assert_eq!((odd.text.as_str(), odd.reasoning.as_str(), odd.finish.as_slice()), ("ab", "t", [(0, "length")].as_slice()));
    assert!(odd.complete && odd.failed.is_none());
}

#[test]
fn failures_inside_a_stream() {
    let failed = |data: &str| all(&[&delta(r#"{"content":"a"}"#), data]).failed;
    assert_eq!(failed(r#"{"error":"boom"}"#), Some(502));
    assert_eq!(failed(r#"{"error":{"message":"m","type":"server_error","code":null}}"#), Some(500));
    assert_eq!(failed(r#"{"id":"x","error":{"code":503,"message":"m"},"choices":[{"delta":{},"finish_reason":"error"}]}"#), Some(503));
    assert_eq!(failed(r#"{"object":"error","message":"m","code":400}"#), Some(400));
    assert_eq!(failed(r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#), Some(502));
    let named = read(b"event: error\ndata: overloaded\n\n", usize::MAX, true);
    assert_eq!((named.failed, named.complete), (Some(502), false));
}

#[test]
fn one_choice_of_two_is_not_the_whole_stream() {
    let end = |index: u32| format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"x"}},"finish_reason":"stop"}}]}}"#);
    let begun = r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#;
    assert!(!all(&[begun, &end(0)]).complete);
    assert!(all(&[begun, &end(0), &end(1)]).complete);
    assert_eq!(FinishReason::Stop.as_str(), all(&[begun, &end(1)]).finish[0].1);
}
