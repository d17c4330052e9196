//! What happens, act by act. Nothing here knows how; it calls what every app calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use paigham_client::{Body, MessageView, QueueId};
use paigham_network::Network;
use paigham_subnet::SubnetStatus;

use super::people::{Cast, Home, Person, lines, says};
use super::story::Story;
use crate::failure::{Failure, Kind};
use crate::progress::Progress;
use crate::text;

const AMINA: &str = "Amina آمنہ";
const BILAL: &str = "Bilal بلال";
const CHANDNI: &str = "Chandni چاندنی";
const GROUP: &str = "Chai چائے";
/// Where the network file says that the subnet is; nobody listens there, requests stay in the
/// process.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8643);
/// More lines than the story has.
const EVERYTHING: usize = 1_000;

/// A subnet comes up.
pub async fn network(story: &mut Story<'_>, folder: &Path) -> Result<Network, Failure> {
    story.act(
        "A subnet, with two canisters on it",
        "They are the same .wasm modules that a country's subnet would run.",
    );
    let network = start(story, folder).await?;
    for canister in status(&network).await?.canisters {
        story.tell(format!(
            "canister {} runs module {}",
            canister.id, canister.module_hash
        ));
    }
    let signed = network.file().file().canisters.len();
    story.check(
        "the signed network file names both of them and their code",
        signed == 2,
    )?;
    Ok(network)
}

/// Three people make accounts.
pub async fn accounts(
    story: &mut Story<'_>,
    folder: &Path,
    network: &Network,
) -> Result<Cast, Failure> {
    story.act(
        "Three accounts",
        "Keys are made at home; the subnet learns public keys, no name and no number.",
    );
    let cast = Cast {
        amina: settle(story, Home::new(AMINA, folder, "amina"), network).await?,
        bilal: settle(story, Home::new(BILAL, folder, "bilal"), network).await?,
        chandni: settle(story, Home::new(CHANDNI, folder, "chandni"), network).await?,
    };
    Ok(cast)
}

async fn settle(story: &mut Story<'_>, home: Home, network: &Network) -> Result<Person, Failure> {
    let (mut person, kit) = home.settle(network).await?;
    let words = kit.words().split(' ').count();
    person.sync().await?;
    let me = person.client.me();
    let name = text::isolate(person.name());
    story.tell(format!(
        "{name} is account {}; recovery kit of {words} words",
        me.account
    ));
    story.check(
        format!("the subnet certifies the records of {name}"),
        me.registered,
    )?;
    Ok(person)
}

/// They get to know each other.
pub async fn contacts(story: &mut Story<'_>, cast: &mut Cast) -> Result<(), Failure> {
    story.act(
        "Contacts",
        "An id leads to keys that the subnet certifies, and whose history the owner signed.",
    );
    let Cast {
        amina,
        bilal,
        chandni,
    } = cast;
    meet(story, amina, bilal).await?;
    meet(story, amina, chandni).await?;
    meet(story, bilal, amina).await?;
    meet(story, bilal, chandni).await?;
    meet(story, chandni, amina).await?;
    meet(story, chandni, bilal).await
}

async fn meet(story: &mut Story<'_>, who: &mut Person, whom: &Person) -> Result<(), Failure> {
    let contact = who.client.add_contact(whom.name(), whom.account()).await?;
    let what = format!(
        "{} has the identity key that {} made",
        text::isolate(who.name()),
        text::isolate(whom.name())
    );
    story.check(what, contact.identity_key == whom.client.me().identity_key)
}

/// Two talk.
pub async fn chat(story: &mut Story<'_>, cast: &mut Cast) -> Result<(), Failure> {
    story.act(
        "A chat of two",
        "The relay orders sealed envelopes; what they read is what was written, or nothing.",
    );
    let Cast { amina, bilal, .. } = cast;
    let queue = amina.client.start_chat(bilal.account()).await?;
    joins(story, bilal, queue).await?;
    say(
        story,
        amina,
        &mut [bilal],
        queue,
        "السلام علیکم بلال، آپ کیسے ہیں؟",
    )
    .await?;
    say(
        story,
        bilal,
        &mut [amina],
        queue,
        "وعلیکم السلام! Fine. چائے at five?",
    )
    .await?;
    say(
        story,
        amina,
        &mut [bilal],
        queue,
        "With pleasure. Shall we ask Chandni too?",
    )
    .await
}

