//! A mail server (RFC 5321) that takes mail, or behaves as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it does with the next mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 451 to the recipient, as a greylist does.
    Greylist,
    /// 550 to the recipient.
    NoSuchUser,
    /// 452 to the whole mail.
    Full,
    /// 554 to the whole mail.
    Spam,
    /// Takes the mail and the connection ends before the answer.
    Silence,
    /// 421 to the sender, and the connection ends.
    Closing,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// The envelope's sender.
    pub(crate) from: String,
    /// The envelope's recipients.
    pub(crate) to: Vec<String>,
    /// Head and body.
    pub(crate) data: String,
}

impl Taken {
    /// A header, unfolded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    /// The body with quoted-printable and soft line breaks undone.
    pub(crate) fn words(&self) -> String {
        let text = self.data.replace("=\r\n", "");
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let code = (*first == b'=').then(|| after.get(..2)).flatten();
            let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
            match byte {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[derive(Default)]
struct State {
    manners: VecDeque<Manner>,
    taken: Vec<Taken>,
    seen: usize,
    down: bool,
}

/// The server. It ends with the test.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Self { port: listener.local_addr()?.port(), state: Arc::default() };
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Ok(server)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Behaves so with the next mails, then well again.
    pub(crate) fn behave(&self, manners: &[Manner]) {
        self.with(|state| state.manners.extend(manners));
    }

    /// Ends every connection at once, or not any more.
    pub(crate) fn down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    /// Mails that were taken, whether or not the answer arrived.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.with(|state| state.taken.clone())
    }

    /// Transactions that were begun.
    pub(crate) fn seen(&self) -> usize {
        self.with(|state| state.seen)
    }
}

async fn serve(stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    if lock().down {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example ready\r\n").await?;
    let mut mail = Taken { from: String::new(), to: Vec::new(), data: String::new() };
    let mut manner = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-mail.example\r\n250 8BITMIME\r\n",
            "MAIL" => {
                mail = Taken { from: command, to: Vec::new(), data: String::new() };
                let mut state = lock();
                state.seen += 1;
                manner = state.manners.pop_front();
                if manner == Some(Manner::Closing) { b"421 4.3.2 closing\r\n" } else { b"250 2.1.0 ok\r\n" }
            }
            "RCPT" => {
                mail.to.push(command);
                match manner {
                    Some(Manner::Greylist) => b"451 4.7.1 greylisted, try again in five minutes\r\n",
                    Some(Manner::NoSuchUser) => b"550 5.1.1 no such user\r\n",
                    _ => b"250 2.1.5 ok\r\n",
                }
            }
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                match manner {
                    Some(Manner::Full) => b"452 4.3.1 full\r\n",
                    Some(Manner::Spam) => b"554 5.7.1 looks like spam\r\n",
                    _ => {
                        lock().taken.push(mail.clone());
                        if manner == Some(Manner::Silence) {
                            return Ok(());
                        }
                        b"250 2.0.0 queued as 4711\r\n"
                    }
                }
            }
            "QUIT" => b"221 2.0.0 bye\r\n",
            _ => b"250 2.0.0 ok\r\n",
        };
        stream.write_all(answer).await?;
        if verb == "QUIT" || manner == Some(Manner::Closing) {
            return Ok(());
        }
    }
}
