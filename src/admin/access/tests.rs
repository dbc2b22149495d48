use std::os::unix::fs::PermissionsExt;

use hyper::header::HeaderValue;

use super::*;

/// A new token file.
fn file(directory: &tempfile::TempDir, text: &[u8], mode: u32) -> PathBuf {
    let path = tempfile::NamedTempFile::new_in(directory).unwrap().into_temp_path().keep().unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_good_file_gives_its_token_without_the_space_around_it() {
    let directory = tempfile::tempdir().unwrap();
    let longest = "x".repeat(512);
    for (text, token) in [
        ("0123456789abcdef", "0123456789abcdef"),
        (" \t0123456789abcdef\r\n\n", "0123456789abcdef"),
        ("!~#$%&*+-./:;<=>?", "!~#$%&*+-./:;<=>?"),
        (&longest, &longest),
    ] {
        for mode in [0o600, 0o400, 0o700] {
            let path = file(&directory, text.as_bytes(), mode);
            assert!(Token::read(&path, &Trust::of_process()).unwrap().is(token.as_bytes()), "{text:?} {mode:o}");
        }
    }
}

#[test]
fn a_bad_file_gives_none_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let too_long = "x".repeat(513);
    let far_too_long = format!("0123456789abcdef{}", " ".repeat(5000));
    for (text, mode, said) in [
        (&b"0123456789abcdef"[..], 0o640, "mode 0640"),
        (b"0123456789abcdef", 0o604, "mode 0604"),
        (b"0123456789abcdef", 0o610, "mode 0610"),
        (b"0123456789abcdef", 0o601, "mode 0601"),
        (b"", 0o600, "16 to 512"),
        (b"0123456789abcde\n", 0o600, "16 to 512"),
        (too_long.as_bytes(), 0o600, "16 to 512"),
        (far_too_long.as_bytes(), 0o600, "16 to 512"),
        (b"0123456789 abcdef", 0o600, "visible ASCII"),
        (b"0123456789\nabcdef", 0o600, "visible ASCII"),
        (b"0123456789\0abcdef", 0o600, "visible ASCII"),
        ("0123456789äbcdef".as_bytes(), 0o600, "visible ASCII"),
    ] {
        let problem = Token::read(&file(&directory, text, mode), &Trust::of_process()).unwrap_err().to_string();
        assert!(problem.contains(said), "{problem}");
        assert!(!problem.contains("0123456789"), "{problem}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo\n");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let problem = Token::read(&fifo, &Trust::of_process()).unwrap_err().to_string();
    assert!(problem.ends_with("fifo\\n: it is not a regular file"), "{problem}");
    std::fs::create_dir(directory.path().join("directory")).unwrap();
    let problem = Token::read(&directory.path().join("directory"), &Trust::of_process()).unwrap_err().to_string();
    assert!(problem.contains("not a regular file"), "{problem}");
    let missing = Token::read(&directory.path().join("none"), &Trust::of_process()).unwrap_err();
    assert!(missing.to_string().contains("does not exist"), "{missing}");
    assert!(std::error::Error::source(&missing).is_some());
}

#[test]
fn a_token_is_not_shown() {
    let token = Token::new(b"0123456789abcdef").unwrap();
    assert_eq!(format!("{token:?}"), "[REDACTED]");
    let access = Access::new(Some(token));
    assert!(!format!("{access:?}").contains("0123456789abcdef"));
}

#[test]
fn only_the_token_itself_is_right_and_it_can_be_changed() {
    let token = |text: &[u8]| Some(Token::new(text).unwrap());
    let access = Access::new(token(b"0123456789abcdef"));
    let shown = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        access.shown(&headers)
    };
    assert_eq!(shown(&[]), Shown::Nothing);
    for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER   0123456789abcdef"] {
        assert_eq!(shown(&[right]), Shown::Right, "{right}");
    }
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "0123456789abcdef",
        "Basic 0123456789abcdef",
        "Bearer\t0123456789abcdef",
        "Bearer:0123456789abcdef",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdefg",
        "Bearer 0123456789abcdeF",
        "Bearer 0123456789abcdef, Bearer x",
        "Bearer token=0123456789abcdef",
    ] {
        assert_eq!(shown(&[wrong]), Shown::Wrong, "{wrong}");
    }
    assert_eq!(shown(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]), Shown::Wrong, "given twice");
    let clone = access.clone();
    clone.set_token(token(b"another-token-00"));
    assert_eq!(shown(&["Bearer 0123456789abcdef"]), Shown::Wrong);
    assert_eq!(shown(&["Bearer another-token-00"]), Shown::Right);
    clone.set_token(None);
    assert!(!access.has_token());
    assert_eq!(shown(&["Bearer another-token-00"]), Shown::Wrong);
}
