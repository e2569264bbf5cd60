//! Where a table goes: to standard output, and with `HELIOSTAT_WRITE_RESULTS=1` to its place in `benches/RESULTS.md`, between two marks.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");

/// Prints a table, and writes it down where that is wanted.
pub fn tell(section: &str, table: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    io::stdout().lock().write_all(table.as_bytes())?;
    if std::env::var_os("HELIOSTAT_WRITE_RESULTS").is_some() {
        let text = fs::read_to_string(FILE)?;
        let (from, to) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->\n"));
        let (before, rest) = text.split_once(&from).ok_or("no such section")?;
        let (_, after) = rest.split_once(&to).ok_or("the section has no end")?;
        fs::write(FILE, format!("{before}{from}{table}{to}{after}"))?;
    }
    Ok(())
}
