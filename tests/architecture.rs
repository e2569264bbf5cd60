//! Reads the source and fails where a module reaches upward or sideways, or names what only some may know. The rules are those of the
//! crate's documentation (`src/lib.rs`), which says why.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first: a module may use those of lower layers and none of its own.
const LAYERS: &[&[&str]] = &[
    &["config", "readiness", "drain", "memory", "notify"],
    &["telemetry", "upstream", "simulator", "attend", "cache"],
    &["fetch", "live", "source", "demo"],
    &["proxy"],
    &["listen"],
    &["admin", "reload", "stop"],
    &["server"],
    &["cli"],
];

/// What may be used against the order all the same: who, whom. The proxy checks raw heads and watches them by what `listen` has read.
const EXCEPTIONS: &[(&str, &str)] = &[("proxy", "listen")];

/// Names that only some modules may know, because all others must not depend on how that is done.
const RESERVED: &[(&str, &[&str])] = &[
    ("pingora", &["notify", "attend", "upstream", "proxy", "listen", "admin", "reload", "stop", "server"]),
    ("granit_parser", &["config"]),
    ("prometheus", &["telemetry"]),
    ("opentelemetry_proto", &["telemetry", "simulator"]),
    ("clap", &["cli"]),
];

/// What the core, which is bytes in and bytes out, has no business with.
const IMPURE: &[&str] =
    &["tokio", "pingora", "log::", "std::fs", "std::net", "std::env", "std::io::Read", "Instant::now", "SystemTime::now", "fastrand"];

struct Source {
    /// The file, below `src/`.
    path: PathBuf,
    /// The crate's module it belongs to.
    module: String,
    /// Its code, without comments and tests.
    code: String,
}

#[test]
fn imports_go_down_only() {
    let mut breaches = Vec::new();
    for source in sources("src") {
        let from = layer(&source.module);
        for used in crate_paths(&source.code) {
            let excepted = EXCEPTIONS.contains(&(source.module.as_str(), used.as_str()));
            if used != source.module && !excepted && layer(&used) >= from {
                breaches.push(format!("{}: {} uses {used}", source.path.display(), source.module));
            }
        }
        if is_top(&source.path) && source.code.contains("super::") {
            breaches.push(format!("{}: `super::` is the crate here; write `crate::`", source.path.display()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn reserved_names_stay_where_they_belong() {
    let mut breaches = Vec::new();
    for source in sources("src") {
        for (name, owners) in RESERVED {
            let named = source.code.match_indices(name).any(|(at, _)| is_path_start(&source.code, at));
            if named && !owners.contains(&source.module.as_str()) {
                breaches.push(format!("{}: only {} may name {name}", source.path.display(), owners.join(", ")));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    for source in sources("filters/src") {
        for name in IMPURE {
            assert!(!source.code.contains(name), "filters/src/{} names {name}", source.path.display());
        }
    }
}

#[test]
fn a_breach_would_be_seen() {
    let code = "use crate::config::Secret;\nuse crate::{\n    demo, proxy::{self, Gateway},\n};\nlet x = crate::live::Live::new();";
    assert_eq!(crate_paths(code), ["config", "demo", "proxy", "live"]);
    assert_eq!(code_of("/// [`crate::server`]\nuse a; // crate::cli\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n").trim(), "use a;");
    assert!(is_path_start("use pingora_proxy::Session;", 4) && !is_path_start("\"pingora\"", 1));
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} has no layer yet: give it one here and in src/lib.rs"))
}

/// The modules of this crate that a code names, whether in `use` lines or in paths.
fn crate_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, after) in code.match_indices("crate::").map(|(at, word)| code.split_at(at + word.len())) {
        match after.strip_prefix('{') {
            Some(group) => found.extend(group_members(group)),
            None => found.push(identifier(after)),
        }
    }
    found
}

/// The first names of what stands in braces: `demo` and `proxy` of `demo, proxy::{self, Gateway}}`.
fn group_members(group: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut members = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            other => {
                depth += i32::from(other == '{') - i32::from(other == '}');
                members.last_mut().unwrap().push(other);
            }
        }
    }
    members.iter().map(|member| identifier(member.trim())).filter(|name| !name.is_empty()).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether the name at `at` begins a path: `name::` or `name_more::`, not the end of another word or a text.
fn is_path_start(code: &str, at: usize) -> bool {
    let before = code[..at].chars().next_back();
    let word = identifier(&code[at..]);
    before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_') && code[at + word.len()..].starts_with("::")
}

/// `src/live.rs`, `src/proxy/mod.rs`: files whose parent module is the crate.
fn is_top(path: &Path) -> bool {
    path.components().count() == 1 || (path.components().count() == 2 && path.ends_with("mod.rs"))
}

fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Every source file of a folder, the crate's own root and its tests left out.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !name.ends_with("tests") {
                let below = path.strip_prefix(&root).unwrap().to_owned();
                let module = below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push(Source { code: code_of(&fs::read_to_string(&path).unwrap()), path: below, module });
            }
        }
    }
    assert!(found.len() > 20, "{} files", found.len());
    found.retain(|source| !matches!(source.module.as_str(), "lib" | "main"));
    found
}
