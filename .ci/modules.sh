#!/usr/bin/env bash
# Checks each module that has a folder of its own, which the root's ./... leaves
# out. The stores find their engines in the environment: run it by services.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
for module in $(git ls-files '*/go.mod' | xargs -n1 dirname); do
	# The page's test needs a browser, and has a script of its own.
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
