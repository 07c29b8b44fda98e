//! Mail through maildev, a mail server of others, with TLS and a login, read back through its API. It is installed by
//! `make test-mail`, which runs these tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use secrecy::SecretString;
use serde_json::Value;
use tandem_notifier::{Carrier, Smtp, SmtpConfig, TlsMode};
use tandem_testkit::{TempDir, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, admin, smtp};

/// A maildev; killed when dropped.
struct Maildev {
    child: Child,
    smtp: u16,
    web: u16,
    ca_pem: String,
    _dir: TempDir,
}

impl Drop for Maildev {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Where `make test-mail` puts it.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/maildev/node_modules/.bin/maildev")
}

impl Maildev {
    async fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let ca_pem = made.cert.pem();
        std::fs::write(&cert, &ca_pem)?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let [smtp, web] = [tandem_testkit::free_port()?, tandem_testkit::free_port()?];
        let child = Command::new(program())
            .args([
                "--ip",
                "127.0.0.1",
                "--incoming-secure",
                "--incoming-user",
                "tandem",
                "--incoming-pass",
                "secret",
            ])
            .args(["--smtp", &smtp.to_string(), "--web", &web.to_string()])
            .arg("--mail-directory")
            .arg(dir.path().join("mails"))
            .arg("--incoming-cert")
            .arg(cert)
            .arg("--incoming-key")
            .arg(key)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}: run `make test-mail`", program().display()))?;
        let maildev = Self { child, smtp, web, ca_pem, _dir: dir };
        eventually(Duration::from_secs(30), || async { maildev.get("/email").await.ok() }).await;
        Ok(maildev)
    }

    fn config(&self, password: &str) -> SmtpConfig {
        SmtpConfig {
            host: "localhost".to_owned(),
            tls: TlsMode::Implicit,
            ca_pem: Some(self.ca_pem.clone()),
            login: Some(("tandem".to_owned(), SecretString::from(password.to_owned()))),
            ..smtp(self.smtp)
        }
    }

    /// An answer of the API.
    async fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.web)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        ensure!(head.contains(" 200 "), "{head}");
        Ok(serde_json::from_str(body)?)
    }

    async fn mails(&self) -> Result<Vec<Value>> {
        Ok(self.get("/email").await?.as_array().context("a list")?.clone())
    }
}

#[tokio::test]
#[ignore = "needs maildev: make test-mail"]
async fn maildev_a11_a13_a14_the_reminder_arrives_through_tls_and_a_login() -> Result<()> {
    let maildev = Maildev::start().await?;
    let mut world = World::start().await?;
    let orchid = world.account("orchid", false).await?;
    world.edit(orchid).await?;
    world.notifier = world.another(Carrier::Smtp(Smtp::new(maildev.config("secret"))?))?;
    world.pass(Duration::from_secs(48 * 3600), Duration::from_secs(3600)).await?;
    let mails = maildev.mails().await?;
    assert_eq!(mails.len(), 3, "one a day: {mails:#?}");
    for mail in &mails {
        assert_eq!(mail["to"][0]["address"], admin("orchid"));
        assert_eq!(mail["from"][0]["address"], "tandem@provider.example");
        assert_eq!(mail["envelope"]["from"]["address"], "bounces@provider.example");
        assert_eq!(mail["subject"], "The orchid: changes wait for a sync to Teams");
        let (html, text) = (mail["html"].as_str().context("HTML")?, mail["text"].as_str().context("text")?);
        for part in ["Ana Silva (101)", "did numbers, extension", "Manual Sync"] {
            assert!(html.contains(part) && text.contains(part), "{part} is not in both of {text} and {html}");
        }
        assert!(html.contains("href=\"https://portal.example/accounts/orchid\""), "{html}");
    }
    let mut ids: Vec<&Value> = mails.iter().map(|mail| &mail["messageId"]).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    Ok(())
}

#[tokio::test]
#[ignore = "needs maildev: make test-mail"]
async fn maildev_a_wrong_password_and_a_strange_certificate_send_nothing() -> Result<()> {
    let maildev = Maildev::start().await?;
    let mut world = World::start().await?;
    let orchid = world.account("orchid", true).await?;
    world.sync(orchid, "failed").await?;
    let away = async |config: SmtpConfig| -> Result<String> {
        let notifier = world.another(Carrier::Smtp(Smtp::new(config)?))?;
        notifier.watch.sweep().await?;
        let round = notifier.courier.round(&tokio_util::sync::CancellationToken::new()).await?;
        round.away.context("the server was used")
    };
    let wrong = away(maildev.config("wrong")).await?;
    assert!(wrong.contains("535") || wrong.to_lowercase().contains("auth"), "{wrong}");
    assert_eq!(maildev.mails().await?.len(), 0);
    // last: maildev ends with the handshake that we break off
    let strange = away(SmtpConfig { ca_pem: None, ..maildev.config("secret") }).await?;
    assert!(strange.to_lowercase().contains("certificate"), "{strange}");
    assert_eq!(world.outcomes().await?, [("reminder".to_owned(), "waiting".to_owned())]);
    Ok(())
}
