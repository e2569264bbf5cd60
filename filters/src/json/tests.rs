#![allow(clippy::disallowed_types, reason = "serde_json is the oracle")]

use bytes::Bytes;

use super::{Document, Kind, ScanError, ScanLimits, Shape};

static PART: Shape = Shape::Open { members: &[("type", &Shape::Opaque), ("image_url", &IMAGE)], elements: None };
static IMAGE: Shape = Shape::Open { members: &[("url", &Shape::Opaque)], elements: None };
static CONTENT: Shape = Shape::Open { members: &[], elements: Some(&PART) };
static MESSAGE: Shape = Shape::Open { members: &[("role", &Shape::Opaque), ("content", &CONTENT)], elements: None };
static MESSAGES: Shape = Shape::Open { members: &[], elements: Some(&MESSAGE) };
static CHAT: Shape = Shape::Open { members: &[("model", &Shape::Opaque), ("messages", &MESSAGES)], elements: None };

fn scan(text: &str) -> Result<Document, ScanError> {
    Document::scan(Bytes::copy_from_slice(text.as_bytes()), &CHAT, ScanLimits::default())
}

fn syntax(text: &[u8]) -> usize {
    match Document::scan(Bytes::copy_from_slice(text), &CHAT, ScanLimits::default()) {
        Err(ScanError::Syntax { offset, .. }) => offset,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
    }
}

const SAMPLE: &str = r#" { "model" : "gpt-\u0034", "messages": [
    {"role":"system","content":"caf\u00e9"},
    {"role":"user","content":[{"type":"text","text":"hi"},
        {"type":"image_url", "image_url" : {"url":"data:image\/png;base64,AAAA", "detail":null}} ]} ],
  "seed": 7, "tem\u0070erature": 1e0, "top_p": -0.5, "n": null, "stream":true, "tools":[{"a":[1,{"b":[]}]}], "n": 2 } "#;

#[test]
fn looks_at_what_the_shape_opens() {
    let document = scan(SAMPLE).unwrap();
    let root = document.root();
    assert_eq!(root.kind(), Kind::Object);
    assert_eq!(root.raw(), SAMPLE.trim());
    assert_eq!((root.key(), root.member_range(), root.path()), (None, None, String::new()));
    let model = root.get("model").unwrap();
    assert_eq!((model.raw(), model.text().unwrap().as_ref()), ("\"gpt-\\u0034\"", "gpt-4"));
    assert_eq!(&SAMPLE[model.member_range().unwrap()], "\"model\" : \"gpt-\\u0034\"");
    let messages = root.get("messages").unwrap();
    assert_eq!(
        messages.elements().map(|message| message.get("role").unwrap().text().unwrap().into_owned()).collect::<Vec<_>>(),
        ["system", "user"]
    );
    assert_eq!(messages.members().count(), 0);
    let part = messages.elements().nth(1).unwrap().get("content").unwrap().elements().nth(1).unwrap();
    let url = part.get("image_url").unwrap().get("url").unwrap();
    assert_eq!(url.path(), "messages[1].content[1].image_url.url");
    assert_eq!(url.literal().unwrap().escaped(), r"data:image\/png;base64,AAAA");
    assert!(part.get("image_url").unwrap().get("detail").is_some());
    assert!(part.get("image_url").unwrap().present("detail").is_none());
    assert!(part.get("image_url").unwrap().get("other").is_none());
}

#[test]
fn bytes_share_the_body() {
    let body = Bytes::from_static(SAMPLE.as_bytes());
    let document = Document::scan(body.clone(), &CHAT, ScanLimits::default()).unwrap();
    let model = document.root().get("messages").unwrap();
    assert_eq!(model.bytes().as_ptr(), body[model.range()].as_ptr());
}

#[test]
fn reads_scalars() {
    let document = scan(SAMPLE).unwrap();
    let root = document.root();
    let temperature = root.get("temperature").unwrap();
    assert_eq!(temperature.key().unwrap(), "temperature");
    assert_eq!((temperature.number(), temperature.unsigned(), temperature.raw()), (Some(1.0), Some(1), "1e0"));
    assert_eq!((root.get("top_p").unwrap().number(), root.get("top_p").unwrap().unsigned()), (Some(-0.5), None));
    assert_eq!(root.get("seed").unwrap().unsigned(), Some(7));
    assert_eq!(root.get("stream").unwrap().boolean(), Some(true));
    assert_eq!((root.get("seed").unwrap().boolean(), root.get("seed").unwrap().text()), (None, None));
    assert_eq!((root.get("model").unwrap().number(), root.get("model").unwrap().unsigned()), (None, None));
    // An unnamed member may stand twice; the first counts.
    assert_eq!(root.get("n").unwrap().kind(), Kind::Null);
    assert_eq!(root.members().filter(|member| member.key().unwrap() == "n").count(), 2);
}

#[test]
fn reads_integers_exactly() {
    for (text, expected) in [
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("5.0", Some(5)),
        ("1e2", Some(100)),
        ("5.5", None),
        ("-0", Some(0)),
        ("-1", None),
        ("1e300", None),
        ("\"5\"", None),
    ] {
        assert_eq!(scan(text).unwrap().root().unsigned(), expected, "{text}");
    }
}

