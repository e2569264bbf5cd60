use bytes::Bytes;

use super::{Document, Literal, Pieces, ScanLimits, Shape, Splice, quote_into};

static ROOT: Shape = Shape::Open { members: &[("big", &Shape::Opaque), ("small", &Shape::Opaque)], elements: None };

fn written(write: impl FnOnce(&mut Splice)) -> String {
    let mut splice = Splice::new();
    write(&mut splice);
    String::from_utf8(splice.finish().join().to_vec()).unwrap()
}

#[test]
fn commas_stand_between_values_and_nowhere_else() {
    let text = written(|to| {
        to.object().key("a").integer(1).key("b").object().end_object().key("c").array().end_array();
        to.key("d").array();
        to.element().object().key("x").string("{[:,").end_object();
        to.element().array().element().integer(0).element().raw("null").end_array();
        to.element().string("").end_array();
        to.key("e").object().key("f").array().element().object().end_object().end_array().end_object();
        to.key_literal(&Literal::quote("g\"h")).raw("true").end_object();
    });
    let expected = r#"{"a":1,"b":{},"c":[],"d":[{"x":"{[:,"},[0,null],""],"e":{"f":[{}]},"g\"h":true}"#;
    assert_eq!(text, expected);
}

#[test]
fn white_space_and_empty_text_do_not_count() {
    let text = written(|to| {
        to.raw("{ \n").key("a").raw(" ").integer(1).raw("").key("b").raw("2 ").kept(Bytes::new()).key("c").raw("[ ").element().raw("3]}");
    });
    assert_eq!(text, "{ \n\"a\": 1,\"b\":2 ,\"c\":[ 3]}");
}

#[test]
fn strings_are_escaped() {
    let odd = "a\"b\\c/d\u{0}\u{1f}\n\u{2028}é🌞";
    let text = written(|to| {
        to.string(odd);
    });
    assert_eq!(serde_json::from_str::<String>(&text).unwrap(), odd);
    let mut out = b"x".to_vec();
    quote_into(odd, &mut out);
    assert_eq!(out, format!("x{}", Literal::quote(odd).as_json()).into_bytes());
}

#[test]
fn large_slices_are_not_copied_and_small_ones_are_joined() {
    let big = format!("\"{}\"", "x".repeat(16 * 1024 - 2));
    let body = Bytes::from(format!("{{\"big\":{big},\"small\":\"y\"}}"));
    let document = Document::scan(body.clone(), &ROOT, ScanLimits::default()).unwrap();
    let (view, small) = (document.root().get("big").unwrap(), document.root().get("small").unwrap());
    let mut splice = Splice::new();
    splice.array().element().view(small).element().view(view).element().kept(body.slice(8..100)).element().view(view);
    splice.element().view(view).end_array();
    let pieces = splice.finish();
    let shared: Vec<bool> = pieces.pieces.iter().map(|piece| piece.as_ptr() == body[view.range()].as_ptr()).collect();
    assert_eq!(shared, [false, true, false, true, false, true, false]);
    assert_eq!(pieces.pieces.iter().map(Bytes::len).sum::<usize>(), pieces.len_bytes);
    assert_eq!(pieces.pieces[0], "[\"y\",");
    assert_eq!(pieces.join().len(), pieces.len_bytes);
}

#[test]
fn pieces_of_one_and_none_are_not_copied() {
    let body = Bytes::from_static(b"{}");
    assert_eq!(Pieces::one(body.clone()).join().as_ptr(), body.as_ptr());
    assert_eq!(Pieces::one(Bytes::new()).pieces.len(), 0);
    assert_eq!(Splice::new().finish().join(), Bytes::new());
}

#[test]
fn literals_are_carried_and_read() {
    let literal = Literal::raw(r#""caf\u00e9 \/""#).unwrap();
    assert_eq!((literal.as_json(), literal.escaped(), literal.text().as_ref()), (r#""caf\u00e9 \/""#, r"caf\u00e9 \/", "café /"));
    assert!(matches!(Literal::raw("\"plain\"").unwrap().text(), std::borrow::Cow::Borrowed("plain")));
    assert!(Literal::raw("\"").is_none() && Literal::raw("1").is_none() && Literal::raw("").is_none());
    assert!(Literal::raw("\"\"").unwrap().is_empty() && Literal::raw("\" \\n\"").unwrap().is_blank());
    assert!(!Literal::raw("\"\\u0061\"").unwrap().is_blank());
    assert!(serde_json::from_str::<Literal<'_>>("1").is_err());
    assert_eq!(serde_json::from_str::<Literal<'_>>(r#" "a\/b" "#).unwrap().as_json(), r#""a\/b""#);
}

#[test]
fn lone_surrogates_of_an_upstream_are_replaced_one_by_one() {
    for (literal, text) in [
        (r#""a\ud83db""#, "a\u{FFFD}b"),
        (r#""\ude00""#, "\u{FFFD}"),
        (r#""\ud83d\ud83d\ude00\n\\ud83d""#, "\u{FFFD}😀\n\\ud83d"),
        (r#""\ud83d\u00e9""#, "\u{FFFD}é"),
        (r#""\ud83d""#, "\u{FFFD}"),
    ] {
        assert_eq!(Literal::raw(literal).unwrap().text(), text, "{literal}");
    }
}
