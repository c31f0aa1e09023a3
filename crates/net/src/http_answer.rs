//! What the head of an answer means for the bytes that were asked for. Pure.

use crate::http_error::HttpError;
use hyper::http::response::Parts;
use hyper::http::{HeaderMap, HeaderName, StatusCode, header};
use std::ops::Range;
use std::time::Duration;

/// A longer rest is not obeyed.
const MOST_REST: Duration = Duration::from_secs(6 * 3600);

/// Which bytes of a body are wanted, or where they are instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// After `skip` bytes come `take` that were asked for; then the body ends, or `rest` more follow.
    Body { skip: u64, take: u64, rest: u64 },
    /// Somewhere else.
    Moved(String),
}

/// Judges the head of an answer to a request for `wanted` of a file of `length` bytes.
pub(crate) fn judge(
    head: &Parts,
    wanted: &Range<u64>,
    length: u64,
    skip_bytes: u64,
) -> Result<Answer, HttpError> {
    let Parts { status, headers, .. } = head;
    match *status {
        StatusCode::PARTIAL_CONTENT | StatusCode::OK => {}
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let location = text(headers, &header::LOCATION)?.ok_or(HttpError::BadRedirect)?;
            return Ok(Answer::Moved(location.to_owned()));
        }
        _ => return Err(HttpError::Status { status: status.as_u16(), retry_after: retry_after(headers) }),
    }
    match text(headers, &header::CONTENT_ENCODING)? {
        None | Some("" | "identity") => {}
        Some(_) => return Err(HttpError::Encoded),
    }
    let take = wanted.end - wanted.start;
    let content_length = match text(headers, &header::CONTENT_LENGTH)? {
        None => None,
        Some(digits) => Some(digits.trim().parse::<u64>().map_err(|_| HttpError::BadHead)?),
    };
    if *status == StatusCode::PARTIAL_CONTENT {
        let range = text(headers, &header::CONTENT_RANGE)?.and_then(read_content_range);
        let (range, total) = range.ok_or(HttpError::BadRange)?;
        let sound = range == *wanted
            && total.is_none_or(|total| total == length)
            && content_length.is_none_or(|bytes| bytes == take);
        return if sound { Ok(Answer::Body { skip: 0, take, rest: 0 }) } else { Err(HttpError::BadRange) };
    }
    if content_length.is_some_and(|bytes| bytes != length) {
        return Err(HttpError::BadRange);
    }
    if wanted.start > skip_bytes {
        return Err(HttpError::NoRanges);
    }
    Ok(Answer::Body { skip: wanted.start, take, rest: length - wanted.end })
}

/// `bytes 0-99/1000`: the range, half open, and the file's length, unless that is `*`.
pub(crate) fn read_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (unit, rest) = text.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = text.trim();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten()
    };
    let end = number(last)?.checked_add(1)?;
    let total = if total.trim() == "*" { None } else { Some(number(total)?) };
    unit.eq_ignore_ascii_case("bytes").then_some((number(first)?..end, total))
}

/// `Retry-After` as far as it is a number of seconds, up to a bound.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, &header::RETRY_AFTER).ok()??.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_REST))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, HttpError> {
    headers.get(name).map(|value| value.to_str().map_err(|_| HttpError::BadHead)).transpose()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Answer, judge, read_content_range};
    use crate::http_error::HttpError;
    use hyper::http::Response;
    use proptest::prelude::*;
    use std::time::Duration;

    /// The answer to a request for bytes 100 to 199 of 1,000, where 150 may be skipped.
    fn answer(status: u16, headers: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let head = headers
            .iter()
            .fold(Response::builder().status(status), |head, (name, value)| head.header(*name, *value));
        judge(&head.body(()).unwrap().into_parts().0, &(100..200), 1_000, 150)
    }

    #[test]
    fn takes_the_range_that_was_asked_for_and_no_other() {
        let body = Ok(Answer::Body { skip: 0, take: 100, rest: 0 });
        assert_eq!(answer(206, &[("content-range", "bytes 100-199/1000")]), body);
        assert_eq!(answer(206, &[("content-range", "bytes 100-199/*"), ("content-length", "100")]), body);
        for range in
            ["bytes 0-99/1000", "bytes 100-198/1000", "bytes 100-199/1001", "items 100-199/1000", "x"]
        {
            assert_eq!(answer(206, &[("content-range", range)]), Err(HttpError::BadRange), "{range}");
        }
        assert_eq!(answer(206, &[]), Err(HttpError::BadRange));
        let longer = [("content-range", "bytes 100-199/1000"), ("content-length", "900")];
        assert_eq!(answer(206, &longer), Err(HttpError::BadRange));
    }

    #[test]
    fn takes_the_whole_file_where_little_of_it_is_to_be_skipped() {
        let body = Ok(Answer::Body { skip: 100, take: 100, rest: 800 });
        assert_eq!(answer(200, &[]), body);
        assert_eq!(answer(200, &[("content-length", "1000")]), body);
        assert_eq!(answer(200, &[("content-length", "999")]), Err(HttpError::BadRange));
        let head = Response::new(()).into_parts().0;
        assert_eq!(judge(&head, &(151..200), 1_000, 150), Err(HttpError::NoRanges));
    }

    #[test]
    fn refuses_what_is_compressed_and_tells_statuses() {
        let head = [("content-range", "bytes 100-199/1000"), ("content-encoding", "gzip")];
        assert_eq!(answer(206, &head), Err(HttpError::Encoded));
        assert_eq!(answer(404, &[]).unwrap_err().code(), "http-404");
        let busy = answer(503, &[("retry-after", "120")]).unwrap_err();
        assert_eq!((busy.code().as_ref(), busy.retry_after()), ("http-503", Some(Duration::from_secs(120))));
        let longest = answer(503, &[("retry-after", "99999999999")]).unwrap_err().retry_after();
        assert_eq!(longest, Some(Duration::from_secs(21_600)));
        assert_eq!(
            answer(503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]).unwrap_err().retry_after(),
            None
        );
        assert_eq!(answer(302, &[("location", "/there")]), Ok(Answer::Moved("/there".to_owned())));
        assert_eq!(answer(302, &[]), Err(HttpError::BadRedirect));
        assert_eq!(answer(304, &[]).unwrap_err().code(), "http-304");
    }

    proptest! {
        #[test]
        fn any_content_range_is_read_or_refused(text in "(bytes )?[-0-9 */]{0,40}") {
            if let Some((range, _)) = read_content_range(&text) {
                prop_assert!(range.end >= 1);
            }
        }
    }
}
