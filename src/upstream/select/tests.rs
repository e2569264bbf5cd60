//! Selection as a caller sees it.

use std::net::SocketAddr;
use std::time::Duration;

use heliostat_filters::dialect::{Surface, by_name};

use super::*;
use crate::config::{Auth, Endpoint, ImageFetch, Limits, ModelPattern, Retry, Secret, Speech, Timeouts};
use crate::upstream::breaker::{Blame, BreakerState};
use crate::upstream::health::Cooldown;

/// (name, secret, weight, host)
type Written = (&'static str, &'static str, f64, &'static str);

const PAIR: &[Written] = &[("a", "sk-a", 0.7, "one"), ("b", "sk-b", 0.3, "one")];

struct Scene {
    snapshot: Snapshot,
    lanes: Lanes,
    now: Instant,
}

impl Scene {
    fn new(keys: &[Written]) -> Self {
        let snapshot = snapshot(keys);
        Self { lanes: Lanes::build(&snapshot, None), snapshot, now: Instant::now() }
    }

    fn reload(&mut self, keys: &[Written]) {
        self.snapshot = snapshot(keys);
        self.lanes = Lanes::build(&self.snapshot, Some(&self.lanes));
    }

    fn ask(&self) -> Ask<'_> {
        let provider = &self.snapshot.providers[0];
        let deadline = self.now + Duration::from_secs(10);
        Ask { provider, model: "m", tried: &[], failed_hosts: &[], first: true, last_resort: false, now: self.now, deadline }
    }

    fn cool(&self, credential: usize, cooldown: Cooldown) {
        let used = Used { provider: &self.snapshot.providers[0], credential, model: "m" };
        self.lanes.cool(&used, cooldown, 0.0, self.now);
    }

    fn pick(&self) -> Option<usize> {
        chosen(&self.lanes.select(&self.ask()))
    }
}

fn chosen(pick: &Pick) -> Option<usize> {
    match pick {
        Pick::Use { credential, .. } => Some(*credential),
        _ => None,
    }
}

fn credential(index: usize, (name, secret, weight, host): Written) -> Credential {
    let endpoint = Endpoint {
        tls: true,
        host: host.into(),
        port: 443,
        authority: host.into(),
        path: "/v1".into(),
        transport: crate::config::Transport::default(),
    };
    let (secret, endpoint) = (Secret::new(secret), Arc::new(endpoint));
    Credential { name: name.into(), index, secret, account: None, weight, models: None, endpoint, api_version: None, detours: vec![] }
}

fn snapshot(keys: &[Written]) -> Snapshot {
    let provider = Provider {
        region: None,
        name: "openai".into(),
        index: 0,
        speech: Speech { dialect: by_name("openai").unwrap(), surface: Surface::default(), call: None },
        also: vec![],
        exceptions: vec![],
        auth: Auth::Bearer,
        headers: vec![],
        credentials: keys.iter().enumerate().map(|(index, key)| credential(index, *key)).collect(),
        timeouts: Timeouts::default(),
        retry: Retry::default(),
        budget: crate::config::BudgetRules::default(),
        breaker: crate::config::BreakerRules::DEFAULT,
        concurrency: None,
    };
    Snapshot {
        listen: Vec::new(),
        admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        threads: 1,
        providers: vec![Arc::new(provider)],
        routes: std::collections::HashMap::new(),
        global_fallbacks: vec![],
        primary_fallbacks: vec![],
        context_fallbacks: vec![],
        limits: Limits::default(),
        image_fetch: ImageFetch::default(),
        drain_notice_ms: 0,
        drain_deadline_ms: 0,
        client_keys: vec![],
        allow_anonymous: false,
        semantic_cache: None,
        governance: None,
        observability: crate::config::Observability::default(),
        notices: vec![],
    }
}

#[test]
fn seventy_thirty_is_exact_over_any_ten_and_for_each_model() {
    let scene = Scene::new(PAIR);
    for model in ["m", "n"] {
        let picks: Vec<_> = (0..200).filter_map(|_| chosen(&scene.lanes.select(&Ask { model, ..scene.ask() }))).collect();
        assert!(picks.windows(10).all(|run| run.iter().filter(|pick| **pick == 0).count() == 7));
    }
}

