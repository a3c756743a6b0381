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

// An engine is a database that .ci/services.sh started, or any other.
type engine struct {
	name, env, driver string
	dialect           sqlstore.Dialect
	options           string // added to the address
}

var engines = []engine{
	{"PostgreSQL", "SQLSTORE_TEST_POSTGRESQL", "pgx", sqlstore.PostgreSQL, ""},
	{"MySQL", "SQLSTORE_TEST_MYSQL", "mysql", sqlstore.MySQL, ""},
	// What may change the meaning of a statement.
	{"PostgreSQL, repeatable read", "SQLSTORE_TEST_POSTGRESQL", "pgx", sqlstore.PostgreSQL, "&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read"},
	{"PostgreSQL, another time zone", "SQLSTORE_TEST_POSTGRESQL", "pgx", sqlstore.PostgreSQL, "&timezone=Asia/Shanghai"},
	{"MySQL, found rows", "SQLSTORE_TEST_MYSQL", "mysql", sqlstore.MySQL, "?clientFoundRows=true&interpolateParams=true"},
	{"MySQL, another time zone", "SQLSTORE_TEST_MYSQL", "mysql", sqlstore.MySQL, "?time_zone=%27%2B08:00%27&parseTime=true&loc=Asia%2FShanghai"},
	{"MySQL, lenient", "SQLSTORE_TEST_MYSQL", "mysql", sqlstore.MySQL, "?sql_mode=%27%27"},
	{"MySQL, ANSI", "SQLSTORE_TEST_MYSQL", "mysql", sqlstore.MySQL, "?sql_mode=%27ANSI,TRADITIONAL,SIMULTANEOUS_ASSIGNMENT%27"},
}

// each runs a test on every engine, on a table of its own.
func each(t *testing.T, test func(t *testing.T, store *sqlstore.Store)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			address := os.Getenv(e.env)
			if address == "" {
				hint := e.env + " is not set: run the tests by .ci/services.sh, or set it to the address of a database"
				if os.Getenv("CI") == "true" {
					t.Fatal(hint)
				}
				t.Skip(hint)
			}
			db, err := sql.Open(e.driver, address+e.options)
			require.NoError(t, err)
			t.Cleanup(func() { db.Close() })
			db.SetMaxOpenConns(20)
			db.SetMaxIdleConns(20)
			require.NoError(t, db.Ping())
			store := &sqlstore.Store{DB: db, Dialect: e.dialect, Table: "test_" + strings.ToLower(rand.Text())}
			require.NoError(t, store.CreateTable(context.Background()))
			t.Cleanup(func() {
				_, err := db.Exec("DROP TABLE " + store.Table)
				require.NoError(t, err)
			})
			test(t, store)
		})
	}
}

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
			s := *store
			s.ClaimFor = claimFor
			return &s
		})
	})
}

func requireState(t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState) {
	t.Helper()
	got, err := s.Begin(context.Background(), id, holder)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A claim stands for 30 s if nothing else is said, on the database's clock.
func TestDefaultClaim(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		requireState(t, store, "1", "a", wechatpay.NotificationStateClaimed)
		query := "SELECT EXTRACT(EPOCH FROM claimed_until - clock_timestamp()) FROM "
		if store.Dialect == sqlstore.MySQL {
			query = "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), claimed_until) / 1000000 FROM "
		}
		var left float64
		require.NoError(t, store.DB.QueryRow(query+store.Table).Scan(&left))
		require.Greater(t, left, 20.0)
		require.LessOrEqual(t, left, 30.0)

		// The clock is moved by moving the claim.
		move(t, store, left+0.001)
		requireState(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	})
}

// move makes everything older.
func move(t *testing.T, store *sqlstore.Store, seconds float64) {
	t.Helper()
	by := fmt.Sprintf("interval '%f seconds'", seconds)
	if store.Dialect == sqlstore.MySQL {
		by = fmt.Sprintf("INTERVAL %f SECOND", seconds)
	}
	_, err := store.DB.Exec("UPDATE " + store.Table + " SET claimed_until = claimed_until - " + by + ", handled_at = handled_at - " + by)
	require.NoError(t, err)
}

