//! Sheds calls before they cost a place in a block. One node decides, perhaps a little behind the
//! others, so only that is refused here which no honest client sends whatever the state; the
//! methods check everything again, and tell why.

use ic_stable_structures::Memory;
use paigham_wire::admin::Proposal;
use paigham_wire::blob::{CreateBlob, PutChunk};
use paigham_wire::codec::decode;
use paigham_wire::frame::PostRef;
use paigham_wire::ids::PrincipalId;
use paigham_wire::relay::{
    Claim, CreateInbox, CreateQueue, Credential, Deposit, Drain, Refill, SubmitCommit,
    WelcomeRequest, credential,
};
use paigham_wire::ticket::Paid;
use tls_codec::DeserializeBytes;

use crate::relay::Relay;

impl<M: Memory> Relay<M> {
    /// Whether a call may be worth running.
    #[must_use]
    pub fn admits(&self, method: &str, request: &[u8], caller: &PrincipalId) -> bool {
        match method {
            "create_queue" => self.decodes_paid(request, |call: &CreateQueue| &call.credential),
            "create_inbox" => self.decodes_paid(request, |call: &CreateInbox| &call.credential),
            "deposit" => self.decodes_paid(request, |call: &Deposit| &call.credential),
            "claim" => self.decodes_paid(request, |call: &Claim| &call.credential),
            "create_blob" => self.decodes_paid(request, |call: &CreateBlob| &call.credential),
            "append_batch" => PostRef::split_first(request).is_ok(),
            "submit_commit" => decodes::<SubmitCommit>(request),
            "ack_welcome" => decodes::<WelcomeRequest>(request),
            "drain" => decodes::<Drain>(request),
            "refill" => decodes::<Refill>(request),
            "put_chunk" => decodes::<PutChunk>(request),
            "admin_propose" => self.is_admin(caller) && decodes::<Proposal>(request),
            "admin_approve" => self.is_admin(caller),
            _ => false,
        }
    }

    fn decodes_paid<R: Paid + DeserializeBytes>(
        &self,
        request: &[u8],
        offered: impl Fn(&R) -> &Credential,
    ) -> bool {
        let Ok(call) = decode::<R>(request) else {
            return false;
        };
        let offered = offered(&call);
        match offered.credential_type {
            credential::CAPABILITY | credential::MEMBER => true,
            credential::TICKET => self.may_count(&call, offered),
            _ => false,
        }
    }
}

fn decodes<T: DeserializeBytes>(request: &[u8]) -> bool {
    decode::<T>(request).is_ok()
}
