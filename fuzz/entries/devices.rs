//! Device proofs and tickets that nobody made are refused without panicking; a proof that holds
//! is for one method, one address and one minute.

use model::Timestamp;
use playback::proof::{Asked, verify};
use playback::{Ticket, TicketKey};

/// Reads `bytes` as a proof and as a ticket.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(Ticket::open(&TicketKey::from_bytes(&[7; 32]), text).is_err());
    let now = Timestamp(1_562_262_616_000);
    let url = "https://server.example.com/token";
    let asked = Asked { method: "POST", url, credentials: &["ticket"] };
    let Ok(proof) = verify(text, &asked, now) else { return };
    assert!(proof.ends() > now);
    for other in [
        Asked { method: "GET", ..asked },
        Asked { url: "https://server.example.com/other", ..asked },
    ] {
        assert!(verify(text, &other, now).is_err());
    }
    assert!(verify(text, &asked, proof.ends()).is_err());
}
