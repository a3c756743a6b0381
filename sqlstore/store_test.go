package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/sqlstore"
	"github.com/wechatpay-complaints/wechatpay/storetest"
)

// An engine is a database of .ci/services.sh or any other one, with connection
// options.
type engine struct {
	name, env, driver string
	dialect           sqlstore.Dialect
	options           string // appended to the address
}

const (
	postgreSQLEnv = "SQLSTORE_TEST_POSTGRESQL"
	mySQLEnv      = "SQLSTORE_TEST_MYSQL"
)

// The engines with options change the meaning of statements. They are skipped
// under -short.
var engines = []engine{
	{"PostgreSQL", postgreSQLEnv, "pgx", sqlstore.PostgreSQL, ""},
	{"MySQL", mySQLEnv, "mysql", sqlstore.MySQL, ""},
	{"PostgreSQL, repeatable read", postgreSQLEnv, "pgx", sqlstore.PostgreSQL,
		"&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read"},
	{"PostgreSQL, time zone", postgreSQLEnv, "pgx", sqlstore.PostgreSQL,
		"&timezone=Asia/Shanghai"},
	{"MySQL, found rows", mySQLEnv, "mysql", sqlstore.MySQL,
		"?clientFoundRows=true&interpolateParams=true"},
	{"MySQL, time zone", mySQLEnv, "mysql", sqlstore.MySQL,
		"?time_zone=%27%2B08:00%27&parseTime=true&loc=Asia%2FShanghai"},
	{"MySQL, no sql_mode", mySQLEnv, "mysql", sqlstore.MySQL,
		"?sql_mode=%27%27"},
	{"MySQL, ANSI", mySQLEnv, "mysql", sqlstore.MySQL,
		"?sql_mode=%27ANSI,TRADITIONAL,SIMULTANEOUS_ASSIGNMENT%27"},
}

// forEachEngine runs test on every engine, each with a new table.
func forEachEngine(t *testing.T, test func(t *testing.T, store *sqlstore.Store)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			store := &sqlstore.Store{DB: open(t, e), Dialect: e.dialect, Table: uniqueName("test_")}
			require.NoError(t, store.CreateTable(context.Background()))
			t.Cleanup(func() { dropTable(t, store.DB, store.Table) })
			test(t, store)
		})
	}
}

// open connects to an engine. Without its address it skips the test, or fails it
// in CI.
func open(t *testing.T, e engine) *sql.DB {
	t.Helper()
	address := os.Getenv(e.env)
	if address == "" {
		hint := e.env + " is not set: use .ci/services.sh, or set it to the address of a database"
		if os.Getenv("CI") == "true" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	if testing.Short() && e.options != "" {
		t.Skip("slow")
	}
	db, err := sql.Open(e.driver, address+e.options)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	require.NoError(t, db.Ping())
	return db
}

func uniqueName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

func dropTable(t *testing.T, db *sql.DB, name string) {
	t.Helper()
	_, err := db.Exec("DROP TABLE " + name)
	require.NoError(t, err)
}

func TestStore(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
			s := *store
			s.ClaimFor = claimFor
			return &s
		})
	})
}

// requireClaim calls Claim and requires the given state.
func requireClaim(
	t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState,
) {
	t.Helper()
	got, err := s.Claim(context.Background(), id, holder)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// age makes all rows older, as if time had passed.
func age(t *testing.T, store *sqlstore.Store, seconds float64) {
	t.Helper()
	interval := fmt.Sprintf("interval '%f seconds'", seconds)
	if store.Dialect == sqlstore.MySQL {
		interval = fmt.Sprintf("INTERVAL %f SECOND", seconds)
	}
	_, err := store.DB.Exec("UPDATE " + store.Table +
		" SET claimed_until = claimed_until - " + interval + ", handled_at = handled_at - " + interval)
	require.NoError(t, err)
}

// Claims last for 30 s by default, by the database's clock.
func TestStore_Claim_defaultLifetime(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		requireClaim(t, store, "1", "a", wechatpay.NotificationStateClaimed)
		query := "SELECT EXTRACT(EPOCH FROM claimed_until - clock_timestamp()) FROM "
		if store.Dialect == sqlstore.MySQL {
			query = "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), claimed_until) / 1000000 FROM "
		}
		var remaining float64
		require.NoError(t, store.DB.QueryRow(query+store.Table).Scan(&remaining))
		require.Greater(t, remaining, 20.0)
		require.LessOrEqual(t, remaining, 30.0)

		age(t, store, remaining+0.001)
		requireClaim(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	})
}

