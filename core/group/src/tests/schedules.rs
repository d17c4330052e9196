//! Random schedules: who does what when, what is lost and who restarts, and what must hold anyway.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const PEOPLE: usize = 4;

/// One thing that happens; people are numbers.
#[derive(Debug, Clone)]
enum Event {
    /// Writes a text and keeps it in its outbox.
    Write(usize),
    /// Makes a commit that changes nothing.
    Update(usize),
    /// Invites one who is not there.
    Add(usize, usize),
    /// Removes one.
    Remove(usize, usize),
    /// Renames the group.
    Rename(usize),
    /// Wants to leave.
    Leave(usize),
    /// Hands its outbox to the relay; whether the reply arrives.
    Send(usize, bool),
    /// Reads everything, joins if it was invited.
    Read(usize),
    /// Reads one entry.
    ReadOne(usize),
    /// The process ends between two steps.
    Restart(usize),
    /// The process ends in a step, before it was persisted.
    Crash(usize),
    /// Minutes go by.
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = || 0..PEOPLE;
    let event = prop_oneof![
        8 => one().prop_map(Event::Write),
        2 => one().prop_map(Event::Update),
        3 => (one(), one()).prop_map(|(by, who)| Event::Add(by, who)),
        1 => (one(), one()).prop_map(|(by, who)| Event::Remove(by, who)),
        1 => one().prop_map(Event::Rename),
        1 => one().prop_map(Event::Leave),
        14 => (one(), any::<bool>()).prop_map(|(who, reply)| Event::Send(who, reply)),
        9 => one().prop_map(Event::Read),
        4 => one().prop_map(Event::ReadOne),
        2 => one().prop_map(Event::Restart),
        2 => one().prop_map(Event::Crash),
        1 => (1..12u64).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 60..200)
}

/// What waits for the relay, byte for byte.
enum Outgoing {
    Text(String, Vec<u8>),
    Leave(Vec<u8>),
    Commit(Box<StagedCommitPost>),
}

impl Outgoing {
    fn hash(&self) -> Hash {
        match self {
            Self::Text(_, post) | Self::Leave(post) => PostRef::decode(post).unwrap().hash(),
            Self::Commit(staged) => staged.post_hash,
        }
    }
}

/// A person with what its client would keep.
struct Actor {
    person: Person,
    outbox: Vec<Outgoing>,
    /// Texts that must be written again, for another epoch.
    intents: VecDeque<String>,
    leaving: bool,
    heard: Vec<String>,
}

/// Who was a member of an epoch, the hash of its authenticator, and its registered H(keys).
type Epoch = (BTreeSet<u32>, Hash, Hash);

struct World {
    relay: Relay,
    actors: Vec<Actor>,
    inboxes: BTreeMap<AccountId, Vec<WelcomePointer>>,
    epochs: BTreeMap<u32, Epoch>,
    /// Texts in the log: epoch, sender, text.
    accepted: Vec<(u32, usize, String)>,
    written: usize,
}

impl World {
    fn new() -> Self {
        let net = Net::new();
        let actors = (1..=u8::try_from(PEOPLE).unwrap()).map(|number| Actor {
            person: Person::new(number, &net),
            outbox: Vec::new(),
            intents: VecDeque::new(),
            leaving: false,
            heard: Vec::new(),
        });
        let mut world = Self {
            relay: Relay::new(&net),
            actors: actors.collect(),
            inboxes: BTreeMap::new(),
            epochs: BTreeMap::new(),
            accepted: Vec::new(),
            written: 0,
        };
        let admins: Vec<_> = world.actors[..2]
            .iter()
            .map(|a| a.person.account())
            .collect();
        world.actors[0].person.create(GroupForm::Group, &admins);
        for who in 1..PEOPLE {
            world.happen(&Event::Add(0, who));
            world.settle();
        }
        world
    }

