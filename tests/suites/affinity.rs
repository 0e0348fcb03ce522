//! Shares where some may not run everywhere.

use anyhow::Result;
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::shares::{are_in_proportion, create, expect};

/// Some are tied to one of four processors, one has as many virtual processors as there are, and one comes late: each has what
/// its weight is worth where it may run.
pub fn who_may_run_where_is_fair_on_four_processors(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_in_its_own_time(on, 4)?;
    let mut cli = bulkhead.cli();
    let early = ["tied", "tied-too", "four", "one", "two"];
    let on_others = "--affinity 1-3";
    let shares = ["--affinity 0", "--affinity 0", "--weight 200", on_others, on_others];
    for (name, share) in early.into_iter().zip(shares) {
        let vps = if name == "four" { 4 } else { 1 };
        create(&mut cli, name, vps, &format!("work {vps}"), share)?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    // The two that are tied have less than the others, who therefore leave them their processor.
    expect(on, &mut cli, &early, "before the late one", |shares| {
        are_in_proportion(shares, &[50.0, 50.0, 150.0, 75.0, 75.0])
    })?;
    create(&mut cli, "late", 1, "work", on_others)?;
    accepted(&mut cli, "vm start late")?;
    let all = ["tied", "tied-too", "four", "one", "two", "late"];
    expect(on, &mut cli, &all, "with the late one", |shares| {
        are_in_proportion(shares, &[50.0, 50.0, 120.0, 60.0, 60.0, 60.0])
    })
}
