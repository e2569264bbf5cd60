//! Rows found by a few texts, without a lock and, once they exist, without an allocation: each thread has its own.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

/// A thread that has seen more begins anew: what it forgets is found again in the families.
const ROWS_MAX: usize = 4_096;

/// Rows by their key.
pub(super) struct Table<V> {
    hasher: DefaultHashBuilder,
    rows: HashTable<(Box<[Box<str>]>, V)>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), rows: HashTable::new() }
    }
}

impl<V> Table<V> {
    /// The row of this key; made where there is none yet.
    pub(super) fn row(&mut self, key: &[&str], make: impl FnOnce() -> V) -> &V {
        if self.rows.len() >= ROWS_MAX {
            self.rows.clear();
        }
        let Self { hasher, rows } = self;
        let same = |row: &(Box<[Box<str>]>, V)| row.0.len() == key.len() && row.0.iter().zip(key).all(|(mine, asked)| **mine == **asked);
        match rows.entry(hash(hasher, key.iter().copied()), same, |row| hash(hasher, row.0.iter().map(|part| &**part))) {
            Entry::Occupied(row) => &row.into_mut().1,
            Entry::Vacant(place) => &place.insert((key.iter().map(|part| (*part).into()).collect(), make())).into_mut().1,
        }
    }
}

fn hash<'k>(hasher: &DefaultHashBuilder, key: impl Iterator<Item = &'k str>) -> u64 {
    let mut state = hasher.build_hasher();
    key.for_each(|part| part.hash(&mut state));
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_made_once_and_parts_do_not_run_together() {
        let mut table = Table::default();
        assert_eq!(*table.row(&["ab", "c"], || 1), 1);
        assert_eq!(*table.row(&["a", "bc"], || 2), 2);
        assert_eq!(*table.row(&["ab", "c"], || 3), 1);
        (0..ROWS_MAX * 2).for_each(|n| assert_eq!(*table.row(&["n", &n.to_string()], || n), n));
        assert!(table.rows.len() <= ROWS_MAX);
    }
}
