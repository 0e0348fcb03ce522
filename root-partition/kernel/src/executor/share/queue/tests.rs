//! One queue, played by hand.

use crate::executor::share::{Account, GRANULARITY, Queue, SLICE, Shares, WEIGHT};
use std::sync::Arc;
use syscall::ProcessorSet;

fn account(weight: u32) -> Arc<Account> {
    Arc::new(Account::new(weight, 0))
}

/// Lets `rounds` turns pass; what each ran in sum. `lengths`: how long each runs in a turn before it is interrupted or
/// its slice ends.
fn play(accounts: &[Arc<Account>], lengths: &[u64], rounds: usize) -> Vec<u64> {
    let mut queue = Queue::new();
    let mut ran = vec![0; accounts.len()];
    for (index, account) in accounts.iter().enumerate() {
        queue.push_woken(Arc::clone(account), index);
    }
    for _ in 0..rounds {
        let index = queue.pop(|| 0).unwrap();
        let turn = lengths[index].min(accounts[index].slice_left());
        accounts[index].charge(turn);
        ran[index] += turn;
        queue.push(Arc::clone(&accounts[index]), index);
    }
    ran
}

#[test]
fn one_that_another_processor_takes_has_waited() {
    let group = account(WEIGHT).group().clone();
    let [waits, first, second] = [(); 3].map(|()| Arc::new(Account::of(group.clone(), 0)));
    let (mut from, mut to) = (Queue::new(), Queue::new());
    from.push_woken(waits, "waits");
    // Two others of its group run a slice meanwhile, each on a processor, and wait again.
    for account in [&first, &second] {
        account.charge(SLICE);
    }
    to.push(second, "ran");
    let (account, task) = from.steal(1, 0, to.first()).unwrap();
    to.take_over(account, task);
    assert_eq!(to.pop(|| 0), Some("waits"));
}

#[test]
fn shares_follow_the_weights() {
    let accounts = [account(100), account(100), account(200)];
    let ran = play(&accounts, &[SLICE; 3], 4000);
    assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE);
    assert!(ran[2].abs_diff(2 * ran[0]) <= 4 * SLICE, "{ran:?}");
}

#[test]
fn one_that_is_interrupted_all_the_time_has_its_share() {
    let accounts = [account(WEIGHT), account(WEIGHT)];
    let ran = play(&accounts, &[SLICE / 50, SLICE], 100_000);
    assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE, "{ran:?}");
}

#[test]
fn whoever_has_run_for_a_moment_only_is_next_again() {
    let (first, second) = (account(WEIGHT), account(WEIGHT));
    let mut queue = Queue::new();
    queue.push_woken(Arc::clone(&first), 1);
    queue.push_woken(Arc::clone(&second), 2);
    assert_eq!(queue.pop(|| 0), Some(1));
    first.charge(GRANULARITY - 1);
    assert!(!queue.is_before(&first, 0, || 0));
    queue.push(Arc::clone(&first), 1);
    assert_eq!((queue.first(), queue.pop(|| 0)), (Some(0), Some(1)));
    first.charge(1);
    assert!(queue.is_before(&first, 0, || 0));
    queue.push(Arc::clone(&first), 1);
    assert_eq!((queue.pop(|| 0), queue.pop(|| 0)), (Some(2), Some(1)));
}

/// Whoever is asked all the time whether another is to run does not change with it all the time.
#[test]
fn two_take_turns_of_twice_the_least_time() {
    let accounts = [account(WEIGHT), account(WEIGHT)];
    let mut queue = Queue::new();
    accounts.iter().enumerate().for_each(|(index, account)| queue.push_woken(Arc::clone(account), index));
    const STEP: u64 = GRANULARITY / 10;
    let (mut turns, mut now) = (0, 0);
    while now < 1000 * GRANULARITY {
        let index = queue.pop(|| 0).unwrap();
        turns += 1;
        let account = &accounts[index];
        loop {
            now += STEP;
            if account.charge(STEP) || queue.is_before(account, 0, || 0) {
                break;
            }
        }
        queue.push(Arc::clone(account), index);
    }
    assert!((450..650).contains(&turns), "{turns}");
}

#[test]
fn two_that_are_alike_both_have_their_turn() {
    let mut queue = Queue::new();
    for index in 0..2 {
        // Within its slice it keeps its place, which here is that of one that was never pushed.
        let account = account(WEIGHT);
        account.charge(SLICE / 2);
        queue.push(account, index);
    }
    assert_eq!((queue.pop(|| 0), queue.pop(|| 0), queue.pop(|| 0)), (Some(0), Some(1), None));
}

#[test]
fn who_ran_without_waiting_is_not_made_to_wait_for_it() {
    let (inline, new) = (account(WEIGHT), account(WEIGHT));
    let mut queue = Queue::new();
    for _ in 0..1000 {
        assert!(inline.charge(SLICE));
        queue.ran(&inline);
    }
    queue.push_woken(Arc::clone(&new), 2);
    assert!(inline.had_so_far(0) <= queue.first().unwrap() + inline.group().slice());
}

