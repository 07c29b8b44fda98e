//! Roles as processes: found healthy, told to stop, gone within their deadline.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lab::{ANA, Lab, SOON, TENANT};

/// A running role; killed when dropped.
pub(crate) struct Role {
    child: Child,
    health: String,
}

impl Role {
    pub(crate) fn start(lab: &Lab, name: &str) -> Result<Self> {
        let mut child = lab
            .command(&["run", name, "--health", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let log = child.stderr.take().context("a log")?;
        let (sender, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str::<serde_json::Value>(&line)
                    && line["message"] == "serving health and metrics"
                {
                    let _gone = sender.send(line["address"].as_str().unwrap_or_default().to_owned());
                }
            }
        });
        let health = address.recv_timeout(SOON).context("the address of the health listener")?;
        Ok(Self { child, health })
    }

    pub(crate) async fn ready(&self) {
        eventually(SOON, || async {
            let answer = get(&self.health, "/readyz").await.ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(&mut self) -> Result<Option<i32>> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let status = eventually(Duration::from_secs(15), || {
            let ended = self.child.try_wait().ok().flatten();
            async move { ended }
        })
        .await;
        Ok(status.code())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_becomes_ready_and_leaves_when_told() -> Result<()> {
    let lab = Lab::start().await?;
    for name in ["detector", "debouncer", "teams-sync", "sync-log", "all"] {
        let mut role = Role::start(&lab, name)?;
        role.ready().await;
        assert!(get(&role.health, "/metrics").await?.starts_with("HTTP/1.1 200"), "{name}");
        assert_eq!(role.stop().await?, Some(0), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_everything_carry_out_a_request_once() -> Result<()> {
    let lab = Lab::start().await?;
    let account = format!(
        "[[account]]\nname = \"alpha\"\ntenant = \"{TENANT}\"\nlicences = 1\n[[account.mapping]]\npbx_user = \"u1\"\n\
         microsoft_user = \"{ANA}\"\n"
    );
    lab.good(&["accounts", "apply", &lab.accounts(&account)?])?;
    let (mut one, mut two) = (Role::start(&lab, "all")?, Role::start(&lab, "all")?);
    one.ready().await;
    two.ready().await;
    let done = lab.good(&[
        "jobs",
        "run",
        "--account",
        "alpha",
        "--full",
        "--reason",
        "trying it",
        "--wait",
        "--timeout",
        "25s",
    ])?;
    let (job, state) = done.trim().split_once(' ').context("a job and its state")?;
    ensure!(state == "succeeded", "{done}");
    let shown = lab.good(&["jobs", "show", job])?;
    assert!(shown.contains("trying it") && shown.contains("JOB> Started"), "{shown}");
    let list = lab.good(&["jobs", "list", "--account", "alpha", "--type", "manual"])?;
    assert_eq!(list.lines().count(), 2, "{list}");
    assert_eq!(one.stop().await?, Some(0));
    assert_eq!(two.stop().await?, Some(0));
    Ok(())
}
