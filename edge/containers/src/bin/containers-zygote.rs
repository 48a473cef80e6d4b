//! The zygote without the rest of `dcos`: for tests and measurements of this room alone.

fn main() {
    let code = containers::dispatch(std::env::args_os());
    std::process::exit(code.expect("started by `Containers::open` only"))
}
