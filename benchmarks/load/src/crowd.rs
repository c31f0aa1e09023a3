//! Many connections at once: how long a new one waits for its first block, and connections held open.
use crate::LoadError;
use crate::leech::{Leech, Plan};
use crate::options::Options;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// For the crowd to come up to its rate, before the first newcomer.
const WARM_UP: Duration = Duration::from_millis(500);

/// Connections that fetch over and over, and beside them newcomers, one after the other: prints how long each took from
/// dialling to its first block, in milliseconds.
pub fn latency(options: &Options) -> Result<(), LoadError> {
    let connections: u64 = options.given("connections")?.unwrap_or(50);
    let newcomers: u64 = options.given("newcomers")?.unwrap_or(100);
    let plan = Arc::new(Plan::read(options)?);
    let ended = Arc::new(AtomicBool::new(false));
    let mut crowd = Vec::new();
    for connection in 0..connections {
        let (plan, ended) = (Arc::clone(&plan), Arc::clone(&ended));
        let mut leech = Leech::open(&plan, connection as u16)?;
        crowd.push(thread::spawn(move || -> Result<u64, LoadError> {
            leech.until_unchoked()?;
            let mut bytes = 0;
            while !ended.load(Ordering::Relaxed) {
                bytes += leech.fetch(&plan, plan.share(connection, connections))?;
            }
            Ok(bytes)
        }));
    }
    thread::sleep(WARM_UP);
    let begun = Instant::now();
    let mut waits = Vec::new();
    for newcomer in 0..newcomers {
        let dialled = Instant::now();
        let mut leech = Leech::open(&plan, (connections + newcomer) as u16)?;
        leech.until_unchoked()?;
        leech.first_block()?;
        waits.push(dialled.elapsed().as_secs_f64() * 1000.0);
    }
    let seconds = begun.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    let mut bytes = 0;
    for thread in crowd {
        bytes += thread.join().map_err(|_| LoadError::Peer("made a connection panic".to_owned()))??;
    }
    let waits = waits.iter().map(|wait| format!("{wait:.3}")).collect::<Vec<_>>().join(",");
    writeln!(io::stdout(), r#"{{"milliseconds":[{waits}],"seconds":{seconds:.3},"crowdBytes":{bytes}}}"#)?;
    Ok(())
}

/// Connections that want something and ask for nothing, until stdin ends.
pub fn hold(options: &Options) -> Result<(), LoadError> {
    let connections: u16 = options.given("connections")?.unwrap_or(2_000);
    let plan = Plan::read(options)?;
    let mut held = Vec::new();
    for connection in 0..connections {
        held.push(Leech::open(&plan, connection)?);
    }
    writeln!(io::stdout(), r#"{{"held":{}}}"#, held.len())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
