//! Whether what is reserved can be kept: each VM has a claim on some processors, and each processor can be given away once.

use crate::affinity::{Affinity, missing};
use crate::share::Share;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use syscall::ProcessorSet;

/// A whole processor, in percent.
const WHOLE: u64 = 100;
/// How many VMs are named.
const NAMED: usize = 3;

/// A reserve, as it counts on the host: for how many virtual processors, on which processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// In percent of its virtual processors.
    percent: u32,
    vps: u32,
    affinity: Affinity,
}

impl Claim {
    /// That of a VM with so many virtual processors.
    #[must_use]
    pub fn of(share: Share, vps: u32) -> Self {
        Self { percent: share.reserve, vps, affinity: share.affinity }
    }

    /// In percent of a processor.
    fn reserve(&self) -> u64 {
        u64::from(self.percent) * u64::from(self.vps)
    }
}

/// Whether a host with so many processors can run a VM with this claim beside `others`, which have names.
///
/// # Errors
/// Why not.
pub fn fits(claim: Claim, others: &[(&str, Claim)], processors: u32) -> Result<(), String> {
    if let Some(why) = missing(claim.affinity, processors) {
        return Err(why);
    }
    if claim.reserve() == 0 {
        return Ok(());
    }
    let claims = others.iter().map(|(_, other)| other).chain([&claim]);
    let mut given = Given::of(claims, processors);
    // Too much may have been promised before the host lost a processor: the others have what there is of it.
    (0..others.len()).for_each(|other| _ = given.give(other));
    let Err(refused) = given.give(others.len()) else { return Ok(()) };
    let in_the_way =
        others.iter().zip(&refused.in_the_way).filter(|(_, is)| **is).map(|((name, _), _)| *name);
    Err(refusal(claim, refused.left, &in_the_way.collect::<Vec<_>>(), processors))
}

fn refusal(claim: Claim, left: u64, in_the_way: &[&str], processors: u32) -> String {
    let Claim { percent, vps, affinity } = claim;
    let plural = if vps == 1 { "" } else { "s" };
    let reserve = claim.reserve();
    let wanted =
        alloc::format!("a reserve of {percent} % for {vps} virtual processor{plural} is {}", amount(reserve));
    let has = (affinity.set() & ProcessorSet::below(processors)).len();
    match (in_the_way, affinity.is_all()) {
        ([], true) => alloc::format!("{wanted}; this host has {has}"),
        ([], false) => alloc::format!("{wanted}; with affinity {affinity} it has {has}"),
        (names, _) => {
            let mut list = names.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if names.len() > NAMED {
                list.push_str(&alloc::format!(" and {} more", names.len() - NAMED));
            }
            alloc::format!("{wanted}; beside {list} it can have {}", amount(left))
        }
    }
}

/// So many percent as processors.
fn amount(percent: u64) -> String {
    match percent {
        WHOLE => "1 processor".to_string(),
        percent if percent.is_multiple_of(WHOLE) => alloc::format!("{} processors", percent / WHOLE),
        percent => alloc::format!("{}.{:02} processors", percent / WHOLE, percent % WHOLE),
    }
}

/// What each claim is given of each processor: a maximum flow, claim by claim.
struct Given {
    claims: Vec<(u64, ProcessorSet)>,
    /// By claim and processor, in percent.
    of: Vec<Vec<u64>>,
    /// What is left of each processor.
    free: Vec<u64>,
}

/// A claim that cannot be had.
struct Refused {
    /// What can be.
    left: u64,
    /// By claim: whether it has, and needs, of the processors that are lacking.
    in_the_way: Vec<bool>,
}

