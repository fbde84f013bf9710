# Sum the TAP lines of meson's testlog.json: prints "passed failed skipped", then a line for each failure.
# A program that ended badly without a failing line (crash, time out, no plan) counts as one failure.
{
    name = $0
    sub(/^{"name": "/, "", name)
    sub(/".*/, "", name)
    out = ""
    if (match($0, /"stdout": "/)) {
        out = substr($0, RSTART + RLENGTH)
        sub(/", "stderr": ".*/, "", out)
    }
    bad = good = 0
    n = split(out, line, /\\n/)
    for (i = 1; i <= n; i++) {
        if (line[i] ~ /^not ok/ && line[i] !~ /# SKIP/) {
            bad++
            report = report "# " name ": " line[i] "\n"
        } else if (line[i] ~ /^ok /) {
            if (line[i] ~ /# SKIP/)
                skipped++
            else
                good++
        } else if (line[i] ~ /^1\.\.0 # SKIP/) {
            skipped++
        }
    }
    if ($0 !~ /"result": "(OK|SKIP)"/ && !bad) {
        bad = 1
        why = $0
        sub(/.*"result": "/, "", why)
        sub(/".*/, "", why)
        report = report "# " name ": " why " after " good " checks\n"
    }
    passed += good
    failed += bad
}
END {
    printf "%d %d %d\n%s", passed, failed, skipped, report
}
