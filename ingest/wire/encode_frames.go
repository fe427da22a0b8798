package wire

import (
	"slices"
	"time"

	"github.com/VictoriaMetrics/easyproto"
)

func milliseconds(d time.Duration) uint64 { return uint64(max(d.Milliseconds(), 0)) }

func marshalHello(mm *easyproto.MessageMarshaler, h *Hello) {
	mm.AppendString(1, h.Token)
	mm.AppendString(2, h.Agent.ID)
	marshalLabels(mm, 3, h.Agent.Labels)
	marshalLabels(mm, 4, h.Agent.Attributes)
	for _, epoch := range h.Epochs {
		mm.AppendString(5, epoch)
	}
	mm.AppendUint64(6, milliseconds(h.Interval))
	mm.AppendInt64(7, h.Time)
}

func marshalWelcome(mm *easyproto.MessageMarshaler, w *Welcome) {
	mm.AppendString(1, w.Session)
	for epoch, seq := range w.Epochs {
		p := mm.AppendMessage(2)
		p.AppendString(1, epoch)
		p.AppendUint64(2, seq)
	}
	mm.AppendInt64(3, w.ServerTime)
	l := mm.AppendMessage(4)
	for i, limit := range w.Limits.fields() {
		l.AppendUint64(uint32(i+1), uint64(*limit))
	}
	if w.LiveOnly {
		mm.AppendBool(5, true)
	}
}

func marshalSeries(mm *easyproto.MessageMarshaler, s *Series) {
	mm.AppendString(1, s.Metric)
	if s.Kind != Gauge {
		mm.AppendUint32(2, uint32(s.Kind))
	}
	if s.Unit != "" {
		mm.AppendString(3, s.Unit)
	}
	marshalLabels(mm, 4, s.Labels)
	if s.Interval > 0 {
		mm.AppendUint64(5, milliseconds(s.Interval))
	}
}

func marshalLabels(mm *easyproto.MessageMarshaler, field uint32, labels []Label) {
	for _, l := range labels {
		pair := mm.AppendMessage(field)
		pair.AppendString(1, l.Name)
		pair.AppendString(2, l.Value)
	}
}

func marshalAck(mm *easyproto.MessageMarshaler, a *Ack) {
	mm.AppendString(1, a.Epoch)
	mm.AppendUint64(2, a.Seq)
	for _, r := range a.Refused {
		x := mm.AppendMessage(3)
		x.AppendUint64(1, r.Seq)
		x.AppendUint64(2, uint64(r.Index))
		x.AppendUint32(3, uint32(slices.Index(Reasons, r.Reason)+1))
	}
	if a.Unnamed > 0 {
		mm.AppendUint64(4, a.Unnamed)
	}
}

func marshalGap(mm *easyproto.MessageMarshaler, g *Gap) {
	mm.AppendString(1, g.Epoch)
	mm.AppendUint64(2, g.Seq)
	mm.AppendUint64(3, g.ToSeq)
	mm.AppendInt64(4, g.From)
	mm.AppendInt64(5, g.To)
	mm.AppendUint64(6, g.Count)
	mm.AppendString(7, g.Reason)
}
