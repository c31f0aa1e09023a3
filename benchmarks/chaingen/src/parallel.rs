//! Work on many things on several threads, with the results in the things' order.
use std::sync::atomic::{AtomicUsize, Ordering};

/// Things that a thread takes at once.
const CHUNK: usize = 16;

/// `work` on each of `things`, by `threads` threads that each `begin` with a state of their own.
pub fn map<T: Sync, S, R: Send>(
    things: &[T],
    threads: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&S, &T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.min(things.len().div_ceil(CHUNK));
    if threads < 2 {
        let state = begin();
        return things.iter().map(|thing| work(&state, thing)).collect();
    }
    let chunks: Vec<&[T]> = things.chunks(CHUNK).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let state = begin();
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(place) else { return done };
            done.push((place, chunk.iter().map(|thing| work(&state, thing)).collect::<Vec<R>>()));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().flat_map(|(_, results)| results).collect()
}
