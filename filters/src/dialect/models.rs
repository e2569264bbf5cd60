//! What models take, as data. The rows are read elsewhere (`conf/models.yaml`, a configuration) and come here as JSON; the first that
//! fits a model's name holds for it, and a name that none fits is a model of which nothing is known.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{anthropic, gemini, openai};

/// What models take, by the family of dialects that they are asked in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// Asked in OpenAI's dialects, or in Mistral's.
    pub(super) openai: Rows<openai::Model>,
    pub(super) anthropic: Rows<anthropic::Model>,
    pub(super) gemini: Rows<gemini::Traits>,
}

impl Models {
    /// The families' names: sections of the table.
    pub const FAMILIES: &'static [&'static str] = &["openai", "anthropic", "gemini"];

    /// The family in which a dialect's models stand; `None` where nothing is told of them.
    #[must_use]
    pub fn family(dialect: &str) -> Option<&'static str> {
        match dialect {
            "openai" | "responses" | "mistral" => Some("openai"),
            "anthropic" => Some("anthropic"),
            "gemini" => Some("gemini"),
            _ => None,
        }
    }

    /// These models and more, which stand before them: of one family, as the JSON `[{"names": […], "takes": {…}}, …]`. A row may say
    /// `"like": name` in place of `takes`: what these models know of that name.
    ///
    /// # Errors
    /// What is wrong with a row, in words for its author.
    pub fn with(&self, family: &str, rows: &str) -> Result<Self, String> {
        let mut models = self.clone();
        match family {
            "openai" => models.openai.lead(rows)?,
            "anthropic" => models.anthropic.lead(rows)?,
            "gemini" => models.gemini.lead(rows)?,
            other => return Err(format!("no family \"{other}\"")),
        }
        Ok(models)
    }

    /// The names of a family's rows, in order: for the table's own test.
    #[must_use]
    pub fn names(&self, family: &str) -> Vec<&[String]> {
        match family {
            "openai" => self.openai.names(),
            "anthropic" => self.anthropic.names(),
            "gemini" => self.gemini.names(),
            _ => Vec::new(),
        }
    }

    /// Whether a pattern fits a model's name: the name without what stands before its last slash, in any case, begins with it. A `*`
    /// stands for anything, and a `-` for a dot too (`claude-opus-4-6` is also written `claude-opus-4.6`).
    #[must_use]
    pub fn fits(pattern: &str, model: &str) -> bool {
        fits(pattern.as_bytes(), model.rsplit('/').next().unwrap_or(model).as_bytes())
    }
}

/// Rows of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows<M> {
    rows: Vec<Row<M>>,
    unknown: M,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row<M> {
    names: Vec<String>,
    /// Shared with the rows that are like it.
    model: Arc<M>,
}

/// A row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<M> {
    names: Vec<String>,
    takes: Option<M>,
    like: Option<String>,
}

impl<M: Default> Default for Rows<M> {
    fn default() -> Self {
        Self { rows: Vec::new(), unknown: M::default() }
    }
}

impl<M: DeserializeOwned + Clone + Default> Rows<M> {
    /// What is known of a model. No allocation: it runs with every request.
    pub(super) fn of(&self, model: &str) -> &M {
        self.row(model).map_or(&self.unknown, |row| &row.model)
    }

    fn row(&self, model: &str) -> Option<&Row<M>> {
        self.rows.iter().find(|row| row.names.iter().any(|pattern| Models::fits(pattern, model)))
    }

    fn lead(&mut self, rows: &str) -> Result<(), String> {
        let read: Vec<Read<M>> = serde_json::from_str(rows).map_err(|error| plain(&error))?;
        let mut led = Vec::with_capacity(read.len() + self.rows.len());
        for Read { names, takes, like } in read {
            if names.is_empty() || names.iter().any(String::is_empty) {
                return Err("a row needs `names`".to_owned());
            }
            let model = match (takes, like) {
                (Some(_), Some(_)) => return Err(format!("{}: `like` stands alone", names.join(", "))),
                (takes, None) => Arc::new(takes.unwrap_or_default()),
                (None, Some(like)) => {
                    let known = self.row(&like).map(|row| row.model.clone());
                    known.ok_or_else(|| format!("{}: nothing is known of \"{like}\"", names.join(", ")))?
                }
            };
            led.push(Row { names, model });
        }
        led.append(&mut self.rows);
        self.rows = led;
        Ok(())
    }

    fn names(&self) -> Vec<&[String]> {
        self.rows.iter().map(|row| row.names.as_slice()).collect()
    }
}

/// A parser's words without the place, which is one in JSON that nobody wrote.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => true,
        Some((b'*', rest)) => (0..=name.len()).any(|from| name.get(from..).is_some_and(|name| fits(rest, name))),
        Some((wanted, pattern)) => {
            let Some((found, name)) = name.split_first() else { return false };
            (wanted.eq_ignore_ascii_case(found) || (*wanted == b'-' && *found == b'.')) && fits(pattern, name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Models;

    #[test]
    fn a_pattern_is_how_a_name_begins() {
        for (pattern, model, fit) in [
            ("gpt-5.", "gpt-5.2-pro", true),
            ("gpt-5.", "gpt-5-mini", false),
            ("gpt-5", "openai/GPT-5-mini", true),
            ("gpt-5", "my-gpt-5", false),
            ("*claude-opus-4-6", "us.anthropic.claude-opus-4.6-v1", true),
            ("grok-4*non-reasoning", "grok-4-1-fast-non-reasoning", true),
            ("grok-4*non-reasoning", "grok-4-1-fast-reasoning", false),
            ("*-latest", "gemini-flash-latest", true),
            ("", "anything", true),
        ] {
            assert_eq!(Models::fits(pattern, model), fit, "{pattern} {model}");
        }
    }

    #[test]
    fn rows_of_a_provider_stand_before_others_and_may_be_like_them() {
        let models =
            Models::default().with("openai", r#"[{"names": ["gpt-5"], "takes": {"max_output_tokens": 9, "own": true}}]"#).expect("rows");
        let own =
            models.with("openai", r#"[{"names": ["prod"], "like": "gpt-5-mini"}, {"names": ["gpt-5-x"], "takes": {}}]"#).expect("rows");
        assert_eq!(own.openai.of("prod-eu").max_output_tokens, Some(9));
        assert_eq!(own.openai.of("gpt-5-x").max_output_tokens, None);
        assert_eq!(own.openai.of("gpt-5").max_output_tokens, Some(9));
        for (rows, said) in [
            (r#"[{"names": ["a"], "like": "b"}]"#, "nothing is known of"),
            (r#"[{"names": []}]"#, "needs `names`"),
            (r#"[{"names": ["a"], "takes": {"max_tokens": 1}}]"#, "unknown field `max_tokens`"),
            (r#"[{"names": ["a"], "takes": {"efforts": ["some"]}}]"#, "unknown variant `some`"),
        ] {
            let error = models.with("openai", rows).expect_err(rows);
            assert!(error.contains(said), "{error}");
        }
    }
}
