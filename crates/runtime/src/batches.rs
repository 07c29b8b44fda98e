//! Work that comes from many sides and costs much the same for one piece as for ten: it is done in batches.
//!
//! Promised: a piece that finds a free place is worked on at once; one that does not waits, and whoever finds a place
//! next takes along all that wait, oldest first. There is no task of its own that could end: those who wait do the work.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// Pieces of work `T` that wait for their results `R`.
#[derive(Debug)]
pub struct Batches<T, R> {
    places: Semaphore,
    most: usize,
    waiting: Mutex<VecDeque<Waiting<T, R>>>,
}

#[derive(Debug)]
struct Waiting<T, R> {
    piece: T,
    weight: usize,
    reply: oneshot::Sender<R>,
}

impl<T, R> Batches<T, R> {
    /// At most `places` batches at once, of pieces that weigh at most `most` together. A heavier piece is a batch of its
    /// own.
    #[must_use]
    pub fn new(places: usize, most: usize) -> Self {
        Self { places: Semaphore::new(places), most, waiting: Mutex::default() }
    }

    /// Has a piece done, by `work` here or by that of somebody else who waits. `work` gives the results in the order of the
    /// pieces. `None`: the work broke off, and whether it had its effect is not known.
    pub async fn join<W, F>(&self, piece: T, weight: usize, work: W) -> Option<R>
    where
        W: Fn(Vec<T>) -> F,
        F: Future<Output = Vec<R>>,
    {
        let (reply, mut result) = oneshot::channel();
        self.queue().push_back(Waiting { piece, weight, reply });
        loop {
            let _place = tokio::select! {
                biased;
                result = &mut result => return result.ok(),
                place = self.places.acquire() => place,
            };
            let batch = self.next();
            if batch.is_empty() {
                // the piece is part of a batch that somebody else works on
                return result.await.ok();
            }
            let (pieces, replies): (Vec<T>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.piece, waiting.reply)).unzip();
            for (result, reply) in work(pieces).await.into_iter().zip(replies) {
                // whoever waited may be gone; the work is done all the same
                let _gone = reply.send(result);
            }
        }
    }

    fn next(&self) -> Vec<Waiting<T, R>> {
        let mut queue = self.queue();
        let mut weight = 0_usize;
        let fitting = queue
            .iter()
            .take_while(|next| {
                weight = weight.saturating_add(next.weight);
                weight <= self.most
            })
            .count();
        let end = fitting.max(1).min(queue.len());
        queue.drain(..end).collect()
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::sync::mpsc;

    use super::*;

    /// The batches in which pieces of these weights are worked on while the first holds the only place.
    async fn batches(weights: &[usize]) -> Vec<Vec<usize>> {
        let batches = Batches::new(1, 500);
        let (tell, mut told) = mpsc::unbounded_channel();
        let work = |pieces: Vec<usize>| {
            let tell = tell.clone();
            async move {
                tokio::task::yield_now().await;
                tell.send(pieces.clone()).unwrap();
                pieces
            }
        };
        let all = weights.iter().enumerate().map(|(number, weight)| batches.join(number, *weight, work));
        let results = join_all(all).await;
        assert_eq!(results, (0..weights.len()).map(Some).collect::<Vec<_>>());
        drop(tell);
        let mut all = Vec::new();
        while let Some(batch) = told.recv().await {
            all.push(batch);
        }
        all
    }

    #[tokio::test]
    async fn batches_keep_the_order_and_the_limit() {
        let found = batches(&[1, 100, 400, 1, 10_000, 499, 1, 1]).await;
        assert_eq!(found, [vec![0], vec![1, 2], vec![3], vec![4], vec![5, 6], vec![7]]);
    }

    #[tokio::test]
    async fn work_that_breaks_off_is_told_to_those_who_wait() {
        let batches: Batches<u32, u32> = Batches::new(1, 500);
        let mut first = Box::pin(batches.join(1, 1, |_| std::future::pending()));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(batches.join(2, 1, async |pieces| pieces));
        assert!(futures_util::poll!(&mut second).is_pending());
        // the first goes with its own piece only, and the second goes on
        drop(first);
        assert_eq!(second.await, Some(2));

        let both: Batches<u32, u32> = Batches::new(1, 500);
        let place = both.places.acquire().await.unwrap();
        let mut first = Box::pin(both.join(1, 1, |_| std::future::pending()));
        let mut second = Box::pin(both.join(2, 1, |_| std::future::pending()));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(place);
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(second.await, None);
    }
}
