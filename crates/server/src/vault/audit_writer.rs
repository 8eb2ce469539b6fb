//! Group commit of the audit: many callers wait for one durable transaction.
//!
//! Waiting for the disk once per license would be the slowest step of the flow. One task
//! writes; what arrives while it waits for the disk goes into the next transaction. A caller is
//! answered only after its rows are durable, so what must not happen unaudited waits for it.

use store::{AUDIT_BATCH_MAX, AuditEntry, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Callers that may wait at once; more are refused, so that a slow disk does not fill memory.
const QUEUE: usize = 4096;

/// Why rows were not written. What they tell of must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Too many callers wait already.
    #[error("too many audit rows wait")]
    Overloaded,
    /// The store did not take them.
    #[error("the audit cannot be written")]
    Unavailable,
}

/// The end of the queue that flows hold. The task ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct AuditWriter {
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    entries: Vec<AuditEntry>,
    written: oneshot::Sender<Result<(), AuditError>>,
}

impl AuditWriter {
    /// Starts the writing task on the current runtime.
    #[must_use]
    pub fn start(store: Store) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write(jobs, move |entries: Vec<AuditEntry>| {
            let store = store.clone();
            async move { store.append_audit(&entries).await }
        }));
        Self { queue }
    }

    /// A writer whose task has ended.
    #[cfg(test)]
    pub fn closed() -> Self {
        Self { queue: mpsc::channel(1).0 }
    }

    /// Adds entries in their order; returns when they are durable.
    ///
    /// Errors: [`AuditError`]. Limits: [`AUDIT_BATCH_MAX`] entries.
    pub async fn append(&self, entries: Vec<AuditEntry>) -> Result<(), AuditError> {
        let (written, is_written) = oneshot::channel();
        self.queue.try_send(Job { entries, written }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AuditError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => AuditError::Unavailable,
        })?;
        is_written.await.unwrap_or(Err(AuditError::Unavailable))
    }
}

/// Writes jobs until the queue closes: all that wait, together.
async fn write<F>(mut jobs: mpsc::Receiver<Job>, append: impl Fn(Vec<AuditEntry>) -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut carried = None;
    loop {
        let first = match carried.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        let (mut entries, mut waiters) = (first.entries, vec![first.written]);
        while let Ok(job) = jobs.try_recv() {
            if entries.len() + job.entries.len() > AUDIT_BATCH_MAX {
                carried = Some(job);
                break;
            }
            entries.extend(job.entries);
            waiters.push(job.written);
        }
        let outcome = append(entries).await.map_err(|error| {
            tracing::error!(alert = "audit_unavailable", %error, "the audit cannot be written");
            metrics::counter!("strongroom_alerts_total", "alert" => "audit_unavailable")
                .increment(1);
            AuditError::Unavailable
        });
        for waiter in waiters {
            // A caller that gave up is not there to be told.
            let _gone = waiter.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    fn entry(number: usize) -> AuditEntry {
        AuditEntry {
            at: Timestamp(0),
            actor: "test".to_owned(),
            action: number.to_string(),
            content_id: None,
            kid: None,
            session: None,
            decision: None,
            detail: String::new(),
        }
    }

    /// A writer whose store notes each transaction, then waits for `disk`.
    fn writer(disk: &Arc<Semaphore>, queue: usize) -> (AuditWriter, Arc<Mutex<Vec<Vec<String>>>>) {
        let (queue, jobs) = mpsc::channel(queue);
        let transactions = Arc::new(Mutex::new(vec![]));
        let (disk, noted) = (Arc::clone(disk), Arc::clone(&transactions));
        tokio::spawn(write(jobs, move |entries: Vec<AuditEntry>| {
            let (disk, noted) = (Arc::clone(&disk), Arc::clone(&noted));
            async move {
                let is_doomed = entries.iter().any(|entry| entry.action == "13");
                let actions = entries.into_iter().map(|entry| entry.action).collect();
                noted.lock().unwrap().push(actions);
                disk.acquire().await.expect("open").forget();
                let broken = || StoreError::Unavailable("broken disk".to_owned());
                if is_doomed { Err(broken()) } else { Ok(()) }
            }
        }));
        (AuditWriter { queue }, transactions)
    }

    #[tokio::test]
    async fn who_waits_for_the_disk_shares_the_next_transaction() {
        let disk = Arc::new(Semaphore::new(0));
        let (writer, transactions) = writer(&disk, QUEUE);
        let append = |number| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.append(vec![entry(number)]).await })
        };
        let mut waiting = vec![append(100)];
        while transactions.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        waiting.extend((101..200).map(append));
        while writer.queue.capacity() > QUEUE - 99 {
            tokio::task::yield_now().await;
        }
        assert!(waiting.iter().all(|task| !task.is_finished()), "nobody goes on unwritten");
        disk.add_permits(2);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        let transactions = transactions.lock().unwrap();
        assert_eq!(transactions.iter().map(Vec::len).collect::<Vec<_>>(), [1, 99]);
        assert!(transactions.concat().is_sorted(), "in the order of arrival");
    }

    #[tokio::test]
    async fn a_failed_transaction_fails_all_who_wait_and_the_writer_goes_on() {
        let disk = Arc::new(Semaphore::new(10));
        let (writer, _) = writer(&disk, QUEUE);
        assert_eq!(writer.append(vec![entry(13)]).await, Err(AuditError::Unavailable));
        assert_eq!(writer.append(vec![entry(14)]).await, Ok(()));
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let disk = Arc::new(Semaphore::new(0));
        let (writer, transactions) = writer(&disk, 1);
        let first = tokio::spawn({
            let writer = writer.clone();
            async move { writer.append(vec![entry(1)]).await }
        });
        // The first is out of the queue and at the disk; the second fills the queue.
        while transactions.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let writer = writer.clone();
            async move { writer.append(vec![entry(2)]).await }
        });
        while writer.queue.capacity() == 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(writer.append(vec![entry(3)]).await, Err(AuditError::Overloaded));
        disk.add_permits(2);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn no_transaction_is_larger_than_the_store_takes() {
        let disk = Arc::new(Semaphore::new(0));
        let (writer, transactions) = writer(&disk, QUEUE);
        let half = || vec![entry(0); AUDIT_BATCH_MAX / 2 + 1];
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (writer, half) = (writer.clone(), half());
                tokio::spawn(async move { writer.append(half).await })
            })
            .collect();
        tokio::task::yield_now().await;
        disk.add_permits(4);
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert!(transactions.lock().unwrap().iter().all(|rows| rows.len() <= AUDIT_BATCH_MAX));
    }
}
