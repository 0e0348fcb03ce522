//! A guest partition, from its creation to the return of its last page.

use super::call;
use super::pool::{refused, with_deposits, withdraw, withdraw_own};
use alloc::boxed::Box;
use hv_abi::interrupt::{
    AssertVirtualInterrupt, InstallIntercept, InterceptType, InterruptControl, InterruptType, access,
    destinations,
};
use hv_abi::memory::{MapGpaFlags, MapGpaPages, UnmapGpaPages};
use hv_abi::partition::{
    CreatePartition, CreatePartitionOutput, GetPartitionProperty, PartitionOnly, PropertyCode,
    SetPartitionProperty, ValueOutput, creation_flags,
};
use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use hv_abi::stats::{MapStatsPageOutput, StatsObjectType, StatsPage};
use hv_abi::vp::{
    CreateVp, DispatchFlags, DispatchVp, HvRegisterAssoc, MapVpStatePage, MapVpStatePageOutput, VpRegisters,
    VpStatePageType,
};
use hv_abi::{CallCode, HvPartitionId, HvResult, HvStatus, HvVpIndex};
use syscall::{Error, InterruptRequest};

/// The compatibility version of [`CreatePartition`].
const COMPATIBILITY: u32 = 0x609;
const PAGE: u64 = 4096;

/// A partition of ours; deleted when it is dropped, with all that it was given.
pub struct Partition {
    id: HvPartitionId,
    /// Freed after it: what is mapped into it.
    kept: Option<Box<dyn Send + Sync>>,
}

impl core::fmt::Debug for Partition {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.id.fmt(f)
    }
}

impl Partition {
    /// Makes one for `vps` virtual processors.
    ///
    /// # Errors
    /// `OutOfMemory`, `LimitReached`, `Io`.
    pub fn create(vps: u32) -> Result<Self, Error> {
        let input = CreatePartition {
            flags: creation_flags::GUEST,
            compatibility_version: COMPATIBILITY,
            ..CreatePartition::default()
        };
        let output: CreatePartitionOutput = with_deposits(HvPartitionId::SELF, "create partition", || {
            call::query(CallCode::CREATE_PARTITION, &input)
        })?;
        let partition = Self { id: output.partition_id, kept: None };
        partition.set_property(PropertyCode::MAX_VPS, u64::from(vps))?;
        partition.with_deposits("initialize partition", || {
            call::simple(CallCode::INITIALIZE_PARTITION, &PartitionOnly { partition_id: partition.id })
        })?;
        Ok(partition)
    }

    /// Keeps something until the partition is gone: the owner of the memory that is mapped into it.
    pub fn keep(&mut self, owner: impl Send + Sync + 'static) {
        self.kept = Some(Box::new(owner));
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> HvPartitionId {
        self.id
    }

    /// Does `f`, depositing pages for as long as the partition has too few.
    pub(super) fn with_deposits<T>(&self, what: &str, f: impl FnMut() -> HvResult<T>) -> Result<T, Error> {
        with_deposits(self.id, what, f)
    }

    fn set_property(&self, property_code: PropertyCode, property_value: u64) -> Result<(), Error> {
        let input = SetPartitionProperty { partition_id: self.id, property_code, padding: 0, property_value };
        call::simple(CallCode::SET_PARTITION_PROPERTY, &input).map_err(refused("set partition property"))
    }

    /// Its reference time, in 100 ns: it began when the partition was made, not with ours.
    pub fn reference_time(&self) -> HvResult<u64> {
        let property_code = PropertyCode::REFERENCE_TIME;
        let input = GetPartitionProperty { partition_id: self.id, property_code, padding: 0 };
        call::query::<ValueOutput>(CallCode::GET_PARTITION_PROPERTY, &input).map(|output| output.value)
    }

    /// Makes virtual processor `index`.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn create_vp(&self, index: u32) -> Result<(), Error> {
        let input = CreateVp { partition_id: self.id, vp_index: HvVpIndex(index), ..CreateVp::default() };
        self.with_deposits("create VP", || call::simple(CallCode::CREATE_VP, &input))
    }

