//! `[keys.break_glass]`: who may let keys leave in an emergency, and for whom.

use super::ConfigError;
use keys::{ApprovalRefused, Operator};
use serde::Deserialize;
use std::path::PathBuf;

/// Most operators.
const MAX_OPERATORS: usize = 64;

/// Export of keys in an emergency. Without a certificate there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakGlass {
    /// X.509 certificate with an RSA key, DER or PEM, whose private key lies offline.
    pub certificate: Option<PathBuf>,
    /// Who may approve: `NAME:PUBLIC KEY`, as `keys operator` prints it.
    pub operators: Vec<String>,
    /// How many of them must; at least 2.
    pub approvals: usize,
}

impl Default for BreakGlass {
    fn default() -> Self {
        Self { certificate: None, operators: vec![], approvals: 2 }
    }
}

impl BreakGlass {
    /// Who may approve.
    ///
    /// Errors: [`ApprovalRefused::Operator`].
    pub fn operators(&self) -> Result<Vec<Operator>, ApprovalRefused> {
        self.operators.iter().map(|line| Operator::parse(line)).collect()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        let key = "keys.break_glass.operators";
        let Ok(operators) = self.operators() else {
            return refuse(key, "an operator is NAME:PUBLIC KEY, as `keys operator` prints it");
        };
        let mut others = operators.iter().enumerate();
        if others.any(|(at, one)| operators.iter().skip(at + 1).any(|other| one.is_same(other))) {
            return refuse(key, "two operators have the same name or the same key");
        }
        if !(2..=MAX_OPERATORS).contains(&self.approvals) || operators.len() > MAX_OPERATORS {
            return refuse("keys.break_glass.approvals", "2 to 64 operators must approve");
        }
        if self.certificate.is_some() && operators.len() < self.approvals {
            return refuse(key, "there are fewer operators than must approve");
        }
        Ok(())
    }
}
