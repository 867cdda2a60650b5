use super::*;

fn env(root: bool, variables: &[(&str, &str)]) -> Env {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Env { variables, working_dir: "/here".into(), root }
}

fn user(variables: &[(&str, &str)]) -> Env {
    let mut env =
        env(false, &[("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "/nowhere"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
    env.variables.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
    env
}

fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signvault.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn root_has_the_machine_s_directories() {
    let config = Config::load(&Flags::default(), &env(true, &[("XDG_STATE_HOME", "/elsewhere")])).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8731");
    assert_eq!(config.state_dir, Path::new("/var/lib/signvault"));
    assert_eq!(config.anchor_dir, Path::new("/var/lib/signvault-anchor"));
    assert_eq!(config.admin_socket(), Path::new("/run/signvault/admin.sock"));
    assert_eq!(config.sign_socket(), Path::new("/run/signvault/sign.sock"));
}

#[test]
fn a_user_has_directories_of_their_own() {
    let config = Config::load(&Flags::default(), &user(&[])).unwrap();
    assert_eq!(config.state_dir, Path::new("/home/ann/.local/state/signvault"));
    assert_eq!(config.run_dir, Path::new("/run/user/7/signvault"));
    let config = Config::load(&Flags::default(), &user(&[("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "")])).unwrap();
    assert_eq!((config.state_dir, config.run_dir), ("/s/signvault".into(), "/s/signvault/run".into()));
}

#[test]
fn a_relative_base_directory_is_ignored() {
    let config = Config::load(&Flags::default(), &user(&[("XDG_STATE_HOME", "here")])).unwrap();
    assert_eq!(config.state_dir, Path::new("/home/ann/.local/state/signvault"));
}

#[test]
fn without_a_home_the_directories_must_be_named() {
    let homeless = env(false, &[]);
    assert!(matches!(Config::load(&Flags::default(), &homeless), Err(ConfigError::NoHome)));
    let named = Flags { state_dir: Some("/s".into()), run_dir: Some("/r".into()), ..Flags::default() };
    assert_eq!(Config::load(&named, &homeless).unwrap().anchor_dir, Path::new("/s-anchor"));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let (_dir, path) = file_with(
        "listen = \"127.0.0.1:1\"\nstate_dir = \"/file\"\nrun_dir = \"/file/run\"\n[log]\nformat = \"json\"\n",
    );
    let file = Flags { config: Some(path.clone()), ..Flags::default() };
    let config = Config::load(&file, &user(&[])).unwrap();
    assert_eq!((config.listen.port(), config.state_dir, config.log_format), (1, "/file".into(), LogFormat::Json));

    let variables = user(&[("SIGNVAULT_LISTEN", "127.0.0.1:2"), ("SIGNVAULT_STATE_DIR", "/variable")]);
    let config = Config::load(&file, &variables).unwrap();
    assert_eq!((config.listen.port(), config.state_dir, config.run_dir), (2, "/variable".into(), "/file/run".into()));

    let flags = Flags {
        listen: Some("[::1]:3".parse().unwrap()),
        state_dir: Some("flag".into()),
        log_format: Some(LogFormat::Text),
        ..file
    };
    let config = Config::load(&flags, &variables).unwrap();
    assert_eq!((config.listen.port(), config.state_dir, config.log_format), (3, "/here/flag".into(), LogFormat::Text));
}

#[test]
fn the_anchor_lies_beside_the_state_directory_that_counts() {
    let flags = Flags { state_dir: Some("/srv/vault/".into()), ..Flags::default() };
    let config = Config::load(&flags, &env(true, &[])).unwrap();
    assert_eq!(config.anchor_dir, Path::new("/srv/vault-anchor"));
    assert_eq!(config.run_dir, Path::new("/run/signvault"));
}

#[test]
fn a_file_that_was_named_must_be_there_and_the_usual_ones_need_not() {
    let flags = Flags { config: Some("/nowhere/at/all.toml".into()), ..Flags::default() };
    assert!(matches!(Config::load(&flags, &user(&[])), Err(ConfigError::Read(..))));
    assert!(Config::load(&Flags::default(), &user(&[])).is_ok());
}

#[test]
fn the_user_s_own_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("signvault")).unwrap();
    std::fs::write(dir.path().join("signvault/signvault.toml"), "[admin]\nuids = [1000]\n").unwrap();
    let env = user(&[("XDG_CONFIG_HOME", dir.path().to_str().unwrap())]);
    assert_eq!(Config::load(&Flags::default(), &env).unwrap().admin_uids, [1000]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let (_dir, path) = file_with("[admin]\nuids = [1]\nuid = 1\n");
    let error = Config::load(&Flags { config: Some(path), ..Flags::default() }, &user(&[])).unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
}

#[test]
fn a_relative_path_in_a_file_is_refused() {
    let (_dir, path) = file_with("anchor_dir = \"anchor\"\n");
    let error = Config::load(&Flags { config: Some(path), ..Flags::default() }, &user(&[])).unwrap_err();
    assert!(matches!(error, ConfigError::RelativePath("anchor_dir")));
}

#[test]
fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:8731", "[::]:8731", "192.168.1.2:8731"] {
        let flags = Flags { listen: Some(address.parse().unwrap()), ..Flags::default() };
        assert!(matches!(Config::load(&flags, &user(&[])), Err(ConfigError::NotLoopback)), "{address}");
    }
}

#[test]
fn every_variable_counts_and_a_wrong_one_is_named_without_its_value() {
    let variables = user(&[
        ("SIGNVAULT_ALLOWED_HOSTS", "vault.test:8731, a"),
        ("SIGNVAULT_ADMIN_UIDS", "7,8"),
        ("SIGNVAULT_AUDIT_DURABILITY", "process"),
        ("SIGNVAULT_AUDIT_MAX_WAIT_MS", "100"),
        ("SIGNVAULT_AUDIT_LOW_SPACE_MIB", "0"),
        ("SIGNVAULT_AUDIT_LOG_HEAD_ROWS", "1"),
        ("SIGNVAULT_AUDIT_LOG_HEAD_MINUTES", "2"),
        ("SIGNVAULT_MAX_CONNECTIONS", "9"),
        ("SIGNVAULT_LOG_LEVEL", "debug"),
        ("SIGNVAULT_LOG_FORMAT", "json"),
        ("SIGNVAULT_RUN_DIR", "/r"),
        ("SIGNVAULT_ANCHOR_DIR", "/a"),
    ]);
    let config = Config::load(&Flags::default(), &variables).unwrap();
    assert_eq!((config.allowed_hosts.len(), config.admin_uids), (2, vec![7, 8]));
    assert_eq!((config.durability, config.max_connections), (Durability::Process, 9));
    assert_eq!((config.max_wait_ms, config.low_space_mib), (100, 0));
    assert_eq!((config.log_head_rows, config.log_head_minutes), (1, 2));
    assert_eq!((config.log_level.as_str(), config.log_format), ("debug", LogFormat::Json));
    assert_eq!((config.run_dir, config.anchor_dir), ("/r".into(), "/a".into()));

    let error = Config::load(&Flags::default(), &user(&[("SIGNVAULT_ADMIN_UIDS", "hunter2")])).unwrap_err();
    assert!(error.to_string().contains("SIGNVAULT_ADMIN_UIDS") && !error.to_string().contains("hunter2"));
}

#[test]
fn numbers_and_names_out_of_range_are_refused() {
    let load = |text: &str| {
        let (_dir, path) = file_with(text);
        Config::load(&Flags { config: Some(path), ..Flags::default() }, &user(&[]))
    };
    assert!(matches!(load("[http]\nmax_connections = 0"), Err(ConfigError::MaxConnections)));
    assert_eq!(load("[http]\nmax_connections = 32768").unwrap().max_connections, 32_768);
    assert!(matches!(load("[http]\nmax_connections = 32769"), Err(ConfigError::MaxConnections)));
    let beyond = ["max_wait_ms = 99", "max_wait_ms = 60001", "low_space_mib = 1048577", "log_head_rows = 0"];
    for key in beyond.into_iter().chain(["log_head_minutes = 0", "log_head_minutes = 10081"]) {
        let name = key.split(' ').next().unwrap();
        let error = load(&format!("[audit]\n{key}")).unwrap_err();
        assert!(matches!(&error, ConfigError::OutOfRange(told) if told.contains(name)), "{key}: {error}");
    }
    let least = load("[audit]\nmax_wait_ms = 100\nlow_space_mib = 0\nlog_head_rows = 1").unwrap();
    assert_eq!((least.max_wait_ms, least.low_space_mib, least.log_head_rows), (100, 0, 1));
    for host in ["*", "", "http://vault", "Vault", "a b"] {
        assert!(matches!(load(&format!("allowed_hosts = [\"{host}\"]")), Err(ConfigError::AllowedHost)), "{host}");
    }
}
