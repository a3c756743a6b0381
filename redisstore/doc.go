// Package redisstore implements wechatpay.NotificationStore in Redis, for
// services that run on several machines:
//
//	store := &redisstore.Store{Client: redis.NewClient(&redis.Options{
//		Addr:                  "127.0.0.1:6379",
//		ContextTimeoutEnabled: true, // otherwise go-redis ignores the context's deadline
//	})}
//	http.Handle("POST /wechatpay", client.NotificationHandler(wechatpay.Once(store, handle)))
//
// Each notification is one key of about 150 bytes, which expires by Redis's
// clock. Each method runs one command or script with this key, so it works with
// Redis Cluster. It requires Redis 2.6.12 or newer and permission to run EVAL,
// EVALSHA, GET, SET and DEL.
//
// Redis may lose recent writes in a failover or a restart, and evicts keys
// unless maxmemory-policy is noeviction. A redelivery may then run the handler
// again. If that must not happen, use sqlstore, or store the event id in the
// database transaction that does the work.
package redisstore
