//! The handshakes of a connection: the plain one of BEP 3, and the one of MSE before it when a side wants that.
//!
//! The longest part that waits for its end is 512 bytes of pad with what follows it; how long the whole may take is
//! the caller's to bound.

use crate::encryption::{Encryption, EncryptionPolicy};
use crate::framing::Decoder;
use crate::handshake::{HANDSHAKE_BYTES, Handshake, Reserved};
use crate::limits::CloseReason;
use crate::mse::{Initiator, MseError, Random, Responder, Step};
use crate::shared::Hello;
use crate::stream::Stream;

/// The side that dialled: says hello, and hears it.
pub(crate) async fn dialled(
    policy: &EncryptionPolicy,
    stream: &mut Stream,
    decoder: &mut Decoder,
    hello: &Hello,
    encrypted: bool,
) -> Result<Handshake, CloseReason> {
    if encrypted {
        let mut out = Vec::new();
        let initial = ours(hello).to_vec();
        let methods = policy.mode().methods();
        let mut initiator = Initiator::new(hello.info_hash, methods, initial, random()?, &mut out);
        agree(stream, decoder, out, |input, out| initiator.advance(input, out)).await?;
    } else {
        send(stream, hello).await?;
    }
    loop {
        match Handshake::parse(decoder.pending()) {
            Ok(Some(handshake)) => {
                decoder.skip(HANDSHAKE_BYTES);
                return Ok(handshake);
            }
            Ok(None) => read(stream, decoder).await?,
            Err(_) => return Err(CloseReason::BadMessage),
        }
    }
}

/// The side that was dialled: hears hello. What is no BitTorrent handshake is taken for an encrypted one, which is
/// meant to look like nothing.
pub(crate) async fn accepted(
    policy: &EncryptionPolicy,
    stream: &mut Stream,
    decoder: &mut Decoder,
) -> Result<Handshake, CloseReason> {
    let mode = policy.mode();
    let mut agreed = false;
    loop {
        match Handshake::parse(decoder.pending()) {
            Ok(Some(_)) if !agreed && mode == Encryption::Required => return Err(CloseReason::Encryption),
            Ok(Some(handshake)) => {
                decoder.skip(HANDSHAKE_BYTES);
                return Ok(handshake);
            }
            Ok(None) => read(stream, decoder).await?,
            Err(_) if agreed || mode == Encryption::Off => return Err(CloseReason::BadMessage),
            Err(_) => {
                let mut responder = Responder::new(mode.methods(), random()?);
                let find = |name: &[u8; 20]| policy.find(name);
                agree(stream, decoder, Vec::new(), |input, out| responder.advance(input, out, find)).await?;
                agreed = true;
            }
        }
    }
}

/// Sends the handshake of BEP 3. Short: it fits an empty send buffer.
pub(crate) async fn send(stream: &mut Stream, hello: &Hello) -> Result<(), CloseReason> {
    let mut bytes = ours(hello);
    stream.seal(&mut bytes);
    stream.write_all(&bytes).await.map_err(|_| CloseReason::Reset)
}

fn ours(hello: &Hello) -> [u8; HANDSHAKE_BYTES] {
    let Hello { info_hash, peer_id, v2, dht_port, .. } = *hello;
    Handshake { reserved: Reserved::ours(v2, dht_port.is_some()), info_hash, peer_id }.to_bytes()
}

async fn agree(
    stream: &mut Stream,
    decoder: &mut Decoder,
    mut out: Vec<u8>,
    mut advance: impl FnMut(&mut [u8], &mut Vec<u8>) -> Result<Step, MseError>,
) -> Result<(), CloseReason> {
    loop {
        let step = advance(decoder.pending_mut(), &mut out).map_err(|error| match error {
            MseError::UnknownTorrent => CloseReason::WrongInfoHash,
            MseError::NoCommonMethod => CloseReason::Encryption,
            MseError::NoSync | MseError::LongPad => CloseReason::BadMessage,
        })?;
        decoder.skip(step.consumed);
        stream.write_all(&out).await.map_err(|_| CloseReason::Reset)?;
        out.clear();
        if let Some(agreed) = step.agreed {
            stream.agree(agreed, decoder.pending_mut());
            return Ok(());
        }
        read(stream, decoder).await?;
    }
}

async fn read(stream: &mut Stream, decoder: &mut Decoder) -> Result<(), CloseReason> {
    match stream.read(decoder.spare()).await {
        Ok(0) | Err(_) => Err(CloseReason::Reset),
        Ok(bytes) => {
            decoder.filled(bytes);
            Ok(())
        }
    }
}

fn random() -> Result<Random, CloseReason> {
    Random::new().map_err(|error| CloseReason::Ours(error.to_string()))
}
