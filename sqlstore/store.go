package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// Store is a wechatpay.NotificationStore in a table. Zero fields have the
// defaults in brackets. It is safe for concurrent use. Do not change its fields
// after the first use.
type Store struct {
	DB      *sql.DB // the primary database, not a replica
	Dialect Dialect // required

	// Table is the name of the table, optionally with a schema: "table" or
	// "schema.table" of letters, digits and _ ["wechatpay_notifications"].
	// Handlers that do different jobs need different tables.
	Table string

	ClaimFor time.Duration // lifetime of a claim, in whole microseconds [30 s]
}

var _ wechatpay.NotificationStore = (*Store)(nil)

const (
	defaultTable    = "wechatpay_notifications"
	defaultClaimFor = 30 * time.Second

	// maxBytes is the size of the columns id and holder.
	maxBytes = 64
)

// Dialect is the SQL dialect of a database.
type Dialect int

// The dialects.
const (
	PostgreSQL Dialect = iota + 1
	MySQL              // and MariaDB
)

// statements are the statements of one dialect, with their arguments. The
// placeholders {table} and {index} are replaced by names.
type statements struct {
	create      []string
	claim       string // id, holder, lifetime of the claim in microseconds
	state       string // id
	markHandled string // id
	release     string // id, holder
	prune       string // age in microseconds
}

// The claim statements change an existing row only if it is not handled and its
// claim has expired or belongs to the same holder. The state statements read
// the result.
var dialects = map[Dialect]statements{
	PostgreSQL: {
		create: []string{
			`CREATE TABLE IF NOT EXISTS {table} (
	id            varchar(64) PRIMARY KEY, -- event id
	holder        varchar(64) NOT NULL,    -- current or last holder of the claim
	claimed_until timestamptz NOT NULL,
	handled_at    timestamptz              -- NULL: in progress or abandoned
)`,
			`CREATE INDEX IF NOT EXISTS {index} ON {table} (claimed_until)`,
		},
		claim: `INSERT INTO {table} AS t (id, holder, claimed_until)
VALUES ($1, $2, clock_timestamp() + CAST($3 AS bigint) * interval '1 microsecond')
ON CONFLICT (id) DO UPDATE SET holder = EXCLUDED.holder, claimed_until = EXCLUDED.claimed_until
WHERE t.handled_at IS NULL AND (t.claimed_until <= clock_timestamp() OR t.holder = EXCLUDED.holder)`,
		state: `SELECT holder, handled_at IS NOT NULL FROM {table} WHERE id = $1`,
		markHandled: `INSERT INTO {table} AS t (id, holder, claimed_until, handled_at)
VALUES ($1, '', clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO UPDATE SET handled_at = EXCLUDED.handled_at
WHERE t.handled_at IS NULL`,
		release: `DELETE FROM {table} WHERE id = $1 AND holder = $2 AND handled_at IS NULL`,
		prune: `DELETE FROM {table}
WHERE claimed_until < clock_timestamp() - CAST($1 AS bigint) * interval '1 microsecond'`,
	},
	// VARBINARY, because text comparison may ignore case and trailing spaces. UTC,
	// because local time may jump back in autumn. Whether the second assignment
	// of claim sees the new holder depends on sql_mode; the result is the same.
	MySQL: {
		create: []string{`CREATE TABLE IF NOT EXISTS {table} (
	id            VARBINARY(64) NOT NULL PRIMARY KEY, -- event id
	holder        VARBINARY(64) NOT NULL,             -- current or last holder of the claim
	claimed_until DATETIME(6)   NOT NULL,             -- UTC
	handled_at    DATETIME(6)   NULL,                 -- UTC; NULL: in progress or abandoned
	KEY {index} (claimed_until)
) ENGINE = InnoDB`},
		claim: `INSERT INTO {table} (id, holder, claimed_until)
VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
ON DUPLICATE KEY UPDATE
	holder = IF(handled_at IS NULL AND claimed_until <= UTC_TIMESTAMP(6), VALUES(holder), holder),
	claimed_until = IF(handled_at IS NULL AND (claimed_until <= UTC_TIMESTAMP(6) OR holder = VALUES(holder)),
		VALUES(claimed_until), claimed_until)`,
		state: `SELECT holder, handled_at IS NOT NULL FROM {table} WHERE id = ?`,
		markHandled: `INSERT INTO {table} (id, holder, claimed_until, handled_at)
VALUES (?, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE handled_at = COALESCE(handled_at, VALUES(handled_at))`,
		release: `DELETE FROM {table} WHERE id = ? AND holder = ? AND handled_at IS NULL`,
		prune:   `DELETE FROM {table} WHERE claimed_until < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND`,
	},
}

// Claim implements wechatpay.NotificationStore.
func (s *Store) Claim(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	const op = "sqlstore.Store.Claim"
	statements, err := s.check(op, id, holder)
	if err != nil {
		return "", err
	}
	claimFor := cmp.Or(s.ClaimFor, defaultClaimFor)
	if _, err := s.exec(ctx, statements.claim, id, holder, claimFor.Microseconds()); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	var gotHolder string
	var handled bool
	err = retry(func() error {
		return s.DB.QueryRowContext(ctx, s.withNames(statements.state), id).Scan(&gotHolder, &handled)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows): // released in between by its holder
		return wechatpay.NotificationStateInProgress, nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", op, err)
	case handled:
		return wechatpay.NotificationStateHandled, nil
	case gotHolder == holder:
		return wechatpay.NotificationStateClaimed, nil
	}
	return wechatpay.NotificationStateInProgress, nil
}

