//! Private servers on this machine: starting, ending in every way, and who is let in.

use std::fs::{Permissions, read_to_string, set_permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use secrecy::ExposeSecret;
use tandem_servers::{
    DataError, NatsOptions, NatsUser, PostgresError, PostgresOptions, PrivateNats, PrivatePostgres, Search,
    demo_data_dir,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);

fn search() -> Search {
    #[expect(clippy::disallowed_methods, reason = "a test is its own caller; PATH says what is installed")]
    let path = std::env::var_os("PATH");
    Search::near(&[Path::new(env!("CARGO_MANIFEST_DIR"))], path)
}

/// A folder that the servers' user can pass through whatever TMPDIR and umask are.
fn folder() -> Result<TempDir> {
    let base = if geteuid().is_root() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
    let dir = tempfile::Builder::new().prefix("tandem-servers-").tempdir_in(base)?;
    set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    Ok(dir)
}

async fn postgres(dir: &Path) -> Result<PrivatePostgres> {
    let options = PostgresOptions { fast: true, settings: Vec::new() };
    let programs = search().postgres().await?;
    Ok(PrivatePostgres::start(&programs, &dir.join("postgres"), options, &mut |_| ()).await?)
}

async fn nats(dir: &Path) -> Result<PrivateNats> {
    let options = NatsOptions { users: vec![NatsUser::unlimited("detector")], sync_always: true };
    let program = search().nats().await?;
    Ok(PrivateNats::start(&program, &dir.join("nats"), options, &mut |_| ()).await?)
}

/// A client as far as the question "am I let in?" needs one.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(port: u16, credentials: &str) -> Result<Self> {
        let mut client = Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?));
        client.line().await?;
        let hello = format!("CONNECT {{\"verbose\":false{credentials}}}\r\nPING\r\n");
        client.0.write_all(hello.as_bytes()).await?;
        Ok(client)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await??;
        Ok(line.trim().to_owned())
    }
}

fn credentials(nats: &PrivateNats) -> Option<String> {
    let password = nats.password("detector")?.expose_secret();
    Some(format!(",\"user\":\"detector\",\"pass\":\"{password}\""))
}

fn exists(pid: u32) -> bool {
    // a zombie is a process that ended and was not waited for
    read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn gone(pid: u32) -> Result<()> {
    let look = async {
        while exists(pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, look).await?)
}

#[tokio::test]
async fn postgres_comes_back_on_the_same_port_with_the_same_password() {
    let dir = folder().unwrap();
    let mut lines = Vec::new();
    let programs = search().postgres().await.unwrap();
    let mut say = |line: &str| lines.push(line.to_owned());
    let place = dir.path().join("postgres");
    let mut first =
        PrivatePostgres::start(&programs, &place, PostgresOptions::default(), &mut say).await.unwrap();
    assert_eq!(lines, ["creating a PostgreSQL data folder", "starting PostgreSQL"]);
    let url = first.url("postgres").expose_secret().to_owned();
    assert!(TcpStream::connect(("127.0.0.1", first.port())).await.is_ok());
    let secret = place.join("secrets/postgres").metadata().unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);

    first.kill9().await;
    assert!(!first.runs());
    first.restart().await.unwrap();
    assert!(first.runs());
    first.stop().await;
    drop(first);

    let second =
        PrivatePostgres::start(&programs, &place, PostgresOptions::default(), &mut |_| ()).await.unwrap();
    assert_eq!(second.url("postgres").expose_secret(), url);
}

