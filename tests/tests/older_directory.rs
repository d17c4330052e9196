//! A directory that was built earlier and has a log: the code of now goes on with it, and gives it
//! back.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use paigham_lookup::CanisterHeads;
use paigham_modules::DIRECTORY;
use paigham_tests::bare::BareAgent;
use paigham_tests::controller::directory_of;
use paigham_tests::logged::{LogReader, Logged};
use paigham_tests::person::Person;
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{AuditorUpdate, TreeHeadTbs};
use paigham_transparency::verifier::VerifyHead;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::log::{
    AuditReply, AuditRequest, Status, Submission, Submit, SubmitState, Submitted,
};
use paigham_wire::relay::Credential;

/// A directory as it was built once, of the first layout of stable memory that has a log. Kept as it
/// is until a release takes its place.
const OLDER_DIRECTORY: &[u8] = include_bytes!("../modules/directory-layout-3.wasm");
const ENTRIES: u32 = 1_000;

/// Which directory runs.
#[derive(Debug, Clone, Copy)]
enum Code {
    Older,
    OfNow,
}

/// Whoever hands records in without a client, and audits what comes of them.
struct Auditor<'a> {
    world: &'a World,
    agent: BareAgent,
    log: AuditorState,
    /// The code that runs.
    code: Code,
}

impl<'a> Auditor<'a> {
    fn of(world: &'a World) -> Self {
        Self {
            world,
            agent: BareAgent::in_process(world),
            log: AuditorState::default(),
            code: Code::OfNow,
        }
    }

    async fn runs(&mut self, code: Code) {
        self.code = code;
        let module = match code {
            Code::Older => OLDER_DIRECTORY,
            Code::OfNow => DIRECTORY,
        };
        let subnet = self.world.network().subnet();
        let upgraded = subnet.upgrade(directory_of(self.world), module, Vec::new());
        upgraded.await.unwrap();
    }

    /// What the code of now asks for a first record, its own kit knows; the older asks for nothing.
    async fn registers(&self, record: IdentityRecord) {
        match self.code {
            Code::Older => {
                self.hands_in(&record).await;
                self.waits_for(&record).await;
            }
            Code::OfNow => LogReader::of(self.world).log(vec![record]).await,
        }
    }

    async fn hands_in(&self, record: &IdentityRecord) {
        let request = Submit {
            submission: Submission::Identity(encode(record).into()),
            credential: Credential::none(),
        };
        let directory = self.world.file().directory().unwrap();
        // From the ninth version of a label and day on the code of now wants a ticket.
        let request = match self.code {
            Code::Older => encode(&request),
            Code::OfNow => self.agent.paid(&directory, request).await,
        };
        let answer = self.agent.update(&directory, "submit", &request).await;
        let state = decode_result::<SubmitState, DirectoryError>(&answer.unwrap()).unwrap();
        assert_eq!(state.unwrap().version, record.content.record_version);
    }

    /// How far a record is, as the code that runs is asked: the older tells it to anybody, without
    /// the hash of the record, which lies at the end.
    fn status(&self, record: &IdentityRecord) -> Vec<u8> {
        let value_hash = Submission::Identity(encode(record).into()).value_hash();
        let mut status = encode(&Status {
            label: record.content.account.directory_label()[..].into(),
            version: record.content.record_version,
            value_hash,
        });
        match self.code {
            Code::Older => status.truncate(status.len() - value_hash.len()),
            Code::OfNow => {}
        }
        status
    }

    async fn waits_for(&self, record: &IdentityRecord) {
        let status = self.status(record);
        let directory = self.world.file().directory().unwrap();
        loop {
            let answer = self.agent.query(&directory, "status", &status).await;
            let state = decode_result::<SubmitState, DirectoryError>(&answer.unwrap()).unwrap();
            if matches!(state.unwrap().state, Submitted::Published { .. }) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Follows every entry since the last time, up to a root that the directory signed.
    async fn follows(&mut self) {
        let request = AuditRequest {
            from: self.log.size(),
            limit: ENTRIES,
        };
        let directory = self.world.file().directory().unwrap();
        let answer = self
            .agent
            .query(&directory, "audit", &encode(&request))
            .await;
        let reply = decode_result::<AuditReply, DirectoryError>(&answer.unwrap()).unwrap();
        let reply = reply.unwrap();
        for update in &reply.updates {
            let update = AuditorUpdate::decode(update.as_slice()).unwrap();
            self.log = self.log.apply(&update).unwrap();
        }
        assert_eq!(self.log.size(), reply.size);
        assert_eq!(self.log.root(), Some(reply.root));
        let reader = LogReader::of(self.world);
        let config = reader.trust().config().clone();
        let message = TreeHeadTbs {
            config: config.clone(),
            tree_size: reply.size,
            root: reply.root,
        };
        let heads = CanisterHeads {
            trust: reader.trust(),
        };
        let message = message.signed_message().unwrap();
        assert!(heads.verify_head(&config, &message, reply.head.as_slice()));
    }
}

/// A network ran an older directory. The code of now takes its log over, what waits included, and
/// gives it back: under each, records are published, and one auditor follows all entries from the
/// first to the last. Whoever asks in the end finds everybody, with all their records.
#[test]
fn a_log_outlives_an_upgrade_and_the_way_back() {
    story(async || {
        let world = World::in_memory().await;
        let mut auditor = Auditor::of(&world);
        let rounds = [Code::Older, Code::OfNow, Code::Older, Code::OfNow];
        let mut people: Vec<Logged> = Vec::new();
        let mut waiting: Option<IdentityRecord> = None;
        for (round, code) in (1..).zip(rounds) {
            auditor.runs(code).await;
            auditor.follows().await;
            if let Some(waiting) = &waiting {
                auditor.waits_for(waiting).await;
            }
            let (somebody, first) = Logged::create(round);
            auditor.registers(first).await;
            people.push(somebody);
            let rotations: Vec<_> = people.iter_mut().map(Logged::rotate).collect();
            for rotation in &rotations {
                auditor.hands_in(rotation).await;
            }
            for rotation in &rotations {
                auditor.waits_for(rotation).await;
            }
            auditor.follows().await;
            // Handed in a moment before the code changes.
            let last = people[0].rotate();
            auditor.hands_in(&last).await;
            waiting = Some(last);
        }
        auditor.waits_for(&waiting.unwrap()).await;
        auditor.follows().await;

        let mut alice = Person::registered(&world, "Alice").await;
        for (number, mut somebody) in (0..).zip(people) {
            let account = somebody.account();
            alice
                .add_contact(&format!("number {number}"), account)
                .await
                .unwrap();
            let newest = BareAgent::in_process(&world).record(account).await.unwrap();
            let next = somebody.rotate();
            assert_eq!(next.content.previous, newest.hash());
            auditor.hands_in(&next).await;
            auditor.waits_for(&next).await;
        }
        auditor.follows().await;
        alice.hears().await;
    });
}
