//! Waiting for something that gives no signal.

use std::panic::Location;
use std::time::Duration;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks `look` again and again until it answers `Some`, and returns that answer.
///
/// For states that can only be looked at, such as a row that another process writes; where there is a signal,
/// await the signal instead.
///
/// # Panics
/// When the deadline passes, naming the line that waited.
#[track_caller]
pub fn eventually<T, F, Fut>(deadline: Duration, mut look: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    let polling = async move {
        loop {
            if let Some(answer) = look().await {
                return answer;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    async move {
        match tokio::time::timeout(deadline, polling).await {
            Ok(answer) => answer,
            Err(_elapsed) => panic!("still not so after {deadline:?}, awaited at {caller}"),
        }
    }
}
