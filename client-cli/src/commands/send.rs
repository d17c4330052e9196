//! `paigham send`.

use std::io::{self, IsTerminal, Read};

use crate::args::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// More than the longest text that a message holds; what is longer is refused before it fills the
/// memory.
const INPUT_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Sends a text, from standard input where none is given, and shows its line as it stands then:
/// delivered with what was verified, or waiting.
pub async fn send(
    common: &Common,
    to: &str,
    text: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    let text = match text {
        Some(text) => text.to_owned(),
        None => from_stdin()?,
    };
    if text.trim().is_empty() {
        return Err(Failure::user(
            "there is nothing to send",
            "the text is empty",
        ));
    }
    let mut session = Session::open(common, out).await?;
    // First what others did: a chat that they began is not begun again.
    let report = session.fetch_if_reachable().await?;
    session.show_report(&report, None);
    let queue = session.conversation_or_chat(to).await?;
    let outcome = session.client.send(queue, &text).await;
    session.pass_on_notices();
    session.show_message(queue, &outcome?);
    Ok(())
}

fn from_stdin() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        eprintln!("Write the text; Ctrl-D on an empty line ends it.");
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(INPUT_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::user(format!("cannot read the text: {error}"), ""))?;
    text_of(bytes)
}

/// The text as it is, without the line break that files and `echo` end with.
fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() as u64 > INPUT_MAX_BYTES {
        return Err(Failure::user("the text is too long", "send it in parts"));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Failure::user("the input is no text", "only UTF-8 text can be sent"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piped text arrives as it was, Urdu and inner lines included.
    #[test]
    fn only_the_last_line_break_goes() {
        for (input, text) in [
            ("السلام علیکم\n", "السلام علیکم"),
            ("a\r\nb\r\n", "a\r\nb"),
            ("a\n\n", "a\n"),
            ("  a", "  a"),
        ] {
            assert_eq!(text_of(input.into()).unwrap(), text);
        }
    }

    /// An image or an endless stream is refused.
    #[test]
    fn what_is_no_text_is_refused() {
        assert!(text_of(vec![0xff, 0xd8]).is_err());
        let endless = vec![b'a'; usize::try_from(INPUT_MAX_BYTES).unwrap() + 1];
        assert!(text_of(endless).is_err());
    }
}
