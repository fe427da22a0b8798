package wire

import (
	"github.com/VictoriaMetrics/easyproto"
)

func (d *Decoder) helloField(h *Hello, fc *easyproto.FieldContext) bool {
	switch fc.FieldNum {
	case 3:
		return d.label(fc, &h.Agent.Labels)
	case 4:
		return d.label(fc, &h.Agent.Attributes)
	case 5:
		if len(h.Epochs) > d.limits.Epochs {
			return true // one too many is enough for CheckHello to see
		}
		h.Epochs = append(h.Epochs, "")
		return text(fc, 5, &h.Epochs[len(h.Epochs)-1])
	}
	return text(fc, 1, &h.Token) && text(fc, 2, &h.Agent.ID) && duration(fc, 6, &h.Interval) && clock(fc, 7, &h.Time)
}

// label appends a label; beyond the limit one is kept, for the check to see, and no more.
func (d *Decoder) label(fc *easyproto.FieldContext, to *[]Label) bool {
	data, ok := fc.MessageData()
	if !ok || len(*to) > d.limits.LabelsPerSeries {
		return ok
	}
	var l Label
	err := eachField(data, "label", func(fc *easyproto.FieldContext) bool {
		return text(fc, 1, &l.Name) && text(fc, 2, &l.Value)
	})
	*to = append(*to, l)
	return err == nil
}

func (d *Decoder) welcomeField(w *Welcome, fc *easyproto.FieldContext) bool {
	switch fc.FieldNum {
	case 2:
		var epoch string
		var seq uint64
		data, ok := fc.MessageData()
		err := eachField(data, "epochs", func(fc *easyproto.FieldContext) bool {
			return text(fc, 1, &epoch) && number(fc, 2, &seq)
		})
		w.Epochs[epoch] = seq
		return ok && err == nil
	case 4:
		data, ok := fc.MessageData()
		limits := w.Limits.fields()
		err := eachField(data, "limits", func(fc *easyproto.FieldContext) bool {
			if fc.FieldNum == 0 || int(fc.FieldNum) > len(limits) {
				return true
			}
			u, ok := fc.Uint64()
			*limits[fc.FieldNum-1] = int(min(u, 1<<31-1))
			return ok
		})
		return ok && err == nil
	case 5:
		var ok bool
		w.LiveOnly, ok = fc.Bool()
		return ok
	}
	return text(fc, 1, &w.Session) && clock(fc, 3, &w.ServerTime)
}

func ackFieldOf(a *Ack, fc *easyproto.FieldContext) bool {
	if fc.FieldNum != 3 {
		return text(fc, 1, &a.Epoch) && number(fc, 2, &a.Seq) && number(fc, 4, &a.Unnamed)
	}
	var r Refused
	var index, reason uint64
	data, ok := fc.MessageData()
	err := eachField(data, "refused", func(fc *easyproto.FieldContext) bool {
		return number(fc, 1, &r.Seq) && number(fc, 2, &index) && number(fc, 3, &reason)
	})
	if !ok || err != nil || index > 1<<31-1 {
		return false
	}
	r.Index = int(index)
	if reason > 0 && reason <= uint64(len(Reasons)) { // a newer hub may know more of them
		r.Reason = Reasons[reason-1]
	}
	a.Refused = append(a.Refused, r)
	return true
}

func gapFieldOf(g *Gap, fc *easyproto.FieldContext) bool {
	return text(fc, 1, &g.Epoch) && number(fc, 2, &g.Seq) && number(fc, 3, &g.ToSeq) &&
		clock(fc, 4, &g.From) && clock(fc, 5, &g.To) && number(fc, 6, &g.Count) && text(fc, 7, &g.Reason)
}

func slowFieldOf(s *Slow, fc *easyproto.FieldContext) bool {
	switch fc.FieldNum {
	case 1:
		u, ok := fc.Uint64()
		s.MaxInFlight = int(min(u, 1<<31-1))
		return ok
	case 2:
		var ok bool
		s.LiveOnly, ok = fc.Bool()
		return ok
	}
	return true
}
