module github.com/wechatpay-complaints/wechatpay/cmd/wechatpay-complaints

go 1.24

replace github.com/wechatpay-complaints/wechatpay => ../../

require (
	github.com/creack/pty v1.1.24
	github.com/stretchr/testify v1.12.1
	github.com/wechatpay-complaints/wechatpay v0.0.0
	golang.org/x/term v0.34.0
)

require (
	github.com/go-resty/resty/v2 v2.17.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.43.0 // indirect
	golang.org/x/sys v0.35.0 // indirect
)
