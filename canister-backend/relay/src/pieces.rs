//! The posts of a batch, read in pieces.
//!
//! A 4-KiB page of the heap that a message leaves changed costs as much as a thousand instructions.
//! A batch copied to the heap as a whole would change hundreds of them; read in pieces into the same
//! few pages, sixteen.

use paigham_wire::frame::{
    FRAME_BYTES, FrameError, HEADER_BYTES, PostHeader, PostRef, TAG_BYTES, check_frame,
};
use paigham_wire::relay::{BATCH_MAX_POSTS, RelayError};

/// Bytes of a piece: 60 posts of 1 KiB, of which one is cut and read again.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of the shortest post: an envelope has at least one.
const POST_MIN_BYTES: usize = FRAME_BYTES + 1;

/// Bytes that lie elsewhere and are read as they are needed.
pub(crate) trait Bytes {
    /// How many there are.
    fn count(&self) -> usize;
    /// Fills `into` from an offset on; there are enough.
    fn read(&self, offset: usize, into: &mut [u8]);
}

impl<T: AsRef<[u8]>> Bytes for T {
    fn count(&self) -> usize {
        self.as_ref().len()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.as_ref()[offset..offset + into.len()]);
    }
}

/// Posts one behind the other.
pub(crate) struct Posts<B> {
    bytes: B,
    /// Offset of the next one.
    next: usize,
    piece: Vec<u8>,
    /// Offset of the piece.
    start: usize,
}

impl<B: Bytes> Posts<B> {
    /// # Errors
    /// [`RelayError::TooLarge`] if there are more than a batch may have.
    pub(crate) fn new(bytes: B) -> Result<Self, RelayError> {
        check_number(&bytes)?;
        Ok(Self {
            bytes,
            next: 0,
            piece: Vec::new(),
            start: 0,
        })
    }

    /// The next post. A malformed one is the last: where the next starts is unknown.
    pub(crate) fn next(&mut self) -> Option<Result<PostRef<'_>, FrameError>> {
        let left = self.bytes.count() - self.next;
        if left == 0 {
            return None;
        }
        let offset = self.next;
        let length = match frame(self.at(offset, FRAME_BYTES.min(left))) {
            Ok(header) => (FRAME_BYTES + header.length as usize).min(left),
            Err(error) => {
                self.next = self.bytes.count();
                return Some(Err(error));
            }
        };
        self.next += length;
        Some(PostRef::decode(self.at(offset, length)))
    }

    /// So many bytes from an offset on, of this piece or of one that begins there.
    fn at(&mut self, offset: usize, length: usize) -> &[u8] {
        let inside = offset - self.start;
        if inside + length > self.piece.len() {
            let left = self.bytes.count() - offset;
            self.piece.resize(PIECE_BYTES.max(length).min(left), 0);
            self.bytes.read(offset, &mut self.piece);
            self.start = offset;
            return &self.piece[..length];
        }
        &self.piece[inside..inside + length]
    }
}

/// Before anything is stored: a refused request leaves nothing behind.
fn check_number(bytes: &impl Bytes) -> Result<(), RelayError> {
    let mut posts = 0;
    let mut left = bytes.count();
    // Few posts cannot be too many: then nothing is read.
    while posts + left.div_ceil(POST_MIN_BYTES) > BATCH_MAX_POSTS {
        if posts == BATCH_MAX_POSTS {
            return Err(RelayError::TooLarge);
        }
        let Some(behind) = skip(bytes, left) else {
            return Ok(());
        };
        left = behind;
        posts += 1;
    }
    Ok(())
}

/// How many bytes are left behind the next post; `None` if it is malformed.
fn skip(bytes: &impl Bytes, left: usize) -> Option<usize> {
    let behind = left.checked_sub(FRAME_BYTES)?;
    let mut front = [0; FRAME_BYTES];
    bytes.read(bytes.count() - left, &mut front);
    let header = frame(&front).ok()?;
    behind.checked_sub(header.length as usize)
}

