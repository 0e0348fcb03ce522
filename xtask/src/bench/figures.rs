//! The table: what was measured, what KVM takes, and what is to be reached.

use std::collections::BTreeMap;
use std::fmt;

use machine_tests::kind::Kind;

/// The rows: key of the figure, what it is, KVM's figure on the machine with AMD-V, what is to be reached.
const ROWS: [(&str, &str, &str, &str); 26] = [
    ("cpuid", "CPUID exit round trip", "3,340", "≤ 400"),
    ("hypercall", "hypercall (cheapest) round trip", "9,738", "≤ 400"),
    ("port-read", "port read answered by the ring-3 worker", "5,513", "≤ 2,500"),
    ("mmio-write", "MMIO write answered by the ring-3 worker", "7,687", "≤ 4,000"),
    ("self-ipi-write", "x2APIC self-IPI: ICR write returns", "4,420", "≤ 800"),
    ("self-ipi-handled", "x2APIC self-IPI: handler has run", "10,522", "≤ 3,000"),
    ("ipi-running", "IPI to a VP that runs: sent to handled", "19,918", "–"),
    ("ipi-halted", "IPI to a halted VP, which wakes: sent to handled", "21,798", "–"),
    ("ipi-three", "IPI to three VPs that run: sent to handled by the last", "–", "–"),
    ("ping", "switch between two VPs of a processor: IPI to the other, and HLT", "–", "–"),
    ("flush-running", "remote flush of 1 page in a guest with 4 VPs that run", "–", "–"),
    ("flush-halted", "remote flush of 1 page in a guest whose 3 others are halted", "–", "–"),
    ("scale-cpuid", "CPUID exit with 1 / 16 / 64 VMs that run", "–", "flat"),
    ("scale-port-read", "port read answered by the worker, with 1 / 16 / 64 VMs that run", "–", "flat"),
    ("scale-ping", "wake-up of a halted VP by another's IPI, with 1 / 16 / 64 VMs that run", "–", "flat"),
    (
        "work-1",
        "parallel work, 1 VP: all instructions / those of the bare machine with 1 processor",
        "–",
        "–",
    ),
    ("work-2", "the same, 2 VPs", "–", "–"),
    ("work-4", "the same, 4 VPs", "–", "–"),
    ("read-depth-1", "4 KiB read, depth 1: outside the guest, a request", "65,000", "≤ 15,000"),
    ("read-depth-16", "4 KiB read, depth 16: outside the guest, a request", "6,700", "≤ 3,000"),
    ("read-large", "1 MiB reads, MB/s of virtual time", "1,376", "≥ 2,000"),
    ("write-large", "1 MiB writes, MB/s of virtual time", "1,652", "–"),
    ("linux-start", "Linux from kernel entry to init: all instructions / guest's own", "1.15", "≤ 1.05"),
    ("prompt", "hypervisor entry to CLI prompt, instructions", "–", "measured"),
    ("text", "hypervisor .text, bytes", "NOVA 86 KB", "≤ 131,072"),
    ("reserved", "memory that the hypervisor reserves, KiB", "Xen 1.5–1.9 MB", "≤ 4,096 + tables"),
];

/// By how much a figure may grow that is to be flat. An exit may find the worker a little sooner or later; what each VM
/// adds to would be many times as much with 64.
const FLAT: f64 = 1.1;

/// What was measured.
pub struct Figures {
    kind: Kind,
    measured: BTreeMap<&'static str, String>,
    notes: Vec<String>,
}

impl Figures {
    /// Nothing yet, of this machine.
    pub fn new(kind: Kind) -> Self {
        Self { kind, measured: BTreeMap::new(), notes: Vec::new() }
    }

    /// Notes a figure.
    pub fn set(&mut self, key: &'static str, value: String) {
        self.measured.insert(key, value);
    }

    /// Notes a whole number, with a comma at each thousand.
    pub fn set_count(&mut self, key: &'static str, value: u64) {
        self.set(key, grouped(value));
    }

