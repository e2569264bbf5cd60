//! Which key a raw request goes with, and what its answer says of that key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heliostat_filters::fault::{Fault, FaultKind};

use crate::config::{Candidate, Credential, Secret};
use crate::live::Live;
use crate::proxy::context::{Clocks, Outcome};
use crate::proxy::failover::blame;
use crate::proxy::problem::Problem;
use crate::telemetry::Telemetry;
use crate::telemetry::event::{AttemptRecord, AttemptTimes, Blame};
use crate::upstream::breaker::{self as lane, Trial};
use crate::upstream::health::{Cooldown, Probe};
use crate::upstream::pace::Busy;
use crate::upstream::pool::Pool;
use crate::upstream::select::{Ask, Pick, Used};
use crate::upstream::token::Denied;
use crate::upstream::verdict::{self, AttemptFault, History, Left, Outcome as Verdict, Scope, Step};

/// The keys of one raw request: those tried, and the one in use.
#[derive(Debug)]
pub struct Keys {
    /// Who serves it, and the model, which is empty where none could be seen.
    pub candidate: Candidate,
    /// The request's clocks.
    pub clocks: Clocks,
    tried: Vec<usize>,
    current: Option<Current>,
    /// The access token of the attempt under way, where its key is a service account.
    pub token: Option<Secret>,
    /// The key whose token was renewed because the provider refused it: that helps once.
    renewed: Option<usize>,
    extra: u32,
    /// Counts the attempt as under way, until another begins or its answer is through.
    busy: Option<Busy>,
}

#[derive(Debug)]
struct Current {
    index: usize,
    times: AttemptTimes,
    /// Held until the outcome is known.
    _probe: Option<Probe>,
    _trial: Option<Trial>,
}

/// What there is to record of an attempt.
#[derive(Clone, Copy)]
struct Mark {
    status: Option<u16>,
    outcome: &'static str,
    blame: Option<Blame>,
}

impl Mark {
    fn failed(fault: &AttemptFault) -> Self {
        Self { status: fault.status, outcome: fault.outcome.label(), blame: Some(blame(fault.outcome)) }
    }
}

/// Where it is written down how attempts went.
pub struct Books<'a> {
    /// What is known of keys.
    pub live: &'a Live,
    /// Metrics.
    pub telemetry: &'a Telemetry,
    /// What becomes of the request.
    pub outcome: &'a mut Outcome,
}

/// There is no key to be used now.
pub enum Without {
    /// The client is told so.
    Problem(Problem),
    /// One is free at that time, before the deadline.
    Until(Instant),
}

impl Keys {
    /// Before the first attempt.
    #[must_use]
    pub fn new(candidate: Candidate, clocks: Clocks) -> Self {
        Self { candidate, clocks, tried: Vec::new(), current: None, token: None, renewed: None, extra: 0, busy: None }
    }

    /// Chooses a key, by its index. Its attempt begins now.
    ///
    /// # Errors
    /// [`Without`].
    pub fn choose(&mut self, live: &Live) -> Result<usize, Without> {
        let now = Instant::now();
        let candidate = &self.candidate;
        match live.lanes.select(&self.ask(now)) {
            Pick::Use { credential, probe, trial } => {
                self.busy = live.lanes.enter(&self.used(credential));
                self.current = Some(Current { index: credential, times: AttemptTimes::begin(now), _probe: probe, _trial: trial });
                Ok(credential)
            }
            Pick::Cooling { until, stated: true, in_time: true, .. } => Err(Without::Until(until)),
            Pick::Cooling { until, overloaded, .. } => {
                Err(Without::Problem(cooling(candidate, until.saturating_duration_since(now), overloaded)))
            }
            Pick::Off => Err(Without::Problem(switched_off(candidate))),
            Pick::Broken | Pick::None => Err(Without::Problem(unserved(candidate))),
        }
    }

    /// The same key is tried again.
    pub fn again(&mut self, credential: usize) {
        self.current = Some(Current { index: credential, times: AttemptTimes::begin(Instant::now()), _probe: None, _trial: None });
    }

    /// Gets the access token that stands for the key in use, where that is a service account.
    ///
    /// # Errors
    /// None is granted.
    pub async fn authorise(&mut self, live: &Live, pool: &Arc<Pool>) -> Result<(), Denied> {
        let bearer = self.current().and_then(|credential| live.tokens.of(&self.candidate.provider, credential));
        self.token = match bearer {
            Some(bearer) => Some(bearer.token(pool).await?),
            None => None,
        };
        Ok(())
    }

    /// Whether the provider refused not the key but its token: then another is asked for, once.
    pub fn renews(&mut self, books: &mut Books<'_>, fault: &AttemptFault) -> bool {
        let (Some(token), Some(credential)) = (&self.token, self.current()) else { return false };
        let index = credential.index;
        let Some(bearer) = books.live.tokens.of(&self.candidate.provider, credential) else { return false };
        if fault.outcome != Verdict::Fault(FaultKind::Authentication) || self.renewed == Some(index) {
            return false;
        }
        bearer.refused(token);
        self.renewed = Some(index);
        if let Some(current) = self.current.take() {
            self.record(books, &current, Mark::failed(fault));
        }
        true
    }

    /// The moments of the attempt under way.
    #[must_use]
    pub fn times(&self) -> AttemptTimes {
        self.current.as_ref().map_or_else(|| AttemptTimes::begin(Instant::now()), |current| current.times)
    }

    /// Notes them.
    pub fn note(&mut self, times: AttemptTimes) {
        if let Some(current) = &mut self.current {
            current.times = times;
        }
    }