impl Given {
    fn of<'a>(claims: impl Iterator<Item = &'a Claim>, processors: u32) -> Self {
        let there = ProcessorSet::below(processors);
        let claims: Vec<_> = claims.map(|it| (it.reserve(), it.affinity.set() & there)).collect();
        let processors = there.len() as usize;
        let of = alloc::vec![alloc::vec![0; processors]; claims.len()];
        Self { claims, of, free: alloc::vec![WHOLE; processors] }
    }

    /// Gives `claim` all that it wants, or what there is. Others are moved to other processors for it, and lose nothing.
    fn give(&mut self, claim: usize) -> Result<(), Refused> {
        let mut wanted = self.claims[claim].0;
        while wanted != 0 {
            match self.make_room(claim, wanted) {
                Ok(given) => wanted -= given,
                Err(in_the_way) => return Err(Refused { left: self.claims[claim].0 - wanted, in_the_way }),
            }
        }
        Ok(())
    }

    /// Finds something of a processor that `claim` may have: free, or of one who can have as much elsewhere. Otherwise who is
    /// in the way.
    fn make_room(&mut self, claim: usize, wanted: u64) -> Result<u64, Vec<bool>> {
        // How each processor was reached: for whom. And each claim: what it is to give up.
        let mut wants = alloc::vec![None; self.free.len()];
        let mut gives_up = alloc::vec![None; self.claims.len()];
        let mut is_reached = alloc::vec![false; self.claims.len()];
        is_reached[claim] = true;
        let mut open = VecDeque::from([claim]);
        while let Some(this) = open.pop_front() {
            for processor in 0..self.free.len() {
                if wants[processor].is_some() || !self.claims[this].1.contains(processor as u32) {
                    continue;
                }
                wants[processor] = Some(this);
                if self.free[processor] != 0 {
                    return Ok(self.shift(processor, wanted, &wants, &gives_up));
                }
                for (other, given) in self.of.iter().enumerate() {
                    if given[processor] != 0 && !is_reached[other] {
                        is_reached[other] = true;
                        gives_up[other] = Some(processor);
                        open.push_back(other);
                    }
                }
            }
        }
        Err(is_reached)
    }

    /// Gives something of `processor`, which is free, to whoever wants it; who got it gives up as much for the one before.
    fn shift(
        &mut self,
        processor: usize,
        wanted: u64,
        wants: &[Option<usize>],
        gives_up: &[Option<usize>],
    ) -> u64 {
        let step = |processor: usize| wants[processor].map(|claim| (claim, processor, gives_up[claim]));
        let path = || core::iter::successors(step(processor), |&(_, _, before)| before.and_then(step));
        let all = path().filter_map(|(claim, _, before)| before.map(|before| self.of[claim][before]));
        let amount = all.fold(wanted.min(self.free[processor]), u64::min);
        self.free[processor] -= amount;
        for (claim, gets, gives) in path() {
            self.of[claim][gets] += amount;
            if let Some(gives) = gives {
                self.of[claim][gives] -= amount;
            }
        }
        amount
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(percent: u32, vps: u32, affinity: &str) -> Claim {
        Claim { percent, vps, affinity: Affinity::parse(affinity).unwrap() }
    }

    fn check(wanted: Claim, others: &[Claim], processors: u32) -> Result<(), String> {
        let names = ["one", "two", "three", "four", "five"];
        fits(wanted, &names.into_iter().zip(others.iter().copied()).collect::<Vec<_>>(), processors)
    }

    #[test]
    fn no_more_is_promised_than_there_is() {
        assert_eq!(check(claim(100, 2, "all"), &[], 2), Ok(()));
        assert_eq!(check(claim(100, 1, "1"), &[claim(100, 1, "all")], 2), Ok(()));
        // The third has room on the host, but not where the second must run.
        let others = [claim(60, 1, "0"), claim(40, 2, "1-2")];
        assert_eq!(check(claim(60, 2, "1-2"), &others, 4), Ok(()));
        assert!(check(claim(65, 2, "1-2"), &others, 4).is_err());
        assert_eq!(check(claim(0, 1, "2"), &others, 3), Ok(()));
        assert!(check(claim(0, 1, "3"), &others, 3).unwrap_err().contains("no processor 3"));
    }

    /// Each fits on its own processors, and all on the host.
    #[test]
    fn two_that_meet_on_one_processor_do_not_both_have_it() {
        assert!(check(claim(100, 2, "1-2"), &[claim(100, 2, "0-1")], 4).is_err());
        assert_eq!(check(claim(50, 2, "1-2"), &[claim(100, 2, "0-1")], 4), Ok(()));
        // The first can make room for the third, as the second need not be where it could be.
        let others = [claim(100, 1, "0-1"), claim(100, 1, "1-2")];
        assert_eq!(check(claim(100, 1, "0"), &others, 3), Ok(()));
    }

    #[test]
    fn who_is_refused_hears_why() {
        let why = |wanted, others: &[Claim], processors| check(wanted, others, processors).unwrap_err();
        assert_eq!(
            why(claim(70, 3, "all"), &[], 2),
            "a reserve of 70 % for 3 virtual processors is 2.10 processors; this host has 2"
        );
        assert_eq!(
            why(claim(100, 2, "1"), &[claim(0, 1, "1")], 2),
            "a reserve of 100 % for 2 virtual processors is 2 processors; with affinity 1 it has 1"
        );
        // Who has something elsewhere, or could have, is not in the way.
        let others = [claim(51, 1, "0"), claim(90, 1, "2"), claim(49, 1, "1-2"), claim(100, 1, "3")];
        assert_eq!(
            why(claim(80, 1, "0"), &others, 4),
            "a reserve of 80 % for 1 virtual processor is 0.80 processors; beside one it can have 0.49 processors"
        );
        let many = [claim(20, 1, "all"); 5];
        assert_eq!(
            why(claim(100, 1, "0"), &many, 1),
            "a reserve of 100 % for 1 virtual processor is 1 processor; beside one, two, three and 2 more it can have \
             0 processors"
        );
    }

    #[test]
    fn who_is_promised_nothing_disturbs_nobody() {
        // Too much was promised before the host lost a processor: that keeps no VM without a reserve from starting, nor one
        // from having what is left.
        assert_eq!(check(claim(0, 1, "all"), &[claim(100, 2, "all")], 1), Ok(()));
        assert_eq!(check(claim(100, 1, "1"), &[claim(100, 2, "0")], 2), Ok(()));
    }

    proptest! {
        /// What is accepted are the claims of which no set wants more than the processors that it may run on have (Hall).
        #[test]
        fn what_is_accepted_can_be_kept(claims in proptest::collection::vec((1_u32..101, 1_u32..3, 1_u64..16), 1..6)) {
            let all: Vec<Claim> = claims
                .iter()
                .map(|&(percent, vps, mask)| Claim { percent, vps, affinity: Affinity::of(ProcessorSet::of(mask)) })
                .collect();
            let can_be_kept = |claims: &[Claim]| (1_u32..1 << claims.len()).all(|set| {
                let members = || (0..claims.len()).filter(|&it| set >> it & 1 != 0).map(|it| &claims[it]);
                let on = members().fold(ProcessorSet::NONE, |on, it| on | it.affinity.set());
                members().map(Claim::reserve).sum::<u64>() <= WHOLE * u64::from(on.len())
            });
            let mut accepted: Vec<Claim> = Vec::new();
            for claim in all {
                let fits = check(claim, &accepted, 4).is_ok();
                let with: Vec<Claim> = accepted.iter().copied().chain([claim]).collect();
                prop_assert_eq!(fits, can_be_kept(&with), "{:?}", with);
                if fits {
                    accepted = with;
                }
            }
        }
    }
}
