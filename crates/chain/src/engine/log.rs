//! Core's log, heard for one purpose: the text of why something failed. The kernel API hands over the kind of a
//! rejection (`BlockValidationResult`) but not its reason (`bad-txnmrklroot`, …), which is only in its log.
//!
//! Nothing of the log is printed. One connection serves the whole process and is never closed: Core asserts on
//! the order of opening, closing and disabling its log. So nothing of ours may call `disable_logging`.
use bitcoinkernel::log::logging::{LoggingOptions, set_logging_options};
use bitcoinkernel::{Log, Logger};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Once;

/// Lines kept for each thread, and bytes kept of a line.
const LINES: usize = 8;
const LINE_BYTES: usize = 512;

thread_local! {
    // Core logs on the thread that runs the call, so what is here after a call is about that call.
    static ERRORS: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

struct Listener;

impl Log for Listener {
    // Called once for each block connected, and from C++: must be quick and cannot panic.
    fn log(&self, message: &str) {
        let Some(text) = message.strip_prefix("[error] ").or_else(|| message.strip_prefix("[warning] "))
        else {
            return;
        };
        let line: String = text.trim_end().chars().take(LINE_BYTES).collect();
        let keep = |errors: &RefCell<VecDeque<String>>| {
            if let Ok(mut errors) = errors.try_borrow_mut() {
                if errors.len() == LINES {
                    errors.pop_front();
                }
                errors.push_back(line);
            }
        };
        // A thread that is ending has no list any more; its line is of no use then.
        let _ = ERRORS.try_with(keep);
    }
}

/// Listens to Core's log. The first call of the process does it; without a log, failures have less to say.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        set_logging_options(LoggingOptions { log_timestamps: false, ..LoggingOptions::default() });
        if let Ok(logger) = Logger::new(Listener) {
            std::mem::forget(logger);
        }
    });
}

/// Forgets what this thread heard.
pub fn clear() {
    ERRORS.with_borrow_mut(VecDeque::clear);
}

/// What Core said went wrong on this thread since `clear`, oldest first, joined by `; `. Empty when nothing.
pub fn errors() -> String {
    ERRORS.with_borrow(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>().join("; "))
}

/// Core's reject reason in what this thread heard (`validation.cpp`: `ProcessNewBlock: AcceptBlock FAILED (…)`
/// or `ConnectTip: ConnectBlock <hash> failed, …`), for example `bad-txnmrklroot, hashMerkleRoot mismatch`.
pub fn reject_reason() -> Option<String> {
    ERRORS.with_borrow(|lines| lines.iter().rev().find_map(|line| reason_in(line)))
}

fn reason_in(line: &str) -> Option<String> {
    if let Some((_, rest)) = line.split_once("AcceptBlock FAILED (") {
        return Some(rest.strip_suffix(')').unwrap_or(rest).to_string());
    }
    let (_, rest) = line.split_once("ConnectBlock ")?;
    let (_, reason) = rest.split_once(" failed, ")?;
    Some(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_reason_in_both_of_cores_lines() {
        let refused = "ProcessNewBlock: AcceptBlock FAILED (bad-txnmrklroot, hashMerkleRoot mismatch)";
        assert_eq!(reason_in(refused).as_deref(), Some("bad-txnmrklroot, hashMerkleRoot mismatch"));
        let failed = "ConnectTip: ConnectBlock 00ab failed, bad-cb-amount, coinbase pays too much";
        assert_eq!(reason_in(failed).as_deref(), Some("bad-cb-amount, coinbase pays too much"));
        assert_eq!(reason_in("Failed to read block."), None);
    }

    #[test]
    fn keeps_few_lines_and_only_errors() {
        clear();
        for n in 0..20 {
            Listener.log(&format!("[error] line {n}\n"));
            Listener.log("UpdateTip: new best=…\n");
        }
        let text = errors();
        assert!(text.starts_with("line 12;") && text.ends_with("line 19"), "{text}");
        clear();
        assert!(errors().is_empty());
    }
}