    /// The key in use.
    #[must_use]
    pub fn current(&self) -> Option<&Credential> {
        self.candidate.provider.credentials.get(self.current.as_ref()?.index)
    }

    /// Records how the attempt went, and remembers what that says of its key. True if another key may do better.
    pub fn learn(&mut self, books: &mut Books<'_>, fault: AttemptFault) -> bool {
        let Some(current) = self.current.take() else { return false };
        self.record(books, &current, Mark::failed(&fault));
        let candidate = &self.candidate;
        let now = Instant::now();
        let used = self.used(current.index);
        let (took, fair) = (now.saturating_duration_since(current.times.began), candidate.provider.breaker.fair_ms);
        if let Some(blame) = verdict::blame(fault.outcome, took, candidate.timeouts, Duration::from_millis(fair)) {
            books.live.lanes.blame(&used, blame, current.times.began, now);
        }
        let cooldown = verdict::cooldown(&fault).filter(|cooldown| says_something(*cooldown, &candidate.model));
        if let Some(cooldown) = cooldown {
            if current.times.drill {
                books.live.lanes.practise(&used, cooldown, now);
            } else {
                books.live.lanes.cool(&used, cooldown, fastrand::f64(), now);
            }
            let key = candidate.provider.credentials.get(current.index).map_or("", |key| key.name.as_str());
            books.telemetry.cooldown(&candidate.provider.name, key, fault.outcome.label());
        }
        if fault.outcome.scope() != Scope::Key {
            return false;
        }
        self.tried.push(current.index);
        let left = Left { candidates: false, keys: books.live.lanes.left(&self.ask(now)) };
        let history = History { extra: self.extra, replayed: true };
        self.extra += 1;
        now < self.clocks.first_byte && verdict::next(fault.outcome, history, self.candidate.provider.retry, left) == Step::NextKey
    }

    /// Records an attempt that was answered.
    pub fn answered(&mut self, books: &mut Books<'_>, status: u16) {
        let Some(current) = self.current.take() else { return };
        self.record(books, &current, Mark { status: Some(status), outcome: "ok", blame: None });
        let (used, now) = (self.used(current.index), Instant::now());
        match status {
            ..400 => books.live.lanes.success(&used, current.times.began, now),
            // The request is wrong, and the host said so.
            _ => books.live.lanes.blame(&used, lane::Blame::None, current.times.began, now),
        }
    }

    /// Records that the client left meanwhile.
    pub fn abandoned(&mut self, books: &mut Books<'_>) {
        let Some(current) = self.current.take() else { return };
        self.record(books, &current, Mark { status: None, outcome: "client_gone", blame: Some(Blame::Client) });
    }

    fn record(&self, books: &mut Books<'_>, current: &Current, mark: Mark) {
        let Candidate { provider, model, .. } = &self.candidate;
        let dialect = self.candidate.speech().dialect.name();
        let name = provider.credentials.get(current.index).map_or("", |credential| credential.name.as_str());
        let (provider, model, credential) = (provider.name.clone(), model.clone(), name.to_owned());
        books.outcome.served_by = Some((provider.clone(), model.clone()));
        let Mark { status, outcome, blame } = mark;
        let (times, settled) = (current.times, Instant::now());
        let record = AttemptRecord { provider, model, credential, dialect, status, outcome, skipped: None, blame, times, settled };
        books.outcome.attempted(record, books.telemetry);
    }

    fn used(&self, credential: usize) -> Used<'_> {
        Used { provider: &self.candidate.provider, credential, model: &self.candidate.model }
    }

    fn ask(&self, now: Instant) -> Ask<'_> {
        Ask {
            provider: &self.candidate.provider,
            model: &self.candidate.model,
            tried: &self.tried,
            failed_hosts: &[],
            first: self.tried.is_empty(),
            last_resort: true,
            now,
            deadline: self.clocks.first_byte,
        }
    }
}

/// What a status says of a model is not remembered of requests whose model nobody saw: they have nothing in common.
fn says_something(cooldown: Cooldown, model: &str) -> bool {
    !(model.is_empty() && matches!(cooldown, Cooldown::Forbidden | Cooldown::Overloaded(_)))
}

fn cooling(candidate: &Candidate, wait: Duration, overloaded: bool) -> Problem {
    let name = &candidate.provider.name;
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    let problem = match overloaded {
        true => Problem::new(503, "upstream_overloaded", format!("The model is overloaded at {name}. Try again in {seconds} s.")),
        false => Problem::new(429, "rate_limit_exceeded", format!("Every key of {name} is rate-limited. Try again in {seconds} s.")),
    };
    Problem { retry_after_s: Some(seconds), should_retry: Some(seconds <= 60), ..problem }
}

fn switched_off(candidate: &Candidate) -> Problem {
    let name = &candidate.provider.name;
    let message = format!("{name} has refused every key of this gateway that is meant for the request. Whoever runs it must replace them.");
    Problem { should_retry: Some(false), ..Problem::new(502, "upstream_authentication", message) }
}

fn unserved(candidate: &Candidate) -> Problem {
    let (name, model) = (&candidate.provider.name, &candidate.model);
    Problem::new(404, "model_not_found", format!("No key of {name} may be used for the model `{model}` here.")).at("model")
}

/// What the verdict works on.
#[must_use]
pub fn fault(fault: &Fault, status: u16, retry_after: Option<Duration>) -> AttemptFault {
    AttemptFault { outcome: Verdict::Fault(fault.kind), status: Some(status), retry_after }
}
