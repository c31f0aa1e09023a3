//! Rates that links share.

use crate::hub::Hub;
use crate::shared::Command;
use std::sync::Arc;

impl Hub {
    /// A pair of rates that links may share, without limits at first.
    pub fn create_rate_class(&self) -> u32 {
        let mut registry = self.core.registry.lock();
        registry.last_rate_class += 1;
        let id = registry.last_rate_class;
        registry.rate_classes.insert(id, Arc::default());
        id
    }

    /// Bytes a second, 0 for no limit: all that goes over the wire counts, with the headers of its packets. Links that
    /// wait learn of it at once.
    pub fn set_rate_class(&self, rate_class: u32, upload: u64, download: u64) {
        let registry = self.core.registry.lock();
        let Some(class) = registry.rate_classes.get(&rate_class) else { return };
        let now = self.core.context.start.elapsed();
        class.upload.set_rate(upload, now);
        class.download.set_rate(download, now);
        registry.links.values().for_each(|link| link.notify.notify_one());
    }

    /// Forgets a class; links that are in it go on without its limits.
    pub fn drop_rate_class(&self, rate_class: u32) {
        self.set_rate_class(rate_class, 0, 0);
        self.core.registry.lock().rate_classes.remove(&rate_class);
    }

    /// The classes that a link is in from now on, [`crate::RATE_CLASSES`] at most: none has no limits. Unknown ones are
    /// passed over.
    pub fn set_link_rate_classes(&self, link: u32, rate_classes: &[u32]) {
        let registry = self.core.registry.lock();
        let Some(link) = registry.links.get(&link) else { return };
        let classes = rate_classes.iter().take(crate::RATE_CLASSES);
        let classes = classes.filter_map(|id| registry.rate_classes.get(id).map(Arc::clone)).collect();
        link.tell(Command::RateClasses(classes));
    }
}
