//! Where random bytes come from, as an argument.

/// A source of unpredictable bytes. The shell passes the system's generator
/// (`keys::SystemEntropy`), tests pass a seeded one.
pub trait Entropy {
    /// Fills `out` entirely.
    fn fill(&mut self, out: &mut [u8]);
}
