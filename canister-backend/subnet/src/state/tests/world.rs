//! A subnet whose rounds a test makes one by one, and whose log is replayed at the end.

use super::*;
use crate::calls::CallResult;
use crate::execution::Outcome;
use crate::state::requests::Answer;

pub(super) const SECOND: u64 = 1_000_000_000;
const WAT: &str = include_str!("conformance.wat");

pub(super) struct World {
    pub state: State,
    pub id: Principal,
    pub sender: Principal,
    start: Vec<u8>,
    records: Vec<Vec<u8>>,
    requests: u8,
}

impl World {
    pub fn new() -> Self {
        let mut state = State::new(crate::engine::engine().unwrap(), keys(), SECOND);
        let sender = Principal::self_authenticating([1]);
        let id = state.install(&module(), Vec::new(), &[sender]).unwrap();
        state.set_creators(vec![sender]);
        Self {
            start: state.checkpoint(),
            state,
            id,
            sender,
            records: Vec::new(),
            requests: 0,
        }
    }

    pub fn round(&mut self, time: u64, ingress: Vec<Ingress>) {
        self.requests += 1;
        let round = Round {
            layout: LAYOUT,
            time,
            root_before: self.state.contents_root(),
            seed: [self.requests; 32],
            ingress,
        };
        self.records.push(to_cbor(&round));
        self.state.execute(&round);
    }

    /// A round without calls, a second later.
    pub fn tick(&mut self) {
        self.round(self.state.time + SECOND, Vec::new());
    }

    pub fn ingress(&mut self, canister: Principal, method: &str, argument: &[u8]) -> Ingress {
        self.requests += 1;
        Ingress {
            id: vec![self.requests; 32],
            canister,
            effective: self.id,
            sender: self.sender,
            method: method.into(),
            argument: argument.to_vec(),
            expiry: self.state.time + 100 * SECOND,
        }
    }

    /// Puts a call into a round of its own; tells its request id.
    pub fn send(&mut self, method: &str, argument: &[u8]) -> Vec<u8> {
        let ingress = self.ingress(self.id, method, argument);
        let id = ingress.id.clone();
        self.round(self.state.time + SECOND, vec![ingress]);
        id
    }

    pub fn send_management(&mut self, method: &str, argument: &[u8]) -> Vec<u8> {
        let ingress = self.ingress(Principal::management_canister(), method, argument);
        let id = ingress.id.clone();
        self.round(self.state.time + SECOND, vec![ingress]);
        id
    }

    pub fn answer(&self, id: &[u8]) -> Option<CallResult> {
        match &self.state.requests.get(id)?.answer {
            Answer::Given(result) => Some(result.clone()),
            Answer::Processing | Answer::Dropped => None,
        }
    }

    /// The answer, after as many rounds as it takes.
    pub fn outcome(&mut self, id: &[u8]) -> Result<Vec<u8>, String> {
        for _ in 0..10 {
            if let Some(result) = self.answer(id) {
                let reply = result.map(ByteBuf::into_vec);
                return reply.map_err(|reject| format!("{} {}", reject.code, reject.error_code));
            }
            self.tick();
        }
        panic!("no answer in ten rounds");
    }

    pub fn call(&mut self, method: &str, argument: &[u8]) -> Result<Vec<u8>, String> {
        let id = self.send(method, argument);
        self.outcome(&id)
    }

    pub fn manage(&mut self, method: &str, argument: &[u8]) -> Result<Vec<u8>, String> {
        let id = self.send_management(method, argument);
        self.outcome(&id)
    }

    pub fn query(&mut self, method: &str) -> Result<Vec<u8>, String> {
        let (time, id) = (self.state.time, self.id);
        let certificate = self
            .state
            .data_certificate(&id, crate::topology::RangesForm::Flat);
        let anonymous = Principal::anonymous();
        let canister = self.state.canister_mut(&id).unwrap();
        let asked = canister.query(method, Vec::new(), &anonymous, time, certificate);
        match asked {
            Err(reject) => Err(reject.error_code),
            Ok(execution) => match execution.outcome {
                Outcome::Replied(reply) => Ok(reply),
                Outcome::Failed { code, .. } => Err(code.to_owned()),
                other => panic!("{other:?}"),
            },
        }
    }

    pub fn number(&mut self, query: &str) -> u64 {
        u64::from_le_bytes(self.query(query).unwrap().try_into().unwrap())
    }

    /// What ran, in order.
    pub fn log(&mut self) -> String {
        String::from_utf8(self.query("log").unwrap()).unwrap()
    }

    pub fn canister(&mut self) -> &mut Canister {
        self.state.canister_mut(&self.id).unwrap()
    }

    /// A process that starts from the checkpoint and the log comes to the same state, bit by bit;
    /// and so does one that starts from a checkpoint of now.
    pub fn finish(self) {
        let engine = || crate::engine::engine().unwrap();
        let mut again = State::restore(engine(), keys(), &self.start).unwrap();
        for record in &self.records {
            again.replay(record).unwrap();
        }
        let now = self.state.checkpoint();
        assert_eq!(hex::encode(again.root()), hex::encode(self.state.root()));
        assert_eq!(again.checkpoint(), now);
        let restored = State::restore(engine(), keys(), &now).unwrap();
        assert_eq!(hex::encode(restored.root()), hex::encode(again.root()));
        assert_eq!(restored.checkpoint(), now);
    }
}

pub(super) fn module() -> Vec<u8> {
    wat::parse_str(WAT).unwrap()
}

/// The argument of most methods of the management canister.
pub(super) fn about(canister_id: Principal) -> Vec<u8> {
    #[derive(candid::CandidType)]
    struct Argument {
        canister_id: Principal,
    }
    candid::encode_one(Argument { canister_id }).unwrap()
}
