//! No statement of the store looks at every row of a table (R080): what the service asks a
//! thousand times a second costs the same with twelve thousand titles as with twelve.
//!
//! The texts are read out of the source, so that a new one cannot be forgotten.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;

/// Statements that may go through a table row by row, by how they begin. No viewer's request runs
/// them, or they stop at the first row.
const ALLOWED: &[&str] = &[
    // An operator asks which titles have a policy.
    "SELECT content_id FROM titles WHERE policy_name = $1",
    // He removes one: no title may have it.
    "DELETE FROM policies WHERE name = $1",
    // He changes a title: events would be looked at if its id changed.
    "INSERT INTO titles (content_id, ",
    // The index has only the rows that are asked for.
    "SELECT id, event FROM outbox WHERE done_at IS NULL",
    // The newest row, by its index.
    "SELECT * FROM audit ORDER BY seq DESC LIMIT 1",
    // The audit is verified whole.
    "SELECT audit.seq AS seq FROM audit, audit_head",
];

/// Tables of a few rows: what one operator sets by hand, and what this program's versions did.
const SMALL_TABLES: &[&str] = &["keks", "credential_keks", "migrations"];

/// How every statement on content keys begins; what follows is at the place that asks.
const OF_KEYS: &str = "SELECT content_keys.* FROM content_keys ";

/// The statements that stand in a source text: literals that begin with a verb of SQL. Where one
/// is completed at run time by a list of parameters, one parameter stands for the list.
fn statements(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        let is_of_keys = rest[..at].trim_end().ends_with("select_keys!(");
        let (literal, behind) = literal(&rest[at + 1..]);
        let is_statement =
            ["SELECT ", "UPDATE ", "DELETE "].iter().any(|verb| literal.starts_with(verb))
                || literal.starts_with("INSERT INTO ") && literal.contains(" VALUES ");
        let is_whole = !literal.ends_with("FROM content_keys ") && !literal.contains('{');
        let list = if literal.ends_with("IN ") { "($1)" } else { "" };
        if is_of_keys {
            found.push(format!("{OF_KEYS}{literal}{list}"));
        } else if is_statement && is_whole {
            found.push(literal + list);
        }
        rest = behind;
    }
    found
}

/// What a literal says up to its closing quote, and what stands behind it. A line that ends in a
/// backslash goes on at the next word.
fn literal(text: &str) -> (String, &str) {
    let mut said = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (said, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, '\n')) => {
                    while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
                }
                Some((_, escaped)) => said.push(escaped),
                None => break,
            },
            c => said.push(c),
        }
    }
    (said, "")
}

/// Every table that a statement reads row by row.
fn scanned(database: &rusqlite::Connection, statement: &str) -> Vec<String> {
    // A lock is PostgreSQL's to take.
    let statement = statement.split(" FOR ").next().unwrap_or_default();
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let mut plan = database.prepare(&explained).unwrap_or_else(|error| {
        panic!("{statement}: {error}");
    });
    let steps = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
    let steps: Vec<String> = steps.map(Result::unwrap).collect();
    let whole = steps.iter().filter_map(|step| step.strip_prefix("SCAN "));
    whole.map(|what| what.split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
}

async fn database(folder: &Path) -> rusqlite::Connection {
    let rows = folder.join("rows.db");
    drop(store::Store::open(&format!("sqlite://{}", rows.display())).await.unwrap());
    let database = rusqlite::Connection::open(&rows).unwrap();
    // Statements on the audit name its tables plainly; an attached file's are found so.
    let audit = folder.join("rows-audit.db");
    database.execute("ATTACH DATABASE ?1 AS audit_file", [audit.to_str().unwrap()]).unwrap();
    database
}

#[tokio::test]
async fn no_statement_looks_at_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await;
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut checked, mut wrong) = (0, BTreeSet::new());
    for (path, text) in &files {
        for statement in statements(text) {
            // The system catalog is PostgreSQL's.
            if statement.contains("pg_") {
                continue;
            }
            checked += 1;
            let is_known = ALLOWED.iter().any(|known| statement.starts_with(known));
            let tables = scanned(&database, &statement);
            let large = tables.iter().find(|table| !SMALL_TABLES.contains(&table.as_str()));
            if let Some(table) = large.filter(|_| !is_known) {
                wrong.insert(format!("{path}: {table}: {statement}"));
            }
        }
    }
    assert!(checked > 80, "only {checked} statements were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_statement_that_looks_at_every_row_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await;
    let scan = "SELECT content_id FROM titles WHERE name = $1";
    assert_eq!(scanned(&database, scan), ["titles"]);
    assert_eq!(scanned(&database, "SELECT name FROM titles WHERE content_id = $1"), [""; 0]);
    let source = "query(\"SELECT a \\\n     FROM b\"); x(\"no\"); y(\"UPDATE t SET a = 1\")";
    assert_eq!(statements(source), ["SELECT a FROM b", "UPDATE t SET a = 1"]);
    let of_keys = statements("query(select_keys!(\n    \"WHERE track_class = $1\"))");
    assert_eq!(scanned(&database, &of_keys[0]), ["content_keys"]);
}
