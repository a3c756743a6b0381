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

// Store is a wechatpay.NotificationStore in a table. A zero field has the value
// in brackets. It is safe for concurrent use; its fields must not be changed
// after the first.
type Store struct {
	DB      *sql.DB // of the primary: a replica that lags behind would let copies through
	Dialect Dialect // of the database behind DB

	// Table is the table's name ["wechatpay_notifications"]: letters, digits and
	// _, with a schema and a dot before it if need be. Handles with different
	// jobs need different ones.
	Table string

	ClaimFor time.Duration // how long a claim stands [30 s], in whole microseconds
}

var _ wechatpay.NotificationStore = (*Store)(nil)

const (
	defaultTable    = "wechatpay_notifications"
	defaultClaimFor = 30 * time.Second

	// maxID is the size of the columns, in bytes.
	maxID = 64
)

// Dialect is the SQL that a database understands.
type Dialect int

// The dialects.
const (
	PostgreSQL Dialect = iota + 1
	MySQL              // and MariaDB
)

// statements are those of one dialect. {table} stands for the table's name, and
// {index} for that of its index.
type statements struct {
	create  []string
	begin   string // id, holder, microseconds of the claim
	state   string // id
	handled string // id
	release string // id, holder
	prune   string // microseconds
}

// In both dialects begin takes a row that is there only if it is not handled, and
// its claim has expired or is the holder's own; what became of it, state tells.
var dialects = map[Dialect]statements{
	PostgreSQL: {
		create: []string{
			`CREATE TABLE IF NOT EXISTS {table} (
	id            varchar(64) PRIMARY KEY, -- of the notification
	holder        varchar(64) NOT NULL,    -- who works on it, or did
	claimed_until timestamptz NOT NULL,
	handled_at    timestamptz              -- NULL: it is in work, or its holder died
)`,
			`CREATE INDEX IF NOT EXISTS {index} ON {table} (claimed_until)`,
		},
		begin: `INSERT INTO {table} AS t (id, holder, claimed_until)
VALUES ($1, $2, clock_timestamp() + CAST($3 AS bigint) * interval '1 microsecond')
ON CONFLICT (id) DO UPDATE SET holder = EXCLUDED.holder, claimed_until = EXCLUDED.claimed_until
WHERE t.handled_at IS NULL AND (t.claimed_until <= clock_timestamp() OR t.holder = EXCLUDED.holder)`,
		state: `SELECT holder, handled_at IS NOT NULL FROM {table} WHERE id = $1`,
		handled: `INSERT INTO {table} AS t (id, holder, claimed_until, handled_at)
VALUES ($1, '', clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO UPDATE SET handled_at = EXCLUDED.handled_at
WHERE t.handled_at IS NULL`,
		release: `DELETE FROM {table} WHERE id = $1 AND holder = $2 AND handled_at IS NULL`,
		prune:   `DELETE FROM {table} WHERE claimed_until < clock_timestamp() - CAST($1 AS bigint) * interval '1 microsecond'`,
	},
	// VARBINARY, since text would be compared without regard to case and to
	// blanks at its end; UTC, since other clocks are set back in autumn. The
	// second assignment of begin may see the holder that the first one left, or
	// the one before, as sql_mode says: both ways it comes to the same.
	MySQL: {
		create: []string{`CREATE TABLE IF NOT EXISTS {table} (
	id            VARBINARY(64) NOT NULL PRIMARY KEY, -- of the notification
	holder        VARBINARY(64) NOT NULL,             -- who works on it, or did
	claimed_until DATETIME(6)   NOT NULL,             -- UTC, as the next
	handled_at    DATETIME(6)   NULL,                 -- NULL: it is in work, or its holder died
	KEY {index} (claimed_until)
) ENGINE = InnoDB`},
		begin: `INSERT INTO {table} (id, holder, claimed_until)
VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
ON DUPLICATE KEY UPDATE
	holder = IF(handled_at IS NULL AND claimed_until <= UTC_TIMESTAMP(6), VALUES(holder), holder),
	claimed_until = IF(handled_at IS NULL AND (claimed_until <= UTC_TIMESTAMP(6) OR holder = VALUES(holder)), VALUES(claimed_until), claimed_until)`,
		state: `SELECT holder, handled_at IS NOT NULL FROM {table} WHERE id = ?`,
		handled: `INSERT INTO {table} (id, holder, claimed_until, handled_at)
VALUES (?, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE handled_at = COALESCE(handled_at, VALUES(handled_at))`,
		release: `DELETE FROM {table} WHERE id = ? AND holder = ? AND handled_at IS NULL`,
		prune:   `DELETE FROM {table} WHERE claimed_until < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND`,
	},
}

// Begin claims a notification.
func (s *Store) Begin(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	const op = "sqlstore.Store.Begin"
	statements, err := s.check(op, id, holder)
	if err != nil {
		return "", err
	}
	claimFor := cmp.Or(s.ClaimFor, defaultClaimFor)
	if _, err := s.exec(ctx, statements.begin, id, holder, claimFor.Microseconds()); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	var has string
	var handled bool
	err = repeat(func() error {
		return s.DB.QueryRowContext(ctx, s.named(statements.state), id).Scan(&has, &handled)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows): // its holder gave it up in between
		return wechatpay.NotificationStateInProgress, nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", op, err)
	case handled:
		return wechatpay.NotificationStateHandled, nil
	case has == holder:
		return wechatpay.NotificationStateClaimed, nil
	}
	return wechatpay.NotificationStateInProgress, nil
}

