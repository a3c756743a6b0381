#!/usr/bin/env bash
# Tests the page of wechatpay-mock, and the diagrams of the READMEs, in a headless Chromium. If Chromium is missing, it installs
# Debian's package, as root. Mermaid, which draws the diagrams, is installed with npm; without npm the diagrams are skipped.
#
#   run.sh [SCREENSHOT.png]
#
# CHROMIUM names a browser other than the one in PATH. Exit status: 0 success, 1 failure, 3 no Chromium (nothing was tested).
set -euo pipefail
screenshot=${1:+$(realpath -- "$1")}
cd "$(dirname "$0")"

find_chromium() { command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome || true; }

chromium=$(find_chromium)
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	log=$(mktemp)
	# The screenshot contains Chinese text.
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-noto-cjk; } >"$log" 2>&1; then
		tail -n 5 "$log" >&2
	fi
	rm -f "$log"
	chromium=$(find_chromium)
fi
if [ -z "$chromium" ]; then
	echo "pagetest: Chromium not found, nothing was tested: install it or set CHROMIUM" >&2
	exit 3
fi

# Ignore settings of the environment and proxies for loopback.
for name in $(env | sed -n 's/^\(WECHATPAY_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mermaid=
if command -v npm >/dev/null; then
	npm pack --silent --pack-destination "$work" "mermaid@${MERMAID_VERSION:-11.17.2}" >/dev/null
	tar -xzf "$work"/mermaid-*.tgz -C "$work" package/dist/mermaid.min.js
	mermaid=$work/package/dist/mermaid.min.js
else
	echo "pagetest: npm not found, skipping the diagrams" >&2
fi

PAGETEST_MERMAID=$mermaid PAGETEST_CHROMIUM=$chromium PAGETEST_SCREENSHOT=$screenshot go test -count=1 -timeout 5m -v . || exit 1