/// Three talk.
pub async fn group(story: &mut Story<'_>, cast: &mut Cast) -> Result<QueueId, Failure> {
    story.act(
        "A group of three",
        "One message, one envelope: all members hold the same keys, and can see that they do.",
    );
    let Cast {
        amina,
        bilal,
        chandni,
    } = cast;
    let members = [bilal.account(), chandni.account()];
    let queue = amina.client.create_group(GROUP, &members).await?;
    joins(story, bilal, queue).await?;
    joins(story, chandni, queue).await?;
    same_keys(story, &[amina, bilal, chandni], queue)?;
    say(
        story,
        amina,
        &mut [bilal, chandni],
        queue,
        "چاندنی، پانچ بجے چائے؟",
    )
    .await?;
    say(
        story,
        chandni,
        &mut [amina, bilal],
        queue,
        "ضرور! I bring the samosas.",
    )
    .await?;
    Ok(queue)
}

/// Everything stops and starts again.
pub async fn restart(
    story: &mut Story<'_>,
    folder: &Path,
    network: Network,
    cast: Cast,
    group: QueueId,
) -> Result<(Network, Cast), Failure> {
    const WRITTEN_OFFLINE: &str = "میں راستے میں ہوں، no signal here";
    story.act(
        "The power goes out",
        "What was acknowledged is on the disk; what was written meanwhile waits, and is not lost.",
    );
    let Cast {
        amina,
        mut bilal,
        chandni,
    } = cast;
    let before = histories(&[&amina, &bilal, &chandni], group)?;
    let file = network.file_bytes().to_vec();
    story.count_subnet(&status(&network).await?);
    network.shutdown();
    story.tell("The subnet is down.");
    let waiting = bilal.client.send(group, WRITTEN_OFFLINE).await?;
    story.read(&bilal, group, &waiting);
    story.check("no tick without a certificate", waiting.verified.is_none())?;
    let homes = (amina.close(), bilal.close(), chandni.close());
    drop(network);

    let network = start(story, folder).await?;
    story.check("the subnet is the one it was", network.file_bytes() == file)?;
    let mut cast = Cast {
        amina: homes.0.open(&network)?,
        bilal: homes.1.open(&network)?,
        chandni: homes.2.open(&network)?,
    };
    let mut after = histories(&[&cast.amina, &cast.bilal, &cast.chandni], group)?;
    after[1].retain(|line| line.verified.is_some());
    story.check(
        "every home opens with every line that it had",
        after == before,
    )?;

    let Cast {
        amina,
        bilal,
        chandni,
    } = &mut cast;
    let delivered = lines(bilal.sync().await?, group);
    let own = delivered.iter().find(|line| says(line, WRITTEN_OFFLINE));
    let certified = own.is_some_and(|line| line.verified.is_some());
    story.check("what waited is delivered, under a certificate", certified)?;
    let (sent, writer) = (own.cloned().unwrap_or(waiting), bilal.name());
    hear(story, amina, group, &sent, writer).await?;
    hear(story, chandni, group, &sent, writer).await?;
    Ok((network, cast))
}

