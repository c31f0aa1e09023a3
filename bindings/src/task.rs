//! Work on libuv's pool, wrapped so that a panic becomes an error: napi runs `compute` in a bare
//! `extern "C"` function, where an unwinding panic would end the whole Node process.
use crate::error::coded;
use napi::bindgen_prelude::{ToNapiValue, TypeName};
use napi::{Env, Task};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic becomes `ERR_NATIVE` with the panic's message.
pub fn guarded<T>(work: impl FnOnce() -> napi::Result<T>) -> napi::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "unknown panic".into());
        Err(coded("ERR_NATIVE", format!("a native task panicked: {what}. This is a bug; please report it.")))
    })
}

type Work<T> = Box<dyn FnOnce() -> napi::Result<T> + Send>;

/// One closure to run on a worker; its result is handed to JavaScript as it is.
pub struct Job<T: Send + 'static>(Option<Work<T>>);

impl<T: Send + 'static> Job<T> {
    /// A task that runs `work` once.
    pub fn new(work: impl FnOnce() -> napi::Result<T> + Send + 'static) -> Self {
        Self(Some(Box::new(work)))
    }
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Job<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        match self.0.take() {
            Some(work) => guarded(work),
            None => Err(coded("ERR_NATIVE", "a native task was run twice")),
        }
    }

    fn resolve(&mut self, _env: Env, output: T) -> napi::Result<T> {
        Ok(output)
    }
}