#[test]
fn it_is_exact_under_threads() {
    let scene = Scene::new(PAIR);
    let count = || (0..250).filter(|_| scene.pick() == Some(0)).count();
    let first: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(first, 700);
}

#[test]
fn a_retry_does_not_move_the_wheel() {
    let scene = Scene::new(&[("a", "x", 0.5, "one"), ("b", "y", 0.3, "one"), ("c", "z", 0.2, "one")]);
    let undisturbed: Vec<_> = (0..10).map(|_| scene.pick()).collect();
    let disturbed = (0..10).map(|_| {
        let first = scene.pick();
        let tried = [first.unwrap()];
        let retry = chosen(&scene.lanes.select(&Ask { tried: &tried, first: false, ..scene.ask() }));
        assert!(retry.is_some() && retry != first);
        first
    });
    assert_eq!(disturbed.collect::<Vec<_>>(), undisturbed);
}

#[test]
fn a_key_that_returns_catches_up_nothing() {
    let mut scene = Scene::new(PAIR);
    scene.cool(1, Cooldown::RateLimited(Some(Duration::from_secs(5))));
    assert!((0..100).all(|_| scene.pick() == Some(0)));
    scene.now += Duration::from_secs(5);
    let picks: Vec<_> = (0..10).filter_map(|_| scene.pick()).collect();
    assert_eq!(picks.iter().filter(|pick| **pick == 1).count(), 3);
}

#[test]
fn models_and_weights_decide_who_is_eligible() {
    let mut snapshot = snapshot(&[("a", "x", 1.0, "one"), ("b", "y", 1.0, "one"), ("never", "z", 0.0, "one")]);
    let provider = Arc::get_mut(&mut snapshot.providers[0]).unwrap();
    provider.credentials[0].models = Some(vec![ModelPattern::Exact("m".into()), ModelPattern::Prefix("gpt-4o".into())]);
    provider.credentials[1].models = Some(vec![]);
    let lanes = Lanes::build(&snapshot, None);
    let scene = Scene { snapshot, lanes, now: Instant::now() };
    let pick = |model| chosen(&scene.lanes.select(&Ask { model, ..scene.ask() }));
    assert_eq!([pick("m"), pick("gpt-4o-mini"), pick("gpt-4")], [Some(0), Some(0), None]);
    let all_tried = scene.lanes.select(&Ask { tried: &[0], last_resort: true, ..scene.ask() });
    assert!(matches!(all_tried, Pick::None));
}

#[test]
fn a_spare_key_is_one_that_nothing_speaks_against() {
    let keys = &[("a", "x", 1.0, "one"), ("b", "y", 1.0, "two"), ("c", "z", 1.0, "two"), ("never", "z", 0.0, "one")];
    let mut scene = Scene::new(keys);
    let spare = |scene: &Scene, tried: &[usize], failed_hosts: &[usize]| {
        scene.lanes.spare(&Ask { tried, failed_hosts, first: false, ..scene.ask() })
    };
    assert_eq!([spare(&scene, &[0], &[]), spare(&scene, &[0, 1], &[])], [Some(1), Some(2)]);
    assert_eq!(spare(&scene, &[0, 1], &[1]), None, "its host has failed");
    scene.cool(1, Cooldown::RateLimited(None));
    assert_eq!(spare(&scene, &[0], &[]), Some(2));
    let used = Used { provider: &scene.snapshot.providers[0], credential: 2, model: "m" };
    scene.lanes.blame(&used, Blame::Timeout, scene.now, scene.now);
    assert_eq!(spare(&scene, &[0], &[]), None, "open");
    scene.now += Duration::from_secs(50);
    assert_eq!(spare(&scene, &[0], &[]), None, "half-open: it is to be tried again, and not in a hurry");
    let used = Used { provider: &scene.snapshot.providers[0], credential: 2, model: "m" };
    scene.lanes.success(&used, scene.now, scene.now);
    assert_eq!(spare(&scene, &[0], &[]), Some(1));
}

