//! From the first signal to the exit code.
//!
//! The first SIGINT or SIGTERM stops softly and in order, under a deadline; a second one aborts. A background task that
//! ended by itself stops the process as well, with a failing exit code.

use std::{io, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::Ctx;

/// How long a stop may take. Container runtimes usually wait 30 seconds before they kill.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Asked to stop, and everything ended in time.
    Clean,
    /// A background task ended by itself.
    Failed,
    /// Tasks were still running at the deadline.
    Late,
    /// A second signal cut the stop short.
    Aborted,
}

impl Exit {
    /// The process's exit code: 0, 1, 2 or 130.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::Late => 2,
            // 128 + SIGINT, as shells report it
            Self::Aborted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Where requests to stop come from.
pub struct Interrupts(Origin);

enum Origin {
    Signals { int: Signal, term: Signal },
    Manual(mpsc::UnboundedReceiver<()>),
}

/// Sends a request to stop, in place of a signal.
#[derive(Clone, Debug)]
pub struct Interrupter(mpsc::UnboundedSender<()>);

impl Interrupter {
    /// The first call stops softly, the second aborts.
    pub fn interrupt(&self) {
        // nobody listens any more only when the stop is already over
        let _over = self.0.send(());
    }
}

impl Interrupts {
    /// SIGINT and SIGTERM, caught from now on: call it before anything slow starts.
    pub fn signals() -> io::Result<Self> {
        Ok(Self(Origin::Signals {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        }))
    }

    /// Interrupts sent by the caller.
    #[must_use]
    pub fn manual() -> (Interrupter, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Interrupter(sender), Self(Origin::Manual(receiver)))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Origin::Signals { int, term } => {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
            }
            Origin::Manual(receiver) => {
                if receiver.recv().await.is_none() {
                    // the sender is gone: no interrupt can come any more
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// Waits for an interrupt or for [`Ctx::shutdown`], then stops everything in order.
pub async fn wait(ctx: &Ctx, mut interrupts: Interrupts, deadline: Duration) -> Exit {
    tokio::select! {
        () = ctx.shutdown.cancelled() => tracing::info!("stopping"),
        () = interrupts.next() => tracing::info!("stopping; interrupt once more to abort"),
    }
    let in_time = tokio::select! {
        in_time = ctx.drain(deadline) => in_time,
        () = interrupts.next() => {
            tracing::warn!("interrupted twice; aborting");
            return Exit::Aborted;
        }
    };
    if !ctx.background_errors().is_empty() {
        Exit::Failed
    } else if in_time {
        Exit::Clean
    } else {
        Exit::Late
    }
}
