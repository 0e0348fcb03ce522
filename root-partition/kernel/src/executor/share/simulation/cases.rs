//! What machines of all kinds are to give whom.

use super::*;
use proptest::prelude::*;

#[test]
fn weights_of_one_two_and_four() {
    for processors in [1, 2, 4] {
        let specs = [busy(4, 100), busy(4, 200), busy(4, 400)];
        check(processors, &specs).unwrap();
    }
}

/// A processor that is away while one runs on it charges that for far more than a slice; the others make up for it, and
/// have time to.
#[test]
fn weights_hold_where_processors_are_away_for_a_while() {
    for pause in [(2, 100), (10, 300), (100, 1000)] {
        for vps in [2, 4] {
            let mut machine = Machine::new(2, &[busy(vps, 100), busy(vps, 200), busy(vps, 400)]);
            machine.pause = Some(pause);
            check_on(machine).unwrap();
        }
    }
    // As an emulator that lends one thread to its processors in turn, each for a tenth of a second.
    for pause in [(20, 3000), (80, 3000)] {
        let (tied, free) = (on(0b0001, busy(1, 100)), on(0b1110, busy(1, 100)));
        let mut machine = Machine::new(4, &[tied, tied, busy(4, 200), free, free]);
        machine.pause = Some(pause);
        check_on(machine).unwrap();
    }
}

#[test]
fn three_on_two_processors_get_two_thirds_each() {
    check(2, &[busy(1, 100); 3]).unwrap();
    check(4, &[busy(1, 100); 7]).unwrap();
    check(2, &[busy(4, 100), busy(1, 100), busy(1, 100)]).unwrap();
}

#[test]
fn a_weight_is_no_more_than_what_its_owner_can_use() {
    check(2, &[busy(1, 1000), busy(1, 100), busy(1, 200)]).unwrap();
    check(4, &[busy(2, 10_000), busy(4, 1), busy(4, 2)]).unwrap();
}

#[test]
fn virtual_processors_of_one_vm_share_alike() {
    let mut machine = Machine::new(2, &[busy(3, 100), busy(1, 100)]);
    machine.play(10 * SECOND);
    let ran: Vec<u64> = machine.vps.iter().map(|vp| vp.ran).collect();
    for vp in &ran[..3] {
        assert!(vp.abs_diff(10 * SECOND / 3) < SECOND / 5, "{ran:?}");
    }
}

#[test]
fn a_limit_holds_on_an_idle_host() {
    for percent in [1, 5, 25, 50, 90] {
        let limited = |vps| Spec {
            shares: Shares { limit: Some(percent * vps), ..Shares::of_weight(100) },
            ..busy(vps, 100)
        };
        for vps in [1, 3] {
            let share = Machine::new(4, &[limited(vps)]).shares()[0];
            let wanted = f64::from(percent * vps);
            assert!((share - wanted).abs() <= wanted * 0.05, "{share} of {wanted}");
        }
    }
}

#[test]
fn a_limit_holds_beside_others() {
    let limited = Spec { shares: Shares { limit: Some(25), ..Shares::of_weight(1000) }, ..busy(1, 0) };
    check(1, &[limited, busy(1, 100), busy(1, 200)]).unwrap();
    check(2, &[limited, busy(2, 100), busy(2, 100)]).unwrap();
}

#[test]
fn a_reserve_is_had_whatever_the_others_weigh() {
    for (processors, vps, reserve) in [(1, 1, 50), (1, 1, 10), (2, 2, 100), (4, 3, 150), (2, 1, 80)] {
        let reserved = Spec { shares: Shares { reserve, ..Shares::of_weight(1) }, ..busy(vps, 1) };
        let others = [busy(4, 10_000); 3];
        let all: Vec<Spec> = [reserved].into_iter().chain(others).collect();
        let shares = Machine::new(processors, &all).shares();
        let wanted = f64::from(reserve);
        assert!(
            shares[0] >= wanted * 0.95 && shares[0] <= wanted * 1.1 + 1.0,
            "{shares:.1?} with a reserve of {reserve}"
        );
        assert!((shares[1] - shares[2]).abs() <= shares[1] * 0.05, "{shares:.1?}");
    }
}

#[test]
fn whoever_ran_beyond_its_reserve_has_it_still() {
    let reserved = Spec { shares: Shares { reserve: 50, ..Shares::of_weight(1) }, ..busy(1, 1) };
    let late = Spec { runs: u64::MAX, ..busy(1, 10_000) };
    let mut machine = Machine::new(1, &[reserved, late, late]);
    machine.vps[1].state = State::Sleeping(6 * SECOND);
    machine.vps[2].state = State::Sleeping(6 * SECOND);
    machine.play(5 * SECOND);
    let before = machine.ran()[0];
    machine.play(SECOND);
    let ran = machine.ran()[0] - before;
    assert!(ran > SECOND * 45 / 100, "{ran}");
}

