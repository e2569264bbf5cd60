//! Names that a dialect does not allow, and those they travel under.

use std::collections::{HashMap, HashSet};

/// Finds names that nobody has. A client chooses how many names there are: each is found by a look-up, none by a walk over all.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// Names in use as they are sent.
    taken: HashSet<String>,
    /// By the client's name, the place of its row.
    rows: HashMap<String, usize>,
    /// (as sent, as the client wrote it), in the order of their renaming.
    renamed: Vec<(String, String)>,
    /// By what all wishes have in common that numbers may meet: the last number given.
    next: HashMap<String, u32>,
}

impl Renames {
    /// Names that need no change: no other may be turned into one of them.
    pub(super) fn keeping(names: impl IntoIterator<Item = String>) -> Self {
        Self { taken: names.into_iter().collect(), ..Self::default() }
    }

    /// The name the client's `original` was given.
    pub(super) fn sent(&self, original: &str) -> Option<&str> {
        let row = self.rows.get(original).and_then(|row| self.renamed.get(*row));
        row.map(|(sent, _)| sent.as_str())
    }

    /// Gives `original` a name: `wish` or the like, at most `longest` characters.
    pub(super) fn rename(&mut self, original: &str, wish: &str, longest: usize) -> String {
        let (sent, number) = self.free(wish, longest);
        if number > 1 {
            self.next.insert(stem(wish, longest), number);
        }
        self.taken.insert(sent.clone());
        self.rows.insert(original.to_owned(), self.renamed.len());
        self.renamed.push((sent.clone(), original.to_owned()));
        sent
    }

    /// The wish itself, or the first of `wish_2`, `wish_3` … that nobody has, with its number.
    pub(super) fn free(&self, wish: &str, longest: usize) -> (String, u32) {
        if !self.taken.contains(wish) {
            return (wish.to_owned(), 1);
        }
        let numbered = |number: u32| {
            let suffix = format!("_{number}");
            let stem: String = wish.chars().take(longest.saturating_sub(suffix.len())).collect();
            (stem + &suffix, number)
        };
        let last = self.next.get(&stem(wish, longest)).copied().unwrap_or(1);
        let mut names = (last.saturating_add(1)..).map(numbered);
        names.find(|(name, _)| !self.taken.contains(name)).unwrap_or_default()
    }

    /// (as sent, as the client wrote it): what a reply's reader must change back.
    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.renamed
    }
}

/// What is left of a wish before the longest number: wishes alike so far would try each other's numbers.
fn stem(wish: &str, longest: usize) -> String {
    const NUMBER_CHARS: usize = "_4294967295".len();
    wish.chars().take(longest.saturating_sub(NUMBER_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::Renames;

    #[test]
    fn names_are_nobodys_and_no_longer_than_allowed() {
        let mut names = Renames::keeping(["json".to_owned(), "json_2".to_owned(), "ab_3".to_owned()]);
        assert_eq!(names.rename("j!", "json", 64), "json_3");
        assert_eq!(names.rename("j?", "json", 64), "json_4");
        assert_eq!(names.rename("a!", "abc", 4), "abc");
        assert_eq!(names.rename("a?", "abc", 4), "ab_2");
        assert_eq!(names.rename("a.", "abc", 4), "ab_4", "`ab_3` is taken");
        assert_eq!((names.sent("j?"), names.sent("json")), (Some("json_4"), None));
    }

    #[test]
    fn many_alike_are_found_without_walks() {
        let wish = |number: u32| format!("{}{number:06}", "x".repeat(58));
        let mut names = Renames::keeping((0..100_000).map(wish));
        // With a search from the start for each, this test would not end.
        for number in 0..100_000 {
            names.rename(&number.to_string(), "same", 64);
            names.rename(&format!("{number}!"), &wish(number), 64);
        }
        assert_eq!(names.sent("99999"), Some("same_100000"));
        assert_eq!(names.sent("99999!"), Some(format!("{}_100001", "x".repeat(57)).as_str()));
    }
}