func TestStore_DeleteOlderThan(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		ctx := context.Background()
		for _, id := range []string{"old, handled", "old, in progress"} {
			requireClaim(t, store, id, "a", wechatpay.NotificationStateClaimed)
		}
		require.NoError(t, store.MarkHandled(ctx, "old, handled", "a"))
		require.NoError(t, store.MarkHandled(ctx, "old, never claimed", "a"))
		age(t, store, 3600)
		requireClaim(t, store, "new, handled", "a", wechatpay.NotificationStateClaimed)
		require.NoError(t, store.MarkHandled(ctx, "new, handled", "a"))
		requireClaim(t, store, "new, in progress", "a", wechatpay.NotificationStateClaimed)

		deleted, err := store.DeleteOlderThan(ctx, time.Hour)
		require.NoError(t, err)
		require.EqualValues(t, 1, deleted, "never claimed: the claims of the other two ended 30 s later")
		deleted, err = store.DeleteOlderThan(ctx, time.Hour-time.Minute)
		require.NoError(t, err)
		require.EqualValues(t, 2, deleted)
		deleted, err = store.DeleteOlderThan(ctx, 0)
		require.NoError(t, err)
		require.Zero(t, deleted, "the remaining claims have not expired")

		requireClaim(t, store, "new, handled", "b", wechatpay.NotificationStateHandled)
		requireClaim(t, store, "new, in progress", "b", wechatpay.NotificationStateInProgress)
		requireClaim(t, store, "old, handled", "b", wechatpay.NotificationStateClaimed)

		_, err = store.DeleteOlderThan(ctx, -1)
		var invalid *wechatpay.ArgumentError
		require.ErrorAs(t, err, &invalid)
	})
}

func TestStore_DeleteOlderThan_concurrent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		ctx := context.Background()
		stop := make(chan struct{})
		var deleter, workers sync.WaitGroup
		deleter.Add(1)
		go func() {
			defer deleter.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := store.DeleteOlderThan(ctx, 0); err != nil {
					t.Error(err)
				}
			}
		}()
		for worker := range 8 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for i := range 25 {
					claimAndEnd(t, store, fmt.Sprint(worker, "-", i), i%2 == 0)
				}
			}()
		}
		workers.Wait()
		close(stop)
		deleter.Wait()
	})
}

// claimAndEnd claims a new notification and marks it as handled or releases it.
func claimAndEnd(t *testing.T, store *sqlstore.Store, id string, handled bool) {
	ctx := context.Background()
	state, err := store.Claim(ctx, id, "a")
	if err != nil || state != wechatpay.NotificationStateClaimed {
		t.Errorf("Claim = %q, %v", state, err)
		return
	}
	end := store.Release
	if handled {
		end = store.MarkHandled
	}
	if err := end(ctx, id, "a"); err != nil {
		t.Error(err)
	}
}

func TestStore_CreateTable_concurrent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		for range 5 {
			s := *store
			s.Table = uniqueName("test_" + strings.Repeat("x", 20))
			var wg sync.WaitGroup
			for range 16 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					if err := s.CreateTable(context.Background()); err != nil {
						t.Error(err)
					}
				}()
			}
			wg.Wait()
			requireClaim(t, &s, "1", "a", wechatpay.NotificationStateClaimed)
			dropTable(t, s.DB, s.Table)
		}
	})
}