#[test]
fn a_guess_is_probed_one_at_a_time_as_a_last_resort() {
    let scene = Scene::new(&[("a", "x", 1.0, "one")]);
    scene.cool(0, Cooldown::RateLimited(None));
    assert!(matches!(scene.lanes.select(&scene.ask()), Pick::Cooling { stated: false, overloaded: false, .. }));
    let last = Ask { last_resort: true, ..scene.ask() };
    let probe = scene.lanes.select(&last);
    assert!(matches!(probe, Pick::Use { credential: 0, probe: Some(_), .. }));
    assert!(matches!(scene.lanes.select(&last), Pick::Cooling { stated: false, .. }));
    drop(probe);
    assert!(matches!(scene.lanes.select(&last), Pick::Use { probe: Some(_), .. }));
    let used = Used { provider: last.provider, credential: 0, model: "m" };
    scene.lanes.success(&used, scene.now, scene.now);
    assert!(matches!(scene.lanes.select(&scene.ask()), Pick::Use { probe: None, .. }));
}

#[test]
fn what_was_stated_is_not_probed() {
    let scene = Scene::new(PAIR);
    scene.cool(0, Cooldown::RateLimited(Some(Duration::from_secs(30))));
    scene.cool(1, Cooldown::RateLimited(Some(Duration::from_secs(5))));
    let pick = scene.lanes.select(&Ask { last_resort: true, ..scene.ask() });
    let Pick::Cooling { until, stated: true, in_time: true, .. } = pick else { panic!("{pick:?}") };
    assert_eq!(until - scene.now, Duration::from_secs(5));
    let impatient = Ask { last_resort: true, deadline: scene.now + Duration::from_secs(4), ..scene.ask() };
    assert!(matches!(scene.lanes.select(&impatient), Pick::Cooling { stated: true, in_time: false, .. }));
}

#[test]
fn an_overload_cools_the_model_for_first_attempts_whatever_the_key() {
    let scene = Scene::new(PAIR);
    scene.cool(0, Cooldown::Overloaded(None));
    let provider = scene.ask().provider;
    assert!(scene.lanes.is_cool(provider, "m", scene.now) && !scene.lanes.is_cool(provider, "other", scene.now));
    assert!(matches!(scene.lanes.select(&scene.ask()), Pick::Cooling { overloaded: true, .. }));
    let retry = scene.lanes.select(&Ask { tried: &[0], first: false, ..scene.ask() });
    assert_eq!(chosen(&retry), Some(1));
    let last = Ask { last_resort: true, ..scene.ask() };
    let probe = scene.lanes.select(&last);
    assert!(matches!(probe, Pick::Use { probe: Some(_), .. }));
    assert!(matches!(scene.lanes.select(&last), Pick::Cooling { overloaded: true, .. }));
}

#[test]
fn a_refused_key_is_off_until_reload_and_a_forbidden_model_off_for_it_alone() {
    let mut scene = Scene::new(PAIR);
    scene.cool(0, Cooldown::Refused);
    scene.now += Duration::from_secs(86_400);
    assert!((0..10).all(|_| scene.pick() == Some(1)));
    scene.cool(1, Cooldown::Forbidden);
    assert!(matches!(scene.lanes.select(&Ask { last_resort: true, ..scene.ask() }), Pick::Off));
    assert_eq!(chosen(&scene.lanes.select(&Ask { model: "n", ..scene.ask() })), Some(1));
    scene.reload(PAIR);
    assert_eq!(scene.pick(), Some(0));
}

#[test]
fn a_reload_keeps_a_cool_down_and_the_wheel_but_a_rotated_secret_starts_clean() {
    let mut scene = Scene::new(PAIR);
    let before: Vec<_> = (0..5).filter_map(|_| scene.pick()).collect();
    scene.reload(PAIR);
    let after = (0..5).filter_map(|_| scene.pick());
    assert_eq!(before.into_iter().chain(after).filter(|pick| *pick == 0).count(), 7);
    scene.cool(0, Cooldown::RateLimited(Some(Duration::from_secs(30))));
    scene.cool(1, Cooldown::Unpaid);
    scene.reload(PAIR);
    assert_eq!(scene.pick(), None);
    scene.reload(&[PAIR[0], ("b", "sk-new", 0.3, "one")]);
    assert_eq!(scene.pick(), Some(1));
    scene.reload(&[("a", "sk-a", 0.7, "elsewhere")]);
    assert_eq!(scene.pick(), Some(0));
}

