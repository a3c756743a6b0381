// Package redisstore remembers in Redis which WeChat Pay notifications were
// handled, for any number of machines that share it:
//
//	store := &redisstore.Store{Client: redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})}
//	http.Handle("POST /wechatpay", client.NotificationHandler(wechatpay.Once(store, handle)))
//
// # What is in Redis
//
// One key for a notification, Prefix and its id. Its value is "claimed:" and the
// holder while it is in work, and "handled" afterwards. Claims and memories
// expire by themselves, on Redis's clock: nothing needs clearing. A notification
// takes some 150 bytes.
//
// Each step is one command or one script with one key, so a Cluster will do. It
// needs Redis 2.6.12 or newer, and the right to use EVAL and EVALSHA.
//
// # What it cannot promise
//
// Redis answers before replicas and disk have what it was told. After a fail-over
// or a restart a claim or a memory may be lost, and then a copy runs the
// merchant's code again; so it may where maxmemory-policy evicts keys: noeviction
// does not. Where that must not be, take sqlstore, or let the code itself write
// down the event with its work.
package redisstore
