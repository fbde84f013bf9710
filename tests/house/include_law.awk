# Reads the floor table of docs/design.md, then sources under src/; prints TAP: a check for every room.
#   awk -f include_law.awk docs/design.md src/...
function room_of(path)
{
    split(path, part, "/")
    return part[2]
}
function blame(why)
{
    fault[room] = fault[room] "# " FILENAME ":" FNR ": " why "\n"
}
function cells(n, i)
{
    n = split($0, cell, /[ \t]*\|[ \t]*/)
    return n
}

BEGIN {
    # Foreign headers and the one room each may be used in
    only["dnnl"] = only["oneapi/"] = "backend"
    only["cuda"] = "backend"
    only["libav"] = only["libsw"] = "media"
    only["chipmunk/"] = "world"
    only["yaml.h"] = "format"
    only["utf8proc"] = "text"
    only["sqlite3"] = only["libpq"] = "store"
    only["microhttpd"] = "serve"
    only["mpi.h"] = only["nccl"] = "train pipeline"
}

FILENAME ~ /design\.md$/ {
    if ($0 !~ /^\| [0-9]+ \| src\//)
        next
    cells()
    names = cell[3]
    gsub(/\([^)]*\)|src\/|,/, " ", names)
    n = split(names, name, " ")
    for (i = 1; i <= n; i++) {
        floor[name[i]] = cell[2]
        may[name[i]] = " " cell[5] " "
        order[++rooms] = name[i]
    }
    next
}

FNR == 1 {
    room = room_of(FILENAME)
    files[room]++
    if (!(room in floor)) {
        floor[room] = 0
        may[room] = " "
        order[++rooms] = room
        fault[room] = fault[room] "# " FILENAME ": this room stands on no floor of docs/design.md\n"
    }
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    target = $0
    sub(/^[^"]*"/, "", target)
    sub(/".*/, "", target)
    if (target == "atlas_path.h") # written by the build, beside the objects
        next
    if (target ~ /\.\./ || target !~ /\//) {
        blame("\"" target "\" must be written as \"room/file.h\"")
        next
    }
    to = target
    sub(/\/.*/, "", to)
    if (to == room || to == "zouma")
        next
    if (!(to in floor)) {
        blame("\"" target "\" is in no room of docs/design.md")
        next
    }
    if (may[room] ~ /anything below/) {
        if (floor[to] >= floor[room])
            blame(room " (floor " floor[room] ") includes " target " (floor " floor[to] ")")
    } else if (index(may[room], " " to " ") == 0) {
        blame(room " may not include " to ": \"" target "\"")
    }
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    target = $0
    sub(/^[^<]*</, "", target)
    for (prefix in only)
        if (index(target, prefix) == 1 && index(" " only[prefix] " ", " " room " ") == 0)
            blame("<" target " belongs to src/" only[prefix] " alone")
}

END {
    for (i = 1; i <= rooms; i++) {
        r = order[i]
        n = split(may[r], allowed, " ")
        for (k = 1; k <= n && may[r] !~ /anything below|libc/; k++)
            if (!(allowed[k] in floor))
                fault[r] = fault[r] "# docs/design.md: src/" r " may include " allowed[k] ", which is no room\n"
            else if (floor[allowed[k]] > floor[r] || (floor[allowed[k]] == floor[r] && allowed[k] != r))
                fault[r] = fault[r] "# docs/design.md: src/" r " may include " allowed[k] ", which is not on a lower floor\n"
        printf "%sok %d - src/%s includes only what its floor allows (%d files)\n%s", fault[r] ? "not " : "", i, r, files[r], fault[r]
    }
    printf "1..%d\n", rooms
}
