//! The class in which the system's scheduler puts a thread's reads (`ioprio_set(2)`, Linux).
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "a system call that no crate of ours wraps"))]

use std::marker::PhantomData;

/// This thread's reads come after everybody else's until the value is dropped; in kernels and on disks without such
/// classes it changes nothing.
pub(crate) struct IdlePriority {
    before: Option<libc::c_long>,
    /// Of one thread, where it stays.
    _stays: PhantomData<*const ()>,
}

impl IdlePriority {
    pub(crate) fn enter() -> Self {
        let before = system::get();
        system::set(system::IDLE);
        Self { before, _stays: PhantomData }
    }
}

impl Drop for IdlePriority {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            system::set(before);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use libc::c_long;

    /// `IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT` (include/uapi/linux/ioprio.h).
    pub(super) const IDLE: c_long = 3 << 13;
    /// `IOPRIO_WHO_PROCESS`; 0 is the calling thread.
    const WHO_PROCESS: c_long = 1;

    pub(super) fn get() -> Option<c_long> {
        // SAFETY: it takes two numbers and touches no memory of ours.
        let priority = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0 as c_long) };
        (priority >= 0).then_some(priority)
    }

    pub(super) fn set(priority: c_long) {
        // SAFETY: it takes three numbers and touches no memory of ours. That it is refused changes nothing.
        unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0 as c_long, priority) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use libc::c_long;

    pub(super) const IDLE: c_long = 0;

    pub(super) fn get() -> Option<c_long> {
        None
    }

    pub(super) fn set(_priority: c_long) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_idle_at_the_disk_for_a_while() {
        let before = system::get();
        let idle = IdlePriority::enter();
        assert!(before.is_none() || system::get() == Some(system::IDLE));
        drop(idle);
        assert_eq!(system::get(), before);
    }
}
