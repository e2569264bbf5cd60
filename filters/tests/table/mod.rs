//! `conf/models.yaml` as the gateway reads it, for tests and benches: the table that is shipped is the one that is tried.

#![allow(dead_code, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by failing")]

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use granit_parser::{Event, Parser, ScalarStyle, StrInput};
use heliostat_filters::dialect::{Models, Surface};

static MODELS: LazyLock<Arc<Models>> = LazyLock::new(|| {
    let table = Reader::of(include_str!("../../../conf/models.yaml")).table();
    let models = table.iter().fold(Models::default(), |models, (family, rows)| models.with(family, rows).expect("rows"));
    Arc::new(models)
});

/// The usual surface, with the models that are known.
pub fn surface() -> Surface {
    Surface { models: MODELS.clone(), ..Surface::default() }
}

/// Members of a row that are for its readers.
const PROVENANCE: &[&str] = &["sources", "checked", "unverified"];

struct Reader<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        let options = granit_parser::options! { emit_comments: false, flow_nesting_limit: 16, block_nesting_limit: 16 };
        Self(Parser::new_from_str_with_options(text, options))
    }

    fn next(&mut self) -> Event<'t> {
        self.0.next_event().expect("more").expect("YAML").0
    }

    /// Families, and their rows as JSON.
    fn table(&mut self) -> Vec<(String, String)> {
        while !matches!(self.next(), Event::MappingStart(..)) {}
        let mut families = Vec::new();
        loop {
            match self.next() {
                Event::Scalar(name, ..) => {
                    let event = self.next();
                    families.push((name.into_owned(), self.json(event)));
                }
                _ => return families,
            }
        }
    }

    fn json(&mut self, event: Event<'t>) -> String {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "true" | "false") || text.parse::<u64>().is_ok() => {
                text.into_owned()
            }
            Event::Scalar(text, ..) => format!("{text:?}"),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next() {
                        Event::SequenceEnd => return format!("[{}]", items.join(",")),
                        event => items.push(self.json(event)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut members = String::new();
                loop {
                    let Event::Scalar(key, ..) = self.next() else { return format!("{{{}}}", members.trim_end_matches(',')) };
                    let event = self.next();
                    let value = self.json(event);
                    if !PROVENANCE.contains(&&*key) {
                        write!(members, "{:?}:{value},", &*key).expect("memory");
                    }
                }
            }
            other => panic!("{other:?} in the table"),
        }
    }
}
