//! Parses the tables again, byte by byte as the specification lays them out; `iasl` has its say when it is installed.

use super::{Platform, tables};
use acpi_tables::rsdp::Rsdp;

const BASE: u64 = 0xE_0000;

struct Area(Vec<u8>);

impl Area {
    fn new(vps: u32) -> Self {
        Self(tables(BASE, &Platform { vps, ram: 256 << 20 }))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    /// The table at guest-physical address `address`, its checksum checked.
    fn table(&self, address: u64) -> Vec<u8> {
        let at = (address - BASE) as usize;
        let table = self.0[at..at + self.u32(at + 4) as usize].to_vec();
        assert_eq!(sum(&table), 0);
        table
    }

    fn found(&self) -> Vec<Vec<u8>> {
        let xsdt = self.table(self.u64(24));
        assert_eq!(&xsdt[..4], b"XSDT");
        let mut found: Vec<_> = xsdt[36..]
            .chunks(8)
            .map(|entry| self.table(u64::from_le_bytes(entry.try_into().unwrap())))
            .collect();
        let dsdt = u64::from_le_bytes(found[0][140..148].try_into().unwrap());
        found.push(self.table(dsdt));
        found
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn contains(table: &[u8], bytes: &[u8]) -> bool {
    table.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn the_rsdp_leads_to_all_tables() {
    let area = Area::new(2);
    assert_eq!(&area.0[..8], b"RSD PTR ");
    assert_eq!(area.0[15], 2);
    assert_eq!(sum(&area.0[..20]), 0);
    assert_eq!(sum(&area.0[..Rsdp::len()]), 0);
    let signatures: Vec<_> = area.found().iter().map(|table| table[..4].to_vec()).collect();
    assert_eq!(signatures, [b"FACP", b"APIC", b"DSDT"]);
}

#[test]
fn the_fadt_is_hardware_reduced_with_ports_for_sleep_and_reset() {
    let fadt = &Area::new(1).found()[0];
    assert_eq!((fadt.len(), fadt[8]), (276, 6));
    assert_eq!(u16::from_le_bytes([fadt[109], fadt[110]]), 0b101);
    assert_eq!(fadt[108], 0x32);
    let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
    assert_eq!(flags & (1 << 20 | 1 << 10), 1 << 20 | 1 << 10);
    let port = |at: usize| (fadt[at], u64::from_le_bytes(fadt[at + 4..at + 12].try_into().unwrap()));
    assert_eq!((port(116), fadt[128]), ((1, 0xCF9), 6));
    assert_eq!((port(244), port(256)), ((1, 0x604), (1, 0x605)));
}

#[test]
fn the_madt_has_an_entry_for_each_processor_and_the_ioapic() {
    for (vps, bytes) in [(1, 8), (64, 64 * 8), (300, 255 * 8 + 45 * 16)] {
        let madt = &Area::new(vps).found()[1];
        assert_eq!(madt.len(), 44 + bytes + 12);
        assert_eq!(madt[40..44], [0; 4]);
        assert_eq!(madt[44..52], [0, 8, 0, 0, 1, 0, 0, 0]);
        assert_eq!(madt[44 + bytes..], [1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0]);
    }
    let madt = &Area::new(300).found()[1];
    assert_eq!(madt[44 + 255 * 8..][..16], [9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 255, 0, 0, 0]);
}

#[test]
fn the_dsdt_names_vmbus_and_leaves_out_hibernation() {
    let dsdt = &Area::new(2).found()[2];
    for name in
        [&b"VMOD"[..], b"VMBS", b"VMBus\0", b"ACPI0004\0", b"COM1", b"_S5_", b"C000", b"C001", b"RTC0"]
    {
        assert!(contains(dsdt, name), "{}", String::from_utf8_lossy(name));
    }
    assert!(!contains(dsdt, b"_S4_") && !contains(dsdt, b"C002"));
    // A DWord memory descriptor (producer) and a QWord one above 4 GiB.
    assert!(contains(dsdt, &[0x87, 0x17, 0, 0, 0x0C]));
    assert!(contains(dsdt, &[0x8A, 0x2B, 0, 0, 0x0C]));
    assert!(contains(dsdt, &(64u64 << 30).to_le_bytes()));
}

/// Disassembles and compiles again with ACPICA's compiler, where it is installed.
#[test]
fn acpica_reads_the_tables() {
    let folder = std::env::temp_dir().join(format!("acpi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for table in Area::new(3).found() {
        let name = String::from_utf8_lossy(&table[..4]).to_lowercase();
        let path = folder.join(format!("{name}.aml"));
        std::fs::write(&path, &table).unwrap();
        let run = |arguments: &[&str]| {
            std::process::Command::new("iasl").args(arguments).current_dir(&folder).output()
        };
        let Ok(output) = run(&["-d", path.to_str().unwrap()]) else { return };
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("Error"), "{name}: {text}");
        if name == "dsdt" {
            let output = run(&["dsdt.dsl"]).unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            // Error 6033: the compiler wants 7 or 8 characters in "VMBus", which is what guests look for.
            let unexpected = text.lines().filter(|line| line.starts_with("Error") && !line.contains("6033"));
            assert_eq!(unexpected.count(), 0, "{text}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
