//! Bytes that one message puts on the wire: bodies of HTTP requests and replies.

use std::sync::Arc;

use candid::Principal;
use ic_agent::Agent;
use ic_agent::agent::HttpService;
use paigham_group::crypto::Crypto;
use paigham_network::Network;
use paigham_wire::codec::{decode_result, encode};
use paigham_wire::frame::PostRef;
use paigham_wire::relay::{
    BatchReply, CommitAccepted, FetchItem, FetchReply, FetchRequest, FetchWhat, FetchedItem,
    PostOutcome, QueueCreated, RelayError,
};
use serde_bytes::{ByteBuf, Bytes};
use tls_codec::DeserializeBytes;

use super::network_in_memory;
use super::people::Founded;
use super::transport::Counting;
use crate::Failure;
use crate::report::{Figure, Report};
use crate::ticket::Payer;

/// Texts that are sent, in bytes of UTF-8.
const TEXTS: [(&str, usize); 2] = [("32B", 32), ("1KiB", 1024)];

pub(super) async fn measure(report: &Report) -> Result<(), Failure> {
    report.section(
        "Wire",
        "HTTP bodies for one text in a group of 2: the update that sends it, and a fetch of it \
         alone, certificate and witness included",
    );
    let network = network_in_memory().await?;
    let transport = Counting::new(network.subnet().in_process());
    let caller = Caller::new(&network, transport.clone())?;
    let crypto = Crypto::new()?;
    let mut group = Founded::new(&crypto, network.relay(), 1)?;
    let create = Payer::of(&network).await?.pay(&group.create)?;
    caller
        .update::<QueueCreated>("create_queue", &create)
        .await?;
    let commit = group.commit(1)?.submit;
    let accepted: CommitAccepted = caller.update("submit_commit", &encode(&commit)).await?;
    group.accepted(&commit, accepted.position)?;
    // The agent asks for the subnet's keys once, before the first query.
    fetch(&caller, &group).await?;
    for (name, bytes) in TEXTS {
        let post = group.text(bytes)?;
        transport.take();
        let reply: BatchReply = caller.update("append_batch", &post).await?;
        let Some(PostOutcome::Accepted(position)) = reply.outcomes.first() else {
            return Err(format!("a post was not accepted: {reply:?}").into());
        };
        group.seq = position.seq;
        let entry = fetch(&caller, &group).await?;
        let exchanges = transport.take();
        let size = |kind: &str| {
            let found = exchanges.iter().find(|exchange| exchange.kind == kind);
            found.ok_or_else(|| Failure::from(format!("no {kind} was made")))
        };
        let (update, query) = (size("call")?, size("query")?);
        let envelope = PostRef::decode(&post)?.envelope.len();
        let figure = |metric: &str, value: usize, meaning: &str| {
            report.figure(&Figure {
                metric: &format!("{metric}.{name}"),
                n: 1,
                value: f64::from(u32::try_from(value).unwrap_or(u32::MAX)),
                unit: "bytes",
                meaning,
            });
        };
        figure("wire.post", post.len(), "the post: frame and envelope");
        figure(
            "wire.update_request",
            update.request,
            "request of the update",
        );
        figure(
            "wire.update_reply",
            update.reply,
            "its reply: the certificate over it",
        );
        figure("wire.fetch_request", query.request, "request of the fetch");
        figure(
            "wire.fetch_reply",
            query.reply,
            "its reply: entry, certificate, witness",
        );
        let total = update.request + update.reply + query.request + query.reply;
        figure("M8", total, "all four: one sender, one reader");
        figure(
            "R7.ingress",
            post.len() - envelope,
            "frame of the post, as in a batch",
        );
        figure(
            "R7.egress",
            entry - envelope,
            "an entry of a fetch beside its envelope",
        );
    }
    Ok(())
}

/// Fetches the newest entry alone; gives its bytes within the reply.
async fn fetch<S: HttpService + 'static>(
    caller: &Caller<S>,
    group: &Founded<'_>,
) -> Result<usize, Failure> {
    let item = FetchItem {
        queue: group.queue(),
        token: group.token()?,
        from: group.seq,
        what: FetchWhat::Entries,
    };
    let request = encode(&FetchRequest { items: vec![item] });
    let reply: FetchReply = caller.query("fetch", &request).await?;
    match reply.items.as_slice() {
        [FetchedItem::Entries(entries)] if entries.len() == 1 => Ok(encode(&entries[0]).len()),
        other => Err(format!("not one entry: {other:?}").into()),
    }
}

/// An unmodified agent without an identity, as clients use it.
struct Caller<S> {
    agent: Agent,
    relay: Principal,
    _transport: Arc<S>,
}

impl<S: HttpService + 'static> Caller<S> {
    fn new(network: &Network, transport: Arc<S>) -> Result<Self, Failure> {
        let agent = Agent::builder()
            .with_url(network.file().file().urls.first().ok_or("no address")?)
            .with_arc_http_middleware(transport.clone())
            .build()?;
        agent.set_root_key(network.subnet().root_key_der());
        Ok(Self {
            agent,
            relay: Principal::try_from_slice(network.relay().as_slice())?,
            _transport: transport,
        })
    }

    async fn update<T: DeserializeBytes>(
        &self,
        method: &str,
        request: &[u8],
    ) -> Result<T, Failure> {
        let argument = candid::encode_one(Bytes::new(request))?;
        let call = self.agent.update(&self.relay, method).with_arg(argument);
        decode(method, &call.call_and_wait().await?)
    }

    async fn query<T: DeserializeBytes>(&self, method: &str, request: &[u8]) -> Result<T, Failure> {
        let argument = candid::encode_one(Bytes::new(request))?;
        let call = self.agent.query(&self.relay, method).with_arg(argument);
        decode(method, &call.call().await?)
    }
}

fn decode<T: DeserializeBytes>(method: &str, reply: &[u8]) -> Result<T, Failure> {
    let reply: ByteBuf = candid::decode_one(reply)?;
    let reply = decode_result::<T, RelayError>(&reply)?;
    reply.map_err(|error| format!("{method}: {error:?}").into())
}
