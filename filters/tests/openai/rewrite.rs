//! The client's bytes, but for the model's name and the fallbacks.

use bytes::Bytes;
use heliostat_filters::chat::CHAT;
use heliostat_filters::dialect::openai::{OpenAi, rewrite};
use heliostat_filters::dialect::{Client, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

fn rewritten(body: &str, model: &str) -> String {
    let document = Document::scan(Bytes::copy_from_slice(body.as_bytes()), &CHAT, ScanLimits::default()).expect("a JSON document");
    let pieces = rewrite(&document, model, Fetched::NONE, &Surface::default());
    assert_eq!(pieces.len_bytes, pieces.join().len());
    String::from_utf8(pieces.join().to_vec()).expect("text")
}

#[test]
fn fallbacks_go_with_one_comma() {
    let cases = [
        (r#"{"fallbacks":["a/b"],"model":"x"}"#, r#"{"model":"m"}"#),
        (r#"{ "model" : "x" , "fallbacks" : [] }"#, r#"{ "model" : "m" }"#),
        (r#"{"model":"x", "fallbacks":null, "n":1}"#, r#"{"model":"m", "n":1}"#),
        (r#"{"fallbacks":{"a":","}}"#, "{}"),
        (r#"{"mod\u0065l":"x","fallb\u0061cks":[],"u":12345678901234567890123}"#, r#"{"mod\u0065l":"m","u":12345678901234567890123}"#),
    ];
    for (body, expected) in cases {
        assert_eq!(rewritten(body, "m"), expected, "{body}");
    }
}

#[test]
fn an_unchanged_body_is_the_same_memory() {
    let body = Bytes::from_static(br#"{"model":"gpt-4o","messages":[ ]}"#);
    let document = Document::scan(body.clone(), &CHAT, ScanLimits::default()).expect("a JSON document");
    assert_eq!(rewrite(&document, "gpt-4o", Fetched::NONE, &Surface::default()).join().as_ptr(), body.as_ptr());
}

#[test]
fn a_large_part_is_not_copied() {
    let image = "A".repeat(1 << 20);
    let body = Bytes::from(format!(r#"{{"model":"p/gpt-4o","messages":[{{"role":"user","content":"{image}"}}],"fallbacks":[]}}"#));
    let document = Document::scan(body.clone(), &CHAT, ScanLimits::default()).expect("a JSON document");
    let pieces = rewrite(&document, "gpt-4o", Fetched::NONE, &Surface::default()).pieces;
    let inside = body.as_ptr_range();
    assert!(pieces.iter().any(|piece| piece.len() > 1 << 20 && inside.contains(&piece.as_ptr())));
}

/// A member's text that is none of the two that are edited.
fn member() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("123456789012345678901234567890".to_owned()),
        Just("1e2".to_owned()),
        Just(r#"{"z":1,"a":[ {},"fallbacks" ]}"#.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
    ];
    ("[a-d]x[a-z]{0,3}", value).prop_map(|(key, value)| format!("\"{key}\" :{value}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Takes the document apart by its own recipe: members joined by commas, so the expected text is known without a parser.
    #[test]
    fn all_other_bytes_stay(
        mut members in prop::collection::vec(member(), 0..6),
        at in any::<prop::sample::Index>(),
        fallbacks_at in any::<prop::sample::Index>(),
        model in any::<String>(),
        with_fallbacks in any::<bool>(),
    ) {
        let quoted = serde_json::to_string(&model).expect("a string");
        members.insert(at.index(members.len() + 1), "\"model\": \"asked/name\"".to_owned());
        let expected = members.join(", ").replace("\"asked/name\"", &quoted);
        if with_fallbacks {
            members.insert(fallbacks_at.index(members.len() + 1), "\"fallbacks\":[\"a,b\",{\"provider\":\"p\",\"model\":\"m\"}]".to_owned());
        }
        let body = format!("\n{{ {} }} ", members.join(", "));
        prop_assert_eq!(rewritten(&body, &model), format!("\n{{ {expected} }} "));
    }
}

#[test]
fn what_a_provider_refuses_is_cut_and_told_and_what_it_calls_otherwise_renamed() {
    let surface = Surface {
        refuses: vec!["user".to_owned(), "logit_bias".to_owned()],
        renames: vec![("max_completion_tokens".to_owned(), "max_tokens".to_owned()), ("seed".to_owned(), "random_seed".to_owned())],
        ..Surface::default()
    };
    let cases = [
        (r#"{"model":"m", "user" : "u", "n": 1}"#, r#"{"model":"m", "n": 1}"#, "dropped user"),
        (r#"{"user":"u","logit_bias":{"1":2},"fallbacks":[],"model":"m"}"#, r#"{"model":"m"}"#, "dropped user, dropped logit_bias"),
        (r#"{"model":"m","max_completion_tokens" : 7}"#, r#"{"model":"m","max_tokens":7}"#, ""),
        (r#"{"max_tokens":9,"model":"m","max_completion_tokens":7,"seed":3}"#, r#"{"model":"m","max_tokens":7,"random_seed":3}"#, ""),
        (r#"{"model":"m","max_tokens": 9}"#, r#"{"model":"m","max_tokens": 9}"#, ""),
    ];
    for (body, expected, lost) in cases {
        let document = Document::scan(body.into(), &CHAT, ScanLimits::default()).unwrap();
        let target = Target { model: "m", surface: &surface, fetched: Fetched::NONE };
        assert_eq!(OpenAi.rewrite(&document, &target).join(), expected, "{body}");
        let losses: Vec<_> = OpenAi.refused(&document, &target).iter().map(ToString::to_string).collect();
        assert_eq!(losses.join(", "), lost, "{body}");
    }
}
