//! Time and CPU time of a piece of work.
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs `work`; its cost as an object of JSON.
pub fn of<E>(work: impl FnOnce() -> Result<(), E>) -> Result<String, E> {
    let (cpu, begun) = (cpu_seconds(), Instant::now());
    work()?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    Ok(format!(r#"{{"seconds":{seconds:.6},"cpuSeconds":{cpu:.6}}}"#))
}

/// CPU seconds, user and system, of this process so far.
fn cpu_seconds() -> f64 {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).map_or(0.0, |time| time.as_secs_f64())
}
