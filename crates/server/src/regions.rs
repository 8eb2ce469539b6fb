//! From an address to a country, by a database file in MaxMind's format.

use maxminddb::{PathElement, Reader};
use model::Country;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// A country database, or none: then every country is unknown and restricted titles refuse.
pub struct Regions(Option<Reader<Vec<u8>>>);

impl Regions {
    /// No database.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// Reads the database file.
    ///
    /// Errors: what the system or the reader says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let reader = Reader::from_source(std::fs::read(path)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self(Some(reader)))
    }

    /// The country of an address; absent when the database does not know it.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.as_ref()?.lookup(address).ok()?;
        // MaxMind's own layout, then the flat one of the freely licensed databases.
        let layouts: [&[PathElement]; 2] = [
            &[PathElement::Key("country"), PathElement::Key("iso_code")],
            &[PathElement::Key("country_code")],
        ];
        layouts
            .iter()
            .find_map(|path| found.decode_path::<&str>(path).ok().flatten())
            .and_then(Country::parse)
    }
}
