//! Arithmetic on 1, 2, 4 or 8 bytes with the flags that it sets (APM vol. 3, general-purpose instructions).

use crate::registers::mask;

/// Status flags in RFLAGS.
pub const CF: u64 = 1;
/// Even parity of the low byte.
pub const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub const AF: u64 = 1 << 4;
/// Zero.
pub const ZF: u64 = 1 << 6;
/// Sign.
pub const SF: u64 = 1 << 7;
/// Signed overflow.
pub const OF: u64 = 1 << 11;
/// All of them.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// An operation of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the instructions' own names")]
pub enum Alu {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
    Test,
}

impl Alu {
    /// Whether the result is kept.
    #[must_use]
    pub fn keeps_result(self) -> bool {
        !matches!(self, Self::Cmp | Self::Test)
    }

    /// `a op b` on `size` bytes; the result and the new RFLAGS.
    #[must_use]
    pub fn apply(self, a: u64, b: u64, size: u8, rflags: u64) -> (u64, u64) {
        let carry = rflags & CF;
        match self {
            Self::Add => add(a, b, 0, size, rflags),
            Self::Adc => add(a, b, carry, size, rflags),
            Self::Sub | Self::Cmp => subtract(a, b, 0, size, rflags),
            Self::Sbb => subtract(a, b, carry, size, rflags),
            Self::And | Self::Test => logic(a & b, size, rflags),
            Self::Or => logic(a | b, size, rflags),
            Self::Xor => logic(a ^ b, size, rflags),
        }
    }
}

/// An operation of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the instructions' own names")]
pub enum Unary {
    Inc,
    Dec,
    Neg,
    Not,
}

impl Unary {
    /// `op a` on `size` bytes; the result and the new RFLAGS.
    #[must_use]
    pub fn apply(self, a: u64, size: u8, rflags: u64) -> (u64, u64) {
        let keep_carry = |(result, flags): (u64, u64)| (result, (flags & !CF) | (rflags & CF));
        match self {
            Self::Inc => keep_carry(add(a, 1, 0, size, rflags)),
            Self::Dec => keep_carry(subtract(a, 1, 0, size, rflags)),
            Self::Neg => subtract(0, a, 0, size, rflags),
            Self::Not => (!a & mask(size), rflags),
        }
    }
}

fn flag(set: bool, bit: u64) -> u64 {
    if set { bit } else { 0 }
}

/// ZF, SF and PF of `result`.
fn of_result(result: u64, size: u8) -> u64 {
    flag(result == 0, ZF)
        | flag(result & sign(size) != 0, SF)
        | flag((result & 0xFF).count_ones().is_multiple_of(2), PF)
}

fn sign(size: u8) -> u64 {
    mask(size) ^ (mask(size) >> 1)
}

fn add(a: u64, b: u64, carry: u64, size: u8, rflags: u64) -> (u64, u64) {
    let (a, b) = (a & mask(size), b & mask(size));
    let wide = u128::from(a) + u128::from(b) + u128::from(carry);
    let result = (wide & u128::from(mask(size))) as u64;
    let flags = of_result(result, size)
        | flag(wide > u128::from(mask(size)), CF)
        | flag((a ^ b ^ result) & 0x10 != 0, AF)
        | flag((a ^ result) & (b ^ result) & sign(size) != 0, OF);
    (result, (rflags & !STATUS) | flags)
}

fn subtract(a: u64, b: u64, borrow: u64, size: u8, rflags: u64) -> (u64, u64) {
    let (a, b) = (a & mask(size), b & mask(size));
    let result = a.wrapping_sub(b).wrapping_sub(borrow) & mask(size);
    let flags = of_result(result, size)
        | flag(u128::from(a) < u128::from(b) + u128::from(borrow), CF)
        | flag((a ^ b ^ result) & 0x10 != 0, AF)
        | flag((a ^ b) & (a ^ result) & sign(size) != 0, OF);
    (result, (rflags & !STATUS) | flags)
}

/// CF and OF are cleared; AF is undefined and cleared.
fn logic(result: u64, size: u8, rflags: u64) -> (u64, u64) {
    let result = result & mask(size);
    (result, (rflags & !STATUS) | of_result(result, size))
}

#[cfg(test)]
mod tests {
    use super::{AF, Alu, CF, OF, PF, SF, STATUS, Unary, ZF};
    use proptest::prelude::*;

    /// The same by a chain of one-bit adders; subtraction is addition of the complement.
    fn ripple(a: u64, b: u64, carry: bool, size: u8, negate: bool) -> (u64, u64) {
        let bits = u32::from(size) * 8;
        let (mut carry, mut before, mut result, mut flags) = (carry != negate, false, 0, 0);
        for bit in 0..bits {
            let (x, y) = (a >> bit & 1 == 1, (b >> bit & 1 == 1) != negate);
            result |= u64::from(x ^ y ^ carry) << bit;
            before = carry;
            carry = if x == y { x } else { carry };
            if bit == 3 && carry != negate {
                flags |= AF;
            }
        }
        let ones = (0..8).filter(|bit| result >> bit & 1 == 1).count();
        for (set, flag) in [
            (carry != negate, CF),
            (carry != before, OF),
            (result == 0, ZF),
            (result >> (bits - 1) & 1 == 1, SF),
            (ones % 2 == 0, PF),
        ] {
            flags |= if set { flag } else { 0 };
        }
        (result, flags)
    }

    fn interesting() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            Just(0),
            Just(u64::MAX),
            Just(1 << 63),
            Just(0x7FFF_FFFF),
            Just(0x80),
            0u64..300
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn arithmetic_is_what_adders_do(a in interesting(), b in interesting(), carry: bool, size in prop::sample::select(vec![1u8, 2, 4, 8])) {
            let rflags = 0x202 | u64::from(carry);
            let check = |alu: Alu, carry, negate| {
                let (result, flags) = alu.apply(a, b, size, rflags);
                let model = ripple(a, b, carry, size, negate);
                assert_eq!((result, flags), (model.0, model.1 | 0x202), "{alu:?}");
            };
            check(Alu::Add, false, false);
            check(Alu::Adc, carry, false);
            check(Alu::Sub, false, true);
            check(Alu::Cmp, false, true);
            check(Alu::Sbb, carry, true);
            let (result, flags) = Unary::Neg.apply(a, size, rflags);
            let model = ripple(0, a, false, size, true);
            prop_assert_eq!((result, flags), (model.0, model.1 | 0x202));
            let (result, flags) = Unary::Dec.apply(a, size, rflags);
            let model = ripple(a, 1, false, size, true);
            prop_assert_eq!((result, flags & !CF), (model.0, model.1 & !CF | 0x202));
            prop_assert_eq!(flags & CF, u64::from(carry));
        }

        #[test]
        fn logic_clears_carry_and_overflow(a in interesting(), b in interesting(), size in prop::sample::select(vec![1u8, 2, 4, 8])) {
            let (result, flags) = Alu::Xor.apply(a, b, size, STATUS);
            prop_assert_eq!(result, (a ^ b) & (u64::MAX >> (64 - 8 * u32::from(size))));
            prop_assert_eq!(flags & (CF | OF), 0);
            prop_assert_eq!(flags & ZF != 0, result == 0);
            prop_assert_eq!(Alu::Test.apply(a, a, size, 0).1 & SF != 0, a >> (8 * size - 1) & 1 == 1);
        }
    }
}
