// Package sqlstore remembers in PostgreSQL, MySQL or MariaDB which WeChat Pay
// notifications were handled, for any number of machines that share the database:
//
//	store := &sqlstore.Store{DB: db, Dialect: sqlstore.PostgreSQL}
//	err := store.CreateTable(ctx) // or by your own migration, see Schema
//	http.Handle("POST /wechatpay", client.NotificationHandler(wechatpay.Once(store, handle)))
//
// It works with any driver for database/sql that has $1 for PostgreSQL, such as
// pgx or lib/pq, or ? for MySQL and MariaDB, and brings none. It is tested with
// PostgreSQL 15 and MariaDB 10.11; its statements are such that PostgreSQL 9.5 and
// MySQL 5.7 and later should take them.
//
// # What is in the database
//
// One row for a notification, with the holder and the end of its claim, and when
// it was handled. All times are the database's own, so the machines' clocks do not
// matter. Rows stay until DeleteOlderThan is called: nothing runs in the
// background. A notification takes two statements when it begins and one when it
// ends, each a transaction of its own.
package sqlstore
