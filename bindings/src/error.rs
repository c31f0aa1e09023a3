//! Errors on their way to JavaScript: the message starts with `ERR_CODE: `, and `src/native/task.ts` makes a
//! `BlockswarmError` of it (napi's tasks can carry no code of their own).
use std::fmt::Display;

/// An error that `src/native/task.ts` turns into a `BlockswarmError` with this code.
pub fn coded(code: &str, message: impl Display) -> napi::Error {
    napi::Error::from_reason(format!("{code}: {message}"))
}
