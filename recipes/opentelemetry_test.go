package recipes_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// traced returns a RoundTripper that creates a span for each request. Because the
// Client retries above Config.Transport, each attempt and each lookup has its own
// span.
//
// otelhttp records no request headers, so no Authorization. url.full contains the
// complaint id.
func traced(base http.RoundTripper, provider *trace.TracerProvider) http.RoundTripper {
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(provider),
		// Send no traceparent or baggage to WeChat Pay: baggage may be confidential.
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
	)
}

// Each attempt has a span below the span of the call. Here the response to the
// decision is lost, and the Client looks it up in the negotiation history.
func Example_openTelemetry() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})

	exporter := tracetest.NewInMemoryExporter() // in production: trace.WithBatcher and your exporter
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	defer provider.Shutdown(context.Background())

	cfg := server.Config()
	cfg.Transport = traced(wechatpay.NewTransport(), provider)
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	ctx, call := provider.Tracer("shop").Start(context.Background(), "approve refund")
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000", wechatpay.ApproveRefund(0))
	if err != nil {
		log.Fatal(err)
	}
	call.End()

	for _, span := range exporter.GetSpans() {
		line := span.Name
		if span.Parent.SpanID() == call.SpanContext().SpanID() {
			line = "approve refund > " + line
		}
		for _, attribute := range span.Attributes {
			if attribute.Key == "http.response.status_code" {
				line += " " + attribute.Value.Emit()
			}
		}
		if span.Status.Code == codes.Error {
			line += " failed"
		}
		fmt.Println(line)
	}
	// Output:
	// approve refund > HTTP POST failed
	// approve refund > HTTP GET 200
	// approve refund
}
