fn main() {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let s = picket::Settings::new(
        args.next().unwrap().parse().unwrap(),
        args.next().unwrap().as_ref(),
    );
    let app = picket::App::start(s, picket::Clock::system()).unwrap();
    println!("{}", app.url_prefix());
    std::thread::park();
}
