use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use heliostat_filters::dialect::Models;

use super::snapshot::Provider;
use super::*;

mod meaning;
mod resolution;
mod robustness;

/// A world where every variable of the examples is set.
fn world() -> MapEnvironment {
    let names = ["OPENAI_KEY", "OPENAI_KEY_PROD", "OPENAI_KEY_PRIMARY", "OPENAI_KEY_SECONDARY", "OPENAI_API_KEY", "VERTEX_KEY"];
    let more =
        ["ANTHROPIC_KEY", "ANTHROPIC_KEY_PROD", "ANTHROPIC_KEY_PRIMARY", "ANTHROPIC_KEY_BACKUP", "ANTHROPIC_API_KEY", "VERTEX_API_KEY"];
    let variables = names.iter().chain(&more).map(|name| ((*name).to_owned(), format!("secret-of-{name}")));
    // What an example names.
    let files = HashMap::from([("/etc/heliostat/keys.env".to_owned(), "OPENAI_API_KEY=secret-of-a-file".to_owned())]);
    MapEnvironment { variables: variables.collect(), files }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(path: &str) -> String {
    fs::read_to_string(folder(path)).unwrap()
}

fn loaded(text: &str) -> Snapshot {
    load(text, "test.yaml", &world()).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn problems(text: &str) -> String {
    lines(&load(text, "test.yaml", &world()).expect_err("has problems"))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn provider<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Provider {
    snapshot.provider(name).unwrap_or_else(|| panic!("no {name}"))
}

fn ids(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|candidate| format!("{}/{}", candidate.provider.name, candidate.model)).collect()
}

/// Each `tests/config/<case>.yaml` (or `.json`) with what loading it says, in `<case>.out`. `GOLDEN=write` writes the answers.
#[test]
fn cases_say_what_is_written_beside_them() {
    let mut cases = 0;
    for entry in fs::read_dir(folder("tests/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "out") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let said = match load(&fs::read_to_string(&path).unwrap(), &name, &world()) {
            Ok(snapshot) => format!("loads\n{}", snapshot.notices.iter().map(|notice| format!("{notice}\n")).collect::<String>()),
            Err(problems) => lines(&problems),
        };
        let golden = path.with_extension("out");
        if std::env::var_os("GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&golden).unwrap_or_default(), "{name}");
        cases += 1;
    }
    assert!(cases > 10, "{cases} cases");
}

#[test]
fn every_file_in_conf_loads() {
    let examples = fs::read_dir(folder("conf/examples")).unwrap().map(|entry| entry.unwrap().path());
    for path in examples.chain([folder("conf/heliostat.yaml")]) {
        for environment in [&world() as &dyn Environment, &WithoutEnvironment] {
            let snapshot = load_file(&path, environment).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
            assert!(!snapshot.providers.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn the_catalogue_has_no_problem() {
    let (rows, problems) = catalogue::parse(catalogue::TEXT);
    assert_eq!(lines(&problems), "");
    assert!(rows.len() >= 62, "{}", rows.len());
    let mut names: Vec<&str> = rows.iter().flat_map(|row| row.aliases.iter().chain([&row.name])).map(String::as_str).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name twice");
    for row in catalogue::rows().iter().filter(|row| row.dialect().is_some()) {
        assert!(row.base_url.is_some() != row.base_url_example.is_some(), "{}: one of base_url and base_url_example", row.name);
        assert!(row.surface.image_types.iter().all(|kind| kind.starts_with("image/")), "{}", row.name);
        assert!(row.headers().iter().all(|(name, _)| name.parse::<http::HeaderName>().is_ok()), "{}", row.name);
        if let Auth::Header(name) = row.auth() {
            assert!(name.parse::<http::HeaderName>().is_ok(), "{}", row.name);
        }
        assert!(!row.sources.is_empty() && row.sources.iter().all(|url| url.starts_with("https://")), "{}: sources", row.name);
        assert!(row.verified.as_deref().is_none_or(|day| day.len() == 10 && row.sources.len() > 1), "{}: verified", row.name);
        let local = row.base_url.as_deref().is_some_and(|url| url.starts_with("http://127.0.0.1:"));
        let url = row.base_url.as_deref().or(row.base_url_example.as_deref()).unwrap_or_default();
        assert!(local || url.starts_with("https://"), "{}: {url}", row.name);
        let file = format!("providers: {{{}: {{keys: [{{value: k}}], base_url: 'https://host.example'}}}}", row.name);
        assert_eq!(loaded(&file).providers[0].speech.dialect.name(), row.dialect, "{}", row.name);
    }
}

#[test]
fn the_table_of_models_keeps_its_rules() {
    let (models, problems) = models::parse(models::TEXT);
    assert!(problems.is_empty(), "{}", lines(&problems));
    for family in Models::FAMILIES {
        let rows = models.names(family);
        assert!(!rows.is_empty(), "{family}");
        for (place, names) in rows.iter().enumerate() {
            for name in *names {
                // A pattern as a name: what fits it before its own row hides that row.
                let hidden = rows.iter().take(place).flat_map(|earlier| earlier.iter()).find(|earlier| Models::fits(earlier, name));
                assert!(hidden.is_none(), "{family}: {name} is hidden by {hidden:?}");
            }
        }
    }
}

#[test]
fn a_row_of_models_that_breaks_a_rule_is_named() {
    let end = "sources: [https://host.example], checked: 2026-11-25";
    for (row, expected) in [
        (format!("{{names: [a], takes: {{}}, {end}}}"), ""),
        ("{names: [a], takes: {}, checked: 2026-11-25}".to_owned(), "needs `sources`"),
        ("{names: [a], takes: {}, sources: [https://host.example]}".to_owned(), "needs `checked`"),
        (format!("{{names: [a], takes: {{}}, unverified: no, {end}}}"), "true or false"),
        (format!("{{names: [], takes: {{}}, {end}}}"), "needs `names`"),
        (format!("{{names: [a], takes: {{sampling: some}}, {end}}}"), "unknown variant `some`"),
        (format!("{{names: [a], takes: {{prefil: false}}, {end}}}"), "unknown field `prefil`"),
    ] {
        let said = lines(&models::parse(&format!("anthropic: [{row}]")).1);
        assert!(said.contains(expected) && (said.is_empty() == expected.is_empty()), "{row}: {said}");
    }
    assert!(lines(&models::parse("gemin: []").1).contains("no family"));
}

#[test]
fn a_row_that_breaks_a_rule_is_named() {
    let end = "sources: [https://host.example], unverified: true";
    let cases = [
        ("a: {dialect: openai, sources: [https://host.example]}".to_owned(), "needs `verified`"),
        (format!("a: {{dialect: openai, verified: 2026-11-25, {end}}}"), "needs `verified`"),
        (format!("a: {{dialect: openai, refuses: [messages], {end}}}"), "no member of a chat request that can do without"),
        (format!("a: {{dialect: openai, renames: {{max_tokns: x}}, {end}}}"), "no member of a chat request that can do without"),
        (format!("a: {{dialect: openai, base_url: 'ftp://host.example', {end}}}"), "must begin with"),
        (format!("a: {{dialect: openai, quirks: [x], {end}}}"), "quirks"),
    ];
    for (row, expected) in cases {
        let said = lines(&catalogue::parse(&row).1);
        assert!(said.contains(expected), "{row}: {said}");
    }
}
