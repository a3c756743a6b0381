// Package redisstore remembers in Redis which WeChat Pay notifications were
// handled, for any number of machines that share it:
//
//	redisClient := redis.NewClient(&redis.Options{
//		Addr:                  "127.0.0.1:6379",
//		ContextTimeoutEnabled: true,
//	})
//	store := &redisstore.Store{Client: redisClient}
//	http.Handle("POST /wechatpay", client.NotificationHandler(wechatpay.Once(store, handle)))
//
// Without ContextTimeoutEnabled go-redis does not keep to the context: it waits
// for a Redis that hangs up to ReadTimeout, 3 s, at each of its attempts, and
// WeChat Pay, which waits for 5 s in all, gets no answer.
//
// # What is in Redis
//
// One key for a notification, Prefix and its id. Its value is "claimed:" and the
// holder while it is in work, and "handled" afterwards. Claims and memories
// expire by themselves, on Redis's clock: nothing needs clearing. A notification
// takes some 150 bytes.
//
// Each step is one command or one script with one key, so a Cluster will do, and
// a Ring will not: see Store.Client. It needs Redis 2.6.12 or newer, and the
// right to use EVAL, EVALSHA, GET, SET and DEL.
//
// # What it cannot promise
//
// Redis answers before replicas and disk have what it was told. After a fail-over
// or a restart a claim or a memory may be lost, and then a copy runs the
// merchant's code again; so it may where maxmemory-policy evicts keys: noeviction
// does not. Where that must not be, take sqlstore, or let the code itself write
// down the event with its work.
package redisstore
