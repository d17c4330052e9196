//! Reading and writing the TLS presentation language as the draft uses it: integers big endian,
//! and before a vector the **number of its elements** (not of bytes) in as many bytes as its
//! largest allowed number takes (draft, §2.1.2).

use crate::hash::HashValue;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the structure needs.
    #[error("the bytes end too early")]
    Truncated,
    /// Bytes remain behind the structure.
    #[error("bytes follow the structure")]
    TrailingBytes,
    /// A presence octet other than 0 and 1, an unknown enum value, or a value out of its range.
    #[error("{0} has a value that is not allowed")]
    Value(&'static str),
}

/// What a structure cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is longer than its vector may be")]
pub struct TooLong(pub &'static str);

/// A structure of the draft with its one encoding.
pub trait Codec: Sized {
    /// Appends the encoding.
    ///
    /// # Errors
    /// [`TooLong`] if a vector has more elements than the draft allows.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;

    /// Reads the structure and leaves what follows.
    ///
    /// # Errors
    /// [`DecodeError`].
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding alone.
    ///
    /// # Errors
    /// As [`Codec::write`].
    fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(out)
    }

    /// Reads bytes that are the structure and nothing else.
    ///
    /// # Errors
    /// [`DecodeError`], also for bytes behind the structure.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader(bytes);
        let value = Self::read(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// What is still to be read.
#[derive(Debug)]
pub struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeError::Value("presence octet")),
        }
    }

    pub(crate) fn opaque8(&mut self) -> Result<Vec<u8>, DecodeError> {
        let len = self.u8()?;
        Ok(self.bytes(usize::from(len))?.to_vec())
    }

    pub(crate) fn opaque16(&mut self) -> Result<Vec<u8>, DecodeError> {
        let len = self.u16()?;
        Ok(self.bytes(usize::from(len))?.to_vec())
    }

    pub(crate) fn opaque32(&mut self) -> Result<Vec<u8>, DecodeError> {
        let len = usize::try_from(self.u32()?).map_err(|_| DecodeError::Truncated)?;
        Ok(self.bytes(len)?.to_vec())
    }

    /// `count` elements. Memory grows with what is really there, never with what is announced.
    pub(crate) fn elements<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(read(self)?);
        }
        Ok(out)
    }

    pub(crate) fn vec8<T>(
        &mut self,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::from(self.u8()?);
        self.elements(count, read)
    }

    pub(crate) fn vec16<T>(
        &mut self,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::from(self.u16()?);
        self.elements(count, read)
    }

    pub(crate) fn hashes16(&mut self) -> Result<Vec<HashValue>, DecodeError> {
        self.vec16(Self::array)
    }

    pub(crate) const fn finish(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }
}

pub(crate) fn put_optional<T>(
    out: &mut Vec<u8>,
    value: Option<&T>,
    write: impl FnOnce(&mut Vec<u8>, &T),
) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            write(out, value);
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape put_optional asks for"
)]
pub(crate) fn put_u64(out: &mut Vec<u8>, value: &u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape put_optional asks for"
)]
pub(crate) fn put_u32(out: &mut Vec<u8>, value: &u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_len8(out: &mut Vec<u8>, len: usize, what: &'static str) -> Result<(), TooLong> {
    out.push(u8::try_from(len).map_err(|_| TooLong(what))?);
    Ok(())
}

pub(crate) fn put_len16(out: &mut Vec<u8>, len: usize, what: &'static str) -> Result<(), TooLong> {
    let len = u16::try_from(len).map_err(|_| TooLong(what))?;
    out.extend_from_slice(&len.to_be_bytes());
    Ok(())
}

pub(crate) fn put_opaque8(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), TooLong> {
    put_len8(out, bytes.len(), what)?;
    out.extend_from_slice(bytes);
    Ok(())
}

pub(crate) fn put_opaque16(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), TooLong> {
    put_len16(out, bytes.len(), what)?;
    out.extend_from_slice(bytes);
    Ok(())
}

pub(crate) fn put_opaque32(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), TooLong> {
    let len = u32::try_from(bytes.len()).map_err(|_| TooLong(what))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

pub(crate) fn put_all8<T: Codec>(
    out: &mut Vec<u8>,
    elements: &[T],
    what: &'static str,
) -> Result<(), TooLong> {
    put_len8(out, elements.len(), what)?;
    elements.iter().try_for_each(|element| element.write(out))
}

pub(crate) fn put_hashes16(
    out: &mut Vec<u8>,
    hashes: &[HashValue],
    what: &'static str,
) -> Result<(), TooLong> {
    put_len16(out, hashes.len(), what)?;
    out.extend_from_slice(hashes.as_flattened());
    Ok(())
}
