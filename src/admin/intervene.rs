//! `POST` and `DELETE` of `/drill` and `/cordon`: what an operator does to keys on purpose.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Answer;
use super::upstreams::InForce;
use crate::live::Live;
use crate::upstream::intervention::{Deed, Intervention, Target};

/// The longest drill or timed cordon.
const LONGEST_S: u64 = 86_400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drill {
    target: String,
    fault: String,
    seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cordon {
    target: String,
    seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    target: String,
}

/// `{"target": "openai/primary", "fault": "529", "seconds": 60}`
pub fn drill(live: &Live, body: &[u8], now: Instant) -> Answer {
    let read: Result<Drill, _> = serde_json::from_slice(body);
    let Drill { target, fault, seconds } = match read {
        Ok(drill) => drill,
        Err(error) => return wrong(&error, r#"{"target": "openai/primary", "fault": "529", "seconds": 60}"#),
    };
    match fault.parse() {
        Ok(fault) => begin(live, &target, Deed::Drill(fault), Some(seconds), now),
        Err(known) => Answer::error(400, "invalid_value", &known),
    }
}

/// `{"target": "openai/primary"}`, and `seconds` where it is to end by itself.
pub fn cordon(live: &Live, body: &[u8], now: Instant) -> Answer {
    let read: Result<Cordon, _> = serde_json::from_slice(body);
    match read {
        Ok(Cordon { target, seconds }) => begin(live, &target, Deed::Cordon, seconds, now),
        Err(error) => wrong(&error, r#"{"target": "openai/primary"}"#),
    }
}

/// `{"target": "openai/primary"}`: the drill, or the cordon, is over.
pub fn end(live: &Live, body: &[u8], is_cordon: bool) -> Answer {
    let read: Result<End, _> = serde_json::from_slice(body);
    let End { target } = match read {
        Ok(end) => end,
        Err(error) => return wrong(&error, r#"{"target": "openai/primary"}"#),
    };
    if live.lanes.relent(&Target::from(target.as_str()), is_cordon) {
        return Answer::json(200, &serde_json::json!({ "ended": target }));
    }
    let what = if is_cordon { "cordon" } else { "drill" };
    Answer::error(404, "not_found", &format!("there is no {what} of {target}; GET /upstreams lists what there is"))
}

fn begin(live: &Live, target: &str, deed: Deed, seconds: Option<u64>, now: Instant) -> Answer {
    if seconds.is_some_and(|seconds| !(1..=LONGEST_S).contains(&seconds)) {
        return Answer::error(400, "invalid_value", &format!("seconds: a whole number from 1 to {LONGEST_S}"));
    }
    let target = Target::from(target);
    if !live.lanes.knows(&target) {
        let message = format!("no provider or key {target} here: write `provider` or `provider/key`, as GET /upstreams lists them");
        return Answer::error(404, "unknown_target", &message);
    }
    let intervention = Intervention { target, deed, until: seconds.map(|seconds| now + Duration::from_secs(seconds)) };
    let told = InForce::of(&intervention, now);
    if live.lanes.intervene(intervention) {
        Answer::json(200, &told)
    } else {
        Answer::error(409, "too_many", "too many drills and cordons are in force: end one first")
    }
}

fn wrong(error: &serde_json::Error, example: &str) -> Answer {
    Answer::error(400, "invalid_json", &format!("{error}; send {example}"))
}