    fn active(&self, who: usize) -> bool {
        let group = self.actors[who].person.group.as_ref();
        group.is_some_and(Group::is_active)
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Pass(minutes) => self.relay.net.pass(minutes * MINUTE),
            Event::Read(who) => self.read(who),
            Event::Restart(who) => self.actors[who].person.restart(),
            Event::Write(who)
            | Event::Update(who)
            | Event::Add(who, _)
            | Event::Remove(who, _)
            | Event::Rename(who)
            | Event::Leave(who)
            | Event::Send(who, _)
            | Event::ReadOne(who)
            | Event::Crash(who)
                if !self.active(who) => {}
            Event::Write(who) => {
                self.written += 1;
                let text = format!("{who}: {}", self.written);
                self.actors[who].intents.push_back(text);
                self.write(who);
            }
            Event::Update(who) => self.commit(who, &Change::default()),
            Event::Add(by, who) => {
                let joiner = &self.actors[who].person;
                let account = joiner.account();
                if !self.members(by).contains(&account) {
                    let change = adding(&[joiner]);
                    self.commit(by, &change);
                }
            }
            Event::Remove(by, who) => {
                let account = self.actors[who].person.account();
                let mut members = self.actors[by].person.group().members();
                let leaf = members.find(|m| m.account() == account).map(|m| m.leaf);
                drop(members);
                if let Some(leaf) = leaf.filter(|_| by != who) {
                    self.commit(by, &removing(leaf));
                }
            }
            Event::Rename(who) => {
                let mut policy = self.actors[who].person.group().policy().unwrap();
                policy.name = format!("named by {who}").into_bytes().into();
                let change = Change {
                    policy: Some(policy),
                    ..Change::default()
                };
                self.commit(who, &change);
            }
            Event::Leave(who) => self.actors[who].leaving = true,
            Event::Send(who, reply) => self.send(who, reply),
            Event::ReadOne(who) => self.read_one(who),
            Event::Crash(who) => self.crash(who),
        }
    }

    fn members(&self, who: usize) -> Vec<AccountId> {
        let group = self.actors[who].person.group();
        group.members().map(|member| member.account()).collect()
    }

    /// Writes the intents into posts of the current epoch, unless a commit is under way.
    fn write(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        while let Some(text) = actor.intents.front() {
            match actor.person.encrypt(text) {
                Ok(post) => {
                    let text = actor.intents.pop_front().unwrap();
                    actor.outbox.push(Outgoing::Text(text, post));
                }
                Err(GroupError::CommitPending) => return,
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn commit(&mut self, who: usize, change: &Change) {
        let actor = &mut self.actors[who];
        match actor.person.commit(change) {
            Ok(staged) => actor.outbox.push(Outgoing::Commit(Box::new(staged))),
            Err(
                GroupError::CommitPending
                | GroupError::NotAllowed
                | GroupError::Refused(Violation::Rate),
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends everything; what the relay refuses is dead, and what it takes is forgotten only once
    /// it is seen in the log, or at once for lack of a reason to resend.
    fn send(&mut self, who: usize, reply: bool) {
        let actor = &mut self.actors[who];
        let own = actor.person.group().own_leaf();
        let left = actor.person.group().leaving().contains(&own);
        let posted = |o: &Outgoing| matches!(o, Outgoing::Leave(_));
        if actor.leaving
            && !left
            && !actor.outbox.iter().any(posted)
            && let Ok(post) = actor.person.propose_leave()
        {
            actor.outbox.push(Outgoing::Leave(post));
        }
        for outgoing in &actor.outbox {
            let taken = match outgoing {
                Outgoing::Text(_, post) | Outgoing::Leave(post) => self.relay.append(post),
                Outgoing::Commit(staged) => self.relay.submit(&staged.submit),
            };
            // A lost reply says nothing, and an answer is no certificate: only the log counts.
            if !(taken && reply) {
                break;
            }
        }
    }

    fn read(&mut self, who: usize) {
        while self.active(who) && self.actors[who].person.cursor < self.relay.entries.len() {
            self.read_one(who);
        }
        if self.active(who) {
            self.give_up(who);
        } else {
            self.try_join(who);
        }
    }

    fn try_join(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        let account = actor.person.account();
        for pointer in self.inboxes.remove(&account).unwrap_or_default() {
            // Of several invitations, older ones may name a group that is dead by now.
            if actor.person.join(&self.relay, &pointer).is_ok() {
                actor.leaving = false;
                self.note_epoch(who);
                self.read(who);
                return;
            }
        }
    }

    fn read_one(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        let Some(entry) = self.relay.entries.get(actor.person.cursor).cloned() else {
            return;
        };
        let before = actor.person.group().epoch();
        if let Some(text) = actor.person.read_next(&self.relay) {
            actor.heard.push(text);
        }
        let hash = hash_of(&entry);
        if let Some(at) = actor.outbox.iter().position(|o| o.hash() == hash) {
            match actor.outbox.remove(at) {
                Outgoing::Text(text, _) => self.accepted.push((before, who, text)),
                Outgoing::Leave(_) => {}
                Outgoing::Commit(staged) => {
                    for joiner in staged.pointers {
                        let inbox = self.inboxes.entry(joiner.account).or_default();
                        inbox.push(joiner.pointer);
                    }
                }
            }
        }
        if !self.active(who) {
            let actor = &mut self.actors[who];
            actor.outbox.clear();
            actor.intents.clear();
        } else if self.actors[who].person.group().epoch() != before {
            self.note_epoch(who);
            self.requeue(who, |_| true);
        }
    }

    /// What is not in the log and cannot get there any more is written again.
    fn give_up(&mut self, who: usize) {
        let now = self.relay.net.seconds();
        let dead = |post: &[u8]| {
            let header = PostRef::decode(post).unwrap().header;
            u64::from(header.not_after) < now
        };
        self.requeue(who, |outgoing| match outgoing {
            Outgoing::Text(_, post) | Outgoing::Leave(post) => dead(post),
            Outgoing::Commit(staged) => dead(staged.submit.post.as_slice()),
        });
        self.write(who);
    }

    fn requeue(&mut self, who: usize, is_dead: impl Fn(&Outgoing) -> bool) {
        let actor = &mut self.actors[who];
        for outgoing in std::mem::take(&mut actor.outbox) {
            match outgoing {
                kept if !is_dead(&kept) => actor.outbox.push(kept),
                Outgoing::Text(text, _) => actor.intents.push_back(text),
                Outgoing::Leave(_) => {}
                Outgoing::Commit(_) => {
                    let given_up = actor.person.step(|group, _, storage, _| {
                        // Another's commit took its place already.
                        match group.state().pending {
                            Some(_) => group.abandon(storage),
                            None => Ok(()),
                        }
                    });
                    given_up.unwrap();
                }
            }
        }
    }

    /// Reads or writes, and dies before anything of it is on the disk.
    fn crash(&mut self, who: usize) {
        let person = &mut self.actors[who].person;
        let entry = self.relay.entries.get(person.cursor).cloned();
        let net = person.net.clone();
        let lost: Result<(), &str> = person.step(|group, crypto, storage, device| {
            if let Some(entry) = entry {
                drop(group.receive(crypto, storage, &entry, &net));
            } else {
                let saying = Saying {
                    content: b"never sent",
                    gossip: None,
                    capability: None,
                    after_seq: 0,
                    not_after: net.soon(),
                };
                drop(group.encrypt(crypto, storage, device, &saying));
            }
            Err("killed")
        });
        assert!(lost.is_err());
    }

    /// Same epoch: same members, same authenticator, and the keys that are registered.
    fn note_epoch(&mut self, who: usize) {
        let person = &self.actors[who].person;
        let group = person.group();
        let mut commits = self
            .relay
            .entries
            .iter()
            .filter_map(|entry| entry.keys_hash);
        let registered = commits.nth(group.epoch() as usize - 1).unwrap();
        let seen = (
            group.members().map(|m| u32::from(m.account[0])).collect(),
            group.authenticator_hash(),
            person.keys_hash(),
        );
        assert_eq!(seen.2, registered);
        let known = self
            .epochs
            .entry(group.epoch())
            .or_insert_with(|| seen.clone());
        assert_eq!(*known, seen);
    }

    /// Everybody sends and reads until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..30 {
            for who in 0..PEOPLE {
                if self.active(who) {
                    self.send(who, true);
                }
                self.read(who);
            }
            let busy = |a: &Actor| !a.outbox.is_empty() || !a.intents.is_empty();
            let behind = (0..PEOPLE).any(|who| {
                self.active(who) && self.actors[who].person.cursor < self.relay.entries.len()
            });
            if !behind && self.inboxes.is_empty() && !self.actors.iter().any(busy) {
                return;
            }
        }
        panic!("nothing settles");
    }

    fn check(&self) {
        let active: Vec<_> = (0..PEOPLE).filter(|who| self.active(*who)).collect();
        let people: Vec<_> = active.iter().map(|who| &self.actors[*who].person).collect();
        agree(&people);
        for (who, actor) in self.actors.iter().enumerate() {
            let expected: Vec<_> = self
                .accepted
                .iter()
                .filter(|(epoch, by, _)| {
                    *by != who
                        && self.epochs[epoch]
                            .0
                            .contains(&(u32::try_from(who).unwrap() + 1))
                })
                .map(|(.., text)| text.clone())
                .collect();
            let sorted = |mut texts: Vec<String>| {
                texts.sort();
                texts
            };
            assert_eq!(sorted(actor.heard.clone()), sorted(expected), "{who}");
        }
        let mut texts: Vec<_> = self.accepted.iter().map(|(.., text)| text).collect();
        let count = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), count, "a text is in the log twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Four people do anything in any order, with lost replies, restarts and crashes anywhere. Who
    /// is in an epoch agrees with everybody else in it and with the relay; every text in the log is
    /// heard once by each member of its epoch, and by nobody else.
    #[test]
    fn group_holds_under_any_schedule(events in events()) {
        story(move || {
            let mut world = World::new();
            for event in &events {
                world.happen(event);
            }
            world.settle();
            world.check();
        });
    }
}
