//! Hands napi's link arguments to cargo.
fn main() {
    napi_build::setup();
}