func TestDeleteOlderThan(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		ctx := context.Background()
		for _, id := range []string{"old, handled", "old, in work"} {
			requireState(t, store, id, "a", wechatpay.NotificationStateClaimed)
		}
		require.NoError(t, store.End(ctx, "old, handled", "a", true))
		require.NoError(t, store.End(ctx, "old, never claimed", "a", true))
		move(t, store, 3600)
		requireState(t, store, "new, handled", "a", wechatpay.NotificationStateClaimed)
		require.NoError(t, store.End(ctx, "new, handled", "a", true))
		requireState(t, store, "new, in work", "a", wechatpay.NotificationStateClaimed)

		deleted, err := store.DeleteOlderThan(ctx, time.Hour)
		require.NoError(t, err)
		require.EqualValues(t, 1, deleted, "only what was never claimed: the claims of the others ended 30 s later")
		deleted, err = store.DeleteOlderThan(ctx, time.Hour-time.Minute)
		require.NoError(t, err)
		require.EqualValues(t, 2, deleted)
		deleted, err = store.DeleteOlderThan(ctx, 0)
		require.NoError(t, err)
		require.Zero(t, deleted, "no claim that stands is deleted")

		requireState(t, store, "new, handled", "b", wechatpay.NotificationStateHandled)
		requireState(t, store, "new, in work", "b", wechatpay.NotificationStateInProgress)
		requireState(t, store, "old, handled", "b", wechatpay.NotificationStateClaimed)

		_, err = store.DeleteOlderThan(ctx, -1)
		var refused *wechatpay.ArgumentError
		require.ErrorAs(t, err, &refused)
	})
}

// Rows are cleared while notifications come.
func TestDeleteWhileWorking(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		ctx := context.Background()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
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
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for i := range 25 {
					id := fmt.Sprint(worker, "-", i)
					state, err := store.Begin(ctx, id, "a")
					if err != nil || state != wechatpay.NotificationStateClaimed {
						t.Errorf("Begin = %q, %v", state, err)
					} else if err := store.End(ctx, id, "a", i%2 == 0); err != nil {
						t.Errorf("End = %v", err)
					}
				}
			}()
		}
		workers.Wait()
		close(stop)
		wg.Wait()
	})
}

// Many machines start at once on an empty database.
func TestCreateTableAtOnce(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		for range 5 {
			fresh := *store
			fresh.Table = "test_" + strings.Repeat("x", 20) + strings.ToLower(rand.Text())
			var wg sync.WaitGroup
			for range 16 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					if err := fresh.CreateTable(context.Background()); err != nil {
						t.Error(err)
					}
				}()
			}
			wg.Wait()
			requireState(t, &fresh, "1", "a", wechatpay.NotificationStateClaimed)
			_, err := fresh.DB.Exec("DROP TABLE " + fresh.Table)
			require.NoError(t, err)
		}
	})
}

// A table in a schema, and a name as long as a name may be.
func TestTableNames(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		schema := "public"
		if store.Dialect == sqlstore.MySQL {
			require.NoError(t, store.DB.QueryRow("SELECT DATABASE()").Scan(&schema))
		}
		long := strings.ToLower(strings.Repeat("x", 63-26) + rand.Text())
		for _, name := range []string{long, schema + "." + store.Table, ""} {
			s := *store
			s.Table = name
			require.NoError(t, s.CreateTable(context.Background()))
			require.NoError(t, s.CreateTable(context.Background()))
			requireState(t, &s, rand.Text(), "a", wechatpay.NotificationStateClaimed)
		}
		for _, name := range []string{long, "wechatpay_notifications"} {
			_, err := store.DB.Exec("DROP TABLE " + name)
			require.NoError(t, err)
		}
	})
}

// PostgreSQL knows an index by its name alone: tables whose names begin alike
// need two.
func TestIndexesOfLongNames(t *testing.T) {
	each(t, func(t *testing.T, store *sqlstore.Store) {
		stem := strings.ToLower(strings.Repeat("x", 62-26) + rand.Text())
		for _, end := range []string{"a", "b"} {
			s := *store
			s.Table = stem + end
			require.NoError(t, s.CreateTable(context.Background()))
			t.Cleanup(func() {
				_, err := store.DB.Exec("DROP TABLE " + s.Table)
				require.NoError(t, err)
			})
			query := "SELECT COUNT(*) FROM pg_indexes WHERE tablename = '" + s.Table + "' AND indexname LIKE '%claimed_until'"
			if s.Dialect == sqlstore.MySQL {
				query = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_name = '" + s.Table + "' AND index_name LIKE '%claimed_until'"
			}
			var indexes int
			require.NoError(t, s.DB.QueryRow(query).Scan(&indexes))
			require.Equal(t, 1, indexes)
		}
	})
}

// refusing is a database that refuses what it is asked.
type refusing struct {
	err   error
	asked int
}

func (r *refusing) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r *refusing) Driver() driver.Driver                        { return nil }
func (r *refusing) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (r *refusing) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (r *refusing) Close() error                                 { return nil }

func (r *refusing) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	r.asked++
	return nil, r.err
}

// accepting refuses to tell alone.
type accepting struct{ *refusing }

func (a accepting) Connect(context.Context) (driver.Conn, error) { return a, nil }

func (a accepting) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (a accepting) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	a.asked++
	return nil, a.err
}

