#!/usr/bin/env bash
# Tests clients of other authors, the npm packages wechatpay-axios-plugin and
# wechatpay-node-v3, against cmd/wechatpay-mock. See README.md.
#
# Exit status: 0 all checks passed, 1 one failed or something could not be
# started, 3 node or npm is missing.
set -euo pipefail
cd "$(dirname "$0")"

for tool in node npm; do
	if ! command -v "$tool" >/dev/null; then
		echo "interop: $tool not found, nothing was checked" >&2
		exit 3
	fi
done

work=$(mktemp -d)
mock=
cleanup() {
	if [ -n "$mock" ]; then
		kill "$mock" 2>/dev/null || true
		wait "$mock" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# No setting and no proxy of the machine may reach the clients.
for name in $(env | sed -n 's/^\(WECHATPAY_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

go build -o "$work/wechatpay-mock" ../../cmd/wechatpay-mock
npm install --prefix "$work" --loglevel=error --no-package-lock --no-save --no-audit --no-fund --ignore-scripts \
	"wechatpay-axios-plugin@${AXIOS_PLUGIN_VERSION:-0.9.6}" "wechatpay-node-v3@${NODE_V3_VERSION:-2.2.1}" >/dev/null

"$work/wechatpay-mock" -dir "$work/mock" >"$work/stdout" 2>"$work/requests.log" &
mock=$!
for _ in $(seq 100); do
	[ ! -f "$work/mock/env" ] || break
	kill -0 "$mock" 2>/dev/null || break
	sleep 0.1
done
if [ ! -f "$work/mock/env" ]; then
	echo "interop: wechatpay-mock did not start:" >&2
	cat "$work/requests.log" >&2
	exit 1
fi
. "$work/mock/env"

# Node looks for packages in the directory of the script.
cp ./*.mjs "$work/"
status=0
for client in axios-plugin node-v3; do
	echo "# $client"
	node "$work/$client.mjs" || status=1
done
if [ "$status" != 0 ]; then
	echo "interop: requests that the mock received:" >&2
	cat "$work/requests.log" >&2
fi

kill -INT "$mock"
wait "$mock" || { echo "interop: wechatpay-mock ended with exit status $? after SIGINT" >&2; status=1; }
mock=
exit "$status"
