//! Bounds, odd texts, and that no secret is ever printed.

use super::*;

#[test]
fn secrets_are_never_printed() {
    let text = "listen: 127.0.0.1:1\nclient_keys: [{name: team, value: sk-client-0123456789abcdef}]\nproviders: {openai: {keys: [{value: env.OPENAI_KEY}, \
                {value: sk-proj-0123456789abcdef}, {value: hunter2}]}}";
    let snapshot = loaded(text);
    let printed = format!("{snapshot:?}{}", describe(&snapshot));
    for secret in ["secret-of", "0123456789", "hunter2"] {
        assert!(!printed.contains(secret), "{secret}");
    }
    assert!(printed.contains("OPENAI_KEY") && printed.contains("team"));
    let misplaced = [
        "providers: {openai: {keys: sk-proj-0123456789abcdef}}",
        "providers: {openai: {keys: [sk-proj-0123456789abcdef]}}",
        "providers: {openai: {keys: [{sk-proj-0123456789abcdef: 1}]}}",
        "providers: {openai: {keys: [{value: k, weight: sk-proj-0123456789abcdef}]}}",
        "providers: {openai: {keys: [{value: k, name: 'sk-proj-0123456789abcdef!'}]}}",
        "providers: {openai: {keys: [{value: k, base_url: 'https://u:0123456789@h'}]}}",
        "providers: {openai: {keys: [{value: $0123456789}]}}",
        "providers: {openai: {keys: [{value: \"0123456789\\nabc\"}]}}",
        "providers: {sk-proj-0123456789abcdef: {keys: [{value: k}]}}",
        "{sk-proj-0123456789abcdef: 1, sk-proj-0123456789abcdef: 2}",
    ];
    for text in misplaced {
        let said = problems(text);
        assert!(!said.contains("0123456789"), "{text}\n{said}");
    }
}

#[test]
fn a_description_says_what_matters() {
    let snapshot = load(&read("conf/examples/weighted-keys.yaml"), "f", &world()).unwrap();
    let text = describe(&snapshot);
    for part in [
        "OPENAI_KEY_PRIMARY",
        "weight 0.7",
        "all models",
        "2 retries",
        "prompt-rewrite",
        "→ anthropic/claude-haiku-4-5",
        "stability",
        "64 MiB",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn json_may_be_indented_by_tabs() {
    let snapshot = loaded(
        "{\n\t\"providers\": {\n\t\t\"openai\": {\n\t\t\t\"keys\": [\n\t\t\t\t{\"value\":\t\"k\\u0041\", \"weight\": 1e0}\n\t\t\t]\n\t\t}\n\t}\n}\n",
    );
    assert_eq!(provider(&snapshot, "openai").credentials[0].secret.expose(), "kA");
    let minified = "{\"providers\":{\"openai\":{\"base_url\":\"http:\\/\\/h\\/v1\",\"keys\":[{\"value\":\"k\",\"models\":[\"a\"]}]}}}";
    assert_eq!(provider(&loaded(minified), "openai").credentials[0].endpoint.host, "h");
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_are_read() {
    let snapshot = loaded("\u{feff}providers:\r\n  openai:\r\n    keys:\r\n      - value: k\r\n");
    assert_eq!(provider(&snapshot, "openai").credentials[0].secret.expose(), "k");
}

#[test]
fn aliases_work_and_bombs_do_not() {
    let shared = "providers:\n  openai: {keys: &keys [{value: k, weight: 0.5}]}\n  groq: {keys: *keys}\n";
    assert_eq!(provider(&loaded(shared), "groq").credentials[0].weight, 0.5);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    assert!(problems(&bomb).contains("aliases unfolded"));
    assert!(problems("a: &a [*a]").contains("inside what it stands for"));
    assert!(problems(&"[".repeat(5_000)).contains("not YAML or JSON"));
    assert!(problems(&" ".repeat(5 << 20)).contains("larger than"));
}

#[test]
fn any_cut_of_a_file_is_answered() {
    for path in ["conf/heliostat.yaml", "conf/examples/observability.json"] {
        let text = read(path);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(7) {
            let _ = load(&text[..end], "cut", &world());
        }
    }
}

#[test]
fn a_missing_file_is_a_problem() {
    let said = lines(&load_file(Path::new("/nowhere/h.yaml"), &world()).unwrap_err());
    assert!(said.starts_with("/nowhere/h.yaml: cannot read it"), "{said}");
}
