#!/usr/bin/env bash
# Checks the modules that the root's ./... does not include. The stores take the
# addresses of their databases from the environment: run it with services.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
for module in $(git ls-files '*/go.mod' | xargs -n1 dirname); do
	# It needs a browser, and has its own script.
	[ "$module" != cmd/wechatpay-mock/pagetest ] || continue
	printf '\n== module %s\n' "$module"
	(
		cd "$module"
		go vet ./...
		go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
		go mod tidy -diff
		go test -race ./...
		GOTOOLCHAIN=go1.24.9 go vet ./...
	)
done
