//! `paigham chat`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use paigham_client::QueueId;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::args::Common;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Warning};
use crate::session::Session;
use crate::signal;

/// Lines of history that a talk begins with.
const HISTORY: usize = 20;
/// How often others are asked for while nobody types Enter.
const POLL: Duration = Duration::from_secs(2);

/// Opens the chat with a contact: a talk where somebody types, otherwise only its beginning.
pub async fn chat(common: &Common, name: &str, out: &Output) -> Result<(), Failure> {
    let mut session = Session::open(common, out).await?;
    let report = session.fetch_if_reachable().await?;
    let queue = session.conversation_or_chat(name).await?;
    session.pass_on_notices();
    if !io::stdin().is_terminal() || out.is_json() {
        session.show_report(&report, None);
        return session.show_conversation(queue);
    }
    session.show_report(&report, Some(queue));
    session.show_conversation(queue)?;
    for message in session.client.history(queue, HISTORY)? {
        session.show_message(queue, &message);
    }
    out.say(&out.style().dim("Enter sends a line; Ctrl-D ends the talk."));
    Talk { session, queue }.go_on(lines_of_stdin()).await
}

/// A talk in one conversation.
#[derive(Debug)]
struct Talk<'a> {
    session: Session<'a>,
    queue: QueueId,
}

impl Talk<'_> {
    /// Sends each line and shows what arrives in between, until the lines end.
    async fn go_on(mut self, mut lines: mpsc::Receiver<String>) -> Result<(), Failure> {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(signal::stop());
        self.prompt();
        while !self.session.out.is_closed() {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => self.say(&line).await?,
                    None => break,
                },
                _ = poll.tick() => self.listen().await?,
                () = &mut stop => break,
            }
        }
        self.session.out.say("");
        Ok(())
    }

    async fn say(&mut self, line: &str) -> Result<(), Failure> {
        if !line.trim().is_empty() {
            let outcome = self.session.client.send(self.queue, line).await;
            self.session.pass_on_notices();
            match outcome.map_err(Failure::from) {
                Ok(sent) => self.session.show_message(self.queue, &sent),
                Err(failure) => self.bear(failure)?,
            }
        }
        self.prompt();
        Ok(())
    }

    async fn listen(&mut self) -> Result<(), Failure> {
        let report = match self.session.client.sync().await.map_err(Failure::from) {
            Ok(report) => report,
            // Nothing is lost and the next poll tries again; a line that waits says so itself.
            Err(failure) if failure.kind() == Kind::Network => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if report.arrived.is_empty() && report.notices.is_empty() {
            return Ok(());
        }
        // What was typed so far stays with the terminal and goes out with Enter; only its echo
        // makes room.
        self.clear_line();
        for notice in &report.notices {
            self.session
                .out
                .warn(&Warning::of_notice(notice, &self.session.client));
        }
        for arrived in &report.arrived {
            let elsewhere = (arrived.queue != self.queue).then_some(arrived.conversation.as_str());
            self.session
                .show_arrived(arrived.queue, elsewhere, &arrived.message);
        }
        self.prompt();
        Ok(())
    }

    /// A line that could not be sent does not end the talk unless the home or the network's
    /// honesty is in question.
    fn bear(&self, failure: Failure) -> Result<(), Failure> {
        match failure.kind() {
            Kind::User | Kind::Network => {
                self.session.out.warn(&Warning::of_failure(&failure));
                Ok(())
            }
            Kind::Verification | Kind::Storage | Kind::Internal => Err(failure),
        }
    }

    fn prompt(&self) {
        eprint!("> ");
        drop(io::stderr().flush());
    }

    fn clear_line(&self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// Lines as they are typed. The thread may wait for one when the command ends; it ends with it.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
