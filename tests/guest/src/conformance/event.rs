//! What happened during a probe: the exceptions and interrupts, in order.

use core::fmt;

/// So many are kept.
const KEPT: usize = 24;

/// The vectors that have an error code.
const WITH_ERROR_CODE: u32 = 1 << 8 | 0x1F << 10 | 1 << 17 | 1 << 21 | 0b11 << 29;

/// An exception or an interrupt.
#[derive(Clone, Copy, Default)]
pub struct Event {
    pub vector: u8,
    pub error: u64,
    pub rip: u64,
    /// CR2 and DR6 when it came.
    pub cr2: u64,
    pub dr6: u64,
}

/// All that happened.
#[derive(Clone, Copy)]
pub struct Outcome {
    events: [Event; KEPT],
    count: usize,
}

impl Outcome {
    /// Nothing yet.
    pub const NOTHING: Self =
        Self { events: [Event { vector: 0, error: 0, rip: 0, cr2: 0, dr6: 0 }; KEPT], count: 0 };

    /// Adds one.
    pub fn note(&mut self, event: Event) {
        if let Some(slot) = self.events.get_mut(self.count) {
            *slot = event;
            self.count += 1;
        }
    }

    /// Nothing happened.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// What happened.
    pub fn events(&self) -> &[Event] {
        self.events.get(..self.count).unwrap_or_default()
    }

    /// The first event, or one that never is.
    pub fn first(&self) -> Event {
        self.events().first().copied().unwrap_or_default()
    }

    /// How many came of `vector`.
    pub fn count_of(&self, vector: u8) -> usize {
        self.events().iter().filter(|event| event.vector == vector).count()
    }

    /// Each event with the distance of its RIP from `base`.
    pub fn at(&self, base: u64) -> Placed<'_> {
        Placed { outcome: self, base }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 20] = [
            "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS", "#GP",
            "#PF", "15", "#MF", "#AC", "#MC", "#XM",
        ];
        match NAMES.get(usize::from(self.vector)) {
            Some(name) => to.write_str(name)?,
            None => write!(to, "{:#x}", self.vector)?,
        }
        if self.vector < 32 && WITH_ERROR_CODE >> self.vector & 1 != 0 {
            write!(to, "({:#x})", self.error)?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return to.write_str("no event");
        }
        for (index, event) in self.events().iter().enumerate() {
            write!(to, "{}{event}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// See [`Outcome::at`].
pub struct Placed<'a> {
    outcome: &'a Outcome,
    base: u64,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcome.is_none() {
            return to.write_str("no event");
        }
        for (index, event) in self.outcome.events().iter().enumerate() {
            let distance = event.rip.wrapping_sub(self.base).cast_signed();
            write!(to, "{}{event} at {distance:+}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// "yes" or "no".
pub fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// A value, or the exception that reading it raised.
pub struct Value(pub Result<u64, Event>);

impl fmt::Display for Value {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(value) => write!(to, "{value:#x}"),
            Err(event) => event.fmt(to),
        }
    }
}

/// What happened, if it was tried.
pub struct Tried(pub Option<Outcome>);

impl fmt::Display for Tried {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(outcome) => outcome.fmt(to),
            None => to.write_str("not tried"),
        }
    }
}
