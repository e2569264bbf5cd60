use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use super::{Answer, Cache, Directives, Key};
use crate::config::SemanticCache;

const TTL: Duration = Duration::from_secs(300);

fn rules(max_bytes: usize, max_entry_bytes: usize) -> SemanticCache {
    SemanticCache { max_bytes, max_entry_bytes, ..SemanticCache::default() }
}

fn cache() -> Arc<Cache> {
    Arc::new(Cache::new(&SemanticCache::default()))
}

fn key(cache: &Cache, name: &str) -> Key {
    cache.key().part(name).finish()
}

fn answer(body: Bytes) -> Answer {
    Answer { content_type: "application/json".to_owned(), body, provider: "openai".to_owned(), model: "gpt-4o".to_owned(), losses: vec![] }
}

/// Has an answer of so many bytes kept; whether there was room to record it.
fn keep(cache: &Arc<Cache>, key: Key, bytes: usize, now: Instant) -> bool {
    let mut recording = cache.record(key);
    recording.push(&vec![b'x'; bytes]);
    let Some(body) = recording.take() else { return false };
    recording.keep(answer(body), now);
    true
}

fn has(cache: &Cache, key: &Key, now: Instant) -> bool {
    cache.find(key, now, TTL, None).is_some()
}

#[test]
fn an_answer_is_found_until_its_time_is_over_and_as_old_as_it_is() {
    let (cache, now) = (cache(), Instant::now());
    let asked = key(&cache, "a");
    assert!(keep(&cache, asked, 10, now));
    let later = now + Duration::from_secs(12);
    let found = cache.find(&asked, later, TTL, None).unwrap();
    assert_eq!((found.age.as_secs(), found.entry.answer.body.len()), (12, 10));
    // As old as the client takes it, but not older; and it stays for others.
    assert!(cache.find(&asked, later, TTL, Some(Duration::from_secs(12))).is_some());
    assert!(cache.find(&asked, later, TTL, Some(Duration::from_secs(11))).is_none());
    assert!(cache.find(&asked, now + Duration::from_nanos(1), TTL, Some(Duration::ZERO)).is_none());
    assert!(has(&cache, &asked, now + TTL - Duration::from_nanos(1)));
    assert!(!has(&cache, &asked, now + TTL));
    assert_eq!((cache.standing().entries, cache.standing().bytes), (0, 0));
}

#[test]
fn a_lowered_time_counts_for_what_is_kept_and_a_sweep_takes_it_out() {
    let (cache, now) = (cache(), Instant::now());
    for (name, age_s) in [("old", 100), ("young", 10)] {
        keep(&cache, key(&cache, name), 10, now - Duration::from_secs(age_s));
    }
    let lowered = Duration::from_secs(60);
    assert!(cache.peek(&key(&cache, "old"), now, lowered, None).is_none() && cache.standing().entries == 2);
    cache.sweep(now, lowered);
    let standing = cache.standing();
    assert_eq!((standing.entries, standing.expired, standing.evicted), (1, 1, 0));
    assert!(has(&cache, &key(&cache, "young"), now));
}

#[test]
fn a_reload_keeps_it_where_its_bounds_are_the_same_and_drops_it_when_it_is_switched_off() {
    let first = Cache::of(Some(&rules(1 << 20, 1 << 16)), None).unwrap();
    let lowered = SemanticCache { ttl_seconds: 1, ..rules(1 << 20, 1 << 16) };
    assert!(Arc::ptr_eq(&first, &Cache::of(Some(&lowered), Some(&first)).unwrap()));
    assert!(!Arc::ptr_eq(&first, &Cache::of(Some(&rules(1 << 21, 1 << 16)), Some(&first)).unwrap()));
    assert!(Cache::of(Some(&SemanticCache { enabled: false, ..lowered }), Some(&first)).is_none());
    assert!(Cache::of(None, Some(&first)).is_none());
}

#[test]
fn what_was_asked_before_a_purge_is_not_kept_after_it() {
    let (cache, now) = (cache(), Instant::now());
    keep(&cache, key(&cache, "a"), 10, now);
    let mut under_way = cache.record(key(&cache, "b"));
    under_way.push(b"answer");
    assert_eq!(cache.purge(), 1);
    let body = under_way.take().unwrap();
    under_way.keep(answer(body), now);
    assert_eq!(cache.standing().entries, 0);
    assert!(keep(&cache, key(&cache, "b"), 10, now) && has(&cache, &key(&cache, "b"), now));
}

