//! The viewers of a live event in virtual time: who asks for a license in which second, and which
//! keys each of them holds.

use model::Entropy;
use std::num::NonZeroU32;

/// What the crowd watches, and when it comes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Who watches.
    pub viewers: u32,
    /// How long the event is, seconds.
    pub event_s: u32,
    /// Within which time from its begin everybody comes, each at a moment of chance.
    pub ramp_s: NonZeroU32,
    /// How long a key serves.
    pub period_s: NonZeroU32,
    /// How many keys there are in a period.
    pub classes: usize,
    /// All keys: those of the periods, period by period, and behind them those of the tracks.
    pub keys: usize,
    /// When viewers ask again, whatever the server says.
    pub deaf_s: Option<NonZeroU32>,
}

/// Why a viewer asks for a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Playback begins.
    Joins,
    /// The server said so.
    Told,
    /// The media has come to a key that the viewer lacks.
    Lacks,
}

/// A license, as its viewer sees it.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Places of its keys.
    pub keys: Vec<usize>,
    /// How long it lives; absent where it says no end.
    pub lives_s: Option<u32>,
    /// When the viewer is to ask again, if he was told.
    pub next_s: Option<u32>,
    /// How long it is.
    pub bytes: usize,
}

/// What has happened, by second where it is a list.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// First licenses.
    pub joins: Vec<u32>,
    /// Licenses that the server had dictated.
    pub told: Vec<u32>,
    /// Licenses for a key that was lacking.
    pub lacks: Vec<u32>,
    /// Bytes of all licenses.
    pub bytes: u64,
}

/// Everybody.
pub struct Crowd {
    shape: Shape,
    viewers: Vec<Viewer>,
    /// A bit for each key, viewer by viewer.
    held: Vec<u64>,
    words: usize,
    /// Whose turn may be in each second; it is where [`Viewer::due`] says the same.
    turns: Vec<Vec<u32>>,
    tally: Tally,
}

#[derive(Clone, Copy, Default)]
struct Viewer {
    due: Option<u32>,
    has_joined: bool,
    lacks_now: bool,
    has_lacked: bool,
    /// Second in which the newest license ends.
    ends: Option<u32>,
    licenses: u32,
}

impl Crowd {
    /// Nobody has come yet.
    pub fn new(shape: Shape, entropy: &mut impl Entropy) -> Self {
        let seconds = shape.event_s as usize;
        let words = shape.keys.div_ceil(64);
        let empty = vec![0; seconds];
        let mut crowd = Self {
            shape,
            viewers: vec![Viewer::default(); shape.viewers as usize],
            held: vec![0; words * shape.viewers as usize],
            words,
            turns: vec![vec![]; seconds],
            tally: Tally { joins: empty.clone(), told: empty.clone(), lacks: empty, bytes: 0 },
        };
        for viewer in 0..shape.viewers {
            let mut draw = [0; 8];
            entropy.fill(&mut draw);
            let second = u64::from_le_bytes(draw) % u64::from(shape.ramp_s.get());
            crowd.ask_in(viewer, u32::try_from(second).unwrap_or(0));
        }
        crowd
    }

    /// Plans a viewer's next request; behind the end of the event there is none.
    fn ask_in(&mut self, viewer: u32, second: u32) {
        let Some(one) = self.viewers.get_mut(viewer as usize) else { return };
        one.due = None;
        if let Some(turn) = self.turns.get_mut(second as usize) {
            one.due = Some(second);
            turn.push(viewer);
        }
    }

    /// Begins a second: who asks in it, and why. Where a key period begins, whoever lacks its key,
    /// or whose license has ended, is found out and asks at once.
    pub fn begin(&mut self, second: u32) -> Vec<(u32, Why)> {
        if second.is_multiple_of(self.shape.period_s.get()) {
            self.look(second);
        }
        let turn = self.turns.get_mut(second as usize).map(std::mem::take).unwrap_or_default();
        let mut asks = Vec::with_capacity(turn.len());
        for viewer in turn {
            let Some(one) = self.viewers.get_mut(viewer as usize) else { continue };
            if one.due != Some(second) {
                continue;
            }
            one.due = None;
            asks.push((
                viewer,
                match (one.has_joined, one.lacks_now) {
                    (false, _) => Why::Joins,
                    (true, true) => Why::Lacks,
                    (true, false) => Why::Told,
                },
            ));
        }
        asks
    }

    fn look(&mut self, second: u32) {
        for viewer in 0..self.shape.viewers {
            if self.lacks(viewer, second) {
                self.miss(viewer);
                self.ask_in(viewer, second);
            }
        }
    }

    /// Whether someone who watches cannot: the key of the moment is not there, or none is any more.
    fn lacks(&self, viewer: u32, second: u32) -> bool {
        let Some(one) = self.viewers.get(viewer as usize) else { return false };
        let has_ended = one.ends.is_some_and(|end| end <= second);
        let period = (second / self.shape.period_s.get()) as usize;
        let first = period * self.shape.classes;
        let tracks = self.shape.keys.saturating_sub(self.shape.classes);
        let mut needed = (first..first + self.shape.classes).chain(tracks..self.shape.keys);
        one.has_joined && (has_ended || !needed.all(|key| self.holds(viewer, key)))
    }

    fn holds(&self, viewer: u32, key: usize) -> bool {
        let word = self.held.get(viewer as usize * self.words + key / 64);
        word.is_some_and(|word| word >> (key % 64) & 1 == 1)
    }

    fn miss(&mut self, viewer: u32) {
        if let Some(one) = self.viewers.get_mut(viewer as usize) {
            (one.lacks_now, one.has_lacked) = (true, true);
        }
    }

    /// A viewer gets a license. It takes the place of the one before, whose keys are given up: the
    /// new one must do alone.
    pub fn keep(&mut self, viewer: u32, second: u32, why: Why, kept: &Kept) {
        // Between two looks, too, a license may have ended before the next one came.
        if why == Why::Told && self.lacks(viewer, second) {
            self.miss(viewer);
        }
        let start = viewer as usize * self.words;
        let held = self.held.get_mut(start..start + self.words).unwrap_or_default();
        held.fill(0);
        for key in &kept.keys {
            if let Some(word) = held.get_mut(key / 64) {
                *word |= 1 << (key % 64);
            }
        }
        let Some(one) = self.viewers.get_mut(viewer as usize) else { return };
        (one.has_joined, one.lacks_now) = (true, false);
        one.licenses += 1;
        one.ends = kept.lives_s.map(|lives_s| second.saturating_add(lives_s));
        self.tally.bytes += kept.bytes as u64;
        let by_second = match why {
            Why::Joins => &mut self.tally.joins,
            Why::Told => &mut self.tally.told,
            Why::Lacks => &mut self.tally.lacks,
        };
        if let Some(count) = by_second.get_mut(second as usize) {
            *count += 1;
        }
        if self.lacks(viewer, second) {
            self.miss(viewer);
        }
        let delay_s = self.shape.deaf_s.map(NonZeroU32::get).or(kept.next_s);
        if let Some(delay_s) = delay_s {
            self.ask_in(viewer, second.saturating_add(delay_s));
        }
    }

    /// What has happened.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Most licenses that one viewer had.
    pub fn most_licenses(&self) -> u32 {
        self.viewers.iter().map(|viewer| viewer.licenses).max().unwrap_or(0)
    }

    /// Viewers who ever lacked a key of the moment.
    pub fn lacked(&self) -> usize {
        self.viewers.iter().filter(|viewer| viewer.has_lacked).count()
    }
}
