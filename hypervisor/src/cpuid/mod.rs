//! What CPUID answers a guest.
//!
//! All that does not depend on the VP's registers is worked out when the partition is made, so that the exit is a
//! look-up. Leaves that are not listed answer zeros.

mod features;
mod hypervisor;
mod xsave;

use hv_abi::control::cr4;
use hv_abi::registers::HvRegisterName as Name;

use crate::backend::VirtualProcessorBackend;
use crate::msr::register;
use crate::platform::PlatformConfig;
use features::filter;
pub use hypervisor::hardware;
use xsave::Xsave;

/// Highest leaf of each range. 0xD: extended state; what is above is of no use to a guest.
const MAX_BASIC: u32 = 0xD;
const MAX_EXTENDED: u32 = 0x8000_0021;
const BASIC: usize = MAX_BASIC as usize + 1;
const EXTENDED: usize = 0x22;
/// Levels of cache.
const CACHES: usize = 4;

/// The answers of a partition.
pub struct Cpuid {
    basic: [[u32; 4]; BASIC],
    extended: [[u32; 4]; EXTENDED],
    hypervisor: [[u32; 4]; hypervisor::COUNT],
    /// Leaf 4, or leaf 0x8000001D.
    caches: [[u32; 4]; CACHES],
    xsave: Xsave,
    vps: u32,
    /// Bits of an APIC id that tell VPs apart.
    id_bits: u32,
}

/// The VP that asks.
pub struct Asking<'a, B> {
    /// Its index.
    pub index: u32,
    /// It has been told that the time stamp counter is invariant.
    pub invariant: bool,
    /// Its registers.
    pub backend: &'a B,
}

impl Cpuid {
    /// Works them out from the host's.
    pub fn new(config: &PlatformConfig, host: impl Fn(u32, u32) -> [u32; 4]) -> Self {
        let vps = config.max_vps.max(1);
        let id_bits = u32::BITS.saturating_sub(vps.saturating_sub(1).leading_zeros());
        let mut basic = [[0; 4]; BASIC];
        for (leaf, answer) in (0u32..).zip(basic.iter_mut()) {
            *answer = filter(leaf).apply(host(leaf, 0));
        }
        let mut extended = [[0; 4]; EXTENDED];
        let [max_extended, ..] = host(0x8000_0000, 0);
        let max_extended = max_extended.min(MAX_EXTENDED);
        for (leaf, answer) in (0x8000_0000..=max_extended).zip(extended.iter_mut()) {
            *answer = filter(leaf).apply(host(leaf, 0));
        }
        if let Some([eax, ..]) = basic.first_mut() {
            *eax = MAX_BASIC;
        }
        if let Some([eax, ..]) = extended.first_mut() {
            *eax = max_extended;
        }
        let offered = basic.get(1).is_some_and(|[_, _, ecx, _]| ecx & (1 << 26) != 0);
        let mut cpuid = Self {
            basic,
            extended,
            hypervisor: hypervisor::leaves(config.privileges, vps, config.has_apic_assist),
            caches: [[0; 4]; CACHES],
            xsave: Xsave::new(&host, offered),
            vps,
            id_bits,
        };
        cpuid.lay_out_processors(host);
        cpuid
    }

    /// One package, as many cores as VPs, one thread each, the last cache shared.
    fn lay_out_processors(&mut self, host: impl Fn(u32, u32) -> [u32; 4]) {
        let others = self.vps.saturating_sub(1);
        if let Some([_, ebx, _, edx]) = self.basic.get_mut(1)
            && others != 0
        {
            *ebx |= self.vps.min(255) << 16;
            *edx |= 1 << 28;
        }
        if let Some([_, _, ecx, _]) = self.extended.get_mut(8) {
            *ecx = others.min(255) | (self.id_bits.min(15) << 12);
        }
        // Where leaf 4 is empty there is its twin.
        let [first, ..] = host(4, 0);
        let leaf = if first & 0x1F != 0 { 4 } else { 0x8000_001D };
        let present = leaf == 4 || self.extended.first().is_some_and(|[max, ..]| *max >= leaf);
        let cores = if leaf == 4 { (!(u32::MAX << self.id_bits.min(6))) << 26 } else { 0 };
        for (subleaf, cache) in (0u32..).zip(self.caches.iter_mut()).filter(|_| present) {
            let [eax, ebx, ecx, edx] = host(leaf, subleaf);
            let shared = if (eax >> 5) & 7 == 3 { others.min(0xFFF) << 14 } else { 0 };
            if eax & 0x1F != 0 {
                *cache = [(eax & 0x3FFF) | shared | cores, ebx, ecx, edx];
            }
        }
    }

