//! Where a conversation goes that is too long for a model.

use std::collections::VecDeque;

use heliostat_filters::fault::FaultKind;

use super::record::Mark;
use super::{Failover, Visit};
use crate::config::{Barred, Candidate};
use crate::live::Live;
use crate::proxy::context::{Call, Context};
use crate::upstream::verdict::{Outcome, Skip};

impl<'a> Failover<'a> {
    /// Where a conversation may go that was too long for a candidate: what is configured for it and has not been asked. Nowhere, if that
    /// is not what went wrong last. Whom the route's policy bars is told.
    pub(super) fn onto_larger(&self, context: &mut Context, candidate: &'a Candidate) -> VecDeque<Visit<'a>> {
        let too_long = self.exhausted.faults.last().is_some_and(|fault| fault.outcome == Outcome::Fault(FaultKind::ContextLength));
        let mut visits = VecDeque::new();
        for (larger, barred) in larger(self.call, self.live, candidate).filter(|_| too_long) {
            if self.visited.contains(&larger) {
                continue;
            }
            match barred {
                Some(why) => self.record(context, larger, Mark::skipped(Outcome::Skipped(Skip::Policy), why.word())),
                None => visits.push_back(Visit { candidate: larger, last_resort: false }),
            }
        }
        visits
    }
}

/// Where a conversation may go that is too long for a candidate, each with what the route's policy says against it.
pub fn larger<'a>(call: &'a Call, live: &'a Live, candidate: &'a Candidate) -> impl Iterator<Item = (&'a Candidate, Option<Barred>)> {
    let route = live.snapshot.routes.get(&call.asked);
    let all = live.snapshot.larger_than(candidate).iter().filter(|larger| call.operation.may_stand_in(candidate, larger));
    all.map(move |larger| (larger, route.and_then(|route| route.policy.bars(larger))))
}
