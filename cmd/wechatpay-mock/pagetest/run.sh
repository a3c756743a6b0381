#!/usr/bin/env bash
# Tries the page of wechatpay-mock, and the diagrams of the READMEs, in a headless Chromium, which it installs from Debian's packages where
# there is none and it may. Mermaid, which draws the diagrams, comes by npm: without npm they are left out.
#
#   run.sh [SCREENSHOT.png]
#
# CHROMIUM names another browser than the one in PATH. Exit status: 0 all is well, 1 something is not, 3 there is no Chromium: nothing
# was checked.
set -euo pipefail
screenshot=${1:+$(realpath -- "$1")}
cd "$(dirname "$0")"

find_chromium() { command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome || true; }

chromium=$(find_chromium)
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	log=$(mktemp)
	# The fonts are for the Chinese of the screenshot.
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-noto-cjk; } >"$log" 2>&1; then
		tail -n 5 "$log" >&2
	fi
	rm -f "$log"
	chromium=$(find_chromium)
fi
if [ -z "$chromium" ]; then
	echo "pagetest: Chromium is not installed and could not be, so nothing was checked: install it, or name it in CHROMIUM" >&2
	exit 3
fi

# No setting of the machine reaches the client, and no proxy stands between it and loopback.
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
	echo "pagetest: npm is not installed: the diagrams are left out" >&2
fi

PAGETEST_MERMAID=$mermaid PAGETEST_CHROMIUM=$chromium PAGETEST_SCREENSHOT=$screenshot go test -count=1 -timeout 5m -v . || exit 1
