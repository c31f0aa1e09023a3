//! From nothing to an open link: dial or be dialled, shake hands, within a time.

use crate::context::Context;
use crate::events::{Incoming, Opened};
use crate::framing::Decoder;
use crate::greeting;
use crate::handshake::Handshake;
use crate::limits::CloseReason;
use crate::link::{Link, Start};
use crate::shared::{Command, Hello, How, LinkShared, StoreRef, Transport};
use crate::stream::Stream;
use blockswarm_net::{DialError, Endpoint, Isolation};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;

/// Dials, shakes hands and runs the link to its end.
pub(crate) async fn outgoing(
    context: Arc<Context>,
    shared: Arc<LinkShared>,
    store: Option<Arc<StoreRef>>,
    hello: Hello,
    how: How,
) -> CloseReason {
    let opening = async {
        let _permit = context.half_open_out.acquire().await.map_err(|_| CloseReason::Full)?;
        let mut stream = dial(&context, &shared, how.transport).await?;
        let mut decoder = Decoder::new(context.limits.early_bitfield_bytes);
        let shaking =
            greeting::dialled(&context.encryption, &mut stream, &mut decoder, &hello, how.encrypted);
        let theirs = tokio::time::timeout(context.limits.handshake_timeout, shaking)
            .await
            .map_err(|_| CloseReason::HandshakeTimeout)??;
        if theirs.info_hash != hello.info_hash && Some(theirs.info_hash) != hello.other_info_hash {
            return Err(CloseReason::WrongInfoHash);
        }
        Ok(Start { stream, decoder, theirs, hello, store, commands: Vec::new() })
    };
    let start = tokio::select! {
        start = opening => start,
        reason = told_to_close(&shared) => Err(reason),
    };
    run(context, shared, start).await
}

/// In one of the places for incoming links: takes a peer's handshake, asks TypeScript whether it may come in, and runs the link to its end.
pub(crate) async fn incoming(
    context: Arc<Context>,
    shared: Arc<LinkShared>,
    stream: Stream,
    place: OwnedSemaphorePermit,
) -> CloseReason {
    let opening = accepted(&context, &shared, stream, place);
    let start = tokio::select! {
        start = opening => start,
        reason = told_to_close(&shared) => Err(reason),
    };
    run(context, shared, start).await
}

async fn accepted(
    context: &Context,
    shared: &LinkShared,
    mut stream: Stream,
    _place: OwnedSemaphorePermit,
) -> Result<Start, CloseReason> {
    let mut decoder = Decoder::new(context.limits.early_bitfield_bytes);
    let shaking = greeting::accepted(&context.encryption, &mut stream, &mut decoder);
    let theirs = tokio::time::timeout(context.limits.handshake_timeout, shaking)
        .await
        .map_err(|_| CloseReason::HandshakeTimeout)??;
    context.outbox.push_incoming(Incoming {
        link: shared.id,
        address: shared.address.clone(),
        opened: opened(&theirs, &stream),
    });
    let answer = async {
        loop {
            let mut commands = shared.commands().into_iter();
            // Only a close and an accept mean anything to a link that is not let in.
            while let Some(command) = commands.next() {
                match command {
                    Command::Accept { store, hello } => return Ok((store, hello, commands.collect())),
                    Command::Close(reason) => return Err(reason),
                    _ => {}
                }
            }
            shared.notify.notified().await;
        }
    };
    let (store, hello, commands) = tokio::time::timeout(context.limits.accept_timeout, answer)
        .await
        .map_err(|_| CloseReason::HandshakeTimeout)??;
    greeting::send(&mut stream, &hello).await?;
    Ok(Start { stream, decoder, theirs, hello: *hello, store, commands })
}

async fn run(
    context: Arc<Context>,
    shared: Arc<LinkShared>,
    start: Result<Start, CloseReason>,
) -> CloseReason {
    match start {
        Ok(start) => {
            let opened = opened(&start.theirs, &start.stream);
            shared.update(|record| record.opened = Some(opened));
            Link::new(context, shared, start).run().await
        }
        Err(reason) => reason,
    }
}

/// Ends when TypeScript says so; commands for the open link stay where they are.
async fn told_to_close(shared: &LinkShared) -> CloseReason {
    loop {
        let notified = shared.closing.notified();
        if let Some(reason) = shared.told_to_close() {
            return reason;
        }
        notified.await;
    }
}

fn opened(theirs: &Handshake, stream: &Stream) -> Opened {
    Opened {
        peer_id: theirs.peer_id,
        reserved: theirs.reserved.0,
        info_hash: theirs.info_hash,
        encrypted: stream.is_sealed(),
        transport: stream.transport(),
    }
}

async fn dial(context: &Context, shared: &LinkShared, transport: Transport) -> Result<Stream, CloseReason> {
    let timeout = context.limits.dial_timeout;
    match (transport, &shared.address) {
        (Transport::Tcp, address) => {
            let isolation = Isolation::Torrent(shared.torrent.load(Ordering::Acquire));
            let dialled = context.connector.dial(address, isolation, timeout).await;
            dialled.map(Stream::tcp).map_err(|error| match error {
                DialError::TimedOut => CloseReason::DialTimeout,
                DialError::Reset => CloseReason::Reset,
                DialError::Proxy(_) => CloseReason::Proxy,
                DialError::Blocked => CloseReason::Blocked,
                DialError::Refused | DialError::Forbidden => CloseReason::Refused,
            })
        }
        (Transport::Utp, Endpoint::Ip(address)) => {
            let filter = &context.connector.filter;
            if filter.blocks(address.ip(), &filter.dialled) {
                return Err(CloseReason::Blocked);
            }
            let utp = context.utp.lock().clone().ok_or(CloseReason::Refused)?;
            utp.dial(*address, timeout).await.map(Stream::utp).map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => CloseReason::DialTimeout,
                _ => CloseReason::Refused,
            })
        }
        (Transport::Utp, Endpoint::Name { .. }) | (Transport::Http, _) => Err(CloseReason::Refused),
    }
}
