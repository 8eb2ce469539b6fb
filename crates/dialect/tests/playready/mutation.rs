//! Seeded damage, so that a failure can be had again.

#![expect(clippy::indexing_slicing, reason = "the mutator keeps within its own buffer")]

/// A source of numbers (xorshift64).
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

/// What XML is made of, and what a signature hangs on.
const PIECES: [&[u8]; 8] =
    [b"<", b">", b"&", b"\"", b"]]>", b"<!--", b" Id=\"SignedData\"", b"</LA>"];

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// A message with one to three places changed, removed, repeated elsewhere or exchanged.
    pub fn damaged(&mut self, message: &[u8]) -> Vec<u8> {
        let mut body = message.to_vec();
        for _ in 0..=self.below(3) {
            let (from, length) = (self.below(body.len()), self.below(40));
            let (to, end) = (self.below(body.len()), (from + length).min(body.len()));
            match self.below(5) {
                0 => body[from] = u8::try_from(self.below(256)).unwrap(),
                1 => drop(body.drain(from..end)),
                2 => {
                    let again = body[from..end].to_vec();
                    body.splice(to..to, again);
                }
                3 => body.swap(from, to),
                _ => drop(body.splice(from..from, PIECES[self.below(8)].iter().copied())),
            }
        }
        body
    }
}
