//! What a subnet of 13 nodes charges and bears, by the public model of the Internet Computer.

/// Cycles for an ingress message, and for each of its bytes.
const INGRESS_CYCLES: f64 = 1_200_000.0;
const INGRESS_BYTE_CYCLES: f64 = 2_000.0;
/// Cycles for an execution; each instruction costs one.
const EXECUTION_CYCLES: f64 = 5_000_000.0;

/// Bytes of ingress in a block, and blocks a second.
pub(super) const BLOCK_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// Instructions of one canister in a round, its own share of the round's overhead taken off.
const ROUND_INSTRUCTIONS: f64 = 4_000_000_000.0 - 8_000_000.0;
/// Instructions counted for an execution beside its own.
const EXECUTION_INSTRUCTIONS: f64 = 2_000_000.0;
/// Memory that one canister may change in a round, in pages of 4 KiB.
const ROUND_PAGES: f64 = 75.0 * 256.0;
/// State of a subnet in bytes.
const SUBNET_BYTES: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0;
/// How long posts are kept, in seconds.
const RETENTION_SECONDS: f64 = 30.0 * 24.0 * 3_600.0;

/// Cycles of a call.
pub(super) fn cycles(ingress_bytes: f64, instructions: f64) -> f64 {
    INGRESS_CYCLES + INGRESS_BYTE_CYCLES * ingress_bytes + EXECUTION_CYCLES + instructions
}

/// Messages a second that each resource allows, one canister being all there is and a block coming
/// each second.
pub(super) struct Rates {
    pub bytes: f64,
    pub instructions: f64,
    pub pages: f64,
}

impl Rates {
    /// From what one call of `posts` messages takes.
    pub fn of(posts: f64, ingress_bytes: f64, instructions: f64, pages: f64) -> Self {
        Self {
            bytes: BLOCK_BYTES / ingress_bytes * posts,
            instructions: ROUND_INSTRUCTIONS / (EXECUTION_INSTRUCTIONS + instructions) * posts,
            pages: ROUND_PAGES / pages * posts,
        }
    }

    pub const fn least(&self) -> f64 {
        self.bytes.min(self.instructions).min(self.pages)
    }
}

/// Messages a second that the state of a subnet holds until they expire.
pub(super) fn stored(queues: f64, idle_bytes: f64, message_bytes: f64) -> f64 {
    (SUBNET_BYTES - queues * idle_bytes) / message_bytes / RETENTION_SECONDS
}