/// One is taken out.
pub async fn removal(
    story: &mut Story<'_>,
    cast: &mut Cast,
    group: QueueId,
) -> Result<(), Failure> {
    const SURPRISE: &str = "Her birthday is on Friday: تحفہ کیا لیں؟";
    story.act(
        "Chandni چاندنی is taken out",
        "New keys, which she never gets: not by asking, and not by having been there before.",
    );
    let Cast {
        amina,
        bilal,
        chandni,
    } = cast;
    amina
        .client
        .remove_members(group, &[chandni.account()])
        .await?;
    say(story, amina, &mut [bilal], group, SURPRISE).await?;
    say(story, bilal, &mut [amina], group, "A book. اور پھول").await?;
    same_keys(story, &[amina, bilal], group)?;

    story.tell(format!(
        "{} asks the subnet for everything new.",
        text::isolate(CHANDNI)
    ));
    let seen = lines(chandni.sync().await?, group);
    for line in &seen {
        story.read(chandni, group, line);
    }
    let texts = seen
        .iter()
        .filter(|line| matches!(line.body, Body::Text(_)))
        .count();
    story.check(
        "she reads no text of it",
        texts == 0 && chandni.is_out(group)?,
    )?;
    let kept = chandni.client.history(group, EVERYTHING)?;
    let leaked = kept.iter().any(|line| says(line, SURPRISE));
    story.check(
        "nothing of it is in her home; what she had, she keeps",
        !leaked && !kept.is_empty(),
    )?;
    let again = lines(chandni.sync().await?, group);
    story.check("asking again brings nothing", again.is_empty())?;
    let written = chandni.client.send(group, "کیا ہوا؟").await;
    story.check("she cannot write there either", written.is_err())
}

/// What the subnet tells of itself.
pub async fn status(network: &Network) -> Result<SubnetStatus, Failure> {
    let status = network.subnet().status().await;
    status.map_err(|error| Failure::new(Kind::Internal, error.to_string(), ""))
}

async fn start(story: &Story<'_>, folder: &Path) -> Result<Network, Failure> {
    let what = "the subnet starts and compiles its canisters";
    let progress = Progress::start(what, story.out);
    let network = Network::up(&folder.join("network"), NOWHERE).await;
    drop(progress);
    Ok(network?)
}

async fn joins(story: &mut Story<'_>, who: &mut Person, queue: QueueId) -> Result<(), Failure> {
    let joined = who.sync().await?.joined.contains(&queue);
    story.check(format!("{} is in", text::isolate(who.name())), joined)
}

/// Somebody writes, and each listener must read just that, as the same entry of the conversation.
async fn say(
    story: &mut Story<'_>,
    writer: &mut Person,
    listeners: &mut [&mut Person],
    queue: QueueId,
    text: &str,
) -> Result<(), Failure> {
    let sent = writer.write(queue, text).await?;
    for listener in listeners {
        hear(story, listener, queue, &sent, writer.name()).await?;
    }
    Ok(())
}

async fn hear(
    story: &mut Story<'_>,
    listener: &mut Person,
    queue: QueueId,
    sent: &MessageView,
    writer: &str,
) -> Result<(), Failure> {
    let heard = lines(listener.sync().await?, queue);
    for line in &heard {
        story.read(listener, queue, line);
    }
    let entry = |line: &MessageView| line.verified.map(|verified| (verified.seq, verified.epoch));
    let mut texts = heard
        .iter()
        .filter(|line| matches!(line.body, Body::Text(_)));
    let same = texts.next().is_some_and(|line| {
        line.body == sent.body && entry(line).is_some() && entry(line) == entry(sent)
    });
    let (listener, writer) = (text::isolate(listener.name()), text::isolate(writer));
    let what =
        format!("{listener} has, letter for letter and under the same number, what {writer} wrote");
    story.check(what, same && texts.next().is_none())
}

/// The members compare what only members of one epoch have alike.
fn same_keys(
    story: &mut Story<'_>,
    members: &[&mut Person],
    queue: QueueId,
) -> Result<(), Failure> {
    let mut codes = Vec::new();
    for member in members {
        codes.push(member.client.conversation(queue)?.authenticator);
    }
    story.check(
        "all members see the same code of this epoch",
        codes.windows(2).all(|pair| pair[0] == pair[1]),
    )
}

fn histories(people: &[&Person], queue: QueueId) -> Result<Vec<Vec<MessageView>>, Failure> {
    people
        .iter()
        .map(|person| Ok(person.client.history(queue, EVERYTHING)?))
        .collect()
}
