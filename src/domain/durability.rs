//! How much of what was acknowledged may be lost when the power goes.

/// What a power cut may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was acknowledged.
    Full,
    /// The last moments before it; fewer waits for the disk.
    Normal,
}
