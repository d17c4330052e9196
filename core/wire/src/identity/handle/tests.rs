//! What a handle may be, and the life of one as stories.

mod life;
mod look;
