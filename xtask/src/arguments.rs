//! The few options of a chore.

use anyhow::{Context, Result, bail};

/// What stands behind the chore's name on the command line.
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Takes the words behind the chore's name.
    pub fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// Takes a flag such as `--long` and says whether it was there.
    pub fn flag(&mut self, name: &str) -> bool {
        let place = self.0.iter().position(|word| word == name);
        place.map(|index| self.0.remove(index)).is_some()
    }

    /// Takes an option with its value, such as `--seconds 60`.
    pub fn value(&mut self, name: &str) -> Result<Option<String>> {
        let Some(index) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(index);
        if index == self.0.len() {
            bail!("{name} needs a value");
        }
        Ok(Some(self.0.remove(index)))
    }

    /// Takes an option whose value is a whole number.
    pub fn number(&mut self, name: &str) -> Result<Option<u32>> {
        let text = self.value(name)?;
        text.map(|text| text.parse().with_context(|| format!("{name} {text}: not a number")))
            .transpose()
    }

    /// What is left, for another program.
    pub fn rest(self) -> Vec<String> {
        self.0
    }

    /// Refuses what nobody has taken.
    pub fn finish(&self) -> Result<()> {
        match self.0.first() {
            Some(word) => bail!("unknown option {word}; `cargo xtask help` lists them"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_flags_and_values_in_any_order() {
        let mut line = arguments("--seconds 5 --long");
        assert!(line.flag("--long"));
        assert!(!line.flag("--long"));
        assert_eq!(line.number("--seconds").unwrap(), Some(5));
        line.finish().unwrap();
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(arguments("--lnog").finish().is_err());
        assert!(arguments("--seconds").number("--seconds").is_err());
        assert!(arguments("--seconds many").number("--seconds").is_err());
    }
}
