//! What is new on the whole shard, for gateways that wake clients.
//!
//! The log of posts is the record of activity: a cursor is an offset in it, so that tailing costs
//! the post path nothing and outlives an upgrade.

use std::collections::BTreeMap;

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
use paigham_wire::ids::{PrincipalId, QueueId};
use paigham_wire::relay::{Activity, RelayError, TAIL_MAX_ENTRIES, TailReply, TailRequest};

use crate::relay::Relay;

impl<M: Memory> Relay<M> {
    /// Which queues got entries since a cursor. One that lies before what is retained begins
    /// there; one that was never given out leads to nothing worse than wrong activities.
    pub(crate) fn tail(
        &self,
        request: &[u8],
        caller: &PrincipalId,
    ) -> Result<TailReply, RelayError> {
        let gateways = &self.administration.settings().gateways;
        if gateways.binary_search(caller).is_err() {
            return Err(RelayError::NotListed);
        }
        let request: TailRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let end = self.posts.log.tail();
        let mut at = request.cursor.unwrap_or(end).min(end);
        let mut owners = BTreeMap::new();
        let mut newest: BTreeMap<QueueId, (usize, u32)> = BTreeMap::new();
        let mut seen = 0;
        while at < end && seen < TAIL_MAX_ENTRIES {
            let Some(next) = self.posts.log.entry_from(at) else {
                at = end;
                break;
            };
            let (link, owner) = self.posts.scan(next);
            let owner = owner.or_else(|| self.posts.owner(&link, &owners));
            if let Some(owner) = owner {
                owners.insert(link.offset(), owner);
                newest.insert(QueueId(owner), (seen, link.number));
            }
            seen += 1;
            at = link.end();
        }
        let mut activities: Vec<_> = newest.into_iter().collect();
        activities.sort_unstable_by_key(|(_, (order, _))| *order);
        Ok(TailReply {
            cursor: at.min(end),
            activities: activities
                .into_iter()
                .map(|(queue, (_, seq))| Activity { queue, seq })
                .collect(),
            more: u8::from(at < end),
        })
    }
}