#[test]
fn sleeping_saves_nothing_up() {
    let (busy, sleeper) = (account(WEIGHT), account(WEIGHT));
    let mut queue = Queue::new();
    for _ in 0..100 {
        queue.push(Arc::clone(&busy), 1);
        assert_eq!(queue.pop(|| 0), Some(1));
        busy.charge(SLICE);
    }
    queue.push(Arc::clone(&busy), 1);
    queue.push_woken(Arc::clone(&sleeper), 2);
    let turns = (0..4).map(|_| {
        let one = queue.pop(|| 0).unwrap();
        let account = if one == 1 { &busy } else { &sleeper };
        account.charge(SLICE);
        queue.push(Arc::clone(account), one);
        one
    });
    assert_eq!(turns.collect::<Vec<_>>(), [2, 2, 1, 2]);
}

#[test]
fn whoever_joins_a_group_is_charged_to_it() {
    let (vp, worker) = (account(WEIGHT), account(WEIGHT));
    worker.join(vp.group());
    worker.charge(SLICE);
    assert_eq!(vp.group().had(), vp.group().slice());
    // For good: what belongs to one VM never becomes another's.
    worker.join(account(WEIGHT).group());
    assert!(Arc::ptr_eq(worker.group(), vp.group()));
}

#[test]
fn who_spins_for_another_of_its_group_lets_it_go_first() {
    let spins = account(WEIGHT);
    let holds = Arc::new(Account::of(Arc::clone(spins.group()), 0));
    let other = account(WEIGHT);
    let mut queue = Queue::new();
    queue.push_woken(Arc::clone(&spins), 1);
    assert_eq!(queue.pop(|| 0), Some(1));
    queue.push_woken(Arc::clone(&other), 2);
    queue.push_woken(Arc::clone(&holds), 3);
    spins.charge(SLICE / 2);
    spins.end_slice();
    queue.let_others_go_first(&spins);
    queue.push(Arc::clone(&spins), 1);
    assert_eq!((queue.pop(|| 0), queue.pop(|| 0), queue.pop(|| 0)), (Some(3), Some(2), Some(1)));
    assert!(spins.group().had() == spins.group().virtual_time(SLICE / 2), "charged for what it ran");
}

#[test]
fn who_spins_for_nobody_here_lets_others_go_first_and_keeps_its_share() {
    let (spins, other) = (account(WEIGHT), account(WEIGHT));
    let mut queue = Queue::new();
    queue.push_woken(Arc::clone(&spins), 1);
    queue.push_woken(Arc::clone(&other), 2);
    assert_eq!(queue.pop(|| 0), Some(1));
    let (mut ran, mut turns) = ([0, 0], Vec::new());
    let mut index = 1;
    for _ in 0..2000 {
        let (account, turn) = if index == 1 { (&spins, SLICE / 10) } else { (&other, SLICE) };
        account.charge(turn);
        ran[index - 1] += turn;
        turns.push(index);
        if index == 1 {
            spins.end_slice();
            queue.let_others_go_first(&spins);
        }
        queue.push(Arc::clone(account), index);
        index = queue.pop(|| 0).unwrap();
    }
    assert_eq!(turns[..4], [1, 2, 1, 2]);
    assert!(ran[0].abs_diff(ran[1]) <= 4 * SLICE, "{ran:?}");
}

#[test]
fn who_has_nothing_more_to_run_waits_for_no_share() {
    let (busy, killed) = (account(WEIGHT), account(WEIGHT));
    let mut queue = Queue::new();
    queue.push_woken(Arc::clone(&busy), 1);
    queue.push_woken(Arc::clone(&killed), 2);
    assert_eq!(queue.dismiss().map(|(_, what)| what), None);
    killed.close();
    assert_eq!(queue.dismiss().map(|(_, what)| what), Some(2));
    assert_eq!((queue.dismiss().map(|(_, what)| what), queue.pop(|| 0)), (None, Some(1)));
}

#[test]
fn only_who_may_run_there_is_stolen() {
    let (bound, free) = (account(WEIGHT), account(WEIGHT));
    bound.group().set(Shares { affinity: ProcessorSet::below(1), ..Shares::of_weight(WEIGHT) });
    let mut queue = Queue::new();
    queue.push_woken(Arc::clone(&bound), 1);
    assert_eq!(queue.affinity(), ProcessorSet::below(1));
    assert!(queue.steal(1, 0, None).is_none());
    queue.push_woken(Arc::clone(&free), 2);
    assert_eq!(queue.steal(1, 0, None).map(|(_, what)| what), Some(2));
    assert_eq!(queue.expel(0).map(|(_, what)| what), None);
    assert_eq!(queue.expel(1).map(|(_, what)| what), Some(1));
}
