//! How the bytes of an answer leave.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::{Compress, Compression, Crc, FlushCompress};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

/// Largest content of [`Delivery::Bomb`], in mebibytes; its compressed form is a thousandth of that.
const LARGEST_BOMB: u64 = 16_384;

/// The way a content is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delivery {
    #[default]
    Whole,
    /// Half of it, properly ended.
    Half,
    /// So many bytes (half of it if not said), then nothing more.
    Stall(Option<usize>),
    /// Portions of so many bytes with a pause between them.
    Drip(usize, Duration),
    /// Something else: white space of so many mebibytes, compressed.
    Bomb(u64),
}

impl Delivery {
    pub(crate) fn body(&self, mut bytes: Vec<u8>) -> Body {
        match *self {
            Self::Whole => Body::from(bytes),
            Self::Half => {
                bytes.truncate(bytes.len() / 2);
                Body::from(bytes)
            }
            Self::Stall(after) => {
                let portion = after.unwrap_or(bytes.len() / 2);
                Body::new(Slow { left: bytes.into(), portion, every: None, pause: None, started: false })
            }
            Self::Drip(portion, every) => {
                let every = Some(every);
                Body::new(Slow {
                    left: bytes.into(),
                    portion: portion.max(1),
                    every,
                    pause: None,
                    started: false,
                })
            }
            Self::Bomb(mebibytes) => Body::from(bomb(mebibytes.min(LARGEST_BOMB))),
        }
    }
}

/// Content in portions. Its whole length is announced.
struct Slow {
    left: Bytes,
    portion: usize,
    /// Pause between two portions; without one there is no second portion.
    every: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
    started: bool,
}

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if self.started {
            // without a pause to wait for, nothing ever wakes this body again
            let Some(pause) = &mut self.pause else { return Poll::Pending };
            ready!(pause.as_mut().poll(context));
        }
        self.started = true;
        self.pause = self.every.map(|every| Box::pin(tokio::time::sleep(every)));
        let portion = self.portion.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(portion)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// A gzip file (RFC 1952) of white space and `{}`: valid JSON for whoever has the memory.
fn bomb(mebibytes: u64) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let space = vec![b' '; 1 << 20];
    // after a full flush the next block refers to nothing before it, so one block can be repeated
    let block = deflated(&space, FlushCompress::Full);
    let end = deflated(b"{}", FlushCompress::Finish);
    let mut one = Crc::new();
    one.update(&space);
    let mut sum = Crc::new();
    let mut out = HEADER.to_vec();
    for _ in 0..mebibytes {
        out.extend_from_slice(&block);
        sum.combine(&one);
    }
    sum.update(b"{}");
    out.extend_from_slice(&end);
    out.extend_from_slice(&sum.sum().to_le_bytes());
    out.extend_from_slice(&sum.amount().to_le_bytes());
    out
}

fn deflated(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    // the room suffices, so one call takes everything
    let _ = Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, flush);
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    #[test]
    fn a_bomb_is_small_and_becomes_what_it_says() {
        let packed = super::bomb(8);
        assert!(packed.len() < 64 << 10, "{}", packed.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!((text.len(), text.trim()), ((8 << 20) + 2, "{}"));
    }
}
