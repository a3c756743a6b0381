// Package sqlstore implements wechatpay.NotificationStore in PostgreSQL, MySQL or
// MariaDB, for services that run on several machines:
//
//	store := &sqlstore.Store{DB: db, Dialect: sqlstore.PostgreSQL}
//	err := store.CreateTable(ctx) // or use Schema in your own migration
//	http.Handle("POST /wechatpay", client.NotificationHandler(wechatpay.Once(store, handle)))
//
// It works with any database/sql driver that uses $1 for PostgreSQL, such as pgx
// and lib/pq, or ? for MySQL and MariaDB. It is tested with PostgreSQL 15 and
// MariaDB 10.11. Its statements are meant to work with PostgreSQL 9.5, MySQL 5.7
// and later.
//
// Each notification is one row. All times are by the database's clock. Claim runs
// two statements, the other methods one, each in its own transaction. Rows are
// kept until you call DeleteOlderThan.
package sqlstore