    /// EAX, EBX, ECX, EDX of a leaf.
    #[inline]
    pub fn answer(&self, leaf: u32, subleaf: u32, vp: &Asking<'_, impl VirtualProcessorBackend>) -> [u32; 4] {
        match leaf {
            0x8000_0000..=0x8000_0021 => self.extended(leaf, subleaf, vp),
            0x4000_0000..=0x4000_0006 => self.hypervisor.get((leaf & 7) as usize).copied().unwrap_or([0; 4]),
            0x4000_0080..=0x4000_0082 => hypervisor::stack(leaf & 7),
            0..=MAX_BASIC => self.basic(leaf, subleaf, vp),
            _ => [0; 4],
        }
    }

    fn basic(&self, leaf: u32, subleaf: u32, vp: &Asking<'_, impl VirtualProcessorBackend>) -> [u32; 4] {
        let [eax, ebx, ecx, edx] = self.basic.get(leaf as usize).copied().unwrap_or([0; 4]);
        match leaf {
            1 => {
                let has_xsave = ecx & (1 << 26) != 0;
                let osxsave = has_xsave && register(vp.backend, Name::Cr4) & cr4::OSXSAVE != 0;
                [eax, ebx | (vp.index << 24), ecx | (u32::from(osxsave) << 27), edx]
            }
            4 if eax & 0x1F != 0 => self.caches.get(subleaf as usize).copied().unwrap_or([0; 4]),
            7 if subleaf != 0 => [0; 4],
            7 => {
                let ospke = ecx & (1 << 3) != 0 && register(vp.backend, Name::Cr4) & cr4::PKE != 0;
                [0, ebx, ecx | (u32::from(ospke) << 4), edx]
            }
            0xB => self.topology(subleaf, vp.index),
            0xD => self.xsave.answer(subleaf, register(vp.backend, Name::Xfem)),
            _ => [eax, ebx, ecx, edx],
        }
    }

    fn extended(&self, leaf: u32, subleaf: u32, vp: &Asking<'_, impl VirtualProcessorBackend>) -> [u32; 4] {
        let answer = self.extended.get((leaf & 0xFF) as usize).copied().unwrap_or([0; 4]);
        let [eax, ebx, ecx, edx] = answer;
        match leaf {
            0x8000_0007 => [eax, ebx, ecx, edx | (u32::from(vp.invariant) << 8)],
            0x8000_001D if eax & 0x1F != 0 => self.caches.get(subleaf as usize).copied().unwrap_or([0; 4]),
            0x8000_001E if self.has_extended_topology() => [vp.index, vp.index & 0xFF, 0, 0],
            _ => answer,
        }
    }

    /// TOPOEXT.
    fn has_extended_topology(&self) -> bool {
        self.extended.get(1).is_some_and(|[_, _, ecx, _]| ecx & (1 << 22) != 0)
    }

    /// Leaf 0xB: a level for threads, of which a core has one, and a level for cores.
    fn topology(&self, subleaf: u32, index: u32) -> [u32; 4] {
        match subleaf {
            0 => [0, 1, 1 << 8, index],
            1 => [self.id_bits, self.vps, 2 << 8 | 1, index],
            _ => [0, 0, subleaf & 0xFF, index],
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