// End gives a claim up.
func (s *Store) End(ctx context.Context, id, holder string, handled bool) error {
	const op = "sqlstore.Store.End"
	statements, err := s.check(op, id, holder)
	if err != nil {
		return err
	}
	if handled {
		_, err = s.exec(ctx, statements.handled, id)
	} else {
		_, err = s.exec(ctx, statements.release, id, holder)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Schema gives the statements that make the table and its index, for a migration
// of your own.
func (s *Store) Schema() ([]string, error) {
	statements, err := s.check("sqlstore.Store.Schema", "", "")
	if err != nil {
		return nil, err
	}
	var schema []string
	for _, statement := range statements.create {
		schema = append(schema, s.named(statement))
	}
	return schema, nil
}

// CreateTable makes the table and its index where they are not there yet. Several
// machines may do so at once.
func (s *Store) CreateTable(ctx context.Context) error {
	schema, err := s.Schema()
	if err != nil {
		return err
	}
	for _, statement := range schema {
		// PostgreSQL refuses what another machine creates at the same moment, in
		// spite of IF NOT EXISTS; the second time it is there.
		if _, err = s.DB.ExecContext(ctx, statement); err != nil {
			_, err = s.DB.ExecContext(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("sqlstore.Store.CreateTable: %w", err)
		}
	}
	return nil
}

// DeleteOlderThan deletes the rows of notifications that were claimed longer ago
// than age and whose claims have expired, handled or not, and tells how many.
// Copies of a complaint's notification come for 2 hours by the newer pages and
// for a week by older ones, those of a refund's up to 6 h apart: 7 days are
// safe, and a day is the least. Call it once a day, say.
func (s *Store) DeleteOlderThan(ctx context.Context, age time.Duration) (int64, error) {
	const op = "sqlstore.Store.DeleteOlderThan"
	statements, err := s.check(op, "", "")
	if err != nil {
		return 0, err
	}
	if age < 0 {
		return 0, refused(op, "age", fmt.Sprintf("%v, and 0 is the least", age))
	}
	result, err := s.exec(ctx, statements.prune, age.Microseconds())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	return result.RowsAffected()
}

func (s *Store) exec(ctx context.Context, statement string, args ...any) (result sql.Result, err error) {
	err = repeat(func() error {
		result, err = s.DB.ExecContext(ctx, s.named(statement), args...)
		return err
	})
	return result, err
}

// repeat does once more, a few times, what the database undid for the sake of
// another transaction. The next attempt sees what that one left.
func repeat(do func() error) error {
	for n := 1; ; n++ {
		if err := do(); n == 10 || !undone(err) {
			return err
		}
	}
}

// undone reports whether the database undid a statement for the sake of another
// transaction: in a deadlock, or, where default_transaction_isolation is
// stricter than usual, because that one changed the same row meanwhile.
func undone(err error) bool {
	var refusal interface{ SQLState() string } // of pgx and of lib/pq
	if errors.As(err, &refusal) {
		return refusal.SQLState() == "40001" || refusal.SQLState() == "40P01"
	}
	// go-sql-driver/mysql has its number in a field alone, and in the text. It
	// may be the user's, and so is no dependency.
	return err != nil && strings.Contains(err.Error(), "Error 1213")
}

// A table's name is part of each statement, so it must be nothing else.
var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$`)

// check gives the statements of the dialect, or what is wrong with the settings.
func (s *Store) check(op, id, holder string) (statements, error) {
	dialect, known := dialects[s.Dialect]
	switch {
	case s.DB == nil:
		return dialect, refused(op, "DB", "nil")
	case !known:
		return dialect, refused(op, "Dialect", fmt.Sprintf("%d: it is PostgreSQL or MySQL", s.Dialect))
	case s.ClaimFor < 0:
		return dialect, refused(op, "ClaimFor", fmt.Sprintf("%v: a claim would have ended when it begins", s.ClaimFor))
	case !tableName.MatchString(s.table()):
		return dialect, refused(op, "Table", fmt.Sprintf("%.70q is not a table's name of letters, digits and _, at most 63 of them", s.Table))
	case len(id) > maxID:
		return dialect, refused(op, "id", fmt.Sprintf("%d bytes, at most %d are allowed", len(id), maxID))
	case len(holder) > maxID:
		return dialect, refused(op, "holder", fmt.Sprintf("%d bytes, at most %d are allowed", len(holder), maxID))
	}
	return dialect, nil
}

func refused(op, field, problem string) error {
	return &wechatpay.ArgumentError{Op: op, Faults: []wechatpay.ArgumentFault{{Field: field, Problem: problem}}}
}

func (s *Store) table() string { return cmp.Or(s.Table, defaultTable) }

// named puts the names into a statement.
func (s *Store) named(statement string) string {
	table := s.table()
	_, bare, found := strings.Cut(table, ".")
	if !found {
		bare = table
	}
	// 63 bytes are all that PostgreSQL has for a name, whose letter case it does
	// not regard. What is cut off a long one is told apart by its checksum.
	index := bare
	if len(bare) > 49 {
		index = fmt.Sprintf("%.40s_%08x", bare, crc32.ChecksumIEEE([]byte(strings.ToLower(bare))))
	}
	index += "_claimed_until"
	return strings.NewReplacer("{table}", table, "{index}", index).Replace(statement)
}