// MarkHandled implements wechatpay.NotificationStore.
func (s *Store) MarkHandled(ctx context.Context, id, holder string) error {
	const op = "sqlstore.Store.MarkHandled"
	statements, err := s.check(op, id, holder)
	if err != nil {
		return err
	}
	if _, err := s.exec(ctx, statements.markHandled, id); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Release implements wechatpay.NotificationStore.
func (s *Store) Release(ctx context.Context, id, holder string) error {
	const op = "sqlstore.Store.Release"
	statements, err := s.check(op, id, holder)
	if err != nil {
		return err
	}
	if _, err := s.exec(ctx, statements.release, id, holder); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Schema returns the statements that create the table and its index, for your
// own migration.
func (s *Store) Schema() ([]string, error) {
	statements, err := s.check("sqlstore.Store.Schema", "", "")
	if err != nil {
		return nil, err
	}
	var schema []string
	for _, statement := range statements.create {
		schema = append(schema, s.withNames(statement))
	}
	return schema, nil
}

// CreateTable creates the table and its index if they do not exist. Several
// machines may call it concurrently.
func (s *Store) CreateTable(ctx context.Context) error {
	schema, err := s.Schema()
	if err != nil {
		return err
	}
	for _, statement := range schema {
		// Despite IF NOT EXISTS, PostgreSQL fails if another session creates the
		// same table concurrently. The retry then finds it.
		if _, err = s.DB.ExecContext(ctx, statement); err != nil {
			_, err = s.DB.ExecContext(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("sqlstore.Store.CreateTable: %w", err)
		}
	}
	return nil
}

// DeleteOlderThan deletes notifications whose claim expired longer than age ago,
// handled or not, and returns their number. An age of 7 days is safe, and it
// should be at least a day: current pages of WeChat Pay describe redeliveries
// for 2 hours, older ones for up to a week. Call it daily, for example.
func (s *Store) DeleteOlderThan(ctx context.Context, age time.Duration) (int64, error) {
	const op = "sqlstore.Store.DeleteOlderThan"
	statements, err := s.check(op, "", "")
	if err != nil {
		return 0, err
	}
	if age < 0 {
		return 0, invalid(op, "age", fmt.Sprintf("must not be negative, got %v", age))
	}
	result, err := s.exec(ctx, statements.prune, age.Microseconds())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	return result.RowsAffected()
}

func (s *Store) exec(ctx context.Context, statement string, args ...any) (result sql.Result, err error) {
	err = retry(func() error {
		result, err = s.DB.ExecContext(ctx, s.withNames(statement), args...)
		return err
	})
	return result, err
}

// retry calls f up to 10 times while the database rolls it back because of a
// concurrent transaction.
func retry(f func() error) error {
	for n := 1; ; n++ {
		if err := f(); n == 10 || !isRolledBack(err) {
			return err
		}
	}
}

// isRolledBack reports whether the database rolled back a statement because of
// a deadlock or a serialization failure.
func isRolledBack(err error) bool {
	var withState interface{ SQLState() string } // implemented by pgx and lib/pq
	if errors.As(err, &withState) {
		return withState.SQLState() == "40001" || withState.SQLState() == "40P01"
	}
	// go-sql-driver/mysql, which is not a dependency, has no such method: its
	// error number is in the text.
	return err != nil && strings.Contains(err.Error(), "Error 1213")
}

// tableName allows nothing but a name, because it becomes part of statements.
var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$`)

// check returns the statements of the dialect, or an error if a field or an
// argument is invalid.
func (s *Store) check(op, id, holder string) (statements, error) {
	dialect, known := dialects[s.Dialect]
	switch {
	case s.DB == nil:
		return dialect, invalid(op, "DB", "must not be nil")
	case !known:
		return dialect, invalid(op, "Dialect", fmt.Sprintf("must be PostgreSQL or MySQL, got %d", s.Dialect))
	case s.ClaimFor < 0:
		return dialect, invalid(op, "ClaimFor", fmt.Sprintf("must not be negative, got %v", s.ClaimFor))
	case !tableName.MatchString(s.table()):
		problem := fmt.Sprintf("must be a name of at most 63 letters, digits and _, got %.70q", s.Table)
		return dialect, invalid(op, "Table", problem)
	case len(id) > maxBytes:
		return dialect, invalid(op, "id", fmt.Sprintf("must be at most %d bytes, got %d", maxBytes, len(id)))
	case len(holder) > maxBytes:
		return dialect, invalid(op, "holder", fmt.Sprintf("must be at most %d bytes, got %d", maxBytes, len(holder)))
	}
	return dialect, nil
}

func invalid(op, field, problem string) error {
	return &wechatpay.ArgumentError{Op: op, Faults: []wechatpay.ArgumentFault{{Field: field, Problem: problem}}}
}

func (s *Store) table() string { return cmp.Or(s.Table, defaultTable) }

// withNames replaces the placeholders of a statement.
func (s *Store) withNames(statement string) string {
	table := s.table()
	_, bare, found := strings.Cut(table, ".")
	if !found {
		bare = table
	}
	// PostgreSQL truncates names to 63 bytes and ignores their case. A checksum
	// keeps the index names of long table names distinct.
	index := bare
	if len(bare) > 49 {
		index = fmt.Sprintf("%.40s_%08x", bare, crc32.ChecksumIEEE([]byte(strings.ToLower(bare))))
	}
	index += "_claimed_until"
	return strings.NewReplacer("{table}", table, "{index}", index).Replace(statement)
}
