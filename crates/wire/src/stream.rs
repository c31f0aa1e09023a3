//! What a link reads and writes, whatever carries it and whether it is sealed. Never waits, except where it says so.

use crate::mse::Agreed;
use crate::rc4::Rc4;
use crate::shared::Transport;
use blockswarm_net::UtpConnection;
use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The two directions of one connection.
#[derive(Debug)]
pub(crate) struct Stream {
    carrier: Carrier,
    /// For what comes, at most so many bytes of it.
    incoming: Option<Box<(Rc4, u64)>>,
    outgoing: Option<Box<Rc4>>,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Utp(Box<UtpConnection>),
}

impl Stream {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self { carrier: Carrier::Tcp(stream), incoming: None, outgoing: None }
    }

    pub(crate) fn utp(connection: UtpConnection) -> Self {
        Self { carrier: Carrier::Utp(Box::new(connection)), incoming: None, outgoing: None }
    }

    /// What carries it.
    pub(crate) fn transport(&self) -> Transport {
        match self.carrier {
            Carrier::Tcp(_) => Transport::Tcp,
            Carrier::Utp(_) => Transport::Utp,
        }
    }

    /// Seals and opens from here on; `come` has come behind the handshake already.
    pub(crate) fn agree(&mut self, agreed: Agreed, come: &mut [u8]) {
        self.incoming = agreed.incoming.map(Box::new);
        self.outgoing = agreed.outgoing.map(Box::new);
        self.open(come);
    }

    /// Reads what has come, opened in place: `WouldBlock` when nothing has, 0 bytes at the peer's end.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = match &mut self.carrier {
            Carrier::Tcp(stream) => stream.try_read(buffer),
            Carrier::Utp(connection) => connection.try_read(buffer),
        }?;
        self.open(buffer.get_mut(..bytes).unwrap_or_default());
        Ok(bytes)
    }

    /// Writes what is taken now of bytes that went through [`Stream::seal`]: `WouldBlock` when nothing is.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => stream.try_write(bytes),
            Carrier::Utp(connection) => connection.try_write(bytes),
        }
    }

    /// Waits until there may be something to read, or room to write.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.ready(interest).await.map(drop),
            Carrier::Utp(connection) => {
                connection.ready(interest).await;
                Ok(())
            }
        }
    }

    /// Whether bytes must be sealed before they are written: then what was sealed first goes out first.
    pub(crate) fn is_sealed(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Makes bytes fit for the wire, in place: every byte once, in the order of the wire.
    pub(crate) fn seal(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.outgoing {
            cipher.apply(bytes);
        }
    }

    fn open(&mut self, bytes: &mut [u8]) {
        let Some(incoming) = &mut self.incoming else { return };
        let (cipher, left) = &mut **incoming;
        let sealed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
        cipher.apply(bytes.get_mut(..sealed).unwrap_or_default());
        // An unending stream does not end: 2^64 bytes take a hundred years at a gigabit a second.
        *left = left.saturating_sub(sealed as u64);
        if *left == 0 {
            self.incoming = None;
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
