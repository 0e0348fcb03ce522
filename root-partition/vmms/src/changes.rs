//! What `vm set` changes of a definition.

use crate::affinity::Affinity;
use crate::definition::Definition;
use crate::size::Size;
use alloc::string::String;

/// New values; what is not there stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "they are those of `Definition`")]
pub struct Changes {
    pub weight: Option<u32>,
    pub reserve: Option<u32>,
    pub limit: Option<u32>,
    pub affinity: Option<Affinity>,
    pub autostart: Option<bool>,
    pub memory: Option<Size>,
    pub vps: Option<u32>,
    pub cmdline: Option<String>,
}

impl Changes {
    /// Whether there is one that a VM has to be off for.
    #[must_use]
    pub fn need_off(&self) -> bool {
        self.memory.is_some() || self.vps.is_some() || self.cmdline.is_some()
    }

    /// `old` with them.
    ///
    /// # Errors
    /// What is wrong with that.
    pub fn apply(&self, old: &Definition) -> Result<Definition, String> {
        let new = Definition {
            weight: self.weight.unwrap_or(old.weight),
            reserve: self.reserve.unwrap_or(old.reserve),
            limit: self.limit.unwrap_or(old.limit),
            affinity: self.affinity.unwrap_or(old.affinity),
            autostart: self.autostart.unwrap_or(old.autostart),
            memory: self.memory.unwrap_or(old.memory),
            vps: self.vps.unwrap_or(old.vps),
            cmdline: self.cmdline.as_ref().unwrap_or(&old.cmdline).clone(),
            ..old.clone()
        };
        new.check()?;
        Ok(new)
    }
}
