//! A growing row of values that shares what did not change with its copies.
use std::sync::Arc;

/// Values that are copied together when one of them changes.
const CHUNK: usize = 1024;

/// Like a `Vec`, but a clone costs nothing, and a change copies one chunk and the list of chunks.
pub(super) struct Chunks<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
}

impl<T> Clone for Chunks<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks) }
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<T> Chunks<T> {
    pub fn len(&self) -> u32 {
        let last = self.chunks.last().map_or(0, |last| last.len());
        (self.chunks.len().saturating_sub(1) * CHUNK + last) as u32
    }

    pub fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Bytes that the values take.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>() + 48).sum()
    }
}

impl<T: Clone> Chunks<T> {
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        if index >= self.len() {
            return None;
        }
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(index as usize / CHUNK)?;
        Arc::make_mut(chunk).get_mut(index as usize % CHUNK)
    }

    pub fn push(&mut self, value: T) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.last().is_none_or(|last| last.len() == CHUNK) {
            chunks.push(Arc::default());
        }
        if let Some(last) = chunks.last_mut() {
            let last = Arc::make_mut(last);
            // A copy has no room to spare; the doubling of `push` would leave too much of it.
            if last.len() == last.capacity() {
                last.reserve_exact((CHUNK - last.len()).min(last.len().max(16)));
            }
            last.push(value);
        }
    }

    /// Drops all from `length` on.
    pub fn truncate(&mut self, length: u32) {
        if length >= self.len() {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        chunks.truncate((length as usize).div_ceil(CHUNK));
        if let Some(last) = chunks.last_mut().filter(|_| !(length as usize).is_multiple_of(CHUNK)) {
            Arc::make_mut(last).truncate(length as usize % CHUNK);
        }
    }
}

impl<T: Clone> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut chunks = Self::default();
        for value in values {
            chunks.push(value);
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut row: Chunks<u32> = (0..2500).collect();
        let copy = row.clone();
        row.push(9);
        *row.get_mut(1500).into_iter().next().unwrap_or(&mut 0) = 7;
        row.truncate(2000);
        assert_eq!((row.len(), row.get(1500), row.get(2000)), (2000, Some(&7), None));
        assert_eq!((copy.len(), copy.get(1500), copy.get(2499)), (2500, Some(&1500), Some(&2499)));
    }

    proptest! {
        #[test]
        fn is_a_vec(steps in prop::collection::vec((0u8..3, 0u32..4000), 0..60)) {
            let (mut row, mut model) = (Chunks::default(), Vec::new());
            for (step, number) in steps {
                match step {
                    0 => (0..number).for_each(|value| { row.push(value); model.push(value); }),
                    1 => { row.truncate(number); model.truncate(number as usize); }
                    _ => {
                        if let Some(value) = row.get_mut(number) { *value += 1; }
                        if let Some(value) = model.get_mut(number as usize) { *value += 1; }
                    }
                }
                prop_assert_eq!(row.len() as usize, model.len());
            }
            prop_assert!(row.iter().eq(&model));
            prop_assert!((0..row.len()).all(|i| row.get(i) == model.get(i as usize)));
        }
    }
}
