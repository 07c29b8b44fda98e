//! One child process under a thread of its own.
//!
//! The kernel sends a child its parent-death signal when the *thread* that spawned it ends, so the spawning
//! thread must live as long as the server: it does nothing but wait for the child and pass on signals. It has
//! a runtime of its own, hence neither a blocked worker nor a paused clock of the caller gets in its way.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::user::ServiceUser;

/// How long a server may take to leave before it is killed, when nobody waits for it any more.
const PARTING: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) dir: PathBuf,
    /// Both outputs are appended here.
    pub(crate) log: PathBuf,
    pub(crate) user: ServiceUser,
    /// Sent when the owner is gone, by the kernel if need be.
    pub(crate) farewell: Signal,
}

impl Spec {
    fn command(&self) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.user.command(self.program.as_os_str(), self.farewell);
        command
            .args(&self.args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}

/// A running child. Dropping it ends the child and waits for that.
#[derive(Debug)]
pub(crate) struct Supervised {
    pid: u32,
    signals: Option<mpsc::UnboundedSender<Signal>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Supervised {
    /// Starts the child.
    pub(crate) async fn spawn(spec: Spec) -> io::Result<Self> {
        let (signals, orders) = mpsc::unbounded_channel();
        let (ended, exit) = watch::channel(None);
        let (born, birth) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("private {}", spec.name))
            .spawn(move || supervise(&spec, born, orders, &ended))?;
        let pid = birth.await.map_err(io::Error::other)??;
        Ok(Self { pid, signals: Some(signals), exit, thread: Some(thread) })
    }

    /// Runs the child to its end.
    pub(crate) async fn run(spec: Spec) -> io::Result<ExitStatus> {
        Ok(Self::spawn(spec).await?.ended().await)
    }

    /// Its process id; `setpriv` replaces itself, so it is the server's own.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        // an error means that the thread is gone, which it leaves only after the child
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status).unwrap_or_default()
    }

    /// Sends a signal, unless the child has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(signals) = &self.signals {
            // refused only when the thread, hence the child, is gone
            signals.send(signal).ok();
        }
    }

    /// Sends the signals in turn, each with time to leave, and waits for the end.
    pub(crate) async fn end(&self, ladder: &[(Signal, Duration)]) -> ExitStatus {
        for (signal, grace) in ladder {
            self.signal(*signal);
            if let Ok(status) = tokio::time::timeout(*grace, self.ended()).await {
                return status;
            }
        }
        self.signal(Signal::SIGKILL);
        self.ended().await
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.signals.take());
        if let Some(thread) = self.thread.take() {
            // a panic of the thread has been printed by the panic hook; there is nothing to add
            thread.join().ok();
        }
    }
}

fn supervise(
    spec: &Spec,
    born: oneshot::Sender<io::Result<u32>>,
    orders: mpsc::UnboundedReceiver<Signal>,
    ended: &watch::Sender<Option<ExitStatus>>,
) {
    // a starter that no longer waits has dropped its end of `orders` too, which ends the child
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match spec.command().and_then(|mut command| command.spawn()) {
                Ok(mut child) => {
                    born.send(child.id().ok_or_else(|| io::Error::other("ended at once"))).ok();
                    let status = attend(&mut child, spec.farewell, orders).await;
                    ended.send_replace(Some(status));
                }
                Err(error) => drop(born.send(Err(error))),
            }
        }),
        Err(error) => drop(born.send(Err(error))),
    }
}

async fn attend(
    child: &mut Child,
    farewell: Signal,
    mut orders: mpsc::UnboundedReceiver<Signal>,
) -> ExitStatus {
    loop {
        tokio::select! {
            status = child.wait() => return status.unwrap_or_default(),
            order = orders.recv() => match order {
                Some(signal) => send(child, signal),
                None => break,
            },
        }
    }
    send(child, farewell);
    if let Ok(status) = tokio::time::timeout(PARTING, child.wait()).await {
        return status.unwrap_or_default();
    }
    send(child, Signal::SIGKILL);
    child.wait().await.unwrap_or_default()
}

/// The child has a process id until it is waited for, so the signal cannot hit a stranger.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // fails only for a child that has ended and is about to be waited for
        kill(Pid::from_raw(pid), signal).ok();
    }
}
