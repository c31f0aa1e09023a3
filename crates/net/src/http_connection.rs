//! One connection of HTTP/1.1, as its users share it.

use crate::http_dial::HttpStream;
use crate::http_error::HttpError;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

/// A head, and one read of a body, are no longer than this.
const BUFFER_BYTES: usize = 256 * 1024;
const HEADERS: usize = 100;

/// Moves the bytes; driven by whoever waits for them, so that none changes threads on its way.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

/// Begins to speak HTTP.
pub(crate) async fn open<B>(stream: HttpStream) -> Result<(SendRequest<B>, Driver), HttpError>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut builder = http1::Builder::new();
    // Names as nearly everybody writes them.
    builder.max_buf_size(BUFFER_BYTES).max_headers(HEADERS).title_case_headers(true);
    let (sender, driver): (_, Pin<Box<dyn Future<Output = _> + Send>>) = match stream {
        HttpStream::Plain(stream) => {
            let (sender, driver) =
                builder.handshake(TokioIo::new(stream)).await.map_err(|_| HttpError::Reset)?;
            (sender, Box::pin(driver))
        }
        HttpStream::Tls(stream) => {
            let (sender, driver) =
                builder.handshake(TokioIo::new(stream)).await.map_err(|_| HttpError::Reset)?;
            (sender, Box::pin(driver))
        }
    };
    Ok((sender, Driver(Some(driver))))
}

impl Driver {
    /// Waits for something while bytes are moved.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if let Some(driver) = &mut self.0
                && driver.as_mut().poll(context).is_ready()
            {
                // Why it ended, the work is told as well.
                self.0 = None;
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

/// The next data of a body, `None` at its end. Trailers are passed over.
pub(crate) async fn next_data(body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame.transpose()?.map(hyper::body::Frame::into_data) {
            None => return Ok(None),
            Some(Ok(data)) if !data.is_empty() => return Ok(Some(data)),
            Some(_) => {}
        }
    }
}

/// Whether the connection ended before the body did.
pub(crate) fn is_cut_short(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Why a request failed.
pub(crate) fn told(error: &hyper::Error) -> HttpError {
    // Only its text tells a client that it was the length.
    if error.is_parse() && error.to_string().contains("too large") {
        HttpError::HeadTooLong
    } else if error.is_parse() {
        HttpError::BadHead
    } else {
        HttpError::Reset
    }
}
