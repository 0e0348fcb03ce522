//! Machines of several processors with several VMs, played in virtual time with the very queues of the kernel.

mod cases;

use super::balance::{Balance, Shown};
use super::{Account, Group, Queue, Shares};
use std::sync::Arc;
use syscall::ProcessorSet;

/// The step of the played time, in 100 ns.
const TICK: u64 = 1000;
const SECOND: u64 = 10_000_000;

/// A VM that wants to run, of `vps` virtual processors.
#[derive(Clone, Copy, Debug)]
struct Spec {
    vps: u32,
    shares: Shares,
    /// How long each runs and then sleeps, in ticks; sleeps of 0: it wants to run all the time.
    runs: u64,
    sleeps: u64,
}

fn busy(vps: u32, weight: u32) -> Spec {
    Spec { vps, shares: Shares::of_weight(weight), runs: 1, sleeps: 0 }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Running,
    Sleeping(u64),
}

struct Vp {
    vm: usize,
    account: Arc<Account>,
    state: State,
    left: u64,
    ran: u64,
    woken: u64,
    /// The longest that it had to wait after it was woken.
    latency: u64,
}

struct Processor {
    queue: Queue<usize>,
    shown: Shown,
    runs: Option<usize>,
    balance: Balance,
    idle: u64,
    /// Somebody waits while another runs.
    offers: bool,
    /// It has looked for somebody, and there was nobody.
    is_idle: bool,
    /// What the one that runs is still to be charged for.
    ran: u64,
}

struct Machine {
    now: u64,
    specs: Vec<Spec>,
    groups: Vec<Arc<Group>>,
    vps: Vec<Vp>,
    processors: Vec<Processor>,
    /// Every so many turns take so many ticks: the processor is away for long, as an emulated one is.
    pause: Option<(u64, u64)>,
    turns: u64,
}

impl Machine {
    fn new(processors: u32, specs: &[Spec]) -> Self {
        let mut machine = Self {
            now: SECOND,
            specs: specs.to_vec(),
            groups: Vec::new(),
            vps: Vec::new(),
            processors: Vec::new(),
            pause: None,
            turns: 0,
        };
        machine.processors.extend((0..processors).map(|_| Processor {
            queue: Queue::new(),
            shown: Shown::new(),
            runs: None,
            balance: Balance::new(),
            idle: 0,
            offers: false,
            is_idle: false,
            ran: 0,
        }));
        for (vm, spec) in specs.iter().enumerate() {
            let group = Arc::new(Group::new(spec.shares, spec.vps));
            for _ in 0..spec.vps {
                // All begin on one processor: the others have to find them.
                let home = spec.shares.affinity.first().unwrap().min(processors - 1);
                let account = Arc::new(Account::of(Arc::clone(&group), home));
                machine.vps.push(Vp {
                    vm,
                    account,
                    state: State::Sleeping(0),
                    left: spec.runs,
                    ran: 0,
                    woken: 0,
                    latency: 0,
                });
            }
            machine.groups.push(group);
        }
        machine
    }

    fn push(&mut self, index: usize, woken: bool) {
        let vp = &mut self.vps[index];
        vp.state = State::Waiting;
        let account = Arc::clone(&vp.account);
        if !account.group().allows(account.home()) {
            account.set_home(account.group().affinity().first().unwrap());
        }
        let processor = &mut self.processors[account.home() as usize];
        if woken {
            vp.woken = self.now;
            processor.queue.push_woken(account, index);
        } else {
            processor.queue.push(account, index);
        }
        processor.shown.show(&processor.queue);
    }

    fn wake(&mut self) {
        for index in 0..self.vps.len() {
            if let State::Sleeping(until) = self.vps[index].state
                && until <= self.now
            {
                self.push(index, true);
            }
        }
    }