#[tokio::test]
async fn one_owner_at_a_time() {
    let dir = folder().unwrap();
    let first = postgres(dir.path()).await.unwrap();
    let second = postgres(dir.path()).await.unwrap_err();
    let busy = second.downcast_ref::<PostgresError>();
    assert!(matches!(busy, Some(PostgresError::Data(DataError::Busy { .. }))), "{second:?}");
    let pid = first.pid();
    drop(first);
    assert!(!exists(pid), "dropping waits for the end");
    postgres(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_stale_status_file_with_the_process_id_of_a_stranger_is_no_obstacle() {
    let dir = folder().unwrap();
    let mut server = postgres(dir.path()).await.unwrap();
    let status = dir.path().join("postgres/data/postmaster.pid");
    let text = read_to_string(&status).unwrap();
    server.stop().await;
    let stranger = text.replacen(&server.pid().to_string(), &std::process::id().to_string(), 1);
    std::fs::write(&status, stranger).unwrap();
    server.restart().await.unwrap();
}

#[tokio::test]
async fn an_end_from_outside_is_noticed() {
    let dir = folder().unwrap();
    let server = nats(dir.path()).await.unwrap();
    kill(Pid::from_raw(server.pid().try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert!(tokio::time::timeout(PATIENCE, server.ended()).await.unwrap().contains("signal: 9"));
    assert!(!server.runs());
}

#[tokio::test]
async fn nats_lets_in_its_users_and_nobody_else() {
    let dir = folder().unwrap();
    let mut server = nats(dir.path()).await.unwrap();
    for refused in ["", ",\"user\":\"detector\",\"pass\":\"x\"", ",\"user\":\"sys\",\"pass\":\"\""] {
        let answer = Client::connect(server.port(), refused).await.unwrap().line().await.unwrap();
        assert_eq!(answer, "-ERR 'Authorization Violation'", "{refused:?}");
    }
    let right = credentials(&server).unwrap();
    assert_eq!(Client::connect(server.port(), &right).await.unwrap().line().await.unwrap(), "PONG");
    let port = server.port();
    server.kill9().await;
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(Client::connect(port, &right).await.unwrap().line().await.unwrap(), "PONG");
}

#[tokio::test]
async fn a_frozen_nats_answers_after_the_freeze() {
    let dir = folder().unwrap();
    let server = nats(dir.path()).await.unwrap();
    let mut client = Client::connect(server.port(), &credentials(&server).unwrap()).await.unwrap();
    assert_eq!(client.line().await.unwrap(), "PONG");
    server.pause();
    let stat = format!("/proc/{}/stat", server.pid());
    let frozen = async {
        while !read_to_string(&stat).unwrap().contains(") T ") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, frozen).await.unwrap();
    client.0.write_all(b"PING\r\n").await.unwrap();
    server.resume();
    assert_eq!(client.line().await.unwrap(), "PONG");
}

#[tokio::test]
async fn a_wiped_store_is_empty() {
    let dir = folder().unwrap();
    let mut server = nats(dir.path()).await.unwrap();
    let mut client = Client::connect(server.port(), &credentials(&server).unwrap()).await.unwrap();
    assert_eq!(client.line().await.unwrap(), "PONG");
    let stream =
        r#"{"name":"S","subjects":["s"],"storage":"file","max_consumers":-1,"max_msgs":-1,"max_bytes":-1}"#;
    let ask = format!("SUB in 1\r\nPUB $JS.API.STREAM.CREATE.S in {}\r\n{stream}\r\n", stream.len());
    client.0.write_all(ask.as_bytes()).await.unwrap();
    assert!(client.line().await.unwrap().starts_with("MSG in 1 "));
    assert!(client.line().await.unwrap().contains("\"did_create\":true"));
    let streams = || dir.path().join("nats/store/jetstream/TANDEM/streams/S").exists();
    assert!(streams());
    server.wipe_store().unwrap();
    assert!(!streams());
    server.kill9().await;
    server.restart().await.unwrap();
    assert!(!streams());
}

#[tokio::test]
async fn servers_of_root_run_as_nobody() {
    if !geteuid().is_root() {
        return;
    }
    let dir = folder().unwrap();
    let (postgres, nats) = (postgres(dir.path()).await.unwrap(), nats(dir.path()).await.unwrap());
    for pid in [postgres.pid(), nats.pid()] {
        let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
        assert!(status.contains("Gid:\t65534\t65534\t65534\t65534"), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
}

#[tokio::test]
async fn a_folder_that_nobody_may_enter_is_named_and_a_demo_moves() {
    if !geteuid().is_root() {
        return;
    }
    let dir = folder().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
    let refused = postgres(&home.join("demo")).await.unwrap_err();
    let refused = refused.downcast_ref::<PostgresError>();
    let Some(PostgresError::Data(DataError::Unreachable { barrier, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*barrier, home.canonicalize().unwrap());

    let elsewhere = demo_data_dir(&home.join("demo")).unwrap();
    assert!(elsewhere.starts_with("/var/lib/tandem-private"));
    assert_eq!(demo_data_dir(&home.join("demo")).unwrap(), elsewhere);
    assert_eq!(home.join("demo/elsewhere").read_link().unwrap(), elsewhere);
    assert_eq!(home.metadata().unwrap().permissions().mode() & 0o777, 0o700, "left as it was");
    drop(nats(&elsewhere).await.unwrap());
    std::fs::remove_dir_all(&elsewhere).unwrap();
    // stays when another demo of this machine lives there
    std::fs::remove_dir("/var/lib/tandem-private").ok();
    assert_eq!(demo_data_dir(&dir.path().join("open")).unwrap(), dir.path().join("open"));
}

#[tokio::test]
async fn what_is_missing_is_said_with_what_to_do() {
    let nowhere = Search { postgres_bin: Some("/nowhere".into()), ..Search::default() };
    let error = nowhere.postgres().await.unwrap_err().to_string();
    assert!(error.contains("PostgreSQL 15 or newer") && error.contains("make tools"), "{error}");
    let wrong = Search { nats_server: Some("/bin/true".into()), ..Search::default() };
    let error = wrong.nats().await.unwrap_err().to_string();
    assert!(error.contains("nats-server 2.12") && error.contains("true"), "{error}");
}

/// The owner in the tests below: this test binary again, running [`hold`] in the folder.
struct Owner(Child);

impl Owner {
    /// Starts the owner and waits until both servers run; also says their process ids.
    async fn start(dir: &Path) -> Result<(Self, [u32; 2])> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--ignored", "--exact", "hold", "--nocapture"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut owner = Self(child);
        let look = async {
            loop {
                let pids = read_to_string(dir.join("pids")).unwrap_or_default();
                let pids: Vec<u32> = pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
                if let Ok(pids) = <[u32; 2]>::try_from(pids) {
                    return Ok(pids);
                }
                if let Some(status) = owner.0.try_wait()? {
                    return Err(std::io::Error::other(format!("the owner ended early: {status}")));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let pids = tokio::time::timeout(PATIENCE, look).await??;
        Ok((owner, pids))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Not a test: owns both servers, in the current folder, until its standard input ends.
#[tokio::test]
#[ignore = "the process that the tests below kill"]
async fn hold() {
    let dir = std::env::current_dir().unwrap();
    let (postgres, nats) = (postgres(&dir).await.unwrap(), nats(&dir).await.unwrap());
    std::fs::write(dir.join("pids.new"), format!("{} {}", postgres.pid(), nats.pid())).unwrap();
    std::fs::rename(dir.join("pids.new"), dir.join("pids")).unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

#[tokio::test]
async fn both_servers_end_when_their_owner_is_killed_and_the_next_owner_starts_them_again() {
    let dir = folder().unwrap();
    let (mut owner, pids) = Owner::start(dir.path()).await.unwrap();
    assert!(pids.iter().all(|pid| exists(*pid)));
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    std::fs::remove_file(dir.path().join("pids")).unwrap();
    // at once, while the servers may still be leaving
    let (next, next_pids) = Owner::start(dir.path()).await.unwrap();
    for pid in pids {
        gone(pid).await.unwrap();
    }
    drop(next);
    for pid in next_pids {
        gone(pid).await.unwrap();
    }
}

#[tokio::test]
async fn a_frozen_nats_ends_with_its_owner_too() {
    let dir = folder().unwrap();
    let (owner, pids) = Owner::start(dir.path()).await.unwrap();
    kill(Pid::from_raw(pids[1].try_into().unwrap()), Signal::SIGSTOP).unwrap();
    drop(owner);
    for pid in pids {
        gone(pid).await.unwrap();
    }
}
