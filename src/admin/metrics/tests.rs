use super::*;

#[test]
fn open_metrics_go_to_those_who_would_rather_have_them() {
    // What Prometheus 2.42 and 3 send.
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let newer = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for accept in [prometheus, newer, "application/openmetrics-text", "Application/OpenMetrics-Text; version=1.0.0"] {
        assert!(prefers_open(accept), "{accept}");
    }
    for accept in [
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=x",
        "text/plain;version=0.0.4,application/openmetrics-text;q=0.5",
    ] {
        assert!(!prefers_open(accept), "{accept}");
    }
}

#[test]
fn the_older_format_names_counters_whole() {
    let open = "# HELP j_runs Runs.\n# TYPE j_runs counter\nj_runs_total{target=\"# TYPE j_runs counter\"} 1\n\
                # HELP j_x X.\n# TYPE j_x gauge\nj_x 2\n# HELP j_y Y.\n# TYPE j_y counter\n# EOF\n";
    let expected = "# HELP j_runs_total Runs.\n# TYPE j_runs_total counter\n\
                    j_runs_total{target=\"# TYPE j_runs counter\"} 1\n# HELP j_x X.\n# TYPE j_x gauge\nj_x 2\n\
                    # HELP j_y_total Y.\n# TYPE j_y_total counter\n";
    // However it is cut.
    for size in [1, 2, 7, 1000] {
        let mut classic = Classic::default();
        for piece in open.as_bytes().chunks(size) {
            classic.write_str(std::str::from_utf8(piece).expect("ASCII")).expect("room");
        }
        assert_eq!(classic.text, expected);
    }
}