// What was undone for the sake of another transaction is asked for again.
func TestRepeats(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		asked int
	}{
		{"MySQL, deadlock", &mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001")), Message: "Deadlock found when trying to get lock"}, 10},
		{"MySQL, other", &mysql.MySQLError{Number: 1146, SQLState: [5]byte([]byte("42S02")), Message: "Table 'sqlstore.wechatpay_notifications' doesn't exist"}, 1},
		{"PostgreSQL, serialization", &pgconn.PgError{Code: "40001"}, 10},
		{"PostgreSQL, deadlock", &pgconn.PgError{Code: "40P01"}, 10},
		{"PostgreSQL, other", &pgconn.PgError{Code: "42P01"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			calls := map[string]func(*sqlstore.Store) error{
				"Begin":           func(s *sqlstore.Store) error { _, err := s.Begin(ctx, "1", "a"); return err },
				"End":             func(s *sqlstore.Store) error { return s.End(ctx, "1", "a", true) },
				"DeleteOlderThan": func(s *sqlstore.Store) error { _, err := s.DeleteOlderThan(ctx, time.Hour); return err },
			}
			for name, call := range calls {
				database := &refusing{err: tt.err}
				store := &sqlstore.Store{DB: sql.OpenDB(database), Dialect: sqlstore.MySQL}
				require.ErrorIs(t, call(store), tt.err)
				require.Equal(t, tt.asked, database.asked, name)
			}
			database := &refusing{err: tt.err}
			store := &sqlstore.Store{DB: sql.OpenDB(accepting{database}), Dialect: sqlstore.MySQL}
			require.ErrorIs(t, calls["Begin"](store), tt.err)
			require.Equal(t, tt.asked, database.asked, "what became of it")
		})
	}
}

func TestSettings(t *testing.T) {
	db, err := sql.Open("pgx", "postgres://127.0.0.1:1/postgres?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	good := sqlstore.Store{DB: db, Dialect: sqlstore.PostgreSQL}
	with := func(change func(*sqlstore.Store)) *sqlstore.Store {
		s := good
		change(&s)
		return &s
	}
	tests := []struct {
		name, field, id, holder string
		store                   *sqlstore.Store
	}{
		{"no DB", "DB", "1", "a", with(func(s *sqlstore.Store) { s.DB = nil })},
		{"negative claim", "ClaimFor", "1", "a", with(func(s *sqlstore.Store) { s.ClaimFor = -1 })},
		{"no dialect", "Dialect", "1", "a", with(func(s *sqlstore.Store) { s.Dialect = 0 })},
		{"unknown dialect", "Dialect", "1", "a", with(func(s *sqlstore.Store) { s.Dialect = 3 })},
		{"more than a name", "Table", "1", "a", with(func(s *sqlstore.Store) { s.Table = "a; DROP TABLE b" })},
		{"quoted name", "Table", "1", "a", with(func(s *sqlstore.Store) { s.Table = `"a"` })},
		{"three parts", "Table", "1", "a", with(func(s *sqlstore.Store) { s.Table = "a.b.c" })},
		{"long name", "Table", "1", "a", with(func(s *sqlstore.Store) { s.Table = strings.Repeat("a", 64) })},
		{"line end", "Table", "1", "a", with(func(s *sqlstore.Store) { s.Table = "a\n" })},
		{"long id", "id", strings.Repeat("1", 65), "a", &good},
		{"long holder", "holder", "1", strings.Repeat("a", 65), &good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, beginErr := tt.store.Begin(context.Background(), tt.id, tt.holder)
			for _, err := range []error{beginErr, tt.store.End(context.Background(), tt.id, tt.holder, true)} {
				var refused *wechatpay.ArgumentError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tt.field, refused.Faults[0].Field)
			}
			if tt.store != &good {
				_, err := tt.store.Schema()
				require.Error(t, err)
				require.Error(t, tt.store.CreateTable(context.Background()))
				_, err = tt.store.DeleteOlderThan(context.Background(), time.Hour)
				require.Error(t, err)
			}
		})
	}
}

// The database is gone.
func TestUnreachable(t *testing.T) {
	db, err := sql.Open("pgx", "postgres://127.0.0.1:1/postgres?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	ctx, store := context.Background(), &sqlstore.Store{DB: db, Dialect: sqlstore.PostgreSQL}
	state, err := store.Begin(ctx, "1", "a")
	require.Empty(t, state)
	require.ErrorContains(t, err, "sqlstore.Store.Begin: ")
	require.ErrorContains(t, store.End(ctx, "1", "a", true), "sqlstore.Store.End: ")
	require.ErrorContains(t, store.End(ctx, "1", "a", false), "sqlstore.Store.End: ")
	require.ErrorContains(t, store.CreateTable(ctx), "sqlstore.Store.CreateTable: ")
	_, err = store.DeleteOlderThan(ctx, time.Hour)
	require.ErrorContains(t, err, "sqlstore.Store.DeleteOlderThan: ")
}
