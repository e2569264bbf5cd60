//! Names with a resolver and a clock of the test's own.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// Answers what it is told to, when it is allowed to.
struct Script {
    answer: Mutex<io::Result<Answer>>,
    asked: AtomicUsize,
    /// Lookups that may end.
    allowed: Semaphore,
}

#[async_trait]
impl Resolve for Script {
    async fn resolve(&self, _host: &str) -> io::Result<Answer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.allowed.acquire().await.unwrap().forget();
        match &*self.answer.lock().unwrap() {
            Ok(answer) => Ok(answer.clone()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

struct World {
    script: Arc<Script>,
    names: Names,
    start: Instant,
}

impl World {
    fn new(ttl_s: u64, addresses: &[&str]) -> Self {
        let script =
            Script { answer: Mutex::new(Ok(answer(ttl_s, addresses))), asked: AtomicUsize::new(0), allowed: Semaphore::new(1_000) };
        let script = Arc::new(script);
        Self { names: Names::with(script.clone()), script, start: Instant::now() }
    }

    async fn at(&self, second: u64) -> io::Result<Vec<String>> {
        let addresses = self.names.addresses_at("api.test", 443, self.start + Duration::from_secs(second)).await?;
        Ok(addresses.iter().map(|address| address.ip().to_string()).collect())
    }

    fn now_says(&self, ttl_s: u64, addresses: &[&str]) {
        *self.script.answer.lock().unwrap() = Ok(answer(ttl_s, addresses));
    }

    fn now_fails(&self) {
        *self.script.answer.lock().unwrap() = Err(io::Error::other("servfail"));
    }

    fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }

    /// Waits for what runs in the background.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

fn answer(ttl_s: u64, addresses: &[&str]) -> Answer {
    Answer { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(), ttl: Duration::from_secs(ttl_s) }
}

#[tokio::test]
async fn an_answer_holds_for_its_time_and_is_refreshed_before_it_ends() {
    let world = World::new(100, &["10.0.0.1"]);
    assert_eq!(world.at(0).await.unwrap(), ["10.0.0.1"]);
    world.now_says(100, &["10.0.0.2"]);
    assert_eq!(world.at(79).await.unwrap(), ["10.0.0.1"]);
    world.settle().await;
    assert_eq!(world.asked(), 1);
    assert_eq!(world.at(81).await.unwrap(), ["10.0.0.1"], "not waited for");
    world.settle().await;
    assert_eq!((world.at(82).await.unwrap(), world.asked()), (vec!["10.0.0.2".to_owned()], 2));
}

#[tokio::test]
async fn times_to_live_are_kept_within_bounds() {
    for (ttl_s, still, due) in [(0, 3, 5), (86_400, 2_800, 3_000)] {
        let world = World::new(ttl_s, &["10.0.0.1"]);
        world.at(0).await.unwrap();
        world.at(still).await.unwrap();
        world.settle().await;
        assert_eq!(world.asked(), 1, "{ttl_s}");
        world.at(due).await.unwrap();
        world.settle().await;
        assert_eq!(world.asked(), 2, "{ttl_s}");
    }
}

#[tokio::test]
async fn stale_addresses_stay_when_the_refresh_fails() {
    let world = World::new(10, &["10.0.0.1"]);
    world.at(0).await.unwrap();
    world.now_fails();
    for second in [9, 60, 3_000] {
        assert_eq!(world.at(second).await.unwrap(), ["10.0.0.1"]);
        world.settle().await;
    }
    assert_eq!(world.asked(), 4);
    // Older than an hour: a new lookup is waited for, and if it fails the old addresses are better than none.
    assert_eq!(world.at(9_000).await.unwrap(), ["10.0.0.1"]);
    assert_eq!(world.asked(), 5);
    world.now_says(10, &["10.0.0.9"]);
    assert_eq!(world.at(9_100).await.unwrap(), ["10.0.0.9"]);
}

#[tokio::test]
async fn a_name_that_never_resolved_is_an_error_and_asked_again_soon() {
    let world = World::new(10, &[]);
    assert!(world.at(0).await.unwrap_err().to_string().contains("has no address"));
    world.now_fails();
    assert!(world.at(0).await.unwrap_err().to_string().contains("has no address"), "held for a second");
    assert!(world.at(2).await.unwrap_err().to_string().contains("servfail"));
    world.now_says(10, &["10.0.0.1"]);
    assert_eq!(world.at(4).await.unwrap(), ["10.0.0.1"]);
}

#[tokio::test]
async fn many_requests_make_one_lookup_and_one_that_gives_up_does_not_stop_it() {
    let world = World::new(10, &["10.0.0.1"]);
    world.script.allowed.forget_permits(1_000);
    {
        let impatient = world.at(0);
        tokio::select! { biased; _ = impatient => panic!("nothing was allowed"), () = world.settle() => {} }
    }
    let all = async { tokio::join!(world.at(0), world.at(0), world.at(0)) };
    let allow = async {
        world.settle().await;
        world.script.allowed.add_permits(1);
    };
    let ((a, b, c), ()) = tokio::join!(all, allow);
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], [["10.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]]);
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn addresses_rotate_families_alternate_and_failed_ones_come_last() {
    let world = World::new(100, &["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let mut firsts = Vec::new();
    for _ in 0..3 {
        firsts.push(world.at(0).await.unwrap().remove(0));
    }
    firsts.sort();
    assert_eq!(firsts, ["10.0.0.1", "10.0.0.2", "fd00::1"]);
    for _ in 0..3 {
        let order = world.at(1).await.unwrap();
        let next_is_other = order[0].contains(':') || order[1].contains(':');
        assert!(next_is_other && order.len() == 3, "{order:?}");
    }
    let failed = SocketAddr::new("fd00::1".parse().unwrap(), 443);
    world.names.report("api.test", failed, false);
    for _ in 0..3 {
        assert_eq!(world.at(1).await.unwrap()[2], "fd00::1");
    }
    world.names.report("api.test", failed, true);
    let mut firsts = Vec::new();
    for _ in 0..3 {
        firsts.push(world.at(1).await.unwrap().remove(0));
    }
    assert!(firsts.contains(&"fd00::1".to_owned()));
}

#[tokio::test]
async fn a_failed_address_has_another_chance_after_a_while_and_if_all_failed_all_are_tried() {
    let world = World::new(3_000, &["10.0.0.1", "10.0.0.2"]);
    world.at(0).await.unwrap();
    for address in ["10.0.0.1", "10.0.0.2"] {
        world.names.report("api.test", SocketAddr::new(address.parse().unwrap(), 443), false);
    }
    assert_eq!(world.at(1).await.unwrap().len(), 2);
    world.names.report("api.test", SocketAddr::new("10.0.0.2".parse().unwrap(), 443), true);
    assert_eq!(world.at(1).await.unwrap()[0], "10.0.0.2");
    let mut firsts: Vec<_> = [world.at(120).await.unwrap().remove(0), world.at(120).await.unwrap().remove(0)].into();
    firsts.sort();
    assert_eq!(firsts, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn hosts_in_use_are_tended_and_forgotten_ones_go() {
    let world = World::new(100, &["10.0.0.1"]);
    world.at(0).await.unwrap();
    world.names.tend_at(world.start + Duration::from_secs(90));
    world.settle().await;
    assert_eq!(world.asked(), 2);
    world.names.tend_at(world.start + Duration::from_secs(1_000));
    world.settle().await;
    assert_eq!(world.asked(), 2, "not in use");
    world.names.tend_at(world.start + FORGET);
    assert!(world.names.lock().is_empty());
}

#[tokio::test]
async fn addresses_need_no_lookup_and_localhost_is_known() {
    let world = World::new(100, &[]);
    assert_eq!(world.names.address("127.0.0.1", 80).await.unwrap(), "127.0.0.1:80".parse().unwrap());
    assert_eq!(world.names.address("::1", 80).await.unwrap(), "[::1]:80".parse().unwrap());
    assert_eq!(world.asked(), 0);
    let names = Names::default();
    assert!(names.addresses("localhost", 80).await.unwrap().iter().all(|address| address.ip().is_loopback()));
}