    /// Adds a line below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Figures that are not as they are to be, each as text.
    pub fn missed(&self) -> Vec<String> {
        let missed = self.rows().filter(|row| !reached(row.measured, row.goal));
        missed.map(|row| format!("{}: {}, to reach is {}", row.what, row.measured, row.goal)).collect()
    }

    /// The rows that were measured.
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        ROWS.into_iter().filter_map(|(key, what, peer, goal)| {
            let measured = self.measured.get(key)?;
            let (peer, goal) = match (self.kind, key) {
                (Kind::Amd, _) => (peer, goal),
                // VMREAD and VMWRITE are instructions of their own, where AMD-V's control block is memory.
                (_, "cpuid") => ("–", "≤ 450"),
                (_, "text" | "reserved") => (peer, goal),
                // A second of Bochs has a twentieth of the instructions that QEMU's has, and an IDE disk in it.
                (_, "read-large") => ("–", "–"),
                _ => ("–", goal),
            };
            Some(Row { what, measured, peer, goal })
        })
    }
}

/// A row of the table.
struct Row<'a> {
    what: &'static str,
    measured: &'a str,
    peer: &'static str,
    goal: &'static str,
}

/// Whether a figure is what it is to be: its first number, or all of them where it must not grow.
fn reached(measured: &str, goal: &str) -> bool {
    let first = number(measured);
    match goal.split_once(' ') {
        Some(("≤", most)) => first.zip(number(most)).is_some_and(|(first, most)| first <= most),
        Some(("≥", least)) => first.zip(number(least)).is_some_and(|(first, least)| first >= least),
        _ if goal == "flat" => {
            let mut all = measured.split(" / ").map(number);
            all.all(|each| each.zip(first).is_some_and(|(each, first)| each <= first * FLAT))
        }
        _ => true,
    }
}

/// The number that a text begins with.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|at: char| !at.is_ascii_digit() && at != ',' && at != '.').unwrap_or(text.len());
    text[..end].replace(',', "").parse().ok()
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| figure | Bulkhead | KVM there | to reach |\n|---|---|---|---|")?;
        for Row { what, measured, peer, goal } in self.rows() {
            writeln!(formatter, "| {what} | {measured} | {peer} | {goal} |")?;
        }
        for note in &self.notes {
            writeln!(formatter, "\n{note}")?;
        }
        Ok(())
    }
}

/// A number with a comma at each thousand.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn goals_are_compared_with_what_was_measured() {
        for (measured, goal) in [
            ("352 (median 353)", "≤ 400"),
            ("400", "≤ 400"),
            ("15,000", "≤ 15,000"),
            ("2005; 2300 were the disk to take no time", "≥ 2,000"),
            ("1.043", "≤ 1.05"),
            ("204 for the image", "≤ 4,096 + tables"),
            ("2062 / 2217 / 2062", "flat"),
            ("whatever", "measured"),
            ("1", "–"),
        ] {
            assert!(reached(measured, goal), "{measured} {goal}");
        }
        for (measured, goal) in [
            ("401 (median 10)", "≤ 400"),
            ("15,001", "≤ 15,000"),
            ("1999.5", "≥ 2,000"),
            ("1.051", "≤ 1.05"),
            ("352 / 352 / 400", "flat"),
            ("352 /  / 352", "flat"),
            ("nothing", "≤ 400"),
        ] {
            assert!(!reached(measured, goal), "{measured} {goal}");
        }
    }

    #[test]
    fn every_goal_is_one_that_is_understood() {
        for (key, _, _, goal) in ROWS {
            let limit = goal.strip_prefix("≤ ").or(goal.strip_prefix("≥ "));
            let understood =
                limit.map_or(["flat", "measured", "–"].contains(&goal), |limit| number(limit).is_some());
            assert!(understood, "{key}: {goal}");
        }
    }

    #[test]
    fn only_what_was_measured_can_be_missed() {
        let mut figures = Figures::new(Kind::Intel);
        assert!(figures.missed().is_empty());
        figures.set("cpuid", "450".to_owned());
        figures.set("read-large", "13.0".to_owned());
        figures.set_count("text", 131_073);
        assert_eq!(figures.missed(), ["hypervisor .text, bytes: 131,073, to reach is ≤ 131,072"]);
    }
}