#[test]
fn answers_under_way_have_a_share_and_give_it_back() {
    let (entry, now) = (64 << 10, Instant::now());
    let cache = Arc::new(Cache::new(&rules(1 << 20, entry)));
    let mut under_way = Vec::new();
    loop {
        let mut recording = cache.record(key(&cache, "a"));
        recording.push(&vec![b'x'; entry]);
        match recording.take() {
            // What is taken out of it is on its way into the table.
            Some(_) => under_way.push(recording),
            None => break,
        }
    }
    assert_eq!(under_way.len(), 4, "a quarter of 1 MiB");
    assert!(!keep(&cache, key(&cache, "b"), 10, now));
    drop(under_way);
    assert!(keep(&cache, key(&cache, "b"), entry, now), "the share is free again");
    assert!(!keep(&cache, key(&cache, "b"), entry + 1, now), "longer than an entry may be");
}

#[test]
fn pieces_are_joined_and_an_entry_takes_no_more_than_it_says() {
    let cache = cache();
    let mut recording = cache.record(key(&cache, "a"));
    for piece in ["data: 1\n\n", "", "data: 2\n\n"] {
        recording.push(piece.as_bytes());
    }
    assert_eq!(recording.take().unwrap(), "data: 1\n\ndata: 2\n\n");
}

#[test]
fn a_crowd_of_answers_that_nobody_asks_for_again_does_not_push_out_those_that_are() {
    let cache = Arc::new(Cache::new(&rules(1 << 20, 16 << 10)));
    let now = Instant::now();
    let popular: Vec<Key> = (0..20).map(|number| key(&cache, &format!("popular {number}"))).collect();
    for asked in &popular {
        keep(&cache, *asked, 4 << 10, now);
        assert!((0..3).all(|_| has(&cache, asked, now)));
    }
    for number in 0..5_000 {
        keep(&cache, key(&cache, &format!("once {number}")), 4 << 10, now);
    }
    let standing = cache.standing();
    assert!(standing.evicted > 4_000 && standing.bytes <= 1 << 20, "{standing:?}");
    let left = popular.iter().filter(|asked| has(&cache, asked, now)).count();
    assert!(left >= 18, "{left} of 20 are left");
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    let cache = cache();
    let of = |parts: &[&str]| {
        parts.iter().fold(cache.key(), |mut key, part| {
            key.part(part);
            key
        })
    };
    assert_eq!(of(&["ab", "c"]).finish(), of(&["ab", "c"]).finish());
    assert_ne!(of(&["ab", "c"]).finish(), of(&["a", "bc"]).finish());
    assert_ne!(of(&["a"]).finish(), of(&["a", ""]).finish());
    assert_ne!(cache.key().option(None::<&str>).finish(), cache.key().option(Some("")).finish());
    // Each process has keys of its own.
    assert_ne!(key(&cache, "a"), key(&super::tests::cache(), "a"));
}

#[test]
fn what_clients_say_of_the_cache() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let nothing = Directives::default();
    for (values, wanted) in [
        (&["no-store"][..], Directives { no_store: true, ..nothing }),
        (&["max-age=60, No-Cache"], Directives { no_cache: true, max_age: seconds(60), ..nothing }),
        (&["max-age=60", "max-age=\"0\""], Directives { max_age: seconds(0), ..nothing }),
        (&["max-age=soon, private, no-storefront", "max-age", "max-age=-1"], nothing),
        (&[], nothing),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        assert_eq!(Directives::read(&headers), wanted, "{values:?}");
    }
}

proptest! {
    /// However it is used: its bytes stay within its bound, and what is found is what was kept last under that key, and is young.
    #[test]
    fn it_never_holds_too_much_and_never_gives_another_answer(
        deeds in prop::collection::vec((0..4_u8, 0..24_u8, 1..20_000_usize, 0..40_u64), 1..300),
    ) {
        let cache = Arc::new(Cache::new(&rules(128 << 10, 16 << 10)));
        let mut now = Instant::now();
        let mut kept = std::collections::HashMap::new();
        for (deed, name, bytes, seconds) in deeds {
            let asked = key(&cache, &name.to_string());
            match deed {
                0 | 1 => {
                    if keep(&cache, asked, bytes, now) {
                        prop_assert!(bytes <= 16 << 10);
                        kept.insert(name, (bytes, now));
                    } else {
                        prop_assert!(bytes > 16 << 10);
                    }
                }
                2 => {
                    if let Some(found) = cache.find(&asked, now, TTL, None) {
                        let (bytes, at) = kept[&name];
                        prop_assert_eq!((found.entry.answer.body.len(), now - found.age), (bytes, at));
                        prop_assert!(found.age < TTL);
                    }
                }
                _ => now += Duration::from_secs(seconds),
            }
            prop_assert!(cache.standing().bytes <= 96 << 10);
        }
    }
}
