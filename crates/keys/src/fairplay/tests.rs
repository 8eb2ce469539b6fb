//! Every operation against RustCrypto's.