    /// The one that runs on `number` has run for a tick.
    fn run(&mut self, number: usize) {
        let Some(index) = self.processors[number].runs else { return };
        let (vp, processor) = (&mut self.vps[index], &mut self.processors[number]);
        let spec = self.specs[vp.vm];
        vp.ran += TICK;
        vp.left = vp.left.saturating_sub(1);
        processor.ran += TICK;
        if let Some((turns, ticks)) = self.pause
            && self.turns.is_multiple_of(turns)
            && processor.ran < ticks * TICK
        {
            return;
        }
        let over = vp.account.charge_vp(self.now, std::mem::take(&mut processor.ran));
        if over {
            processor.queue.ran(&vp.account);
        }
        if vp.left == 0 && spec.sleeps != 0 {
            vp.account.end_slice();
            processor.queue.ran(&vp.account);
            vp.left = spec.runs;
            vp.state = State::Sleeping(self.now + spec.sleeps * TICK);
            processor.runs = None;
        } else if vp.account.group().limited_until() > self.now {
            vp.state = State::Sleeping(vp.account.group().limited_until());
            processor.runs = None;
        } else if over
            || processor.queue.is_before(&vp.account, 0, || self.now)
            || !vp.account.group().allows(number as u32)
        {
            processor.runs = None;
            self.push(index, false);
        } else {
            processor.offers = !processor.queue.is_empty();
        }
    }

    /// A processor without anybody finds somebody.
    fn choose(&mut self, number: usize) {
        let now = self.now;
        if self.processors[number].runs.is_some() {
            return;
        }
        let others: Vec<usize> = (0..self.processors.len()).filter(|&other| other != number).collect();
        let stolen = if self.processors[number].queue.is_empty() {
            others.into_iter().find_map(|other| self.steal(other, number, None))
        } else {
            self.balance(number)
        };
        if let Some((account, index)) = stolen {
            account.set_home(number as u32);
            self.processors[number].queue.take_over(account, index);
        }
        let processor = &mut self.processors[number];
        let next = processor.queue.pop(|| now);
        processor.shown.show(&processor.queue);
        processor.is_idle = next.is_none();
        processor.offers = !processor.queue.is_empty();
        let Some(index) = next else {
            processor.idle += TICK;
            return;
        };
        processor.runs = Some(index);
        self.turns += 1;
        let vp = &mut self.vps[index];
        vp.state = State::Running;
        if vp.woken != 0 {
            vp.latency = vp.latency.max(now - vp.woken);
            vp.woken = 0;
        }
    }

    /// As the kernel's: what there is to see, and what is to be done then.
    fn balance(&mut self, number: usize) -> Option<(Arc<Account>, usize)> {
        let mut balance = std::mem::take(&mut self.processors[number].balance);
        let stolen = self.balance_now(number, &mut balance);
        self.processors[number].balance = balance;
        stolen
    }

    fn balance_now(&mut self, me: usize, balance: &mut Balance) -> Option<(Arc<Account>, usize)> {
        let mine = (me as u32, &self.processors[me].shown);
        let others = (0..).zip(&self.processors).filter(|(_, other)| other.offers);
        let shown = others.map(|(number, other)| (number, &other.shown));
        let seen = balance.look(mine, shown, self.now)?;
        let processor = &mut self.processors[me];
        processor.queue.catch_up(seen.level);
        processor.shown.show(&processor.queue);
        balance.act(&seen, |other| {
            let before = self.processors[me].shown.first();
            let stolen = self.steal(other as usize, me, Some(before));
            let took = stolen.is_some();
            stolen.into_iter().for_each(|stolen| self.hand_over(me, stolen));
            took
        });
        self.make_room(me, seen.nearest)
    }

    /// As the kernel's.
    fn make_room(&mut self, me: usize, nearest: Option<u32>) -> Option<(Arc<Account>, usize)> {
        let idle = (0..).zip(&self.processors).filter(|(_, processor)| processor.is_idle);
        let idle = idle.fold(ProcessorSet::NONE, |all, (number, _)| all | ProcessorSet::one(number));
        let to = self.processors[me].queue.could_leave_for(idle, nearest.is_some()).first()?;
        let sent = self.steal(me, to as usize, None).unwrap();
        self.hand_over(to as usize, sent);
        let nearest = nearest.filter(|_| self.processors[me].queue.is_empty())?;
        self.steal(nearest as usize, me, None)
    }

    fn hand_over(&mut self, to: usize, (account, index): (Arc<Account>, usize)) {
        account.set_home(to as u32);
        let processor = &mut self.processors[to];
        processor.queue.take_over(account, index);
        processor.shown.show(&processor.queue);
    }