#[test]
fn after_a_hosts_fault_a_key_elsewhere_comes_first() {
    let scene = Scene::new(&[("a", "x", 1.0, "one"), ("b", "y", 9.0, "one"), ("c", "z", 0.1, "two")]);
    let ask = Ask { tried: &[0], failed_hosts: &[0], first: false, ..scene.ask() };
    assert_eq!(scene.lanes.left(&ask), KeysLeft { elsewhere: true, same_host: true });
    assert_eq!(chosen(&scene.lanes.select(&ask)), Some(2));
    let ask = Ask { tried: &[0, 2], ..ask };
    assert_eq!(scene.lanes.left(&ask), KeysLeft { elsewhere: false, same_host: true });
    assert_eq!(chosen(&scene.lanes.select(&ask)), Some(1));
    scene.cool(1, Cooldown::RateLimited(None));
    assert_eq!(scene.lanes.left(&ask), KeysLeft::default());
    assert!(scene.lanes.left(&Ask { last_resort: true, ..ask }).same_host);
}

#[test]
fn no_secret_shows_and_the_states_name_all() {
    let scene = Scene::new(PAIR);
    scene.cool(1, Cooldown::Refused);
    assert!(!format!("{:?}", scene.lanes).contains("sk-"));
    let states = scene.lanes.states(scene.now);
    let standings: Vec<_> = states.iter().map(|state| (state.provider, state.credential, state.standing)).collect();
    assert_eq!(standings, [("openai", "a", Standing::Healthy), ("openai", "b", Standing::Off)]);
}

#[test]
fn a_broken_host_is_picked_last_and_a_reload_keeps_that() {
    let two = &[("a", "sk-a", 0.5, "one"), ("b", "sk-b", 0.5, "two")];
    let mut scene = Scene::new(two);
    let used = |scene: &Scene, blame| {
        let used = Used { provider: &scene.snapshot.providers[0], credential: 0, model: "m" };
        scene.lanes.blame(&used, blame, scene.now, scene.now);
    };
    used(&scene, Blame::Timeout);
    assert_eq!([scene.pick(), scene.pick(), scene.pick()], [Some(1); 3]);
    scene.reload(two);
    assert_eq!([scene.pick(), scene.pick()], [Some(1); 2]);
    let state = &scene.lanes.states(scene.now)[0];
    assert!(matches!(state.breakers.as_slice(), [(model, BreakerState::Open { .. })] if model == "m"));
    assert!((state.share - 0.5).abs() < 1e-9 && state.averages.error_rate == Some(1.0));
}

#[test]
fn of_many_one_tries_a_half_open_host_and_as_a_last_resort_all_may() {
    let one = &[("a", "sk-a", 1.0, "one")];
    let mut scene = Scene::new(one);
    let used = Used { provider: &scene.snapshot.providers[0], credential: 0, model: "m" };
    scene.lanes.blame(&used, Blame::Timeout, scene.now, scene.now);
    assert!(matches!(scene.lanes.select(&scene.ask()), Pick::Broken));
    assert!(matches!(scene.lanes.select(&Ask { last_resort: true, ..scene.ask() }), Pick::Use { trial: None, .. }));
    scene.now += Duration::from_secs(2);
    let trial = scene.lanes.select(&scene.ask());
    assert!(matches!(trial, Pick::Use { trial: Some(_), .. }));
    assert!(matches!(scene.lanes.select(&scene.ask()), Pick::Broken));
}

#[test]
fn weights_hold_after_a_host_has_come_back() {
    let mut scene = Scene::new(&[("a", "sk-a", 0.7, "one"), ("b", "sk-b", 0.3, "two")]);
    let began = scene.now;
    assert_eq!((0..100).filter(|_| scene.pick() == Some(0)).count(), 70);
    let used = Used { provider: &scene.snapshot.providers[0], credential: 0, model: "m" };
    scene.lanes.blame(&used, Blame::Timeout, began, began);
    let later = began + Duration::from_secs(2);
    scene.lanes.success(&used, later, later);
    scene.now = later;
    let of_a = (0..1_000).filter(|_| scene.pick() == Some(0)).count();
    assert!((690..=710).contains(&of_a), "{of_a}");
}
