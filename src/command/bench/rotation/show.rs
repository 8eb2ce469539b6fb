//! One event: what happens in each second of it.

use super::channel::{Channel, Licensed};
use super::crowd::{Crowd, Kept, Why};
use super::event::Event;
use super::players::{Asked, Players, Spoken};
use crate::measure::process_cpu_s;
use anyhow::Context as _;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use tokio::task::JoinSet;

/// Requests that are under way together: as many as a service lets in whose database has few
/// connections. More of them come in the same second of the event, however long it takes.
const AT_ONCE: usize = 64;

/// An event on its way.
pub struct Show {
    pub crowd: Crowd,
    pub channel: Arc<Channel>,
    pub players: Arc<Players>,
    pub event: Event,
    pub spoken: Spoken,
    pub cpu: Cpu,
}

/// CPU seconds in the service.
#[derive(Default)]
pub struct Cpu {
    pub token_calls_s: f64,
    pub licenses_s: f64,
}

/// One request on its way.
struct Turn {
    viewer: u32,
    why: Why,
    path: String,
}

impl Show {
    /// Lets a second pass: the players make their challenges, the service answers them,
    /// the players read. Only the second of these is counted as the service's.
    pub async fn second(&mut self, second: u32) -> anyhow::Result<()> {
        let asks = self.crowd.begin(second);
        let before_s = process_cpu_s();
        let turns = self.turns(&asks).await?;
        self.cpu.token_calls_s += process_cpu_s() - before_s;
        let asked = self.challenges(&turns, second)?;
        let before_s = process_cpu_s();
        let licensed = self.licenses(&turns, &asked).await?;
        self.cpu.licenses_s += process_cpu_s() - before_s;
        let now = self.channel.now();
        for ((turn, asked), licensed) in turns.iter().zip(&asked).zip(licensed) {
            let Licensed { message, ends, next_s } = licensed;
            let keys = self.players.keys_in(&self.event, asked, &message)?;
            let lives_s = u32::try_from(ends.0.saturating_sub(now.0) / 1000)?;
            let lives_s = self.spoken.carries_end().then_some(lives_s);
            let kept = Kept { keys, lives_s, next_s, bytes: message.len() };
            self.crowd.keep(turn.viewer, second, turn.why, &kept);
        }
        self.channel.tick();
        Ok(())
    }

    /// The license URLs: of those who join by a token call.
    async fn turns(&self, asks: &[(u32, Why)]) -> anyhow::Result<Vec<Turn>> {
        let mut turns = vec![];
        for asks in asks.chunks(AT_ONCE) {
            let mut calls = JoinSet::new();
            for (viewer, why) in asks.iter().copied() {
                if why == Why::Joins {
                    let channel = Arc::clone(&self.channel);
                    calls.spawn(async move { (viewer, channel.start(viewer).await) });
                } else {
                    turns.push(Turn { viewer, why, path: self.channel.follow_up(viewer)? });
                }
            }
            while let Some(called) = calls.join_next().await {
                let (viewer, path) = called?;
                turns.push(Turn { viewer, why: Why::Joins, path: path? });
            }
        }
        Ok(turns)
    }

    /// A challenge for each, on all cores: a device's signature takes its time.
    fn challenges(&self, turns: &[Turn], second: u32) -> anyhow::Result<Vec<Asked>> {
        let named = self.event.named_in(second).context("a batch behind the last")?;
        let (players, now) = (&*self.players, self.channel.now());
        let ask = |turn: &Turn| players.ask(named, turn.viewer, now);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = turns.len().div_ceil(threads).max(1);
        Ok(thread::scope(|scope| {
            let ask = &ask;
            let makers: Vec<_> = turns
                .chunks(share)
                .map(|turns| scope.spawn(move || turns.iter().map(ask).collect::<Vec<_>>()))
                .collect();
            let made = makers.into_iter().flat_map(|maker| maker.join().unwrap_or_default());
            made.collect()
        }))
    }

    /// The licenses, in the order of the requests.
    async fn licenses(&self, turns: &[Turn], asked: &[Asked]) -> anyhow::Result<Vec<Licensed>> {
        let mut licensed = Vec::with_capacity(turns.len());
        let pairs: Vec<_> = turns.iter().zip(asked).collect();
        for pairs in pairs.chunks(AT_ONCE) {
            let mut requests = JoinSet::new();
            for ((turn, asked), number) in pairs.iter().zip(licensed.len()..) {
                let (channel, viewer, why) = (Arc::clone(&self.channel), turn.viewer, turn.why);
                let (path, body) = (turn.path.clone(), asked.body.clone());
                requests.spawn(
                    async move { (number, channel.license(viewer, why, &path, body).await) },
                );
            }
            let mut some = vec![];
            while let Some(request) = requests.join_next().await {
                let (number, answer) = request?;
                some.push((number, answer?));
            }
            some.sort_by_key(|(number, _)| *number);
            licensed.extend(some.into_iter().map(|(_, answer)| answer));
        }
        Ok(licensed)
    }
}
