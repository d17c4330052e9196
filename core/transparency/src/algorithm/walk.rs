//! Walking the newest distinguished entries, right to left (draft, §10.1).

use crate::algorithm::{Source, View};
use crate::implicit::{left, right, root};

/// Which distinguished entries count as recent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recent {
    /// The newest so many.
    Newest(u8),
    /// Those at most so many milliseconds older than the newest entry of the log.
    Within(u64),
}

/// The recent distinguished entries right of `stop`, left to right.
pub(crate) fn walk_distinguished<S: Source>(
    source: &mut S,
    view: &View,
    stop: Option<u64>,
    recent: Recent,
) -> Result<Vec<u64>, S::Error> {
    let mut walk = Walk {
        stop,
        recent,
        found: Vec::new(),
    };
    walk.visit(source, view, (root(view.size), 0, view.newest))?;
    walk.found.reverse();
    Ok(walk.found)
}

struct Walk {
    stop: Option<u64>,
    recent: Recent,
    found: Vec<u64>,
}

impl Walk {
    fn is_recent(&self, view: &View, timestamp: u64) -> bool {
        match self.recent {
            Recent::Newest(count) => self.found.len() < usize::from(count),
            Recent::Within(age) => view.newest.saturating_sub(timestamp) <= age,
        }
    }

    /// Recursion follows the implicit tree, at most 63 deep.
    fn visit<S: Source>(
        &mut self,
        source: &mut S,
        view: &View,
        (position, before, after): (u64, u64, u64),
    ) -> Result<(), S::Error> {
        if !view.distinguishes(before, after) {
            return Ok(());
        }
        let own = source.timestamp(position)?;
        if let Some(right) = right(position, view.size) {
            self.visit(source, view, (right, own, after))?;
        }
        if self.stop.is_some_and(|stop| position <= stop) || !self.is_recent(view, own) {
            return Ok(());
        }
        self.found.push(position);
        if let Some(left) = left(position) {
            self.visit(source, view, (left, before, own))?;
        }
        Ok(())
    }
}