/// That, on these processors only.
fn on(mask: u64, spec: Spec) -> Spec {
    Spec { shares: Shares { affinity: ProcessorSet::of(mask), ..spec.shares }, ..spec }
}

/// Who is furthest behind may not come here; that keeps nobody from taking who may.
#[test]
fn who_may_not_run_here_keeps_nobody_else_from_it() {
    let pinned = [on(0b001, busy(1, 100)); 4];
    let free = [on(0b110, busy(1, 100)); 3];
    let specs = [&pinned[..], &free].concat();
    check(3, &specs).unwrap();
    // The same where those who cannot come have a reserve, which is due all the time.
    let reserved = Spec { shares: Shares { reserve: 25, ..pinned[0].shares }, ..pinned[0] };
    let specs = [&[reserved; 4][..], &free].concat();
    check(3, &specs).unwrap();
}

/// One that has a processor to itself, though it could run on an idle one, leaves it to those that could not.
#[test]
fn no_processor_is_idle_while_somebody_could_make_room() {
    check(4, &[on(0b0011, busy(2, 240)), on(0b0111, busy(1, 403))]).unwrap();
    check(4, &[on(0b0011, busy(2, 100)), busy(1, 100)]).unwrap();
    check(2, &[on(0b01, busy(1, 100)), busy(1, 10_000)]).unwrap();
}

/// One that was alone for long is as far as those that come, wherever they do.
#[test]
fn who_was_alone_on_a_processor_does_not_keep_it() {
    // Between the ends of slices.
    const LATE: u64 = 101 * SECOND + 5 * TICK;
    let mut machine = Machine::new(2, &[busy(1, 100); 3]);
    for vp in &mut machine.vps[1..] {
        vp.account.set_home(1);
        vp.state = State::Sleeping(LATE);
    }
    machine.play(101 * SECOND);
    check_on(machine).unwrap();
    // Whoever has a reserve does not either.
    let reserved = Spec { shares: Shares { reserve: 10, ..Shares::of_weight(100) }, ..busy(1, 100) };
    let mut machine = Machine::new(2, &[busy(1, 100), reserved, reserved]);
    for vp in &mut machine.vps[1..] {
        vp.account.set_home(1);
        vp.state = State::Sleeping(LATE);
    }
    machine.play(101 * SECOND);
    check_on(machine).unwrap();
}

/// Who weighs more gets on more slowly in virtual time; each has a processor of its own, until a third comes.
#[test]
fn weights_that_each_had_a_processor_count_when_a_third_comes() {
    let mut machine = Machine::new(2, &[busy(1, 100), busy(1, 1000), busy(1, 100)]);
    machine.vps[0].account.set_home(1);
    machine.vps[2].state = State::Sleeping(101 * SECOND + 5 * TICK);
    machine.play(101 * SECOND);
    check_on(machine).unwrap();
}

/// Some that can run nowhere else had little for long, and those that could come had more elsewhere: as soon as there is more
/// here than there, they come.
#[test]
fn who_had_little_for_long_does_not_make_up_for_it() {
    let pinned = on(0b01, busy(1, 100));
    let mut machine = Machine::new(2, &[[pinned; 8].as_slice(), &[busy(1, 100); 4]].concat());
    machine.play(100 * SECOND);
    for vp in &mut machine.vps[..6] {
        machine.groups[vp.vm].set(Shares { limit: Some(1), ..pinned.shares });
    }
    for vm in 0..6 {
        machine.specs[vm].shares.limit = Some(1);
    }
    check_on(machine).unwrap();
}

/// Those that can run nowhere else share as they weigh, however far others are ahead that could come.
#[test]
fn who_has_less_here_than_others_elsewhere_shares_by_weight() {
    let specs = [on(0b01, busy(1, 100)), on(0b01, busy(1, 300)), busy(1, 100), busy(1, 100)];
    let mut machine = Machine::new(2, &specs);
    machine.play(20 * SECOND);
    check_on(machine).unwrap();
}

