//! What an operator does to keys on purpose: a cordon takes one out, a drill makes it fail, so that the way around it is tried on a
//! quiet day. Both name a provider (`openai`) or one of its keys (`openai/primary`), and outlive a reload. Time comes in as an argument.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// So many are in force at once.
const MOST: usize = 64;

/// Whom it concerns: a provider, or one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name.
    pub provider: String,
    /// The key's name; all of them where there is none.
    pub credential: Option<String>,
}

/// How a drilled key fails. Each is met by the gateway itself: the provider is not asked, and bills nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrillFault {
    /// It answers with this status.
    Status(u16),
    /// It takes the request and never answers.
    Timeout,
    /// It refuses the connection.
    Refused,
    /// It closes the connection before it answers.
    Reset,
}

/// The faults by name, as operators write them.
pub const DRILL_FAULTS: &[(&str, DrillFault)] = &[
    ("429", DrillFault::Status(429)),
    ("500", DrillFault::Status(500)),
    ("503", DrillFault::Status(503)),
    ("529", DrillFault::Status(529)),
    ("timeout", DrillFault::Timeout),
    ("refused", DrillFault::Refused),
    ("reset", DrillFault::Reset),
];

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The key gets no new requests; those under way finish.
    Cordon,
    /// The key fails.
    Drill(DrillFault),
}

/// One intervention in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervention {
    /// Whom it concerns.
    pub target: Target,
    /// What is done.
    pub deed: Deed,
    /// When it ends by itself. Every drill has an end.
    pub until: Option<Instant>,
}

/// Those in force. Without any, a request pays one atomic load.
#[derive(Debug, Default)]
pub struct Interventions {
    count: AtomicUsize,
    list: RwLock<Vec<Intervention>>,
}

impl Interventions {
    /// Puts one in force, in place of another of its kind at the same target. False if there are too many.
    #[must_use]
    pub fn begin(&self, intervention: Intervention) -> bool {
        self.write(|list| {
            list.retain(|other| other.target != intervention.target || !other.deed.is_like(intervention.deed));
            let room = list.len() < MOST;
            if room {
                list.push(intervention);
            }
            room
        })
    }

    /// Ends those of a kind at a target, and returns them.
    pub fn end(&self, target: &Target, is_cordon: bool) -> Vec<Intervention> {
        self.write(|list| list.extract_if(.., |each| each.target == *target && (each.deed == Deed::Cordon) == is_cordon).collect())
    }

    /// Takes out those whose time is over, and returns them.
    #[must_use]
    pub fn over(&self, now: Instant) -> Vec<Intervention> {
        let is_over = |each: &Intervention| each.until.is_some_and(|until| until <= now);
        if self.is_empty() || !self.read(|list| list.iter().any(is_over)) {
            return Vec::new();
        }
        self.write(|list| list.extract_if(.., |each| is_over(each)).collect())
    }

    /// Whether a key is taken out.
    #[must_use]
    pub fn cordoned(&self, provider: &str, credential: &str) -> bool {
        !self.is_empty() && self.read(|list| list.iter().any(|each| each.deed == Deed::Cordon && each.target.covers(provider, credential)))
    }

    /// How a key is to fail, and until when.
    #[must_use]
    pub fn drilled(&self, provider: &str, credential: &str) -> Option<(DrillFault, Instant)> {
        if self.is_empty() {
            return None;
        }
        self.read(|list| {
            list.iter().rev().filter(|each| each.target.covers(provider, credential)).find_map(|each| match (each.deed, each.until) {
                (Deed::Drill(fault), Some(until)) => Some((fault, until)),
                _ => None,
            })
        })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Intervention> {
        self.read(<[_]>::to_vec)
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn read<T>(&self, look: impl FnOnce(&[Intervention]) -> T) -> T {
        look(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, step: impl FnOnce(&mut Vec<Intervention>) -> T) -> T {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let done = step(&mut list);
        self.count.store(list.len(), Ordering::Relaxed);
        done
    }
}

impl Intervention {
    /// How long it still lasts.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(now))
    }
}

impl Deed {
    fn is_like(self, other: Self) -> bool {
        (self == Self::Cordon) == (other == Self::Cordon)
    }
}

impl DrillFault {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        DRILL_FAULTS.iter().find(|(_, fault)| *fault == self).map_or("other", |(name, _)| name)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cordon => f.write_str("cordon"),
            Self::Drill(fault) => write!(f, "drill {}", fault.name()),
        }
    }
}

impl FromStr for DrillFault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = DRILL_FAULTS.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault);
        let known = || DRILL_FAULTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("a drill knows these faults: {}", known()))
    }
}

impl Target {
    fn covers(&self, provider: &str, credential: &str) -> bool {
        self.provider == provider && self.credential.as_deref().is_none_or(|mine| mine == credential)
    }
}

impl From<&str> for Target {
    /// `openai`, or `openai/primary`.
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((provider, credential)) => Self { provider: provider.to_owned(), credential: Some(credential.to_owned()) },
            None => Self { provider: text.to_owned(), credential: None },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        self.credential.iter().try_for_each(|credential| write!(f, "/{credential}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(target: &str, fault: &str, until: Instant) -> Intervention {
        Intervention { target: target.into(), deed: Deed::Drill(fault.parse().unwrap()), until: Some(until) }
    }

    #[test]
    fn a_drill_covers_its_key_or_all_of_a_provider_until_its_end() {
        let (all, now) = (Interventions::default(), Instant::now());
        let minute = now + Duration::from_secs(60);
        assert!(all.begin(drill("openai/primary", "529", minute)));
        assert_eq!(all.drilled("openai", "primary"), Some((DrillFault::Status(529), minute)));
        assert_eq!(all.drilled("openai", "secondary"), None);
        assert_eq!(all.drilled("azure", "primary"), None);
        assert!(all.begin(drill("openai", "timeout", minute)));
        assert_eq!(all.drilled("openai", "secondary"), Some((DrillFault::Timeout, minute)));
        assert_eq!(all.over(now).len(), 0);
        assert_eq!(all.over(minute).len(), 2);
        assert_eq!(all.drilled("openai", "primary"), None);
    }

    #[test]
    fn a_later_one_replaces_its_like_and_leaves_the_other_kind() {
        let (all, now) = (Interventions::default(), Instant::now());
        let target = || Target::from("openai/primary");
        assert!(all.begin(Intervention { target: target(), deed: Deed::Cordon, until: None }));
        assert!(all.begin(drill("openai/primary", "529", now)));
        assert!(all.begin(drill("openai/primary", "500", now)));
        assert_eq!(all.all().len(), 2);
        assert!(all.cordoned("openai", "primary"));
        assert_eq!(all.end(&target(), true).len(), 1);
        assert!(!all.cordoned("openai", "primary"));
        assert_eq!(all.drilled("openai", "primary"), Some((DrillFault::Status(500), now)));
    }

    #[test]
    fn there_is_an_end_to_how_many() {
        let (all, now) = (Interventions::default(), Instant::now());
        let begun = (0..MOST + 5).filter(|number| all.begin(drill(&format!("p{number}"), "500", now))).count();
        assert_eq!(begun, MOST);
    }

    #[test]
    fn names_are_read_as_they_are_told() {
        for (name, fault) in DRILL_FAULTS {
            assert_eq!(name.parse(), Ok(*fault));
            assert_eq!(fault.name(), *name);
        }
        assert!("401".parse::<DrillFault>().unwrap_err().contains("529"));
        assert_eq!(Target::from("vertex/a/b").to_string(), "vertex/a/b");
    }
}