#[test]
fn opaque_values_have_no_children_until_reopened() {
    static TOOLS: Shape = Shape::Open { members: &[], elements: Some(&TOOL) };
    static TOOL: Shape = Shape::Open { members: &[("a", &Shape::Opaque)], elements: None };
    let document = scan(SAMPLE).unwrap();
    let tools = document.root().get("tools").unwrap();
    assert_eq!((tools.kind(), tools.elements().count()), (Kind::Array, 0));
    assert_eq!(tools.read::<serde_json::Value>().unwrap(), serde_json::json!([{"a":[1,{"b":[]}]}]));
    let reopened = tools.reopen(&TOOLS, ScanLimits::default()).unwrap();
    let a = reopened.root().elements().next().unwrap().get("a").unwrap();
    assert_eq!((a.raw(), a.path().as_str()), (r#"[1,{"b":[]}]"#, "[0].a"));
}

#[test]
fn refuses_a_named_member_twice() {
    for (text, expected) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"model":"a","n":1,"mod\u0065l":"b"}"#, "model"),
        (r#"{"\u006dodel":"a","model":"a"}"#, "model"),
        (r#"{"messages":[{},{"role":"a","content":[{}],"role":"b"}]}"#, "messages[1].role"),
        (r#"{"messages":[{"content":[{},{"image_url":{"url":1,"url":2}}]}]}"#, "messages[0].content[1].image_url.url"),
    ] {
        assert_eq!(scan(text).err(), Some(ScanError::Duplicate { path: expected.into() }), "{text}");
    }
    for text in
        [r#"{"n":1,"n":2}"#, r#"{"x":{"model":1,"model":2}}"#, r#"{"messages":[{"role":"a"},{"role":"b"}]}"#, r#"{"Model":1,"model":2}"#]
    {
        assert!(scan(text).is_ok(), "{text}");
    }
}

#[test]
fn refuses_nesting_beyond_the_limit() {
    let nested = |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"messages\":", "}")] {
        assert!(scan(&nested(open, close, 128)).is_ok(), "{open}");
        assert_eq!(scan(&nested(open, close, 129)).err(), Some(ScanError::Depth { limit: 128 }), "{open}");
    }
    assert_eq!(scan(&"[".repeat(5_000_000)).err(), Some(ScanError::Depth { limit: 128 }));
}

#[test]
fn refuses_more_nodes_than_the_limit() {
    let limits = ScanLimits { nodes: 4, ..ScanLimits::default() };
    let scan = |text: &'static str| Document::scan(Bytes::from_static(text.as_bytes()), &CHAT, limits).err();
    assert_eq!(scan(r#"{"a":1,"b":2,"c":3}"#), None);
    assert_eq!(scan(r#"{"a":1,"b":2,"c":3,"d":4}"#), Some(ScanError::Nodes { limit: 4 }));
    assert_eq!(scan(r#"{"a":[1,2,3,4,5,6],"b":{"c":1,"d":2,"e":3}}"#), None);
}

#[test]
fn says_where_the_syntax_breaks() {
    for (text, offset) in [
        (&b""[..], 0),
        (b"  ", 2),
        (b"\xEF\xBB\xBF{}", 0),
        (b"{\"a\":1}x", 7),
        (b"[1,]", 3),
        (b"[,1]", 1),
        (b"{\"a\":1,}", 7),
        (b"{a:1}", 1),
        (b"[1 2]", 3),
        (b"[1", 2),
        (b"[01]", 2),
        (b"[1.]", 3),
        (b"[-]", 2),
        (b"[+1]", 1),
        (b"[NaN]", 1),
        (b"tru", 0),
        (b"\"a\nb\"", 2),
        (b"\"abc", 4),
        (b"\"\\x\"", 1),
        (b"\"\\u12g4\"", 1),
        (b"\"\\ud83d\"", 1),
        (b"\"\\ud83d\\u0041\"", 1),
        (b"\"\\ude00\"", 1),
        (b"[1e999]", 1),
        (b"[\"a\xff\"]", 3),
        (b"{\"a\":[}]", 6),
        (b"{]", 1),
        (b"// no\n1", 0),
    ] {
        assert_eq!(syntax(text), offset, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn finds_control_characters_anywhere_in_a_long_string() {
    for at in [1, 100, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 40_000] {
        let mut text = format!("\"{}\"", "x".repeat(50_000)).into_bytes();
        assert!(scan(std::str::from_utf8(&text).unwrap()).is_ok());
        text[at] = 0x1f;
        assert_eq!(syntax(&text), at);
    }
}

#[test]
fn odd_keys_stay_readable_in_paths() {
    let document = scan(&format!(r#"{{"a b":1,"":2,"x\ny":3,"{}":4,"ü":5}}"#, "k".repeat(100))).unwrap();
    let paths: Vec<_> = document.root().members().map(|member| member.path()).collect();
    assert_eq!(paths[..3], [r#"["a b"]"#, r#"[""]"#, r#"["x\ny"]"#]);
    assert_eq!(paths[3], format!("[\"{}…]", "k".repeat(63)));
    assert_eq!(paths[4], r#"["ü"]"#);
}
