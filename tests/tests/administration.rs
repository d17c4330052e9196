//! A country's administrators set what its relays allow; anybody can read what they did.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use ic_agent::identity::BasicIdentity;
use ic_agent::{Agent, Identity};
use paigham_client::review::{Action, AdminRefusal, AdminSet, PrincipalId, ReviewError, Reviewer};
use paigham_client::{CanisterId, Environment};
use paigham_network::deploy::{self, DeployError, Deployment, Place, Principal};
use paigham_subnet::{MemoryJournal, Subnet, SystemClock};
use paigham_tests::story::story;
use paigham_wire::network::VerifiedNetwork;

fn identity(seed: u8) -> BasicIdentity {
    BasicIdentity::from_raw_key(&[seed; 32])
}

fn principal(seed: u8) -> Principal {
    identity(seed).sender().unwrap()
}

fn admin(seed: u8) -> PrincipalId {
    PrincipalId::new(principal(seed).as_slice()).unwrap()
}

/// Some administrators, of whom so many must agree.
fn set(seeds: &[u8], threshold: u16) -> AdminSet {
    let mut admins: Vec<_> = seeds.iter().map(|seed| admin(*seed)).collect();
    admins.sort();
    AdminSet { admins, threshold }
}

/// A subnet that somebody runs, with a network on it that three people administer by two of them.
struct Country {
    url: String,
    root_key: Vec<u8>,
    network: VerifiedNetwork,
    relay: CanisterId,
}

impl Country {
    async fn founded() -> Self {
        let journal = Box::new(MemoryJournal::default());
        let subnet = Subnet::open_with(journal, Arc::new(SystemClock), [8; 32]).unwrap();
        assert!(subnet.set_creators(vec![principal(1)]).await.unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = subnet.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let root_key = subnet.root_key_der();
        let plan = Deployment {
            url: url.clone(),
            name: "a country".into(),
            place: Place::Subnet(subnet.subnet_id()),
            relays: 1,
            controllers: vec![principal(1)],
            admins: Some(set(&[1, 2, 3], 2)),
            auditors: None,
            development: false,
        };
        let data = tempfile::tempdir().unwrap();
        let deployer = agent(&url, &root_key, 1);
        let network = deploy::deploy(data.path(), &deployer, &plan).await.unwrap();
        let relay = network.relay().unwrap();
        Self {
            url,
            root_key,
            network,
            relay,
        }
    }

    fn agent(&self, seed: u8) -> Agent {
        agent(&self.url, &self.root_key, seed)
    }

    fn reviewer(&self) -> Reviewer {
        Reviewer::new(self.network.clone(), Environment::default()).unwrap()
    }
}

fn agent(url: &str, root_key: &[u8], seed: u8) -> Agent {
    let agent = Agent::builder().with_url(url).with_identity(identity(seed));
    let agent = agent.build().unwrap();
    agent.set_root_key(root_key.to_vec());
    agent
}

/// One of three administrators proposes a gateway: nothing happens before a second one agrees. A
/// reviewer with nothing but the network file sees what waits, then who did it, and that nothing else
/// was ever done.
#[test]
fn two_of_three_set_a_gateway() {
    story(async || {
        let country = Country::founded().await;
        let reviewer = country.reviewer();
        let before = reviewer.administration(&country.relay).await.unwrap();
        assert_eq!(before.admins, set(&[1, 2, 3], 2));
        assert!(before.entries.is_empty() && before.open.is_empty());

        let action = Action::SetGateways(vec![admin(9)]);
        let first = country.agent(1);
        let proposed = deploy::propose(&first, &country.relay, 0, action.clone()).await;
        let proposed = proposed.unwrap();
        assert_eq!((proposed.approvals, proposed.executed), (1, 0));
        let waiting = reviewer.administration(&country.relay).await.unwrap();
        assert!(waiting.entries.is_empty());
        assert_eq!(waiting.open[0].proposal.hash(), proposed.proposal);
        assert_eq!(waiting.open[0].proposal.action, action);

        let agreed = deploy::approve(&country.agent(3), &country.relay, proposed.proposal).await;
        assert_eq!(agreed.unwrap().executed, 1);
        let after = reviewer.administration(&country.relay).await.unwrap();
        assert!(after.open.is_empty());
        assert_eq!(after.entries.len(), 1);
        assert_eq!(after.entries[0].proposal.action, action);
        assert_eq!(after.entries[0].approvers, [admin(1), admin(3)]);

        // The directory has a log of its own, with which this had nothing to do.
        let directory = country.network.directory().unwrap();
        let directory = reviewer.administration(&directory).await.unwrap();
        assert!(directory.entries.is_empty());
        assert_eq!(directory.admins, set(&[1, 2, 3], 2));
    });
}

/// Who administers nothing proposes and approves nothing; an administrator cannot have a relay do the
/// directory's part; and no canister tells of administration that it does not have.
#[test]
fn others_administer_nothing() {
    story(async || {
        let country = Country::founded().await;
        let gateways = Action::SetGateways(vec![admin(9)]);
        let refusal = |outcome: Result<_, DeployError>| match outcome {
            Err(DeployError::Administration(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
        // A relay does not even take a call of administration by a stranger in.
        let shed = |outcome: Result<_, DeployError>| {
            assert!(
                matches!(outcome, Err(DeployError::Agent { .. })),
                "{outcome:?}"
            );
        };
        let stranger = country.agent(9);
        shed(deploy::propose(&stranger, &country.relay, 0, gateways.clone()).await);
        let first = country.agent(1);
        let proposed = deploy::propose(&first, &country.relay, 0, gateways.clone()).await;
        let hash = proposed.unwrap().proposal;
        shed(deploy::approve(&stranger, &country.relay, hash).await);
        let directory = country.network.directory().unwrap();
        let outcome = deploy::propose(&stranger, &directory, 0, gateways.clone()).await;
        assert_eq!(refusal(outcome), AdminRefusal::WrongCanister);
        let outcome = deploy::propose(&first, &directory, 0, gateways).await;
        assert_eq!(refusal(outcome), AdminRefusal::WrongCanister);

        let nobody = CanisterId::new(&[1, 2, 3]).unwrap();
        let outcome = country.reviewer().administration(&nobody).await;
        assert!(
            matches!(outcome, Err(ReviewError::Network(_))),
            "{outcome:?}"
        );
    });
}