    /// Makes RAM of ours the guest's: large page after large page from guest-physical address `gpa` on, each at the
    /// physical address that `sources` says.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn map_large(&self, gpa: u64, sources: &[u64]) -> Result<(), Error> {
        const LARGE: u64 = 2 << 20;
        let mut done = 0;
        while done < sources.len() {
            self.with_deposits("map guest memory", || {
                let header = MapGpaPages {
                    target_partition_id: self.id,
                    target_gpa_base: (gpa + done as u64 * LARGE) / PAGE,
                    map_flags: (MapGpaFlags::RAM | MapGpaFlags::LARGE_PAGE).bits(),
                    padding: 0,
                };
                let mut pages = [0_u64; 256];
                let batch = sources.len().min(done + pages.len()) - done;
                for (page, source) in pages.iter_mut().zip(&sources[done..]) {
                    *page = source / PAGE;
                }
                let (count, result) =
                    call::rep::<u64, u64>(CallCode::MAP_GPA_PAGES, &header, &pages[..batch], &mut []);
                done += count;
                result
            })?;
        }
        Ok(())
    }

    /// Makes the page of RAM of ours at `source` the guest's at `gpa`, in place of what is there.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn map_page(&self, gpa: u64, source: u64, flags: MapGpaFlags) -> Result<(), Error> {
        let input = MapGpaPages {
            target_partition_id: self.id,
            target_gpa_base: gpa / PAGE,
            map_flags: flags.bits(),
            padding: 0,
        };
        self.with_deposits("map a page", || {
            call::rep::<u64, u64>(CallCode::MAP_GPA_PAGES, &input, &[source / PAGE], &mut []).1
        })
    }

    /// Takes the page at `gpa` from the guest.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn unmap_page(&self, gpa: u64) -> Result<(), Error> {
        let input = UnmapGpaPages {
            target_partition_id: self.id,
            target_gpa_base: gpa / PAGE,
            unmap_flags: 0,
            padding: 0,
        };
        // One rep, which answers nothing.
        let mut reps = [0_u8];
        self.with_deposits("unmap a page", || {
            call::rep::<u64, u8>(CallCode::UNMAP_GPA_PAGES, &input, &[], &mut reps).1
        })
    }

    /// Makes a page of a VP's state visible to us; its physical address.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn map_state_page(&self, vp: u32, page_type: VpStatePageType) -> Result<u64, Error> {
        let input = MapVpStatePage {
            partition_id: self.id,
            vp_index: HvVpIndex(vp),
            page_type,
            ..MapVpStatePage::default()
        };
        let output: MapVpStatePageOutput =
            self.with_deposits("map VP state", || call::query(CallCode::MAP_VP_STATE_PAGE, &input))?;
        Ok(output.gpa_page * PAGE)
    }

    /// Makes the counters of a VP visible to us; their physical address.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn map_vp_stats(&self, vp: u32) -> Result<u64, Error> {
        let input = StatsPage {
            object_type: StatsObjectType::VP,
            partition_id: self.id,
            vp_index: HvVpIndex(vp),
            ..StatsPage::default()
        };
        let output: MapStatsPageOutput =
            self.with_deposits("map counters", || call::query(CallCode::MAP_STATS_PAGE, &input))?;
        Ok(output.gpa_page * PAGE)
    }

    /// Sets registers of a VP that does not run; `complain` hears why not.
    ///
    /// # Errors
    /// `InvalidArgument`: a register does not exist or refuses the value.
    pub fn set_registers(
        &self,
        vp: u32,
        registers: &[HvRegisterAssoc],
        complain: impl FnOnce(core::fmt::Arguments<'_>),
    ) -> Result<(), Error> {
        let header = self.registers_of(vp);
        let most = call::reps_max(size_of::<VpRegisters>(), size_of::<HvRegisterAssoc>());
        for some in registers.chunks(most) {
            let (done, result) = call::rep::<_, u64>(CallCode::SET_VP_REGISTERS, &header, some, &mut []);
            if let Err(status) = result {
                let name = some.get(done).map(|register| register.name);
                complain(format_args!("register {name:?} cannot be set: {status:?}"));
                return Err(Error::InvalidArgument);
            }
        }
        Ok(())
    }

    /// Reads registers of a VP that does not run.
    ///
    /// # Errors
    /// `InvalidArgument`: a register does not exist.
    pub fn get_registers(
        &self,
        vp: u32,
        names: &[HvRegisterName],
        values: &mut [HvRegisterValue],
    ) -> Result<(), Error> {
        let header = self.registers_of(vp);
        let most = call::reps_max(size_of::<VpRegisters>(), size_of::<HvRegisterValue>());
        for (names, values) in names.chunks(most).zip(values.chunks_mut(most)) {
            let (_, result) = call::rep(CallCode::GET_VP_REGISTERS, &header, names, values);
            result.map_err(|_| Error::InvalidArgument)?;
        }
        Ok(())
    }

    fn registers_of(&self, vp: u32) -> VpRegisters {
        VpRegisters { partition_id: self.id, vp_index: HvVpIndex(vp), ..VpRegisters::default() }
    }

    /// Asserts an interrupt on the local APICs. Answers which of the partition's `vps` VPs it is for: the hypervisor does not
    /// say whose halt it ends.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn interrupt(
        &self,
        request: &InterruptRequest,
        vps: u32,
    ) -> Result<impl Iterator<Item = u32> + use<>, Error> {
        const LOGICAL: u32 = 1;
        const LEVEL: u32 = 2;
        let logical = request.flags & LOGICAL != 0;
        let control = InterruptControl::new()
            .with_interrupt_type(InterruptType(request.delivery_mode))
            .with_logical_dest_mode(logical)
            .with_level_triggered(request.flags & LEVEL != 0);
        let input = AssertVirtualInterrupt {
            partition_id: self.id,
            interrupt_control: control,
            destination_address: u64::from(request.destination),
            requested_vector: request.vector,
            ..AssertVirtualInterrupt::default()
        };
        call::simple(CallCode::ASSERT_VIRTUAL_INTERRUPT, &input).map_err(|_| Error::InvalidArgument)?;
        Ok(destinations(logical, request.destination, vps))
    }

    /// Makes an intercept of every access to a port, and of the end of a level-triggered interrupt.
    ///
    /// # Errors
    /// `Io`.
    pub fn intercept_everything(&self) -> Result<(), Error> {
        const ALL_PORTS: u64 = 0xFFFF << 16;
        let both = [
            (InterceptType::X64_IO_PORT_RANGE, ALL_PORTS, access::READ | access::WRITE),
            (InterceptType::X64_APIC_EOI, 0, access::READ),
        ];
        for (intercept_type, intercept_parameter, access_type) in both {
            let input =
                InstallIntercept { partition_id: self.id, access_type, intercept_type, intercept_parameter };
            self.with_deposits("install intercept", || call::simple(CallCode::INSTALL_INTERCEPT, &input))?;
        }
        Ok(())
    }

    /// What names VP `vp` in [`call::dispatch`]; `among_others`: there are others, which it may have to wait for.
    #[must_use]
    pub fn dispatch_target(&self, vp: u32, among_others: bool) -> u64 {
        let flags = if among_others { DispatchFlags::SPIN_ENDS.bits() } else { 0 };
        let input = DispatchVp { partition_id: self.id, vp_index: HvVpIndex(vp), flags, deadline: 0 };
        input.into_registers().0
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let input = PartitionOnly { partition_id: self.id };
        let finalized = loop {
            match call::simple(CallCode::FINALIZE_PARTITION, &input) {
                Err(HvStatus::TIME_OUT) => {}
                result => break result,
            }
        };
        withdraw(self.id);
        let deleted = call::simple(CallCode::DELETE_PARTITION, &input);
        if finalized.is_err() || deleted.is_err() {
            log::error!("{:?} is not gone: finalize {finalized:?}, delete {deleted:?}", self.id);
        }
        withdraw_own();
    }
}
