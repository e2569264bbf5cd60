//! Which model a name means.

use super::*;

const FILE: &str = "
providers:
  openai:
    keys:
      - {value: a, models: [gpt-4o, 'ft:*', 'claude-tuned']}
      - {value: b, models: [gpt-never], weight: 0}
  anthropic: {keys: [{value: c}]}
  google_vertex: {keys: [{value: d}]}
  gemini: {keys: [{value: e, models: ['ft:long*', gemini-2.5-pro]}]}
  stability: {keys: [{value: f}]}
mcp:
  - {id: caption, primary: anthropic/claude-haiku-4-5, fallbacks: [openai/gpt-4o]}
  - {id: gpt-4o, primary: google_vertex/gemini-2.5-flash}
fallbacks:
  - anthropic/claude-sonnet-4-6
  - {primary: openai/gpt-4o, fallback: [vertex/gemini-2.5-flash, openai/gpt-4o]}
  - stability/sd3
  - openai/gpt-4o
";

fn meaning(snapshot: &Snapshot, asked: &str) -> String {
    match snapshot.resolve(asked) {
        Resolution::Route(route) => format!("route to {}", ids(std::slice::from_ref(&route.primary))[0]),
        Resolution::Candidate(candidate) => ids(&[candidate])[0].clone(),
        Resolution::Unknown { .. } => "unknown".to_owned(),
    }
}

#[test]
fn names_mean_what_the_contract_says() {
    let snapshot = loaded(FILE);
    let rows = [
        ("caption", "route to anthropic/claude-haiku-4-5"),
        ("gpt-4o", "route to vertex/gemini-2.5-flash"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("google_vertex/gemini-1.5-pro", "vertex/gemini-1.5-pro"),
        ("vertex/a/b", "vertex/a/b"),
        ("openai/gpt-5", "unknown"),
        ("openai/gpt-never", "unknown"),
        ("openai/", "unknown"),
        ("stability/sd3", "unknown"),
        ("ft:x", "openai/ft:x"),
        ("ft:long-x", "gemini/ft:long-x"),
        ("claude-tuned", "openai/claude-tuned"),
        ("claude-x", "anthropic/claude-x"),
        ("gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("gemini-9", "vertex/gemini-9"),
        ("gpt-5", "unknown"),
        ("gpt-never", "unknown"),
        ("nobody/knows", "unknown"),
        ("", "unknown"),
    ];
    for (asked, expected) in rows {
        assert_eq!(meaning(&snapshot, asked), expected, "{asked}");
    }
}

#[test]
fn the_only_provider_takes_any_name() {
    let snapshot = loaded("providers: {openrouter: {keys: [{value: k}]}}");
    assert_eq!(meaning(&snapshot, "anthropic/claude-x"), "openrouter/anthropic/claude-x");
    assert_eq!(meaning(&snapshot, "openrouter/anthropic/claude-x"), "openrouter/anthropic/claude-x");
    assert_eq!(meaning(&loaded("providers: {openai: {keys: [{value: k, models: [a]}]}}"), "b"), "unknown");
}

#[test]
fn the_list_of_models_is_what_is_configured() {
    let snapshot = loaded(FILE);
    let listed: Vec<_> = snapshot.model_ids().into_iter().map(|(id, owner)| format!("{id} {owner}")).collect();
    let expected = [
        "caption heliostat",
        "gpt-4o heliostat",
        "openai/gpt-4o openai",
        "openai/claude-tuned openai",
        "gemini/gemini-2.5-pro gemini",
        "anthropic/claude-sonnet-4-6 anthropic",
        "vertex/gemini-2.5-flash vertex",
        "anthropic/claude-haiku-4-5 anthropic",
    ];
    assert_eq!(listed, expected);
    for (id, _) in snapshot.model_ids() {
        assert_ne!(meaning(&snapshot, &id), "unknown", "{id}");
    }
    let Resolution::Unknown { known } = snapshot.resolve("gpt-5") else { panic!() };
    assert!(known.contains(&"anthropic/*".to_owned()) && known.contains(&"openai/ft:*".to_owned()), "{known:?}");
}

#[test]
fn fallbacks_are_the_models_own_else_the_global_ones_without_itself() {
    let snapshot = loaded(FILE);
    let after = |asked| match snapshot.resolve(asked) {
        Resolution::Candidate(candidate) => ids(&snapshot.fallbacks_for(&candidate)),
        _ => panic!("{asked}"),
    };
    assert_eq!(after("openai/gpt-4o"), ["vertex/gemini-2.5-flash"]);
    assert_eq!(after("anthropic/claude-sonnet-4-6"), ["openai/gpt-4o"]);
    assert_eq!(after("vertex/gemini-2.5-flash"), ["anthropic/claude-sonnet-4-6", "openai/gpt-4o"]);
}

#[test]
fn a_key_is_eligible_by_its_models_and_never_at_weight_zero() {
    let snapshot = loaded(
        "providers: {openai: {keys: [{value: a, models: ['gpt-4o*']}, {value: b, weight: 0}, {value: c}, {value: d, models: [gpt-4o-mini]}]}}",
    );
    let names = |model| provider(&snapshot, "openai").eligible(model).map(|key| key.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names("gpt-4o-mini"), ["openai-1", "openai-3", "openai-4"]);
    assert_eq!(names("gpt-4o"), ["openai-1", "openai-3"]);
    assert_eq!(names("o3"), ["openai-3"]);
}