/// The header of a frame, if that is whole and well formed.
fn frame(bytes: &[u8]) -> Result<PostHeader, FrameError> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(FrameError::Truncated)?;
    let tag = rest
        .first_chunk::<TAG_BYTES>()
        .ok_or(FrameError::Truncated)?;
    check_frame(header, tag)
}

#[cfg(test)]
mod tests {
    use paigham_wire::frame::{PostKind, encode_post};
    use paigham_wire::ids::QueueId;
    use proptest::prelude::*;

    use super::*;

    fn post(length: usize, kind: PostKind) -> Vec<u8> {
        let header = PostHeader {
            queue: QueueId([3; 32]),
            epoch: 1,
            not_after: 5,
            kind,
            after_seq: 0,
            length: u32::try_from(length).unwrap(),
        };
        encode_post(&header, None, &vec![7; length])
    }

    /// What the posts of a batch are by the definition: the whole batch at hand, one behind the
    /// other.
    fn at_once(mut rest: &[u8]) -> Result<Vec<Result<Vec<u8>, FrameError>>, RelayError> {
        let mut posts = Vec::new();
        while !rest.is_empty() {
            if posts.len() == BATCH_MAX_POSTS {
                return Err(RelayError::TooLarge);
            }
            match PostRef::split_first(rest) {
                Ok((post, behind)) => {
                    posts.push(Ok(post.envelope.to_vec()));
                    rest = behind;
                }
                Err(error) => {
                    posts.push(Err(error));
                    rest = &[];
                }
            }
        }
        Ok(posts)
    }

    fn in_pieces(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>, FrameError>>, RelayError> {
        let mut posts = Posts::new(bytes)?;
        let mut read = Vec::new();
        while let Some(post) = posts.next() {
            read.push(post.map(|post| post.envelope.to_vec()));
        }
        Ok(read)
    }

    /// Posts that end before, at and behind the end of a piece, and one longer than a piece, come
    /// as they were sent.
    #[test]
    fn posts_come_whole_over_the_ends_of_pieces() {
        for length in PIECE_BYTES - 2 * FRAME_BYTES - 70..PIECE_BYTES + 3 {
            if length.abs_diff(PIECE_BYTES) > 70 && length % 7 != 0 {
                continue;
            }
            let posts = [length, 1, 1_024, 3 * PIECE_BYTES, 5];
            let bytes = posts.map(|length| post(length, PostKind::Application));
            let bytes = bytes.concat();
            assert_eq!(in_pieces(&bytes), at_once(&bytes));
            assert_eq!(in_pieces(&bytes).unwrap().len(), posts.len());
        }
    }

    /// As many posts as a batch may have are taken; one more, and nothing is; nor does a malformed
    /// post behind the last one slip through.
    #[test]
    fn more_posts_than_a_batch_may_have_are_too_many() {
        let one = post(1, PostKind::Proposal);
        let most = one.repeat(BATCH_MAX_POSTS);
        assert_eq!(in_pieces(&most).unwrap().len(), BATCH_MAX_POSTS);
        for more in [&one[..], &one[..1], &[0; FRAME_BYTES]] {
            let too_many = [&most, more].concat();
            assert_eq!(in_pieces(&too_many), Err(RelayError::TooLarge));
            assert_eq!(at_once(&too_many), Err(RelayError::TooLarge));
        }
        // What follows a malformed post is no post, however much it is.
        let malformed = [&one[..], &[0; FRAME_BYTES], &most, &most].concat();
        assert_eq!(in_pieces(&malformed), at_once(&malformed));
        assert_eq!(in_pieces(&malformed).unwrap().len(), 2);
    }

    proptest! {
        /// Damaged batches give the same posts and the same errors as when they are at hand as a
        /// whole.
        #[test]
        fn damaged_batches_read_the_same(
            lengths in prop::collection::vec(1_usize..40_000, 1..8),
            kinds in any::<[bool; 8]>(),
            cut in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = Vec::new();
            for (length, commit) in lengths.iter().zip(kinds) {
                let kind = if commit { PostKind::Commit } else { PostKind::Application };
                bytes.extend(post(*length, kind));
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert_eq!(in_pieces(&bytes), at_once(&bytes));
        }
    }
}