#[test]
fn affinity_holds_and_shares_are_fair_within_it() {
    let specs = [on(1, busy(1, 1000)), on(1, busy(2, 2000)), on(2, busy(1, 100))];
    let shares = Machine::new(2, &specs).shares();
    assert!(
        (shares[0] - 33.3).abs() < 1.7 && (shares[1] - 66.7).abs() < 3.4 && shares[2] > 99.0,
        "{shares:.1?}"
    );
    // Nobody starves who could run on either, beside some that cannot.
    let specs = [
        on(1, busy(1, 100)),
        on(1, busy(1, 100)),
        on(1, busy(1, 100)),
        on(2, busy(1, 100)),
        on(3, busy(2, 100)),
    ];
    let mut machine = Machine::new(2, &specs);
    machine.play(10 * SECOND);
    for vp in &machine.vps[4..] {
        assert!(vp.ran > SECOND, "{:?}", machine.vps.iter().map(|vp| vp.ran).collect::<Vec<_>>());
    }
    let shares = machine.shares();
    assert!((shares[3] - 50.0).abs() < 2.5 && (shares[4] - 50.0).abs() < 2.5, "{shares:.1?}");
}

#[test]
fn a_change_counts_at_once() {
    let mut machine = Machine::new(1, &[busy(1, 100), busy(1, 100)]);
    machine.play(5 * SECOND);
    machine.groups[0].set(Shares::of_weight(300));
    let shares = machine.shares();
    assert!((shares[0] - 75.0).abs() < 3.0, "{shares:.1?}");
    machine.groups[0].set(Shares { limit: Some(10), ..Shares::of_weight(300) });
    let shares = machine.shares();
    assert!((shares[0] - 10.0).abs() < 0.5, "{shares:.1?}");
    machine.groups[0].set(Shares::of_weight(100));
    let shares = machine.shares();
    assert!((shares[0] - 50.0).abs() < 2.5, "{shares:.1?}");
}

#[test]
fn one_that_wakes_up_runs_soon_however_many_sleep() {
    let brief = Spec { runs: 2, sleeps: 100, ..busy(1, 100) };
    for sleepers in [0, 500] {
        let asleep = Spec { sleeps: u64::MAX / SECOND, ..brief };
        let all: Vec<Spec> =
            [brief, busy(1, 100), busy(1, 100)].into_iter().chain(vec![asleep; sleepers]).collect();
        let mut machine = Machine::new(1, &all);
        for vp in &mut machine.vps[3..] {
            vp.state = State::Sleeping(u64::MAX);
        }
        machine.play(3 * SECOND);
        assert!(machine.vps[0].latency <= 2 * TICK, "{} after a wake-up", machine.vps[0].latency);
    }
}

#[test]
fn one_that_sleeps_a_moment_all_the_time_gets_no_more_than_its_share() {
    // It gives the processor away just before its slice ends, so that it is never charged a whole one.
    for (runs, sleeps) in [(49, 1), (10, 1), (1, 1), (45, 5)] {
        let sly = Spec { runs, sleeps, ..busy(2, 100) };
        let shares = Machine::new(1, &[sly, busy(1, 100)]).shares();
        assert!(shares[1] >= 47.5, "{shares:.1?} for {runs} and {sleeps}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn within_five_percent_on_any_machine(
        processors in 1_u32..5,
        vms in proptest::collection::vec((1_u32..5, 20_u32..500), 1..6),
    ) {
        let specs: Vec<Spec> = vms.iter().map(|&(vps, weight)| busy(vps, weight)).collect();
        prop_assert_eq!(check(processors, &specs), Ok(()));
    }

    /// Sleepers of any kind keep nobody from its share, and no processor is idle while somebody waits.
    #[test]
    fn sleepers_disturb_nobody(
        processors in 1_u32..4,
        vms in proptest::collection::vec((1_u32..4, 20_u32..500, 1_u64..80, 0_u64..80), 1..5),
    ) {
        let specs: Vec<Spec> = vms.iter().map(|&(vps, weight, runs, sleeps)| Spec { runs, sleeps, ..busy(vps, weight) }).collect();
        let all: Vec<Spec> = specs.iter().copied().chain([busy(processors, 100)]).collect();
        let mut machine = Machine::new(processors, &all);
        let shares = machine.shares();
        let weights: u32 = all.iter().map(|spec| spec.shares.weight).sum();
        let least = f64::from(processors * 100) * 100.0 / f64::from(weights);
        prop_assert!(*shares.last().unwrap() >= least * 0.95, "{:.1?}, the last at least {:.1}", shares, least);
        let idle: u64 = machine.processors.iter().map(|processor| processor.idle).sum();
        prop_assert!(idle <= machine.now / 1000, "idle for {}", idle);
    }
}