    fn steal(&mut self, from: usize, to: usize, before: Option<u64>) -> Option<(Arc<Account>, usize)> {
        let other = &mut self.processors[from];
        let stolen = other.queue.steal(to as u32, self.now, before);
        other.shown.show(&other.queue);
        other.offers &= !other.queue.is_empty();
        stolen
    }

    fn play(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.wake();
            for number in 0..self.processors.len() {
                self.choose(number);
            }
            self.now += TICK;
            for number in 0..self.processors.len() {
                self.run(number);
            }
        }
    }

    /// What each VM ran.
    fn ran(&self) -> Vec<u64> {
        let of = |vm| self.vps.iter().filter(|vp| vp.vm == vm).map(|vp| vp.ran).sum();
        (0..self.specs.len()).map(of).collect()
    }

    /// Each VM's part of `time` on one processor, in percent, measured anew after a second.
    fn shares(&mut self) -> Vec<f64> {
        self.play(SECOND);
        let before = self.ran();
        self.play(10 * SECOND);
        let after = self.ran();
        after
            .iter()
            .zip(before)
            .map(|(after, before)| (after - before) as f64 / (10 * SECOND) as f64 * 100.0)
            .collect()
    }
}

/// What each VM that wants all it can have is to get, in percent of one processor: in proportion to the weights, but for
/// whoever gets no more than it can use, or is to get where it may run.
fn ideal(processors: u32, specs: &[Spec]) -> Vec<f64> {
    let sets = || 1..1_u32 << specs.len();
    let members = |set: u32| (0..specs.len()).filter(move |vm| set >> vm & 1 != 0);
    let weight = |vm: usize| f64::from(specs[vm].shares.weight);
    let can: Vec<f64> = sets().map(|set| most(processors, members(set).map(|vm| &specs[vm]))).collect();
    let mut all: Vec<Option<f64>> = vec![None; specs.len()];
    // Everybody's grows in proportion to the weights; those whose sum can grow no more stop there.
    while all.contains(&None) {
        let room = |set: u32| can[set as usize - 1] - members(set).filter_map(|vm| all[vm]).sum::<f64>();
        let open = |set: u32| members(set).filter(|&vm| all[vm].is_none());
        let grows = sets().filter(|&set| open(set).next().is_some());
        let factor = |set: u32| room(set) / open(set).map(weight).sum::<f64>();
        let (set, factor) =
            grows.map(|set| (set, factor(set))).min_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap();
        for vm in open(set).collect::<Vec<_>>() {
            all[vm] = Some(factor * weight(vm));
        }
    }
    all.into_iter().flatten().collect()
}

/// The most that these VMs can get together: the least cut between them and the processors.
fn most<'a>(processors: u32, specs: impl Iterator<Item = &'a Spec> + Clone) -> f64 {
    let cut = |full: u64| {
        let of = |spec: &Spec| {
            let elsewhere = spec.shares.affinity & ProcessorSet::below(processors);
            let elsewhere = elsewhere - ProcessorSet::of(full);
            (100 * spec.vps.min(elsewhere.len())).min(spec.shares.limit.unwrap_or(u32::MAX))
        };
        100 * full.count_ones() + specs.clone().map(of).sum::<u32>()
    };
    f64::from((0..1 << processors).map(cut).min().unwrap())
}

/// Whether each gets what it is to get, within 5 % of that.
fn check(processors: u32, specs: &[Spec]) -> Result<(), String> {
    check_on(Machine::new(processors, specs))
}

fn check_on(mut machine: Machine) -> Result<(), String> {
    let (processors, specs) = (machine.processors.len() as u32, machine.specs.clone());
    let (shares, specs) = (machine.shares(), specs.as_slice());
    let ideal = ideal(processors, specs);
    for (got, wanted) in shares.iter().zip(&ideal) {
        // Whoever is to get next to nothing may be a slice off.
        if (got - wanted).abs() > wanted * 0.05 + 0.1 {
            return Err(format!("{shares:.1?}, not {ideal:.1?}"));
        }
    }
    Ok(())
}
