//! Group commit of request outcomes: nobody waits for it, and it never grows.
//!
//! A refusal must stay the cheapest path. Its row goes into a bounded queue and the request is
//! answered; one task writes what has gathered in one transaction that does not wait for the
//! disk. What does not fit is counted and dropped: the refusal itself stands.

use model::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::{OUTCOME_BATCH_MAX, RequestOutcome, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Rows that may wait.
const QUEUE: usize = 4096;
/// How long rows gather. With [`OUTCOME_BATCH_MAX`] it bounds how much of the database's time
/// the log takes: some 6000 rows a second.
const GATHER: Duration = Duration::from_millis(20);
/// Rows in one minute of callers who proved no account: a stranger who asks without end must
/// not push out what others may ask about.
pub const STRANGERS_A_MINUTE: u32 = 6000;
const MINUTE_MS: u64 = 60_000;

/// The end of the queue that requests hold. The task ends when the last clone is gone.
#[derive(Debug)]
pub struct OutcomeLog {
    queue: mpsc::Sender<Job>,
    strangers: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    number: u64,
    rows: u32,
}

#[derive(Debug)]
enum Job {
    Row(Box<RequestOutcome>),
    Flush(oneshot::Sender<()>),
}

impl OutcomeLog {
    /// Starts the writing task on the current runtime; it keeps the newest `keep` refusals and
    /// as many of the allowed.
    #[must_use]
    pub fn start(store: Store, keep: u32) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write(jobs, move |rows: Vec<RequestOutcome>| {
            let store = store.clone();
            async move { store.append_outcomes(&rows, keep).await }
        }));
        Self { queue, strangers: Mutex::default() }
    }

    /// Notes an outcome, without waiting: where the queue is full it is counted and dropped.
    pub fn note(&self, row: RequestOutcome) {
        if row.account.is_none() && !self.takes_a_stranger(row.at) {
            return dropped("strangers", 1);
        }
        if self.queue.try_send(Job::Row(Box::new(row))).is_err() {
            dropped("queue_full", 1);
        }
    }

    /// Returns when everything that was noted before is written, or known not to be.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.queue.send(Job::Flush(done)).await.is_ok() {
            // A writer that has ended has nothing more to write.
            let _ended = is_done.await;
        }
    }

    fn takes_a_stranger(&self, now: Timestamp) -> bool {
        let mut minute = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.0 / MINUTE_MS;
        if minute.number != number {
            *minute = Minute { number, rows: 0 };
        }
        minute.rows = minute.rows.saturating_add(1);
        minute.rows <= STRANGERS_A_MINUTE
    }
}

fn dropped(why: &'static str, rows: u64) {
    metrics::counter!("strongroom_outcomes_dropped_total", "why" => why).increment(rows);
}

/// Writes jobs until the queue closes: all that wait, together.
async fn write<F>(mut jobs: mpsc::Receiver<Job>, append: impl Fn(Vec<RequestOutcome>) -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    while let Some(first) = jobs.recv().await {
        let (mut rows, mut waiters) = (vec![], vec![]);
        let mut take = |job, rows: &mut Vec<RequestOutcome>| match job {
            Job::Row(row) => rows.push(*row),
            Job::Flush(waiter) => waiters.push(waiter),
        };
        if matches!(first, Job::Row(_)) {
            tokio::time::sleep(GATHER).await;
        }
        take(first, &mut rows);
        while rows.len() < OUTCOME_BATCH_MAX
            && let Ok(job) = jobs.try_recv()
        {
            take(job, &mut rows);
        }
        let count = rows.len();
        if let Err(error) = append(rows).await {
            tracing::warn!(%error, count, "outcomes of requests cannot be written");
            dropped("store", u64::try_from(count).unwrap_or(u64::MAX));
        }
        for waiter in waiters {
            // Who gave up waiting is not there to be told.
            let _gone = waiter.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AccountId, CorrelationId};
    use playback::Trace;
    use std::sync::Arc;
    use store::{AskedRoute, Ended};
    use tokio::sync::Semaphore;

    fn row(number: usize, is_stranger: bool) -> RequestOutcome {
        RequestOutcome {
            at: Timestamp(0),
            correlation: CorrelationId::from_bytes([0; 16]),
            route: AskedRoute::License,
            dialect: None,
            ended: Ended::Refused { code: number.to_string(), reason: String::new() },
            decision: None,
            account: (!is_stranger).then_some(AccountId::from_bytes([1; 16])),
            session: None,
            content_id: None,
            trace: Trace::default(),
        }
    }

    type Transactions = Arc<Mutex<Vec<usize>>>;

    /// A log whose store notes the size of each transaction, then waits for `disk`.
    fn log(disk: &Arc<Semaphore>) -> (OutcomeLog, Transactions) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let transactions = Transactions::default();
        let (disk, noted) = (Arc::clone(disk), Arc::clone(&transactions));
        tokio::spawn(write(jobs, move |rows: Vec<RequestOutcome>| {
            let (disk, noted) = (Arc::clone(&disk), Arc::clone(&noted));
            async move {
                noted.lock().unwrap().push(rows.len());
                disk.acquire().await.expect("open").forget();
                let is_doomed = rows
                    .iter()
                    .any(|row| matches!(&row.ended, Ended::Refused { code, .. } if code == "13"));
                let broken = || StoreError::Unavailable("broken disk".to_owned());
                if is_doomed { Err(broken()) } else { Ok(()) }
            }
        }));
        (OutcomeLog { queue, strangers: Mutex::default() }, transactions)
    }

    #[tokio::test]
    async fn what_gathers_is_written_together_and_nobody_waits() {
        let disk = Arc::new(Semaphore::new(100));
        let (log, transactions) = log(&disk);
        (0..300).for_each(|number| log.note(row(number + 100, false)));
        log.flush().await;
        let sizes: Vec<usize> =
            transactions.lock().unwrap().iter().copied().filter(|size| *size > 0).collect();
        assert_eq!(sizes, [OUTCOME_BATCH_MAX, OUTCOME_BATCH_MAX, 300 - 2 * OUTCOME_BATCH_MAX]);
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_the_log_goes_on() {
        let disk = Arc::new(Semaphore::new(0));
        let (log, transactions) = log(&disk);
        log.note(row(100, false));
        while transactions.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // The writer stands at the disk: what is more than the queue holds is dropped, at once.
        (0..QUEUE + 500).for_each(|number| log.note(row(number + 100, false)));
        assert_eq!(log.queue.capacity(), 0);
        disk.add_permits(1000);
        log.flush().await;
        assert_eq!(transactions.lock().unwrap().iter().sum::<usize>(), QUEUE + 1);
        log.note(row(13, false));
        log.flush().await;
        log.note(row(14, false));
        log.flush().await;
        assert_eq!(transactions.lock().unwrap().iter().sum::<usize>(), QUEUE + 3);
    }

    #[tokio::test]
    async fn strangers_do_not_push_out_viewers() {
        let disk = Arc::new(Semaphore::new(1_000_000));
        let (log, transactions) = log(&disk);
        let taken = (0..STRANGERS_A_MINUTE * 2).filter(|_| log.takes_a_stranger(Timestamp(5)));
        assert_eq!(taken.count(), STRANGERS_A_MINUTE as usize);
        log.note(row(100, true));
        log.note(row(101, false));
        log.flush().await;
        assert_eq!(transactions.lock().unwrap().iter().sum::<usize>(), 1, "the viewer's alone");
        assert!(log.takes_a_stranger(Timestamp(MINUTE_MS)));
    }
}
