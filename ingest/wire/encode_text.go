package wire

import (
	"encoding/json"
	"fmt"
)

type textBatch struct {
	Type    string       `json:"type"`
	Epoch   string       `json:"epoch,omitempty"`
	Seq     uint64       `json:"seq"`
	Samples []textSample `json:"samples"`
}

type textSample struct {
	Metric     string     `json:"metric"`
	Kind       string     `json:"kind,omitempty"`
	Unit       string     `json:"unit,omitempty"`
	Labels     textLabels `json:"labels,omitempty"`
	IntervalMS uint64     `json:"interval_ms,omitempty"`
	TS         int64      `json:"ts,omitempty"`
	Value      *float64   `json:"value,omitempty"`
	Values     []float64  `json:"values,omitempty"`
	Bins       [][2]int64 `json:"bins,omitempty"`
}

// Text writes f in its JSON form. Only a value JSON has no number for (NaN, an infinity)
// is an error.
func Text(f Frame) ([]byte, error) {
	data, err := json.Marshal(textForm(f))
	if err != nil {
		return nil, fmt.Errorf("writing a %s frame as JSON: %w", f.frameType(), err)
	}
	return data, nil
}

func textForm(f Frame) any {
	kind := f.frameType()
	switch f := f.(type) {
	case *Hello:
		agent := textAgent{ID: f.Agent.ID, Labels: f.Agent.Labels, Attributes: f.Agent.Attributes}
		return textHello{kind, f.Token, agent, f.Epochs, milliseconds(f.Interval), f.Time}
	case *Welcome:
		return textWelcome{kind, f.Session, f.Epochs, f.ServerTime, textLimits(f.Limits), f.LiveOnly}
	case *Batch:
		return textBatch{kind, f.Epoch, f.Seq, textSamples(f.Samples)}
	case *Ack:
		refused := make([]textRefused, len(f.Refused))
		for i, r := range f.Refused {
			refused[i] = textRefused(r)
		}
		return textAck{kind, f.Epoch, f.Seq, refused, f.Unnamed}
	case *Gap:
		return textGap{kind, f.Epoch, f.Seq, f.ToSeq, f.From, f.To, f.Count, f.Reason}
	case *Notice:
		return textNotice{kind, f.Level, f.Text}
	case *Config:
		return textConfig{kind, milliseconds(f.Interval)}
	case *Slow:
		return textSlow{kind, f.MaxInFlight, f.LiveOnly}
	case *Error:
		return textError{kind, f.Code, f.Message, milliseconds(f.RetryAfter)}
	default: // *Columns: the receiving side's view of a batch is never sent
		return nil
	}
}

func textSamples(samples []Sample) []textSample {
	texts := make([]textSample, len(samples))
	for i, s := range samples {
		t := textSample{
			Metric: s.Series.Metric, Unit: s.Series.Unit, Labels: s.Series.Labels,
			IntervalMS: milliseconds(s.Series.Interval), TS: s.TS,
		}
		switch s.Series.Kind {
		case Distribution:
			for _, b := range s.Bins {
				t.Bins = append(t.Bins, [2]int64{int64(b.Key), int64(b.Count)})
			}
			t.Kind = s.Series.Kind.String()
		case Counter:
			t.Kind = s.Series.Kind.String()
			t.Value = &samples[i].Value
		default:
			t.Value = &samples[i].Value
		}
		texts[i] = t
	}
	return texts
}
