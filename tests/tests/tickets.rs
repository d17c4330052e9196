//! What a look-up and a registration cost, over the real canisters: a scraper works for each label,
//! and people who know each other notice nothing.

use std::time::Duration;

use paigham_tests::bare::BareAgent;
use paigham_tests::logged::Logged;
use paigham_tests::person::Person;
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::ids::CanisterId;
use paigham_wire::log::{
    LabelAnswer, Lookup, LookupAnswers, Status, Submission, Submit, SubmitState, Wanted,
};
use paigham_wire::relay::Credential;
use paigham_wire::ticket::TicketRefusal;

const MINUTE: Duration = Duration::from_secs(60);

/// Somebody with an agent and no account.
struct Scraper {
    agent: BareAgent,
    directory: CanisterId,
}

impl Scraper {
    fn of(world: &World) -> Self {
        Self {
            agent: BareAgent::in_process(world),
            directory: world.file().directory().unwrap(),
        }
    }

    /// The bytes of the answer.
    async fn asks(&self, wanted: Vec<Wanted>) -> Vec<u8> {
        let request = encode(&Lookup { last: None, wanted });
        let answer = self.agent.query(&self.directory, "lookup", &request);
        answer.await.unwrap()
    }
}

fn unpaid(label: &[u8]) -> Wanted {
    Wanted {
        label: label.into(),
        from: 0,
        credential: Credential::none(),
    }
}

fn read(answer: &[u8]) -> Result<LookupAnswers, DirectoryError> {
    decode_result(answer).unwrap()
}

/// A scraper asks about Alice, who is there, and about somebody who is not. Without work it gets the
/// same bytes both times; with work for each label it is told. `status` tells it nothing of Alice, as
/// it does not have her record.
#[test]
fn a_scraper_works_for_each_label() {
    story(async || {
        let world = World::in_memory().await;
        let alice = Person::registered(&world, "Alice").await;
        let there = alice.account().directory_label().to_vec();
        let (nobody, record) = Logged::create(7);
        let nowhere = nobody.label();
        let scraper = Scraper::of(&world);

        let refused = scraper.asks(vec![unpaid(&there)]).await;
        assert_eq!(refused, scraper.asks(vec![unpaid(&nowhere)]).await);
        let missing = DirectoryError::Ticket(TicketRefusal::Missing);
        assert_eq!(read(&refused), Err(missing));

        let labels = [there.clone(), nowhere];
        let paid = scraper.agent.wanted(&labels).await;
        let answers = read(&scraper.asks(paid).await).unwrap().answers;
        assert!(matches!(answers[0], LabelAnswer::Found(_)));
        assert!(matches!(answers[1], LabelAnswer::Absent(_)));

        let status = encode(&Status {
            label: there.into(),
            version: 0,
            value_hash: Submission::Identity(encode(&record).into()).value_hash(),
        });
        let answer = scraper.agent.query(&scraper.directory, "status", &status);
        let state: Result<SubmitState, _> = decode_result(&answer.await.unwrap()).unwrap();
        assert_eq!(state, Err(DirectoryError::NotWaiting));
    });
}

/// Whoever registers without work is not even let into a block, under whatever principal; with work
/// the account is taken in, and the same bytes again are told that it is.
#[test]
fn nobody_registers_for_nothing() {
    story(async || {
        let world = World::in_memory().await;
        let squatter = Scraper::of(&world);
        let (_, record) = Logged::create(3);
        let request = Submit {
            submission: Submission::Identity(encode(&record).into()),
            credential: Credential::none(),
        };
        let directory = &squatter.directory;
        let shed = squatter
            .agent
            .update(directory, "submit", &encode(&request));
        assert!(shed.await.is_err());
        let paid = squatter.agent.paid(directory, request).await;
        for _ in 0..2 {
            let answer = squatter.agent.update(directory, "submit", &paid).await;
            let state: Result<SubmitState, DirectoryError> =
                decode_result(&answer.unwrap()).unwrap();
            state.unwrap();
        }
    });
}

/// Alice looks Bob up again and again for hours: within the hour of a beacon, when the next one is
/// there, when hers is over, and after a night. She is never told of tickets.
#[test]
fn honest_people_notice_nothing() {
    story(async || {
        let world = World::long_ago(48 * 60 * MINUTE).await;
        let mut alice = Person::registered(&world, "Alice").await;
        let bob = Person::registered(&world, "Bob").await;
        for minutes in [0, 1, 31, 29, 59, 61, 8 * 60] {
            world.pass(minutes * MINUTE).await;
            BareAgent::in_process(&world).log_is_new().await;
            alice.add_contact("Bob", bob.account()).await.unwrap();
        }
    });
}
