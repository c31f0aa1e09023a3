//! What a link reads and writes, whatever carries it. Never waits, except in [`Stream::ready`].

use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The two directions of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
}

impl Stream {
    /// Reads what has come: `WouldBlock` when nothing has, 0 bytes at the peer's end.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
        }
    }

    /// Writes what is taken now of bytes that went through [`Stream::seal`]: `WouldBlock` when nothing is.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
        }
    }

    /// Waits until there may be something to read, or room to write.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.ready(interest).await.map(drop),
        }
    }

    /// Whether bytes must be sealed before they are written: then what was sealed first goes out first.
    pub(crate) fn is_sealed(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
        }
    }

    /// Makes bytes fit for the wire, in place: every byte once, in the order of the wire.
    pub(crate) fn seal(&mut self, _bytes: &mut [u8]) {
        match self {
            Self::Tcp(_) => {}
        }
    }

    /// Reads at least one byte, 0 at the peer's end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.ready(Interest::READABLE).await?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Writes sealed bytes, all of them.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.ready(Interest::WRITABLE).await?;
            match self.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