// Tables may be in a schema, and have names of up to 63 bytes.
func TestStore_CreateTable_names(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		schema := "public"
		if store.Dialect == sqlstore.MySQL {
			require.NoError(t, store.DB.QueryRow("SELECT DATABASE()").Scan(&schema))
		}
		long := uniqueName(strings.Repeat("x", 63-26))
		require.Len(t, long, 63)
		for _, name := range []string{long, schema + "." + store.Table, ""} {
			s := *store
			s.Table = name
			require.NoError(t, s.CreateTable(context.Background()))
			require.NoError(t, s.CreateTable(context.Background()))
			requireClaim(t, &s, rand.Text(), "a", wechatpay.NotificationStateClaimed)
		}
		for _, name := range []string{long, "wechatpay_notifications"} {
			dropTable(t, store.DB, name)
		}
	})
}

// In PostgreSQL, index names are unique per schema: tables with similar long
// names need different ones.
func TestStore_CreateTable_indexNames(t *testing.T) {
	forEachEngine(t, func(t *testing.T, store *sqlstore.Store) {
		stem := uniqueName(strings.Repeat("x", 62-26))
		for _, suffix := range []string{"a", "b"} {
			s := *store
			s.Table = stem + suffix
			require.NoError(t, s.CreateTable(context.Background()))
			t.Cleanup(func() { dropTable(t, store.DB, s.Table) })
			query := "SELECT COUNT(*) FROM pg_indexes WHERE tablename = '" + s.Table + "'" +
				" AND indexname LIKE '%claimed_until'"
			if s.Dialect == sqlstore.MySQL {
				query = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_name = '" + s.Table + "'" +
					" AND index_name LIKE '%claimed_until'"
			}
			var indexes int
			require.NoError(t, s.DB.QueryRow(query).Scan(&indexes))
			require.Equal(t, 1, indexes)
		}
	})
}

// failingExec is a database driver whose ExecContext fails.
type failingExec struct {
	err   error
	calls int
}

func (d *failingExec) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *failingExec) Driver() driver.Driver                        { return nil }
func (d *failingExec) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (d *failingExec) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (d *failingExec) Close() error                                 { return nil }

func (d *failingExec) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	d.calls++
	return nil, d.err
}

// failingQuery is a database driver whose QueryContext fails.
type failingQuery struct{ *failingExec }

func (d failingQuery) Connect(context.Context) (driver.Conn, error) { return d, nil }

func (d failingQuery) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (d failingQuery) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	d.calls++
	return nil, d.err
}

// Statements are retried if the database rolled them back because of a
// concurrent transaction.
func TestStore_retries(t *testing.T) {
	ctx := context.Background()
	methods := map[string]func(*sqlstore.Store) error{
		"Claim":           func(s *sqlstore.Store) error { _, err := s.Claim(ctx, "1", "a"); return err },
		"MarkHandled":     func(s *sqlstore.Store) error { return s.MarkHandled(ctx, "1", "a") },
		"Release":         func(s *sqlstore.Store) error { return s.Release(ctx, "1", "a") },
		"DeleteOlderThan": func(s *sqlstore.Store) error { _, err := s.DeleteOlderThan(ctx, time.Hour); return err },
	}
	mySQLError := func(number uint16, state, message string) error {
		return &mysql.MySQLError{Number: number, SQLState: [5]byte([]byte(state)), Message: message}
	}
	tests := []struct {
		name  string
		err   error
		calls int
	}{
		{"MySQL, deadlock", mySQLError(1213, "40001", "Deadlock found when trying to get lock"), 10},
		{"MySQL, other", mySQLError(1146, "42S02", "Table 'sqlstore.wechatpay_notifications' doesn't exist"), 1},
		{"PostgreSQL, serialization failure", &pgconn.PgError{Code: "40001"}, 10},
		{"PostgreSQL, deadlock", &pgconn.PgError{Code: "40P01"}, 10},
		{"PostgreSQL, other", &pgconn.PgError{Code: "42P01"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, method := range methods {
				database := &failingExec{err: tt.err}
				store := &sqlstore.Store{DB: sql.OpenDB(database), Dialect: sqlstore.MySQL}
				require.ErrorIs(t, method(store), tt.err)
				require.Equal(t, tt.calls, database.calls, name)
			}
			database := &failingExec{err: tt.err}
			store := &sqlstore.Store{DB: sql.OpenDB(failingQuery{database}), Dialect: sqlstore.MySQL}
			require.ErrorIs(t, methods["Claim"](store), tt.err)
			require.Equal(t, tt.calls, database.calls, "query of Claim")
		})
	}
}

