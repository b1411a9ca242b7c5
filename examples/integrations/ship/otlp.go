package main

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// An otlpSink sends blocks as OTLP logs. What was sent again may be stored twice:
// log.record.uid says that it is the same.
type otlpSink struct {
	exporter *otlploghttp.Exporter
	provider *sdklog.LoggerProvider
	logger   log.Logger
	block    collected
}

// newOTLP returns a sink to a receiver, such as http://localhost:4318.
func newOTLP(ctx context.Context, url, host string) (*otlpSink, error) {
	exporter, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(url+"/v1/logs"),
		otlploghttp.WithCompression(otlploghttp.GzipCompression),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: false})) // the Sender does it
	if err != nil {
		return nil, err
	}
	s := &otlpSink{exporter: exporter}
	s.provider = sdklog.NewLoggerProvider(sdklog.WithProcessor(&s.block),
		sdklog.WithResource(resource.NewSchemaless(attribute.String("host.name", host), attribute.String("service.name", "nfpacket"))))
	s.logger = s.provider.Logger("github.com/nfpacket/nfpacket")
	return s, nil
}

// Send implements Sink.
func (s *otlpSink) Send(ctx context.Context, b *Block) error {
	s.block.records = s.block.records[:0]
	for i := range b.Records {
		s.logger.Emit(ctx, b.Records[i].otlp())
	}
	return s.exporter.Export(ctx, s.block.records)
}

// Last implements Sink. A receiver is not asked for what it has.
func (s *otlpSink) Last(context.Context) (uint64, error) { return 0, nil }

// Close implements Sink.
func (s *otlpSink) Close() error { return s.exporter.Shutdown(context.Background()) }

// otlp returns the record for a Logger, flat, and with the packet's time.
func (r *Record) otlp() log.Record {
	var l log.Record
	l.SetTimestamp(r.Time)
	l.SetSeverity(log.SeverityInfo)
	l.SetBody(attribute.StringValue(r.Prefix))
	l.AddAttributes(
		attribute.String("log.record.uid", r.ID),
		attribute.Int64("nflog.group", int64(r.Group)),
		attribute.Int64("nflog.number", int64(r.Number)),
		attribute.Int64("nflog.seq", int64(r.Seq)),
		attribute.String("nflog.hook", r.Hook),
		attribute.Int("packet.length", r.Length))
	l.AddAttributes(slices.DeleteFunc([]attribute.KeyValue{
		attribute.String("nflog.prefix", r.Prefix),
		attribute.String("network.interface.in", r.In),
		attribute.String("network.interface.out", r.Out),
		attribute.String("network.transport", r.Proto),
		attribute.String("source.address", r.Src),
		attribute.Int("source.port", int(r.SrcPort)),
		attribute.String("destination.address", r.Dst),
		attribute.Int("destination.port", int(r.DstPort)),
		attribute.Int64("nflog.mark", int64(r.Mark)),
		attribute.Int64("lost_before", int64(r.Lost)),
	}, func(kv attribute.KeyValue) bool {
		return kv.Value.AsInterface() == "" || kv.Value.AsInterface() == int64(0)
	})...)
	if r.UID != nil {
		l.AddAttributes(attribute.Int64("user.id", *r.UID))
	}
	return l
}

// collected is a processor that keeps records for the exporter, which says whether
// they were stored: the SDK's own drop them when they were not.
type collected struct{ records []sdklog.Record }

func (c *collected) OnEmit(_ context.Context, r *sdklog.Record) error {
	c.records = append(c.records, r.Clone())
	return nil
}

func (c *collected) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (c *collected) Shutdown(context.Context) error                         { return nil }
func (c *collected) ForceFlush(context.Context) error                       { return nil }
