#!/usr/bin/env bash
# Runs a command with temporary Redis, PostgreSQL and MariaDB servers:
#
#   .ci/services.sh COMMAND [ARGUMENT…]
#
# The servers listen on free loopback ports and keep their data in a temporary
# folder. When the command ends, they are stopped and removed, and the script
# exits with the status of the command. The command finds their addresses in:
#
#   REDISSTORE_TEST_ADDR      host:port
#   SQLSTORE_TEST_POSTGRESQL  for pgx
#   SQLSTORE_TEST_MYSQL       for go-sql-driver/mysql
#
# Missing programs are installed from Debian's packages, which needs root.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }

fail() { echo "services.sh: $*" >&2; exit 1; }

# program NAME… prints the path of the first that is installed. Debian does not
# add PostgreSQL's programs to the PATH.
program() {
	local name found
	for name in "$@"; do
		found=$(command -v "$name" || compgen -G "/usr/lib/postgresql/*/bin/$name" | sort -V | tail -n 1 || true)
		[ -z "$found" ] || { echo "$found"; return; }
	done
	return 1
}

missing=()
program redis-server >/dev/null && program redis-cli >/dev/null || missing+=(redis-server)
program postgres >/dev/null && program initdb >/dev/null || missing+=(postgresql)
program mariadbd >/dev/null && program mariadb-install-db >/dev/null && program mariadb >/dev/null || missing+=(mariadb-server)
if [ ${#missing[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || fail "missing programs, by Debian package: ${missing[*]}"
	[ "$(id -u)" = 0 ] || fail "missing programs: run as root, or run apt-get install ${missing[*]}"
	echo "services.sh: installing ${missing[*]}" >&2
	log=$(mktemp)
	# At run level 1 the packages start no services.
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update && RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1 ||
		{ tail -n 20 "$log" >&2; fail "apt-get failed to install ${missing[*]}"; }
	rm -f "$log"
fi

dir=$(mktemp -d)
chmod 755 "$dir"
pids=()
stop() {
	local pid
	# On SIGINT, PostgreSQL stops without waiting for its clients.
	for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do
		for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || continue 2; sleep 0.1; done
		kill -KILL "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# as USER COMMAND… runs a command as a user if this script runs as root:
# PostgreSQL and MariaDB refuse to run as root.
as() {
	local user=$1
	shift
	if [ "$(id -u)" = 0 ]; then
		exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
	fi
	exec "$@"
}

# folder NAME USER creates a folder that the user can write to.
folder() {
	mkdir "$dir/$1"
	[ "$(id -u)" != 0 ] || chown "$2:" "$dir/$1"
}

# start NAME PROBE COMMAND… starts a server and waits until the probe succeeds.
# PORT in the probe and the command is replaced by the port. If the server exits,
# the port was taken in the meantime, and another is tried.
start() {
	local name=$1 probe=$2 log="$dir/$1.log" pid
	shift 2
	for _ in $(seq 10); do
		port=$((20000 + RANDOM % 12000))
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue
		(as "${@//PORT/$port}") </dev/null >"$log" 2>&1 &
		pid=$!
		for _ in $(seq 300); do
			kill -0 "$pid" 2>/dev/null || continue 2
			if eval "${probe//PORT/$port}" >/dev/null 2>&1; then
				# Another server may have responded on that port.
				kill -0 "$pid" 2>/dev/null || continue 2
				pids+=("$pid")
				return
			fi
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || true
		break
	done
	tail -n 20 "$log" >&2
	fail "$name did not start"
}

folder redis redis
start redis "$(program redis-cli) -p PORT ping | grep -q PONG" \
	redis "$(program redis-server)" --bind 127.0.0.1 --port PORT --dir "$dir/redis" --save '' --appendonly no
export REDISSTORE_TEST_ADDR="127.0.0.1:$port"

folder postgresql postgres
(as postgres "$(program initdb)" -D "$dir/postgresql/data" -U sqlstore -A trust -E UTF8 --locale C --no-sync) </dev/null >"$dir/initdb.log" 2>&1 ||
	{ tail -n 20 "$dir/initdb.log" >&2; fail "initdb failed"; }
start postgresql "$(program pg_isready) -h 127.0.0.1 -p PORT" \
	postgres "$(program postgres)" -D "$dir/postgresql/data" -h 127.0.0.1 -p PORT -k "$dir/postgresql" -F
export SQLSTORE_TEST_POSTGRESQL="postgres://sqlstore@127.0.0.1:$port/postgres?sslmode=disable"

folder mariadb mysql
socket="$dir/mariadb/socket"
(as mysql "$(program mariadb-install-db)" --no-defaults --datadir="$dir/mariadb/data" --auth-root-authentication-method=normal --skip-test-db) \
	</dev/null >"$dir/mariadb-install-db.log" 2>&1 || { tail -n 20 "$dir/mariadb-install-db.log" >&2; fail "mariadb-install-db failed"; }
start mariadb "$(program mariadb) --no-defaults --socket=$socket -u root -e 'SELECT 1'" \
	mysql "$(program mariadbd)" --no-defaults --datadir="$dir/mariadb/data" --bind-address=127.0.0.1 --port=PORT --socket="$socket" \
	--pid-file="$dir/mariadb/pid" --skip-name-resolve
"$(program mariadb)" --no-defaults --socket="$socket" -u root -e "
	CREATE DATABASE sqlstore CHARACTER SET utf8mb4;
	CREATE USER 'sqlstore'@'127.0.0.1' IDENTIFIED BY 'sqlstore';
	GRANT ALL ON sqlstore.* TO 'sqlstore'@'127.0.0.1';"
export SQLSTORE_TEST_MYSQL="sqlstore:sqlstore@tcp(127.0.0.1:$port)/sqlstore"

"$@"
