# shellcheck shell=bash
# packages.sh: the npm packages of the peers, put under build/peers. To be sourced by bash scripts:
#
#     . interop/peers/packages.sh
#     need_node_peers || exit 1          # afterwards the ws_node_* programs work
#
# npm runs once; later calls cost nothing until package.json changes. No lock file is written: a lock file would name a
# registry. What can go wrong: no npm (the message names the package), no way to the registry.

need_node_peers() {
    local here root target
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || return 1
    root=$(cd "$here/../.." && pwd) || return 1
    target=$root/build/peers
    if [ -f "$target/node_modules/ws/package.json" ] && cmp -s "$here/package.json" "$target/package.json"; then
        return 0
    fi
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        echo "need_node_peers: node or npm is missing (Debian: nodejs npm)" >&2
        return 1
    fi
    mkdir -p "$target" || return 1
    cp "$here/package.json" "$target/package.json.new" || return 1
    mv "$target/package.json.new" "$target/package.json" || return 1
    if ! (cd "$target" && timeout 240 npm install --no-package-lock --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=30000) \
        >"$target/npm.log" 2>&1; then
        rm -f "$target/package.json"
        echo "need_node_peers: npm install failed:" >&2
        tail -n 5 "$target/npm.log" >&2
        return 1
    fi
}
