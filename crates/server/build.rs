//! Builds anew when the pages' bundle changed: a file that appears there is embedded too.

fn main() {
    println!("cargo:rerun-if-changed=../../web/dist");
}
