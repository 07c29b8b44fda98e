//! The demo as a newcomer runs it: twice on one data folder, an edit by hand, Ctrl-C.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_testkit::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Long enough for a machine that compiles beside the test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A demo that runs, and what it has printed.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

fn demo(data: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("demo").args(args).arg("--data").arg(data.path().join("demo")).kill_on_drop(true);
    command
}

impl Demo {
    fn start(data: &TempDir, args: &[&str]) -> Result<Self> {
        let mut child = demo(data, args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("standard output")?;
        Ok(Self { child, lines: BufReader::new(out).lines(), said: Vec::new() })
    }

    /// Reads up to a line that contains the text.
    async fn until(&mut self, text: &str) -> Result<()> {
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.context("silence")?? {
            let found = line.contains(text);
            self.said.push(line);
            if found {
                return Ok(());
            }
        }
        bail!("ended without saying {text:?}; it said:\n{}", self.said.join("\n"))
    }

    /// Reads to the end; the exit code.
    async fn end(&mut self) -> Result<Option<i32>> {
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.context("silence")?? {
            self.said.push(line);
        }
        Ok(timeout(PATIENCE, self.child.wait()).await.context("end")??.code())
    }

    /// The story's lines in their order, checked against times that only grow; and the new number.
    fn story(&self) -> Result<String> {
        let expected =
            ["saved", "detected", "window opened", "job cut", "request accepted", "confirmed", "settled"];
        let mut told: Vec<&str> = Vec::new();
        let mut last = 0.0;
        for line in &self.said {
            let Some((seconds, rest)) = line.split_once(" s  ") else { continue };
            let Ok(seconds) = seconds.trim().parse::<f64>() else { continue };
            ensure!(seconds >= last, "time went backwards: {line}");
            last = seconds;
            let what = expected.iter().find(|what| rest.starts_with(**what));
            let what = *what.with_context(|| format!("unexpected line: {line}"))?;
            if told.last() != Some(&what) {
                told.push(what);
            }
        }
        ensure!(told == expected, "told {told:?} in:\n{}", self.said.join("\n"));
        ensure!(self.said.iter().any(|line| line.contains("job cut") && line.contains("type Auto")));
        ensure!(!self.said.iter().any(|line| line.contains('\u{1b}')), "colours without a terminal");
        let number = |label: &str| {
            let line = self.said.iter().find(|line| line.contains(label))?;
            Some(line.rsplit(' ').next()?.to_owned())
        };
        let (before, now) = (number("in Teams before:"), number("in Teams now:"));
        ensure!(before.is_some() && before != now, "{before:?} -> {now:?}");
        now.context("the number in Teams")
    }

    /// Nobody listens any more where the servers did.
    async fn left_nothing(&self) -> Result<()> {
        let servers = self.said.iter().filter_map(|line| line.trim().split_once(" on 127.0.0.1:"));
        let mut ports = Vec::new();
        for (server, port) in servers {
            let port: u16 = port.parse()?;
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            ensure!(connected.is_err(), "{server} still runs");
            ports.push(port);
        }
        ensure!(ports.len() == 2, "the servers' ports are said: {ports:?}");
        Ok(())
    }
}

/// What the kernel says of a limit of a process: soft and hard.
fn limit(pid: u32, name: &str) -> Result<(String, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a limit")?;
    let mut words = line.split_whitespace().map(str::to_owned);
    Ok((words.next().context("a soft limit")?, words.next().context("a hard limit")?))
}

/// Processes that another one has started.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // one that has ended meanwhile is nobody's child
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1) == Some(&parent.to_string()) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn i16_the_demo_and_its_servers_make_no_core_dumps() -> Result<()> {
    let data = TempDir::new()?;
    let mut demo = Demo::start(&data, &[])?;
    demo.until("nats-server on 127.0.0.1:").await?;
    let pid = demo.child.id().context("the demo runs")?;
    let servers = children(pid)?;
    ensure!(servers.len() >= 2, "PostgreSQL and nats-server: {servers:?}");
    for process in servers.into_iter().chain([pid]) {
        let limits = limit(process, "Max core file size")?;
        ensure!(limits == ("0".to_owned(), "0".to_owned()), "{process}: {limits:?}");
    }
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
    demo.end().await.map(drop)
}

#[tokio::test]
async fn the_story_comes_true_twice_and_nothing_stays_behind() -> Result<()> {
    let data = TempDir::new()?;
    let mut first = Demo::start(&data, &["--once"])?;
    let code = first.end().await?;
    let number = first.story()?;
    ensure!(code == Some(0), "exit code {code:?}");
    first.left_nothing().await?;

    let mut second = Demo::start(&data, &[])?;
    second.until("Ctrl-C stops everything").await?;
    ensure!(second.story()? != number, "the second start edits again");
    let edit = demo(&data, &["edit", "--user", "1007", "--number", "+12125550177"]).output().await?;
    let said = String::from_utf8(edit.stdout)?;
    ensure!(edit.status.success() && said.contains("none -> +12125550177"), "{said}");
    let taken = demo(&data, &["edit", "--user", "1003", "--number", "+12125550177"]).output().await?;
    let said = String::from_utf8(taken.stderr)?;
    ensure!(!taken.status.success() && said.contains("leads to 1007 of alpha.example.com"), "{said}");
    let pid = second.child.id().context("the demo runs")?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
    let code = second.end().await?;
    ensure!(code == Some(0), "exit code {code:?} in:\n{}", second.said.join("\n"));
    second.left_nothing().await
}
