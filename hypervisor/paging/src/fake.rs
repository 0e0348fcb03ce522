//! Memory for tests: records each write, counts frames, and checks that a freed table is empty.

extern crate std;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use hv_abi::SpaPage;

use crate::{ENTRIES, FrameAllocator, TableMemory};

#[derive(Clone, Default)]
pub struct Memory {
    pub tables: BTreeMap<SpaPage, Vec<u64>>,
    pub writes: Vec<(SpaPage, usize, u64)>,
}

impl TableMemory for Memory {
    fn read(&mut self, table: SpaPage, index: usize) -> u64 {
        self.tables.get(&table).map_or(0, |t| t[index])
    }
    fn write(&mut self, table: SpaPage, index: usize, entry: u64) {
        self.tables.entry(table).or_insert_with(|| std::vec![0; ENTRIES])[index] = entry;
        self.writes.push((table, index, entry));
    }
}

pub struct Frames {
    next: u64,
    pub free: Vec<SpaPage>,
    pub out: BTreeSet<SpaPage>,
    pub limit: usize,
}

impl Frames {
    pub fn new(limit: usize) -> Self {
        Self { next: 0x10_0000, free: Vec::new(), out: BTreeSet::new(), limit }
    }
}

impl FrameAllocator for Frames {
    fn allocate(&mut self) -> Option<SpaPage> {
        if self.out.len() >= self.limit {
            return None;
        }
        let page = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            SpaPage::new(self.next).unwrap()
        });
        self.out.insert(page);
        Some(page)
    }
    fn free(&mut self, page: SpaPage) {
        assert!(self.out.remove(&page), "freed twice");
        self.free.push(page);
    }
}
