//! What a node does to the requests that pass through it.

use std::time::Duration;

use paigham_subnet::testkit::Dice;

use super::{Instead, Lie};

/// Longest that a reply is held back by chance.
const DELAY_MAX_MS: u64 = 40;
/// Parts of a reply at one of which a byte is turned over by chance.
const PARTS: usize = 64;
/// Methods whose replies are changed by chance, queries and updates.
const FORGED: [&str; 7] = [
    "beacon",
    "fetch",
    "lookup",
    "read_inbox",
    "append_batch",
    "submit_commit",
    "ping",
];

/// What the node does about its signature under a changed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    /// It signs what it says: it is a node of the subnet.
    #[default]
    Anew,
    /// It leaves the signature as it was: somebody in between, without the node's key.
    LeftAsItWas,
}

/// What the node does with update calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Updates {
    /// It passes them on.
    #[default]
    Once,
    /// It passes the same bytes on twice.
    Twice,
    /// It passes them on, and again under another nonce: to the subnet that is another call. Only
    /// calls without a signature can be copied so.
    TwiceAnew,
}

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passage {
    /// There and back.
    #[default]
    Whole,
    /// It never arrives.
    RequestLost,
    /// It arrives, and its reply is lost.
    ReplyLost,
    /// Its reply waits until another one has overtaken it, if one comes.
    Overtaken,
}

/// Which state of the subnet queries are answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// The newest.
    #[default]
    Newest,
    /// That of the replica that stays behind, if there is one
    /// ([`World::falls_behind`](crate::world::World::falls_behind)).
    Behind,
}

/// All of it, for one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Behaviour {
    pub lie: Option<Lie>,
    pub instead: Option<Instead>,
    pub signing: Signing,
    pub updates: Updates,
    pub passage: Passage,
    pub freshness: Freshness,
    pub delay: Duration,
}

/// Where behaviour comes from.
#[derive(Debug, Clone)]
pub(super) enum Mood {
    /// As a test said; of so many requests to come, the replies are lost.
    Settled(Behaviour, u64),
    /// One request in so many meets a fault that the dice choose.
    Chance(Dice, u64),
}

impl Default for Mood {
    fn default() -> Self {
        Self::Settled(Behaviour::default(), 0)
    }
}

impl Mood {
    /// What happens to the next request, the `nth` of its method. By chance, that depends on
    /// nothing but seed, method and number: not on who was faster.
    pub fn next(&mut self, method: &str, nth: u64) -> Behaviour {
        match self {
            Self::Settled(behaviour, replies_to_lose) => {
                let mut next = behaviour.clone();
                if *replies_to_lose > 0 {
                    *replies_to_lose -= 1;
                    next.passage = Passage::ReplyLost;
                }
                next
            }
            Self::Chance(dice, one_in) => {
                let mut dice = dice.called(&format!("{method} {nth}"));
                if dice.one_in(*one_in) {
                    thrown(&mut dice)
                } else {
                    Behaviour::default()
                }
            }
        }
    }
}

/// One fault.
fn thrown(dice: &mut Dice) -> Behaviour {
    let honest = Behaviour::default();
    match dice.below(8) {
        0 => Behaviour {
            passage: Passage::RequestLost,
            ..honest
        },
        1 => Behaviour {
            passage: Passage::ReplyLost,
            ..honest
        },
        2 => Behaviour {
            passage: Passage::Overtaken,
            ..honest
        },
        3 => Behaviour {
            delay: Duration::from_millis(dice.below(DELAY_MAX_MS)),
            ..honest
        },
        4 => Behaviour {
            updates: Updates::Twice,
            ..honest
        },
        5 => Behaviour {
            freshness: Freshness::Behind,
            ..honest
        },
        6 => Behaviour {
            lie: Some(dice.pick(&Lie::ALL)),
            ..honest
        },
        _ => Behaviour {
            lie: Some(Lie::FlippedByte {
                method: dice.pick(&FORGED),
                part: usize::try_from(dice.below(PARTS as u64)).unwrap(),
                of: PARTS,
            }),
            ..honest
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One seed gives one course of events, in whatever order requests of different methods come;
    /// every kind of fault comes, and most requests meet none.
    #[test]
    fn chance_can_be_replayed() {
        let course = |seed, methods: &[&str]| {
            let mut mood = Mood::Chance(Dice::new(seed), 4);
            let mut all: Vec<_> = (0..200)
                .flat_map(|nth| methods.iter().map(move |method| (*method, nth)))
                .map(|(method, nth)| (method.to_owned(), nth, mood.next(method, nth)))
                .map(|(method, nth, behaviour)| (method, nth, format!("{behaviour:?}")))
                .collect();
            all.sort();
            all
        };
        let course_a = course(1, &["fetch", "append_batch"]);
        assert_eq!(course_a, course(1, &["append_batch", "fetch"]));
        assert_ne!(course_a, course(2, &["fetch", "append_batch"]));
        let honest = format!("{:?}", Behaviour::default());
        let faults = course_a.iter().filter(|(_, _, it)| *it != honest);
        assert!((50..150).contains(&faults.count()));
        for kind in [
            "RequestLost",
            "ReplyLost",
            "Overtaken",
            "Twice",
            "Behind",
            "FlippedByte",
        ] {
            assert!(
                course_a.iter().any(|(_, _, it)| it.contains(kind)),
                "{kind}"
            );
        }
    }
}
