//! A line that shows that something takes its time.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::output::Output;

/// How often the line changes.
const TICK: Duration = Duration::from_millis(250);

/// Shown on stderr until dropped. It has a thread of its own, since what it waits for may keep the
/// runtime busy.
#[derive(Debug)]
pub struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show `what`; one plain line where stderr is no terminal, nothing with JSON.
    pub fn start(what: &'static str, out: &Output) -> Self {
        if out.is_json() {
            return Self {
                stop: None,
                thread: None,
            };
        }
        if !io::stderr().is_terminal() {
            eprintln!("{what} …");
            return Self {
                stop: None,
                thread: None,
            };
        }
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().spawn(move || show(what, &stopped));
        Self {
            stop: Some(stop),
            thread: thread.ok(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn show(what: &str, stopped: &Receiver<()>) {
    let started = Instant::now();
    loop {
        eprint!("\r\x1b[K{what} … {} s", started.elapsed().as_secs());
        match stopped.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    eprint!("\r\x1b[K");
}
