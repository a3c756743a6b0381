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

// traced makes a span of each request that base sends. Config.Transport is below
// the Client's retries, so that each attempt and each look into the negotiation
// history is a span of its own.
//
// otelhttp records no request header, and so no Authorization. url.full has the
// complaint's id in it.
func traced(base http.RoundTripper, provider *trace.TracerProvider) http.RoundTripper {
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(provider),
		// No traceparent and no baggage for WeChat Pay: it has no use for them,
		// and baggage may hold what is nobody else's business.
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
	)
}

// A span for each attempt, below one for the call. Here the answer to the
// decision is lost, and found in the negotiation history.
func Example_openTelemetry() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})

	exporter := tracetest.NewInMemoryExporter() // yours sends them, in batches: trace.WithBatcher
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