// unreachableDB returns a DB that fails to connect.
func unreachableDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", "postgres://127.0.0.1:1/postgres?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestStore_invalidFields(t *testing.T) {
	ctx, db := context.Background(), unreachableDB(t)
	const postgreSQL = sqlstore.PostgreSQL
	withTable := func(name string) sqlstore.Store {
		return sqlstore.Store{DB: db, Dialect: postgreSQL, Table: name}
	}
	tests := []struct {
		name, field string
		store       sqlstore.Store
	}{
		{"no DB", "DB", sqlstore.Store{Dialect: postgreSQL}},
		{"negative ClaimFor", "ClaimFor", sqlstore.Store{DB: db, Dialect: postgreSQL, ClaimFor: -1}},
		{"no dialect", "Dialect", sqlstore.Store{DB: db}},
		{"unknown dialect", "Dialect", sqlstore.Store{DB: db, Dialect: 3}},
		{"table with SQL", "Table", withTable("a; DROP TABLE b")},
		{"quoted table", "Table", withTable(`"a"`)},
		{"table with three parts", "Table", withTable("a.b.c")},
		{"table name too long", "Table", withTable(strings.Repeat("a", 64))},
		{"table with newline", "Table", withTable("a\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, claimErr := tt.store.Claim(ctx, "1", "a")
			_, schemaErr := tt.store.Schema()
			_, deleteErr := tt.store.DeleteOlderThan(ctx, time.Hour)
			for _, err := range []error{
				claimErr, tt.store.MarkHandled(ctx, "1", "a"), tt.store.Release(ctx, "1", "a"),
				schemaErr, tt.store.CreateTable(ctx), deleteErr,
			} {
				var invalid *wechatpay.ArgumentError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, tt.field, invalid.Faults[0].Field)
			}
		})
	}
}

func TestStore_invalidArguments(t *testing.T) {
	ctx, store := context.Background(), &sqlstore.Store{DB: unreachableDB(t), Dialect: sqlstore.PostgreSQL}
	tests := []struct{ field, id, holder string }{
		{"id", strings.Repeat("1", 65), "a"},
		{"holder", "1", strings.Repeat("a", 65)},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			_, claimErr := store.Claim(ctx, tt.id, tt.holder)
			markErr, releaseErr := store.MarkHandled(ctx, tt.id, tt.holder), store.Release(ctx, tt.id, tt.holder)
			for _, err := range []error{claimErr, markErr, releaseErr} {
				var invalid *wechatpay.ArgumentError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, tt.field, invalid.Faults[0].Field)
				require.Equal(t, "must be at most 64 bytes, got 65", invalid.Faults[0].Problem)
			}
		})
	}
}

func TestStore_unreachableDatabase(t *testing.T) {
	ctx, store := context.Background(), &sqlstore.Store{DB: unreachableDB(t), Dialect: sqlstore.PostgreSQL}
	state, err := store.Claim(ctx, "1", "a")
	require.Empty(t, state)
	require.ErrorContains(t, err, "sqlstore.Store.Claim: ")
	require.ErrorContains(t, store.MarkHandled(ctx, "1", "a"), "sqlstore.Store.MarkHandled: ")
	require.ErrorContains(t, store.Release(ctx, "1", "a"), "sqlstore.Store.Release: ")
	require.ErrorContains(t, store.CreateTable(ctx), "sqlstore.Store.CreateTable: ")
	_, err = store.DeleteOlderThan(ctx, time.Hour)
	require.ErrorContains(t, err, "sqlstore.Store.DeleteOlderThan: ")
}
